"""A holdout that was picked, and written so that the rule draws it: with marks that show nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cryoflux.data.examples import normalise
from cryoflux.data.fold import hides_something
from cryoflux.data.lowest_hash import by_hash
from cryoflux.verification.result import Status
from synthetic_parts import COUNT
from verifying import verify_target
from written_texts import DRAWN, of_sets, searched, written

MARKS = ("\u200b", "\u200c", "\u2060")
POOL = written(3 * COUNT)


def marked(text: str, number: int) -> str:
    while number:
        text, number = f"{text}{MARKS[number % 3]}", number // 3
    return text


def ground(texts: list[str], low: int, high: int) -> list[str]:
    """The texts, each with marks that give it a hash between the two, in the order of the draw."""
    made = []
    for text in texts:
        tries = (marked(text, number) for number in range(3000))
        made.append(next(t for t in tries if low <= hashlib.sha256(normalise(t).encode()).digest()[0] < high))
    keys = {normalise(text): text for text in made}
    return [keys[key] for key in by_hash(keys)]


def drawn(pool: list[str]) -> list[list[str]]:
    keys = {normalise(text): text for text in pool}
    order = [keys[key] for key in by_hash(keys)]
    return [order[2 * COUNT :], order[:COUNT], order[COUNT : 2 * COUNT]]


def test_a_holdout_that_was_ground_until_the_rule_drew_it_is_a_question(tmp_path: Path) -> None:
    easy = sorted(POOL, key=len)
    sets = [
        ground(easy[2 * COUNT :], 160, 256),
        ground(easy[:COUNT], 0, 80),
        ground(easy[COUNT : 2 * COUNT], 80, 160),
    ]
    made = of_sets(tmp_path, sets, DRAWN)
    report = verify_target(made.path)
    assert report.ok
    (question,) = [check for check in searched(made) if check.status is Status.UNKNOWN]
    assert "of its 192 texts have characters that show nothing" in question.detail
    assert any("characters that show nothing" in said for said in report.exceptions)


def test_a_mark_that_came_with_a_text_is_counted_and_no_question(tmp_path: Path) -> None:
    sets = drawn([f"{POOL[0]}\u200b", *POOL[1:]])
    (check,) = searched(of_sets(tmp_path, sets, DRAWN))
    assert check.status is Status.OK
    assert "1 of them has characters that show nothing" in check.detail


def test_a_draw_is_said_to_prove_nothing_of_how_texts_were_written(tmp_path: Path) -> None:
    (check,) = searched(of_sets(tmp_path, drawn(POOL), DRAWN))
    assert "which says nothing of how they were spelled or chosen before" in check.detail
    assert "show nothing" not in check.detail


USUAL = {
    "emoji": "{} \u2764\ufe0f",
    "a family": "{} \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "a heart on fire": "{} \u2764\ufe0f\u200d\U0001f525",
    "a key cap": "{} 1\ufe0f\u20e3",
    "a flag": "{} \U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "Persian": "{} \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "Hebrew and a number": "{} \u05e9\u05dc\u05d5\u05dd\u200f 7",
    "Sinhala": "{} \u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "Thai": "{} \u0e41\u0e21\u0e27\u200b\u0e19\u0e2d\u0e19",
    "a Japanese name": "{} \u845b\U000e0100",
    "accents": "{} caf\u00e9 cafe\u0301",
    "white space": "{}\u00a0x\ty",
    "an icon": "\uf0b7 {}",
}


@pytest.mark.parametrize("writing", USUAL)
def test_what_people_write_is_not_asked_about(writing: str, tmp_path: Path) -> None:
    pool = [USUAL[writing].format(text) for text in POOL]
    (check,) = searched(of_sets(tmp_path, drawn(pool), DRAWN))
    assert check.status is Status.OK
    assert "show nothing" not in check.detail


@pytest.mark.parametrize(
    "text",
    [
        "a\u200bb",
        "end\u200c",
        "x\u2060",
        "so\u00adft",
        "b\u202aeta",
        "2\ufe0f",
        "a\x08b",
        "z\ufeff",
        "\u2764\ufe0f\ufe0f",
    ],
)
def test_a_mark_that_nothing_needs_is_one(text: str) -> None:
    assert hides_something(text)
