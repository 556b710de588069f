"""How much of a text is read is one word, the same wherever it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.registry.cuts import (
    HEAD,
    READINGS,
    Cut,
    cut_words,
    cut_words_of,
    make_cut,
    reading_of,
    shortened,
    tokens_of,
)


@given(st.integers(1, 8192), st.sampled_from(READINGS))
def test_a_cut_says_what_it_was_made_of(tokens: int, reading: str) -> None:
    cut = make_cut(tokens, reading)
    assert (tokens_of(cut), reading_of(cut)) == (tokens, reading)
    assert (cut == tokens) == (reading == HEAD), "what receipts said before there were readings"


@given(st.lists(st.integers(), max_size=40), st.integers(4, 48), st.sampled_from(READINGS))
def test_a_text_is_read_whole_or_from_its_two_ends(row: list[int], tokens: int, reading: str) -> None:
    found = shortened(row, make_cut(tokens, reading))
    tail = 0 if reading == HEAD else tokens // 4
    assert len(found) == min(tokens, len(row))
    assert found == row if len(row) <= tokens else found == row[: tokens - tail] + row[len(row) - tail :]


@pytest.mark.parametrize(
    "cut", ["64", "64 tail", "head-tail", "064 head-tail", " 64 head-tail", -1, True, 1.5, None]
)
def test_what_is_no_cut_is_refused(cut: object) -> None:
    for ask in (tokens_of, reading_of):
        with pytest.raises(ValueError, match="not known here"):
            ask(cut)


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (1, "1 token"),
        (64, "64 tokens"),
        ("64 head-tail", "64 tokens (48 from the beginning, 16 from the end)"),
        ("66 head-tail", "66 tokens (50 from the beginning, 16 from the end)"),
        ("3 head-tail", "3 tokens"),
    ],
)
def test_a_cut_is_said_as_it_is_read(cut: Cut, words: str) -> None:
    assert cut_words(cut) == cut_words_of(cut) == words


@pytest.mark.parametrize("said", ["64 tail", True, None, "9" * 5000 + " head-tail", "x" * 5000])
def test_what_a_stranger_calls_a_cut_is_quoted_and_not_long(said: object) -> None:
    assert cut_words_of(said).startswith("what is not known here (")
    assert len(cut_words_of(said)) < 100


def test_an_unknown_reading_makes_no_cut() -> None:
    with pytest.raises(ValueError, match="head, head-tail"):
        make_cut(64, "tail")
