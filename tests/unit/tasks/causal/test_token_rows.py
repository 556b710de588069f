"""The tokens of a set: those of its lines, each tokenized when it is asked for, and once."""

from __future__ import annotations

from typing import Any

import pytest

from cryoflux.tasks.causal.rows import TokenRows
from cryoflux.tasks.causal.sets import StoredDocument
from cryoflux.tasks.causal.tokens import Rendered


class Letters:
    """A tokenizer whose tokens are letters; it remembers what it was given."""

    eos_token_id = 0

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        self.read.append(text)
        return {"input_ids": [ord(letter) for letter in text]}


def rows(*answers: str, cut: int = 4) -> tuple[TokenRows, Letters]:
    """The rows of documents that ask "?" and answer so."""
    lines = [StoredDocument(one, Rendered("completion", "?", one)).line() for one in answers]
    return TokenRows(lines, letters := Letters(), cut), letters


def test_a_line_is_tokenized_when_it_is_asked_for_and_once() -> None:
    some, letters = rows("a", "bc", "def")
    assert (len(some), letters.read) == (3, [])
    assert some[1] == ([63, 98, 99, 0], 1)
    assert some[-2] == some[1]
    assert letters.read == ["?", "bc"]


def test_they_are_a_sequence_cut_to_what_is_read() -> None:
    some, _ = rows("a", "bc", "def")
    assert list(some) == [([63, 97, 0], 1), ([63, 98, 99, 0], 1), ([63, 100, 101, 102], 1)]
    assert some[1:] == list(some)[1:]
    with pytest.raises(IndexError):
        some[3]


def test_some_of_them_come_in_the_order_asked_for() -> None:
    some, letters = rows("a", "bc", "def")
    picked = some.picked([2, 0, 2])
    assert letters.read == []
    assert list(picked) == [some[2], some[0], some[2]]
