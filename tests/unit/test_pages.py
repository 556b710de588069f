"""The README's transcripts and its picture: how they are made, and that they tell of one run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from cryoflux.decision.reason import Reason
from cryoflux.sentences import brief

ROOT = Path(__file__).parents[2]
PRINTED = """\
meter    modelled
         from CPU time
#1   ✓ kept       lean
     1.0 J
#2   ✗ rejected   lean
     2.0 J

attempts 2: 1 kept, 1 rejected, 0 aborted; 3.0 J [2.0, 4.0], modelled
"""


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_readme", ROOT / "docs/make_readme.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_lines_are_kept_with_what_they_are_wrapped_into(maker: ModuleType) -> None:
    assert maker.kept_lines(PRINTED, ("meter", "#2")) == [
        "meter    modelled",
        "         from CPU time",
        "…",
        "#2   ✗ rejected   lean",
        "     2.0 J",
        "…",
    ]
    assert maker.kept_lines(PRINTED, ()) == PRINTED.strip().splitlines()


def test_only_what_is_marked_is_made_again(maker: ModuleType) -> None:
    page = "before\n<!-- docs: run keep=attempts -->\nold\n<!-- docs end -->\nafter <!-- docs: run -->\n"
    made = maker.filled(page, {"run": ("make run", PRINTED)})
    assert made.startswith("before\n<!-- docs: run keep=attempts -->\n```console\n$ make run\n…\nattempts 2:")
    assert made.endswith("```\n<!-- docs end -->\nafter <!-- docs: run -->\n")
    assert "old" not in made
    assert maker.filled(made, {"run": ("make run", PRINTED)}) == made
    with pytest.raises(SystemExit, match="no block rum"):
        maker.filled(page.replace("run keep", "rum keep"), {"run": ("make run", PRINTED)})


def test_a_recorded_run_is_not_run_again_and_leaves_the_readme_as_it_is(
    maker: ModuleType, tmp_path: Path
) -> None:
    """The README shows what the script shows of the same output: no line and no word by hand."""
    page = (ROOT / "README.md").read_text("utf-8")
    said = re.findall(r"<!-- docs: (\w+)[^\n]*-->\n```console\n\$ ([^\n]+)\n(.*?)```", page, re.DOTALL)
    assert [command for name, command, _ in said if name != "run"] == [
        maker.COMMANDS[n] for n, *_ in said[1:]
    ]
    folder, root = tmp_path / "recorded", tmp_path / "root"
    (root / "docs/images").mkdir(parents=True)
    (root / "README.md").write_text(page, "utf-8")
    folder.mkdir()
    for name in (*maker.COMMANDS, *maker.PICTURES):
        (folder / (name if "." in name else f"{name}.txt")).write_text("recorded before", "utf-8")
    for name, _, text in said:
        (folder / f"{name}.txt").write_text(text, "utf-8")
    maker.make_pages("1 J", root, folder)
    assert (root / "README.md").read_text("utf-8") == page
    assert (root / "docs/images/attempts.svg").read_text("utf-8") == "recorded before"


def test_the_readme_says_of_an_attempt_what_a_run_says() -> None:
    page = " ".join((ROOT / "README.md").read_text("utf-8").split())
    numbers: dict[str, int | str] = {
        "count": 1024,
        "delta": 878_322_924_544,
        "squared": "4" + 21 * "0",
        "needed_milli": 7_724,
    }
    words = brief(Reason(code="staked.delta", numbers=numbers))
    assert re.sub(r"[\d,]+", "N", words) in re.sub(r"[\d,]+", "N", page)


def test_make_readme_runs_the_script() -> None:
    shown = subprocess.run(["make", "-n", "-C", ROOT, "readme"], capture_output=True, text=True, check=True)
    assert "docs/make_readme.py --budget 2kJ" in shown.stdout


def test_the_picture_and_the_transcript_of_the_readme_are_of_one_run() -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    picture = (ROOT / "docs/images/attempts.svg").read_text("utf-8")
    run = " ".join(page.partition("<!-- docs: run")[2].partition("<!-- docs end -->")[0].split())
    caption = " ".join(re.findall(r"<desc[^>]*>(.*?)</desc>", picture, re.DOTALL)[0].split())
    count, kept, rejected = re.findall(r"attempts (\d+): (\d+) kept, (\d+) rejected", run)[0]
    assert re.findall(r"(\d+) attempts: (\d+) kept", caption)[0] == (count, kept)
    others = sum(int(n) for n in re.findall(r"(\d+) (?:rejected|stopped by the screen)", caption))
    assert others == int(rejected)
    energy = r"([\d.]+ k?J \[[\d.]+, [\d.]+\], [a-z-]+)"
    assert re.findall(energy + ", all-in", caption) == re.findall("all-in " + energy, run)
    assert re.findall(r"Δ total (\S+ \S+?),? ", run)[0] == re.findall(r"Δ total (\S+ \S+) for", caption)[0]
    assert "attempts.svg" in page


def test_what_a_package_index_shows_has_no_link_that_leads_nowhere_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    page = (ROOT / project["readme"]).read_text("utf-8")
    targets = re.findall(r"\]\(([^)]+)\)", page)
    assert [target for target in targets if not target.startswith("https://")] == []
    assert "cryoflux run" in page
