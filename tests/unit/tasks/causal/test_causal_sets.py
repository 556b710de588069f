"""Documents in their shapes, and the sets that are made of them."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.data import near_answers
from cryoflux.data.by_group import BY_GROUP, BY_GROUP_APART
from cryoflux.data.documents import read_documents
from cryoflux.data.examples import normalise
from cryoflux.data.fold import FOLD, fold
from cryoflux.data.lowest_hash import GIVEN, LOWEST_HASH, is_drawn
from cryoflux.data.near_answers import NEAR_ANSWERS
from cryoflux.errors import DataError
from cryoflux.tasks.causal import sets as causal_sets
from cryoflux.tasks.causal.section import SECTIONS
from cryoflux.tasks.causal.sets import FEWEST, StoredDocument, make_sets, read_stored
from cryoflux.tasks.causal.tokens import Rendered


def document(number: int, group: str = "") -> StoredDocument:
    return StoredDocument(
        f"question {number} answer", Rendered("completion", f"question {number} ", "answer"), group
    )


def written(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "plain"),
    [
        ({"text": "all of it"}, "all of it"),
        ({"prompt": "who? ", "completion": "me"}, "who? me"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "a\nb"),
    ],
)
def test_each_shape_is_read_and_says_what_it_says_without_a_template(
    tmp_path: Path, row: dict[str, object], plain: str
) -> None:
    found = read_documents(written(tmp_path / "d.jsonl", [row, {**row, "group": 7}]))
    assert [one.plain for one in found] == [plain, plain]
    assert [one.group for one in found] == ["", "7"]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([{"text": "a"}, {"prompt": "a", "completion": "b"}], "another shape"),
        ([{"text": "a"}], "holds 1 documents"),
        ([{"text": "a"}, {"prompt": "a", "completion": ""}], "has none of"),
        ([{"text": "a"}, {"text": "b", "group": [1]}], "a group that is no text"),
        ([{"messages": [{"role": "user", "content": "a"}] * 2}] * 2, "has none of"),
    ],
)
def test_what_is_no_file_of_documents_is_refused_with_its_line(
    tmp_path: Path, rows: list[object], what: str
) -> None:
    with pytest.raises(DataError, match=what):
        read_documents(written(tmp_path / "d.jsonl", rows))


def test_sets_share_nothing_and_are_those_that_the_rule_draws() -> None:
    found = make_sets([document(n) for n in range(400)], None, None, size=40, spares=1)
    counts = {name: len(some) for name, some in found.sets.items()}
    assert counts == {"holdout": 40, "audit": 40, "holdout-2": 40, "train": 280}
    keys = {name: [normalise(one.text) for one in some] for name, some in found.sets.items()}
    assert is_drawn([keys["holdout"], keys["audit"], keys["holdout-2"]], keys["train"])
    assert found.rules["holdout"] == found.rules["audit"] == LOWEST_HASH


def test_copies_but_for_what_no_reader_sees_are_one_document() -> None:
    many = [document(n) for n in range(300)]
    copies = [StoredDocument(one.text.upper() + ".", one.rendered) for one in many[:20]]
    found = make_sets([*many, *copies], None, None, size=40, spares=0)
    assert found.dropped["train"] == 20
    assert sum(map(len, found.sets.values())) == 300


def test_chunks_of_one_document_stay_in_one_set() -> None:
    found = make_sets([document(n, f"book {n // 5}") for n in range(500)], None, None, size=60, spares=1)
    groups = [{one.group for one in some} for some in found.sets.values()]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 100
    assert all(len(some) % 5 == 0 for some in found.sets.values())
    assert found.rules["holdout"] == BY_GROUP


def grouped(rows: list[tuple[int, int]]) -> list[StoredDocument]:
    """Documents by number of their text and of their group; 0 is none."""
    return [document(text, f"book {group}" if group else "") for text, group in rows]


@given(
    rows=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), min_size=20, max_size=120),
    audit=st.none() | st.lists(st.tuples(st.integers(50, 99), st.integers(0, 25)), min_size=1, max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_no_group_and_no_copy_stands_on_two_sides(
    rows: list[tuple[int, int]], audit: list[tuple[int, int]] | None
) -> None:
    given_audit = grouped(audit) if audit is not None else None
    with pytest.MonkeyPatch.context() as few:  # sets of any size
        few.setattr(causal_sets, "FEWEST", 0)
        few.setattr(causal_sets, "_FEWEST_TRAINED", 0)
        found = make_sets(grouped(rows), None, given_audit, size=12, spares=1)
    on = {name: {one.group for one in some} - {""} for name, some in found.sets.items()}
    folds = {name: {fold(one.text) for one in some} for name, some in found.sets.items()}
    for one, other in combinations(on, 2):
        assert not on[one] & on[other]
        assert not folds[one] & folds[other]
    # what the files said of groups is kept apart as well: those of copies that were dropped, too
    side = {text: name for name, some in folds.items() for text in some}
    said: dict[str, set[str]] = {}
    for one in grouped([*rows, *(audit or [])]):
        if one.group and fold(one.text) in side:
            said.setdefault(one.group, set()).add(side[fold(one.text)])
    assert all(len(sides) == 1 for sides in said.values())


def test_what_a_state_was_begun_by_makes_its_sets_again() -> None:
    """A copy in another group was dropped then, and the other chunks of that group could be trained on."""
    rows = [(n, n // 4 + 1) for n in range(400)] + [(0, n) for n in range(2, 6)]
    then = make_sets(grouped(rows), None, None, size=40, spares=1, rules={"copies": FOLD})
    assert then.rules == {"holdout": BY_GROUP_APART, "audit": BY_GROUP_APART, "copies": FOLD}
    now = make_sets(grouped(rows), None, None, size=40, spares=1)
    assert now.rules == {"holdout": BY_GROUP, "audit": BY_GROUP, "copies": NEAR_ANSWERS}
    assert len({one.group for some in now.sets.values() for one in some}) == 96
    assert len({one.group for some in then.sets.values() for one in some}) == 100
    again = make_sets(grouped(rows), None, None, size=40, spares=1, rules=now.rules)
    assert again == now


def test_a_notice_that_every_book_has_is_named_where_it_makes_one_book_of_them_all() -> None:
    rows = [(n if n % 4 else 0, n // 4 + 1) for n in range(1, 400)]
    with pytest.raises(DataError, match="The holdout set has 3 documents") as raised:
        make_sets(grouped(rows), None, None, size=40, spares=1)
    assert "298 of them are one group" in raised.value.why


def answering(number: int, answer: str) -> StoredDocument:
    return StoredDocument(f"{number}? {answer}", Rendered("completion", f"{number}? ", answer))


def test_what_answers_as_one_that_judges_is_not_trained_on() -> None:
    """Of a hundred families of ten answers that differ in one word of twelve."""
    words = ["".join(chr(97 + int(digit)) for digit in str(n)) for n in range(1100)]
    many = [
        answering(10 * n + k, " ".join([*words[11 * n : 11 * n + 11], f"end{k}"]))
        for n in range(100)
        for k in range(10)
    ]
    found = make_sets(many, None, None, size=32, spares=0)
    judged = {one.rendered.answer.split()[0] for name in ("holdout", "audit") for one in found.sets[name]}
    left = {one.rendered.answer.split()[0] for one in found.sets["train"]}
    assert not left & judged
    assert {one.rendered.answer.split()[0] for one in found.similar} == judged
    assert len(found.similar) + sum(map(len, found.sets.values())) == 1000
    assert len(found.lines()["similar"]) == len(found.similar)


def test_answers_that_could_not_be_searched_are_trained_on_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near_answers, "_MOST_SEARCHES", 0)
    found = make_sets([document(n) for n in range(300)], None, None, size=40, spares=0)
    assert found.similar == ()
    assert found.unsearched == len(found.sets["train"])


def test_a_short_answer_of_many_questions_is_trained_on() -> None:
    found = make_sets([answering(n, "yes it is so") for n in range(300)], None, None, size=40, spares=0)
    assert found.similar == ()
    assert found.rules["copies"] == NEAR_ANSWERS


def test_a_chunk_of_a_document_that_is_judged_is_not_trained_on() -> None:
    train = [document(n, f"book {n // 5}") for n in range(300)]
    held = [StoredDocument(f"other {n}", Rendered("text", "", f"other {n}"), "book 3") for n in range(40)]
    found = make_sets(train, held, None, size=40, spares=0)
    assert "book 3" not in {one.group for one in found.sets["train"]}
    assert (found.rules["holdout"], found.dropped["train"]) == (GIVEN, 5)


def test_a_holdout_that_is_in_the_training_file_is_refused() -> None:
    train = [document(n) for n in range(300)]
    held = [
        *(document(n) for n in range(1000, 1040)),
        StoredDocument("QUESTION  7 Answer!", train[7].rendered),
    ]
    with pytest.raises(DataError, match="1 of 41 holdout documents are in the training file"):
        make_sets(train, held, None, size=40, spares=0)


def test_too_few_documents_are_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(DataError) as raised:
        make_sets([document(n) for n in range(100)], None, None, size=512, spares=1)
    needed = int(raised.value.hint.split("give ")[1].split()[0])
    assert f"Below {FEWEST}" in raised.value.why
    make_sets([document(n) for n in range(needed)], None, None, size=512, spares=1)


def test_a_stored_document_reads_back_and_other_lines_are_none() -> None:
    one = StoredDocument("a b", Rendered("completion", "a ", "b"), "g")
    assert read_stored(one.line()) == one
    check = SECTIONS["causal-lm/v1"]
    assert check.is_example(json.loads(one.line()))  # type: ignore[attr-defined]
    for change in ({"form": "poem"}, {"answer": ""}, {"text": 3}, {"text": "what nobody trains on at all"}):
        assert not check.is_example({**json.loads(one.line()), **change})  # type: ignore[attr-defined]
