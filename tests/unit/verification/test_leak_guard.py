"""What a log says of its leak guard, and what is said where nobody can embed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cryoflux.data.examples import Example
from cryoflux.data.split import rules_of, split
from cryoflux.receipts.statement import SetRules
from cryoflux.verification.disjoint import compared
from cryoflux.verification.leak_guard import check_leak_guard
from cryoflux.verification.read_sets import ReadSets, TextLine
from cryoflux.verification.result import Check, Status
from guarded import COPY, LEAST, TRAIN, guarded, rule
from synthetic_state import SyntheticState
from unalike import unalike
from verifying import artefact_checks, walked
from written_texts import searched


class Cosines:
    """An embedder that knows beforehand what it will find."""

    encoder = "e" * 64
    rounding_milli = 2

    def __init__(self, known: Mapping[str, int]) -> None:
        self._known = known

    def nearest(self, texts: Sequence[str], among: Sequence[str]) -> list[tuple[int, int]]:
        assert among
        return [(3, self._known.get(text, 500)) for text in texts]


def applied(made: SyntheticState, known: Mapping[str, int] | None = None) -> list[Check]:
    return check_leak_guard(walked(made.path), lambda: Cosines(known or {}))


def test_without_embedding_again_it_is_said_what_was_not_looked_at(tmp_path: Path) -> None:
    made = guarded(tmp_path, TRAIN, rule(1), [COPY])
    good = next(check for check in searched(made) if check.status is Status.OK)
    assert "1 training texts were left out by a leak guard" in good.detail
    assert "says the log: --recompute 1 looks" in good.detail
    assert not [c for c in artefact_checks(made.path) if c.status is Status.FAIL]


@pytest.mark.parametrize(
    ("milli", "status"),
    [
        (LEAST - 1, Status.OK),
        (LEAST, Status.UNKNOWN),
        (LEAST + 1, Status.UNKNOWN),
        (LEAST + 2, Status.FAIL),
    ],
)
def test_near_the_threshold_another_machine_may_be_right(milli: int, status: Status, tmp_path: Path) -> None:
    (check,) = applied(guarded(tmp_path, TRAIN, rule(0)), {TRAIN[5]: milli})
    assert check.status is status
    assert ("line 6 has" in check.detail) == (status is not Status.OK)


@pytest.mark.parametrize(("milli", "good"), [(LEAST - 2, True), (LEAST - 3, False)])
def test_so_it_may_be_of_what_was_left_out(milli: int, good: bool, tmp_path: Path) -> None:
    (check,) = applied(guarded(tmp_path, TRAIN, rule(1), [COPY]), {COPY: milli})
    assert (check.status is Status.OK) == good


def test_what_embeds_here_may_be_another_model(tmp_path: Path) -> None:
    (check,) = applied(guarded(tmp_path, TRAIN, rule(0, encoder="d" * 64)))
    assert check.status is Status.UNKNOWN
    assert "what embedded its texts, dddddddddddddddd…, is not here" in check.detail


def test_a_rule_of_another_name_is_a_question_and_never_applied(tmp_path: Path) -> None:
    made = guarded(tmp_path, TRAIN, rule(0, name="cosine/v9"))
    assert applied(made) == []
    (asked,) = [c for c in searched(made) if "leak guard" in c.detail]
    assert (asked.status, asked.detail) == (
        Status.UNKNOWN,
        "is held to the leak guard 'cosine/v9', not known here",
    )


def test_as_many_as_were_signed_lie_beside_the_sets(tmp_path: Path) -> None:
    wrong = guarded(tmp_path / "wrong", TRAIN, rule(2), [COPY])
    details = [c.detail for c in artefact_checks(wrong.path) if c.status is Status.FAIL]
    assert details == ["holds 1 examples, not 2 as was signed"]
    gone = guarded(tmp_path / "gone", TRAIN, rule(2))
    details = [c.detail for c in artefact_checks(gone.path) if c.status is Status.FAIL]
    assert details == ["lacks the 2 texts that its leak guard left out, by the log"]


def test_a_state_whose_files_are_not_here_leaves_it_open(tmp_path: Path) -> None:
    made = guarded(tmp_path, TRAIN, rule(1), [COPY])
    (made.path / "data" / made.data.digest / "audit.jsonl").unlink()
    (check,) = applied(made)
    assert check.status is Status.UNKNOWN
    assert "audit.jsonl" in check.detail


def test_logs_without_a_guard_are_asked_nothing(tmp_path: Path) -> None:
    made = guarded(tmp_path, TRAIN, rule(0))
    made.data = made.data.but(rules=None)
    assert SetRules(holdout="given", audit="given", copies="fold/v1").similar is None
    assert "similar" not in rules_of(holdout_given=False, audit_given=False)


@pytest.mark.parametrize("known", [True, False])
def test_sets_are_drawn_again_with_what_was_left_out(known: bool) -> None:
    """Twenty training texts of one class are left out: without them its share would be another one."""
    texts = [Example(text, "ab"[at % 2]) for at, text in enumerate(unalike(400))]
    whole = split(texts, None, None, holdout_size=50)
    near = [at for at, one in enumerate(whole.train) if one.label == "a"][:100]
    splits = whole.without(dict.fromkeys(near, "holdout"))

    def lines(examples: Sequence[Example]) -> list[TextLine]:
        return [TextLine(one.text, True, one.label) for one in examples]

    sets = {"train": splits.train, "holdout": splits.holdout, "audit": splits.audit}
    rules = SetRules(**rules_of(holdout_given=False, audit_given=False), similar=rule(len(near)))
    files = {f"{name}.jsonl": lines(examples) for name, examples in sets.items()}
    left_out = lines(splits.similar) if known else []
    read = ReadSets("data/x", rules, files, dict.fromkeys(files, "0" * 64), left_out=left_out)
    assert any(check.status is Status.FAIL for check in compared([read])) != known
