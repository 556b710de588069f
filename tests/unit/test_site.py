"""The pages that the site is built of, laid out without the library that builds it: no link leads out."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from make_site import main, staged
from markdown_links import links_of, target_of
from reference_from.contents import llms_text

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "pages"
    staged(folder)
    return folder


def test_every_link_of_the_site_stays_in_the_site(pages: Path) -> None:
    strays = []
    for page in pages.rglob("*.md"):
        for link in links_of(page):
            target = target_of(page, link)
            if target is None or not target.resolve().is_relative_to(pages.resolve()):
                strays.append((page.name, link.target))
    assert strays == []


def test_every_page_is_in_the_contents_once(pages: Path) -> None:
    found = []
    for page in (pages / "index.md", pages / "adr/index.md"):
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            entries = [line for line in tree.splitlines() if line and not line.startswith(":")]
            found += [page.parent / re.sub(r".*<(.*)>", r"\1", entry) for entry in entries]
    assert sorted(found) == sorted(set(pages.rglob("*.md")) - {pages / "index.md"})


def test_what_llms_txt_names_lies_beside_it_in_the_site(pages: Path) -> None:
    targets = re.findall(r"^- \[.+?\]\(([^)#]+)[^)]*\)", llms_text(), re.MULTILINE)
    assert len(targets) > 80
    outside = {"../README.md", "../CHANGELOG.md", "../CONTRIBUTING.md", "../SECURITY.md"}
    assert [target for target in targets if not (pages / target).is_file() and target not in outside] == []


def test_every_page_begins_with_words_that_say_what_it_is_for() -> None:
    """No block, table or heading comes before them; the whitepaper is quoted, decisions have a form."""
    bare = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if "adr" not in page.parts and page.name != "whitepaper.md":
            first = page.read_text("utf-8").split("\n\n")[1].lstrip()
            if first.startswith(("#", "```", "|", "<!--", "- ", "![")):
                bare.append(page.name)
    assert bare == []


def test_what_is_unreleased_is_told_in_one_screen_first() -> None:
    """What is new, what changed and what to do; behind that, every entry by its area."""
    unreleased = (ROOT / "CHANGELOG.md").read_text("utf-8").partition("## [Unreleased]\n")[2]
    told, _, entries = unreleased.partition("\n## ")[0].partition("### All of it, by area\n")
    assert re.findall(r"^### (.+)$", told, re.MULTILINE) == ["New", "Changed for you", "What you have to do"]
    assert len(told.splitlines()) < 50
    found = re.findall(r"^- .+(?:\n  .+)*", entries, re.MULTILINE)
    assert len(found) == len(set(found))


def test_nothing_is_overwritten_that_is_no_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    monkeypatch.setattr("sys.argv", ["make_site.py", "--into", str(tmp_path)])
    with pytest.raises(SystemExit, match="name another folder"):
        main()
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_make_docs_builds_the_site_in_an_environment_of_its_own() -> None:
    shown = subprocess.run(["make", "-n", "-C", ROOT, "docs"], capture_output=True, text=True, check=True)
    assert ".venv-docs/bin/python docs/make_site.py --into site" in shown.stdout
    assert "requirements/run.txt" not in shown.stdout
