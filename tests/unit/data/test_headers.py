"""Whether a file has a header is settled by its first row: no row after it, in any order, changes that."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.data.columns import Wishes
from cryoflux.data.formats import open_examples
from cryoflux.errors import DataError

TEXTS = st.sampled_from(["text", "review", "Sentence", "content", "title"])
LABELS = st.sampled_from(["label", "sentiment", "Category", "class", "topic", "score"])
CELLS = st.text("abc xyz", min_size=1, max_size=8).filter(str.strip)


def written(folder: Path, rows: list[tuple[str, str]]) -> Path:
    path = folder / "mine.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(rows)
    return path


def read(folder: Path, rows: list[tuple[str, str]], wishes: Wishes | None = None) -> list[tuple[str, str]]:
    opened = open_examples(written(folder, rows), wishes or Wishes())
    return [(one.text, one.label) for _, one in opened]


@given(TEXTS, LABELS, st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=30), st.randoms())
def test_a_row_that_repeats_a_name_makes_no_example_of_the_header(
    text: str, label: str, rows: list[tuple[str, str]], draw: random.Random
) -> None:
    some = [*rows, ("one more", label), (text, label)]
    draw.shuffle(some)
    with TemporaryDirectory() as folder:
        found = read(Path(folder), [(text, label), *some])
    assert found == [(one, other.strip()) for one, other in some]


@pytest.mark.parametrize("place", [1, 500, 3000])
def test_a_class_that_is_called_like_the_other_column_is_asked_about_wherever_it_stands(
    tmp_path: Path, place: int
) -> None:
    rows = [(f"text {at}", "bad" if at % 2 else "fine") for at in range(4000)]
    rows[place] = ("it was", "good")
    with pytest.raises(DataError, match="line 1: 'good' is a class of other rows") as caught:
        read(tmp_path, [("review", "good"), *rows])
    assert "--text-column review --label-column good" in caught.value.hint
    header = read(tmp_path, [("review", "good"), *rows], Wishes("review", "good"))
    example = read(tmp_path, [("review", "good"), *rows], Wishes("1", "2"))
    assert (len(header), len(example)) == (4000, 4001)
