"""What of the docs is made from the code is what the code says now; the index leads to every page."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from make_reference import RENEW, made_files, parts
from markdown_links import links_of, target_of
from reference_from import commands, failures
from reference_from.contents import SECTIONS
from reference_from.markdown import filled, made_names, table, worded

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "index.md"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "examples/README.md"])
NAMED_TEST = re.compile(r"tests/[\w/]+\.py")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# Generated pages


@pytest.mark.parametrize("path", made_files(), ids=name_of)
def test_what_is_generated_is_what_the_code_says(path: Path) -> None:
    held = path.read_text("utf-8") if path.is_file() else ""
    assert held == made_files()[path], f"{name_of(path)} is stale; renew it: {RENEW}"


def test_every_part_has_its_place() -> None:
    placed = [name for path in made_files() if path.suffix == ".md" for name in made_names(path.read_text())]
    assert sorted(placed) == sorted(parts())


def test_a_mark_that_nobody_fills_is_no_silence() -> None:
    page = "before\n<!-- generated: one -->\nold\n<!-- generated end -->\nafter\n"
    assert filled(page, {"one": "new"}) == (
        "before\n<!-- generated: one -->\n\nnew\n\n<!-- generated end -->\nafter\n"
    )
    with pytest.raises(KeyError):
        filled(page, {"two": "new"})


def test_words_of_the_source_are_no_markup() -> None:
    assert worded("``a*b`` <b> *x* [y] CRYOFLUX_* _z") == r"`a*b` \<b\> \*x\* \[y\] CRYOFLUX_\* \_z"
    assert table(("a",), [("x|y",)]).splitlines()[-1] == r"| x\|y |"


def test_every_command_has_an_example_that_begins_with_it() -> None:
    leaves = {one.name for one in commands.described() if not one.is_group}
    told = commands.told()
    assert sorted(leaves - set(told)) == [], "give each an example in docs/reference_from/commands.toml"
    assert sorted(set(told) - leaves) == [], "no such command"
    for name, said in told.items():
        assert said["example"].strip().startswith(f"cryoflux {name}"), name


def test_every_test_that_a_reason_names_is_there() -> None:
    texts = {name_of(page): page.read_text("utf-8") for page in PAGES}
    named = {(page, test) for page, text in texts.items() for test in NAMED_TEST.findall(text)}
    made = {(page, test) for page, test in named if f"+++ b/{test}" in texts[page]}  # by a worked diff
    assert len(named) > 3
    assert [(page, test) for page, test in named - made if not (ROOT / test).exists()] == []


def test_the_messages_are_those_of_the_source() -> None:
    found = failures.messages()
    assert len(found) > 200
    assert any(one.hint == "Write it as in 2kJ, 500J or 0.002kWh." for one in found)


# Links


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [link.target for link in links_of(page) if target_of(page, link) is None] == []


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`, three\n\n[a](#one-two-three) [b](#two) [c](other.md)\n\n```sh\n[d](x.md)\n```\n"
    )
    assert [target_of(page, link) for link in links_of(page)] == [page, None, None]


def test_every_page_is_two_clicks_from_the_index_at_most() -> None:
    first = set(reached(INDEX))
    second = {page for one in first for page in reached(one)}
    written = {path.resolve() for path in DOCS.rglob("*.md")} - {(DOCS / "package.md").resolve()}
    assert sorted(name_of(page) for page in written - first - second - {INDEX.resolve()}) == []
    sections = {path for path in written if path.parent.name in set(SECTIONS) - {"adr"}}
    assert sorted(name_of(page) for page in sections - first) == [], RENEW


def reached(page: Path) -> Iterator[Path]:
    for link in links_of(page):
        target = (page.parent / link.path).resolve()
        if target.suffix == ".md" and target.exists():
            yield target


def test_the_index_asks_questions_and_each_has_an_answer() -> None:
    text = INDEX.read_text("utf-8").partition("## All pages")[0]
    lines = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(lines) > 30
    assert [line for line in lines if not re.match(r"- [^→]+\? → \[", line)] == []


def test_every_term_that_the_index_sets_in_bold_is_in_the_glossary() -> None:
    glossary = (DOCS / "explanation/glossary.md").read_text("utf-8")
    words = {
        word.strip()
        for row in re.findall(r"^\| ([^|]+) \|", glossary, re.MULTILINE)
        for word in row.split(",")
    }
    terms = re.findall(r"\*\*([^*]+)\*\*", INDEX.read_text("utf-8"))
    terms += [link.text for link in links_of(INDEX) if "glossary.md#" in link.target]
    assert terms
    assert [term for term in terms if not {term, term.lower()} & words] == []


# The man page


def test_the_man_page_names_every_command_and_option() -> None:
    page = (ROOT / "man/cryoflux.1").read_text("ascii").replace("\\-", "-")
    for one in commands.described():
        assert one.is_group or f".SS cryoflux {one.name}\n" in page
        for option in one.options:
            assert option.shown.split()[0].rstrip(",") in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_man_page_is_read_without_a_complaint() -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", ROOT / "man/cryoflux.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "EXIT STATUS" in re.sub(r"\x1b\[[\d;]*m|.\x08", "", done.stdout)
