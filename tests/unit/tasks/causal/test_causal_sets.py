"""Documents in their shapes, and the sets that are made of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryoflux.data.examples import normalise
from cryoflux.data.lowest_hash import GIVEN, LOWEST_HASH, is_drawn
from cryoflux.errors import DataError
from cryoflux.tasks.causal.documents import read_documents
from cryoflux.tasks.causal.section import SECTIONS
from cryoflux.tasks.causal.sets import BY_GROUP, FEWEST, StoredDocument, make_sets, read_stored
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
