"""Recall by class adds up to accuracy, has its own order, and stays readable whatever a class is called."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.cli.console import as_json_line, stdout
from cryoflux.evaluation.recall import ClassRecall, recalls
from cryoflux.report.recall_words import recall_documents, recall_lines

NAMES = st.text(min_size=1, max_size=60)


@st.composite
def judged(draw: st.DrawFn) -> tuple[list[str], list[bool], list[bool]]:
    """Classes of examples, the largest at least three times the smallest, and what is right of them."""
    names = draw(st.lists(NAMES, min_size=2, max_size=9, unique=True))
    least = draw(st.integers(1, 4))
    counts = [least, 3 * least, *(draw(st.integers(least, 3 * least)) for _ in names[2:])]
    classes = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    draw(st.randoms(use_true_random=False)).shuffle(classes)
    hits = st.lists(st.booleans(), min_size=len(classes), max_size=len(classes))
    return classes, draw(hits), draw(hits)


@given(judged())
def test_recall_of_all_classes_adds_up_to_accuracy(case: tuple[list[str], list[bool], list[bool]]) -> None:
    classes, before, after = case
    found = recalls(classes, before, after)
    assert {one.label: one.count for one in found} == Counter(classes)
    assert sum(one.after * one.count for one in found) == pytest.approx(sum(after))
    assert sum((one.before or 0.0) * one.count for one in found) == pytest.approx(sum(before))
    assert all(0 <= share <= 1 for one in found for share in (one.after, one.before) if share is not None)
    assert all(round(one.after * one.count) == pytest.approx(one.after * one.count) for one in found)


@given(judged(), st.integers())
def test_the_worst_comes_first_and_the_order_of_examples_changes_nothing(
    case: tuple[list[str], list[bool], list[bool]], seed: int
) -> None:
    found = recalls(*case)
    assert [one.after for one in found] == sorted(one.after for one in found)
    rows = list(zip(*case, strict=True))
    random.Random(seed).shuffle(rows)
    assert recalls(*zip(*rows, strict=True)) == found


def test_of_equal_classes_the_one_that_was_worse_comes_first_and_then_the_name() -> None:
    classes = [*"aabbccdddddd"]
    before = [True, True, True, False, True, False, *[True] * 6]
    after = [True, False] * 3 + [True] * 6
    assert [one.label for one in recalls(classes, before, after)] == ["b", "c", "a", "d"]
    assert [one.label for one in recalls(classes, None, after)] == ["a", "b", "c", "d"]


@given(st.lists(st.booleans(), min_size=1, max_size=20), NAMES)
def test_one_class_alone_hides_no_other(after: list[bool], name: str) -> None:
    assert recalls([name] * len(after), None, after) == ()


@pytest.mark.parametrize(("largest", "shown"), [(5, False), (6, True)])
def test_classes_are_uneven_from_three_times_the_smallest_on(largest: int, shown: bool) -> None:
    classes = ["rare"] * 2 + ["common"] * largest
    assert bool(recalls(classes, None, [True] * len(classes))) is shown


def test_a_class_without_examples_is_none_of_the_holdout() -> None:
    assert recalls([], None, []) == ()
    assert [one.label for one in recalls([*"abbb"], None, [False] * 4)] == ["a", "b"]


def test_examples_and_hits_of_another_number_are_no_recall() -> None:
    with pytest.raises(ValueError, match="shorter"):
        recalls([*"abbb"], None, [True] * 3)


@given(judged())
def test_the_screen_shows_the_worst_five_and_says_how_many_are_never_right(
    case: tuple[list[str], list[bool], list[bool]],
) -> None:
    found = recalls(*case)
    heading, *rest = recall_lines(found)
    shown, right = rest[: min(5, len(found))], [one for one in found if one.after]
    which = f"the worst 5 of {len(found)} classes" if len(found) > 5 else "its classes"
    assert heading == f"recall   on the holdout, {which}, which are uneven:"
    for line, one in zip(shown, found, strict=False):
        assert line.endswith(f"{one.count} examples  {100 * one.before:.1f} → {100 * one.after:.1f} %")
    assert len({len(line.partition(" examples")[0]) for line in shown}) == 1, "one column"
    never = len(found) - len(right)
    expected = "ever right: as if" if len(right) == 1 else "never right" if never > 1 else ""
    assert rest[len(shown) :] == [] if not expected else expected in rest[-1]


@pytest.mark.parametrize("name", ["x" * 500, "two\nlines", "\x1b[31mred", "\u202egnp", "日本語", " ", "a  b"])
def test_a_name_of_any_kind_stays_on_its_line_and_commands_no_terminal(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = (ClassRecall(name, 1, None, 0.0), ClassRecall("common", 1200, None, 0.5))
    for line in recall_lines(found):
        stdout.print(line)
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 4
    assert all(character.isprintable() or character == "\n" for character in said)
    assert max(map(len, said.splitlines())) < 110
    assert "1,200 examples  50.0 %" in said
    assert recall_documents(found)[0]["label"] == name, "a program gets all of it"
    assert len(as_json_line("report/1", {"recalls": recall_documents(found)}).splitlines()) == 1


def test_nothing_is_said_of_classes_that_are_even() -> None:
    assert (recall_lines(()), recall_documents(())) == ([], [])
