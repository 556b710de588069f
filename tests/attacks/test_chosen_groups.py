"""The owner chooses which groups judge though the log says that a rule did, or trains on their chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from cryoflux.data import near, near_answers
from cryoflux.data.by_group import BY_GROUP, BY_GROUP_APART, Chunk, draw
from cryoflux.data.examples import normalise
from cryoflux.data.fold import FOLD
from cryoflux.data.lowest_hash import GIVEN
from cryoflux.data.near_answers import NEAR_ANSWERS
from cryoflux.receipts.statement import SetRules
from cryoflux.verification.chunks import apart
from cryoflux.verification.disjoint import compared
from cryoflux.verification.read_sets import AUDIT, HOLDOUT, TRAIN, ReadSets, TextLine
from cryoflux.verification.result import Check, Status
from synthetic_parts import COUNT
from written_texts import written

Row = dict[str, Any]
DRAWN = SetRules(holdout=BY_GROUP, audit=BY_GROUP, copies=NEAR_ANSWERS)
POOL: list[Row] = [
    {"text": text, "answer": text, "group": f"book {number // 4}" if number < 320 else ""}
    for number, text in enumerate(written(6 * COUNT, length=24))
]
"""eighty books of four chunks, and 64 documents that are whole"""


def chunk(row: Row) -> Chunk:
    return Chunk.of(normalise(row["text"]), row["group"])


def drawn(pool: list[Row], most: int = COUNT) -> tuple[list[Row], list[Row]]:
    """What the rule draws of a pool, and what is left."""
    by_key = {chunk(row).key: row for row in pool}
    keys = [one.key for one in draw(map(chunk, pool), most)]
    return [by_key.pop(key) for key in keys], list(by_key.values())


def honest() -> list[list[Row]]:
    holdout, rest = drawn(POOL)
    audit, rest = drawn(rest)
    return [rest, holdout, audit]


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: chunk(row).hashed)


def looked_at(sets: list[list[Row]], rules: SetRules = DRAWN) -> list[Check]:
    """What step 9 says of a training set, a holdout and an audit set."""
    files = dict(zip((TRAIN, HOLDOUT, AUDIT), sets, strict=True))
    lines = {
        file: [TextLine(row["text"], True, "", row["answer"], row["group"]) for row in rows]
        for file, rows in files.items()
    }
    return compared([ReadSets("data/x", rules, lines, dict.fromkeys(files, "0" * 64))])


def of_status(checks: list[Check], status: Status) -> list[str]:
    return [check.detail for check in checks if check.status is status]


@pytest.mark.parametrize("rule", [BY_GROUP, BY_GROUP_APART])
def test_groups_that_were_drawn_are_drawn_again_and_said_to_be(rule: str) -> None:
    (check,) = looked_at(honest(), SetRules(holdout=rule, audit=rule, copies=FOLD))
    assert check.status is Status.OK
    assert f"{rule}, applied again to these 384 examples as they are spelled, draws" in check.detail


def picked() -> list[list[Row]]:
    """The shortest documents judge, book by book."""
    books: dict[str, list[Row]] = {}
    for row, alone in zip(POOL, count()):
        books.setdefault(row["group"] or f"{alone}", []).append(row)
    easy = sorted((rows for rows in books.values() if len(rows) == 4), key=lambda rows: str(rows[0]["text"]))
    rest = [
        row for rows in [*easy[32:], *(rows for rows in books.values() if len(rows) == 1)] for row in rows
    ]
    sets = [in_order([row for rows in some for row in rows]) for some in (easy[:16], easy[16:32])]
    return [rest, *sets]


def one_exchanged() -> list[list[Row]]:
    """One book of the holdout is let go, and another one put in its place."""
    train, holdout, audit = honest()
    out = next(row["group"] for row in holdout if row["group"])
    into = next(row["group"] for row in train if row["group"])
    moved = [row for row in train if row["group"] == into]
    gone = [row for row in holdout if row["group"] == out]
    return [
        [*(row for row in train if row not in moved), *gone],
        in_order([*(row for row in holdout if row not in gone), *moved]),
        audit,
    ]


@pytest.mark.parametrize("sets", [picked, one_exchanged])
def test_books_that_were_chosen_are_not_what_the_rule_draws(sets: Any) -> None:
    (detail,) = of_status(looked_at(sets()), Status.FAIL)
    assert f"are not what {BY_GROUP} draws from these 384 examples, though the log says so" in detail


def test_chunks_of_a_book_that_judges_are_not_trained_on() -> None:
    """Groups are given other names in the training set until the rule draws the holdout that is wanted."""
    train, holdout, audit = honest()
    book = next(row["group"] for row in holdout if row["group"])
    torn = [{**row, "group": book} if row is train[0] else row for row in train]
    details = of_status(looked_at([torn, holdout, audit]), Status.FAIL)
    assert any(
        f"has chunks of 1 documents of which train.jsonl has others, such as '{book}'" in one
        for one in details
    )


def test_of_ones_own_sets_it_is_a_question() -> None:
    train, holdout, audit = honest()
    book = next(row["group"] for row in holdout if row["group"])
    torn = [{**train[0], "group": book}, *train[1:]]
    own = SetRules(holdout=GIVEN, audit=GIVEN, copies=FOLD)
    checks = looked_at([torn, holdout, audit], own)
    assert not of_status(checks, Status.FAIL)
    assert any("has chunks of 1 documents" in one for one in of_status(checks, Status.UNKNOWN))


def test_a_holdout_that_is_mostly_one_book_is_a_question() -> None:
    """Whoever says what is a chunk of what can have a rule of groups draw whatever he likes."""
    train, holdout, audit = honest()
    bound = [{**row, "group": "all that is easy"} for row in holdout]
    checks = looked_at([train, bound, audit])
    assert not of_status(checks, Status.FAIL)
    said = of_status(checks, Status.UNKNOWN)
    assert any("64 of its 64 documents are chunks of one, 'all that is easy'" in one for one in said)


@dataclass
class Answers:
    """Sets of documents that have a question and an answer each."""

    train: list[str]
    left_out: list[str]
    judging: Sequence[str] = ()

    def told(self) -> list[tuple[Status, str]]:
        return [(finding.status, finding.detail) for finding in apart(self._sets())]

    def praised(self) -> list[str]:
        sets = self._sets()
        list(apart(sets))
        return sets.said

    def _sets(self) -> ReadSets:
        more = [self._line(n, text) for n, text in enumerate(self.judging, 9000)]
        lines = {
            TRAIN: [self._line(n, text) for n, text in enumerate(self.train, 100)],
            HOLDOUT: [self._line(0, "a quiet river runs under the seven wooden bridges of that town")],
            AUDIT: [self._line(1, "bells ring twice for rain while nobody sells bread before noon"), *more],
        }
        left_out = [self._line(n, text) for n, text in enumerate(self.left_out, 200)]
        return ReadSets("data/x", DRAWN, lines, {}, left_out=left_out)

    def _line(self, number: int, answer: str) -> TextLine:
        return TextLine(f"What of {number}? {answer}", True, "", answer)


OTHER = "children count bright stones near the open market after every winter storm"
NEAR = "a quiet river runs under the six wooden bridges of that town"


def test_an_answer_that_is_trained_on_and_judges_is_found() -> None:
    assert Answers([OTHER], [NEAR]).told() == []
    ((status, detail),) = Answers([OTHER, NEAR], []).told()
    assert status is Status.FAIL
    assert f"1 of its documents answer as one that judges, by {NEAR_ANSWERS}, such as line 2" in detail


def test_a_document_that_was_left_out_on_a_pretext_is_found() -> None:
    ((status, detail),) = Answers([], [NEAR, OTHER]).told()
    assert status is Status.FAIL
    assert "1 of its documents were left out and answer as none that judges" in detail
    assert "such as line 2" in detail


def turned(count: int) -> list[str]:
    """So many answers that are near to the one that judges, no two of them the same."""
    words = NEAR.split()
    return [" ".join([*words[:-1], f"its{number}"]) for number in range(count)]


@pytest.fixture
def few_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """One search comes to its limit after a few pairs of texts, and reads a few answers only."""
    monkeypatch.setattr(near, "_MOST_COMPARED", 20)
    monkeypatch.setattr(near_answers, "_MOST_CHARACTERS", 2_000)
    monkeypatch.setattr(near, "_MOST_CHARACTERS", 4_000)


@pytest.mark.usefixtures("few_compared")
def test_many_answers_that_are_alike_are_all_searched_and_none_is_accused() -> None:
    assert Answers([OTHER] * 3, turned(200)).told() == []
    ((status, detail),) = Answers([*[f"{OTHER} {n}" for n in range(300)], *turned(7)], turned(200)).told()
    assert (status, detail.partition(" of")[0]) == (Status.FAIL, "7")
    assert detail.endswith("such as line 301")
    ((status, detail),) = Answers([], [*turned(200), OTHER]).told()
    assert (status, detail.partition(" of")[0]) == (Status.FAIL, "1")


def test_what_could_not_be_searched_is_a_question_and_no_praise(
    few_compared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_answers, "_MOST_SEARCHES", 2)
    answers = Answers([f"{OTHER} {n}" for n in range(100)], turned(100))
    said = answers.told()
    assert {status for status, _ in said} == {Status.UNKNOWN}
    assert all("of its documents could not be held against all that judge" in detail for _, detail in said)
    assert answers.praised() == []
    monkeypatch.undo()
    assert answers.told() == []
    assert answers.praised() == [
        f"no trained answer is near to one that judges, by {NEAR_ANSWERS} (100 were left out)"
    ]


def test_one_answer_longer_than_a_search_is_a_question_and_hides_no_other(few_compared: None) -> None:
    ((status, detail), (other, limit)) = Answers([f"{OTHER} " * 100, NEAR], []).told()
    assert (status, detail.partition(" of")[0]) == (Status.FAIL, "1")
    assert (other, limit.partition(" of")[0]) == (Status.UNKNOWN, "1")


STRANGE = "\U0001fae9"
"""a character that Python 3.11 does not know"""


def test_a_character_that_pythons_read_otherwise_excuses_its_own_answer_only() -> None:
    ((near_one, first), (asked, second)) = Answers([NEAR, f"{NEAR} {STRANGE}", f"hm {STRANGE}"], []).told()
    assert (near_one, first.partition(" of")[0]) == (Status.FAIL, "1")
    assert (asked, second.partition(" of")[0]) == (Status.UNKNOWN, "1")
    told = Answers([], [OTHER, f"{OTHER} {STRANGE}"]).told()
    assert [(status, detail.rpartition(" ")[2]) for status, detail in told] == [
        (Status.FAIL, "1"),
        (Status.UNKNOWN, "2"),
    ]


def test_a_judging_answer_that_pythons_read_otherwise_excuses_what_is_like_it_only() -> None:
    half = "a quiet river runs under the eight rusty trains which nobody has ever painted"
    judging = [f"{NEAR} {STRANGE}"]
    told = Answers([], [OTHER, half], judging).told()
    assert [(status, detail.rpartition(" ")[2]) for status, detail in told] == [
        (Status.FAIL, "1"),
        (Status.UNKNOWN, "2"),
    ]
    ((status, _),) = Answers([NEAR], [], judging).told()
    assert status is Status.FAIL  # the first holdout answer is near to it, and has no such character
