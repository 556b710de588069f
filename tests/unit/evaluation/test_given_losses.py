"""Losses that somebody hands over: read exactly, or refused with the line that is wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.errors import DataError, UsageError
from cryoflux.evaluation.given_losses import given_losses, pair_given, read_given_losses

LOSSES = st.dictionaries(st.text(min_size=1, max_size=20), st.floats(0, 1000), min_size=2, max_size=30)


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


@given(LOSSES, st.randoms())
def test_the_order_of_examples_means_nothing_and_each_loss_is_rounded_once(losses, rng) -> None:
    keys = list(losses)
    rng.shuffle(keys)
    shuffled = {key: losses[key] for key in keys}
    one = pair_given(given_losses("a", losses), given_losses("b", losses))
    other = pair_given(given_losses("a", shuffled), given_losses("b", shuffled))
    assert (one.base, one.holdout) == (other.base, other.holdout)
    for key, nano in given_losses("a", losses).nano.items():
        assert abs(Decimal(losses[key]) * 10**9 - nano) <= Decimal("0.500001")


def test_a_file_says_which_example_is_which_and_whether_it_was_right(tmp_path: Path) -> None:
    path = written(
        tmp_path / "l.jsonl",
        {"id": "b", "loss": 1, "correct": False},
        {"id": 7, "loss": 0.25, "correct": True},
    )
    found = read_given_losses(path)
    assert dict(found.nano) == {"b": 1_000_000_000, "7": 250_000_000}
    assert found.correct == {"b": False, "7": True}
    partly = written(tmp_path / "p.jsonl", {"id": "b", "loss": 1, "correct": False}, {"id": "c", "loss": 1})
    assert read_given_losses(partly).correct is None, "of some examples only, it says nothing of the whole"


GOOD = {"id": "a", "loss": 0.5}
REFUSED = {
    "not JSON": ["{"],
    "no object": ["[1, 2]"],
    "no id": [{"loss": 1}],
    "an id that is a switch": [{"id": True, "loss": 1}],
    "an empty id": [{"id": "", "loss": 1}],
    "a long id": [{"id": "x" * 1001, "loss": 1}],
    "half a character": ['{"id": "\\ud800", "loss": 1}'],
    "no loss": [{"id": "b"}],
    "a loss that is a text": [{"id": "b", "loss": "0.1"}],
    "a loss that is a switch": [{"id": "b", "loss": True}],
    "a negative loss": [{"id": "b", "loss": -0.1}],
    "no number": ['{"id": "b", "loss": NaN}'],
    "infinity": ['{"id": "b", "loss": 1e999}'],
    "a huge loss": ['{"id": "b", "loss": 1' + "0" * 400 + "}"],
    "an example twice": [GOOD],
    "right by halves": [{"id": "b", "loss": 1, "correct": 0.5}],
    "deep JSON": ["[" * 100_000],
}


@pytest.mark.parametrize("lines", REFUSED.values(), ids=list(REFUSED))
def test_what_is_no_loss_is_refused_with_its_line(lines: list[object], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2"):
        read_given_losses(written(tmp_path / "l.jsonl", GOOD, *lines))


def test_too_few_no_file_and_sums_beyond_a_receipt_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 1 losses"):
        read_given_losses(written(tmp_path / "one.jsonl", GOOD))
    with pytest.raises(UsageError, match="cannot be read"):
        read_given_losses(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="cannot be read"):
        read_given_losses(tmp_path)
    large = given_losses("big", {"a": 9e6, "b": 9e6})
    with pytest.raises(DataError, match="add up to"):
        pair_given(large, large)


def test_an_example_that_one_side_lacks_is_named_and_never_left_out() -> None:
    some = given_losses("new", {"a": 1.0, "b": 1.0})
    more = given_losses("base", {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0, "e": 1.0, "f": 1.0})
    with pytest.raises(DataError, match="new has no loss for 'c', 'd', 'e' and 1 more, which base has"):
        pair_given(more, some)
    with pytest.raises(DataError, match="new has no loss"):
        pair_given(some, more)
