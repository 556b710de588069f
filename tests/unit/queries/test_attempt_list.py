"""Lists of attempts: what is asked for, in parts that stay the same parts while new ones come in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.queries.attempt_list import SORTS, AskedList, page_of
from cryoflux.queries.followed import Followed
from cryoflux.queries.marks import drawn_as
from cryoflux.receipts.attempts import Attempt
from synthetic_state import make_state

_VALUES = st.none() | st.sampled_from([-1.0, 0.0, 0.5, 2.0]) | st.floats(-10, 10)


def kind_of(attempt: Attempt) -> str:
    return drawn_as(attempt).name.lower()


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Attempt:
    followed = Followed(make_state(tmp_path_factory.mktemp("list") / "state").path)
    followed.refresh()
    return followed.attempts[0]


def numbered(pattern: Attempt, values: list[float | None]) -> list[Attempt]:
    return [
        replace(pattern, number=number, delta=value, eta_per_kj=value, arm=f"r{number % 3}")
        for number, value in enumerate(values, 1)
    ]


def walked(attempts: list[Attempt], asked: AskedList, most: int) -> list[int]:
    """All pages one after the other."""
    found, after = list[int](), 0
    while True:
        page = page_of(attempts, replace(asked, after=after), kind_of, most=most)
        found += [one.number for one in page.rows]
        if not page.after:
            return found
        assert page.after > 0
        after = page.after


@given(
    values=st.lists(_VALUES, min_size=1, max_size=30),
    sort=st.sampled_from(sorted(SORTS)),
    rising=st.booleans(),
    most=st.integers(1, 7),
)
def test_pages_one_after_the_other_are_the_whole_list(
    pattern: Attempt, values: list[float | None], sort: str, rising: bool, most: int
) -> None:
    attempts, asked = numbered(pattern, values), AskedList(sort=sort, rising=rising)
    walk = walked(attempts, asked, most)
    assert sorted(walk) == [one.number for one in attempts]
    shown = [SORTS[sort](attempts[number - 1]) for number in walk]
    known = [value for value in shown if value is not None]
    assert known == sorted(known, reverse=not rising)
    assert shown[: len(known)] == known, "what has no value comes last"


@given(values=st.lists(_VALUES, min_size=4, max_size=30), most=st.integers(1, 5))
def test_the_page_before_is_the_one_that_one_came_from(
    pattern: Attempt, values: list[float | None], most: int
) -> None:
    attempts = numbered(pattern, values)
    first = page_of(attempts, AskedList(), kind_of, most=most)
    if first.after:
        second = page_of(attempts, AskedList(after=first.after), kind_of, most=most)
        back = page_of(attempts, AskedList(until=second.before), kind_of, most=most)
        assert back.rows == first.rows
        assert (first.before, first.first, second.first) == (0, 1, most + 1)


def test_a_page_stays_the_same_while_new_attempts_come_in(pattern: Attempt) -> None:
    attempts = numbered(pattern, [0.1] * 9)
    asked = AskedList(after=7)
    before = page_of(attempts[:8], asked, kind_of, most=3)
    assert [one.number for one in before.rows] == [6, 5, 4]
    assert page_of(attempts, asked, kind_of, most=3).rows == before.rows


def test_only_what_is_asked_for_is_found_and_all_is_there_to_choose_from(pattern: Attempt) -> None:
    attempts = numbered(pattern, [0.1] * 9)
    attempts[3] = replace(attempts[3], outcome="rejected", delta=None)
    found = page_of(attempts, AskedList(outcome="screened"), kind_of)
    assert [one.number for one in found.rows] == [4]
    assert dict(found.choices.outcomes) == {"kept": 8, "screened": 1}
    assert (found.found, found.total) == (1, 9)
    of_recipe = page_of(attempts, AskedList(recipe="r1", outcome="kept"), kind_of)
    assert [one.number for one in of_recipe.rows] == [7, 1]
    nothing = page_of(attempts, AskedList(task="another"), kind_of)
    assert (nothing.rows, nothing.first, nothing.after) == ((), 0, 0)


@pytest.mark.parametrize("wrong", ["²", "-1", "x", "9" * 40, "", "1e3"])
def test_an_address_that_says_nonsense_is_as_if_it_said_nothing(wrong: str) -> None:
    asked = AskedList.of({"sort": wrong, "order": wrong, "after": wrong, "until": wrong})
    assert asked == AskedList()


def test_what_an_address_says_is_what_a_link_says_again() -> None:
    said = {"sort": "eta", "order": "rising", "outcome": "kept", "recipe": "a&b=c"}
    assert AskedList.of(said).query == said
    assert AskedList().query == {}
    assert AskedList(sort="eta").sorted_by("eta").rising
    assert not AskedList(sort="eta", rising=True, after=7).sorted_by("delta").query.get("order")


def test_an_attempt_that_is_gone_from_the_list_begins_it_again(pattern: Attempt, tmp_path: Path) -> None:
    attempts = numbered(pattern, [0.1] * 4)
    assert page_of(attempts, AskedList(after=99), kind_of, most=2).first == 1
