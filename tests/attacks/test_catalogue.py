"""The table of attacks and the tests are the same: none is missing on either side."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
PAGE = (ROOT / "docs" / "explanation" / "attacks.md").read_text("utf-8")
WORDS = {"proven", "recomputed", "attested", "searched"}


def rows(heading: str) -> list[list[str]]:
    """Cells of the table below a heading, without its first two lines."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names_in(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def file_of(name: str) -> Path:
    return ROOT / name if name.startswith("tests/") else FOLDER / name


ATTACKS = rows("The attacks")


def test_there_are_at_least_twenty_attacks() -> None:
    assert len(ATTACKS) >= 20
    assert len({row[0] for row in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize("row", ATTACKS, ids=[row[0] for row in ATTACKS])
def test_an_attack_has_a_defence_a_word_a_remainder_and_tests_that_exist(row: list[str]) -> None:
    attack, defence, word, remains, tests = row
    assert attack
    assert defence
    assert remains
    assert word in WORDS
    assert named(tests)
    for name in named(tests):
        path, _, test = name.partition("::")
        assert file_of(path).is_file(), path
        assert not test or test in names_in(file_of(path)), name


def test_every_file_of_attacks_is_named_and_says_what_it_attacks() -> None:
    listed = {named(row[0])[0]: row[1] for row in rows("What the other tests attack")}
    assert set(listed) == {path.name for path in FOLDER.glob("test_*.py")}
    assert all(listed.values())


def test_every_lie_of_an_owner_names_the_step_that_finds_it() -> None:
    from test_defences import LIES

    assert {step for _, step, _ in LIES.values()} >= set(range(2, 12)) - {3}
    assert sum(removal is not None for _, _, removal in LIES.values()) >= 10
