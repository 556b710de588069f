"""The owner chooses which examples judge, and says that a rule did, or says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.data.examples import normalise
from cryoflux.data.fold import FOLD
from cryoflux.data.lowest_hash import GIVEN, LOWEST_HASH, by_hash
from cryoflux.receipts.statement import SetRules
from cryoflux.verification.result import Check, Status
from synthetic_parts import COUNT
from synthetic_state import open_state
from verifying import verify_target
from written_texts import DRAWN, of_sets, searched, written

POOL = written(4 * COUNT)
KEYS = {normalise(text): text for text in POOL}
ORDER = [KEYS[key] for key in by_hash(KEYS)]
HONEST = [ORDER[3 * COUNT :], ORDER[:COUNT], ORDER[COUNT : 2 * COUNT], ORDER[2 * COUNT : 3 * COUNT]]
EASY = sorted(POOL, key=len)
PICKED = [EASY[COUNT : 2 * COUNT], EASY[:COUNT], EASY[2 * COUNT : 3 * COUNT], EASY[3 * COUNT :]]


def of_status(checks: list[Check], status: Status) -> list[Check]:
    return [check for check in checks if check.status is status]


def test_a_drawn_holdout_is_drawn_again_and_said_to_be(tmp_path: Path) -> None:
    made = of_sets(tmp_path, HONEST, DRAWN)
    (check,) = searched(made)
    assert check.status is Status.OK
    draws = "lowest-hash/v1, applied again to these 256 examples as they are spelled, draws"
    assert f"{draws} holdout.jsonl and audit.jsonl and holdout-2.jsonl" in check.detail


def test_an_older_log_that_does_not_say_by_which_rule_is_drawn_again_as_well(tmp_path: Path) -> None:
    (check,) = searched(of_sets(tmp_path, HONEST))
    assert "applied again to these 256 examples as they are spelled, draws holdout.jsonl and holdout-2" in (
        check.detail
    )


@pytest.mark.parametrize("kept", [0, COUNT - 1], ids=["all of it", "one example"])
def test_a_holdout_of_easy_examples_is_not_what_the_rule_draws(kept: int, tmp_path: Path) -> None:
    sets = [list(texts) for texts in HONEST]
    if not kept:
        sets = PICKED
    else:  # one hard example is let go, and an easy one put in its place
        sets[0][5], sets[1][5] = sets[1][5], sets[0][5]
    report = verify_target(of_sets(tmp_path, sets, DRAWN).path)
    (check,) = of_status(report.checks, Status.FAIL)
    assert "are not what lowest-hash/v1 draws from these 256 examples, though the log says so" in check.detail


def test_a_holdout_in_another_order_is_not_what_the_rule_draws(tmp_path: Path) -> None:
    """An early stop reads its beginning only."""
    sets = [HONEST[0], HONEST[1][::-1], *HONEST[2:]]
    assert not verify_target(of_sets(tmp_path, sets, DRAWN).path).ok


def test_a_spare_that_was_chosen_is_found_before_it_is_used(tmp_path: Path) -> None:
    sets = [HONEST[3], *HONEST[1:3], HONEST[0]]
    assert not verify_target(of_sets(tmp_path, sets, DRAWN).path).ok


def test_a_chosen_holdout_of_which_the_log_says_nothing_is_a_question(tmp_path: Path) -> None:
    report = verify_target(of_sets(tmp_path, PICKED).path)
    assert report.ok
    (check,) = of_status(report.checks, Status.UNKNOWN)
    assert check.subject.endswith("/holdout.jsonl")
    assert "somebody chose it, and the log does not say how" in check.detail


def test_a_holdout_of_ones_own_is_a_question_and_no_lie(tmp_path: Path) -> None:
    own = SetRules(holdout=GIVEN, audit=LOWEST_HASH, copies=FOLD)
    drawn = [*PICKED[0], *PICKED[2]]
    keys = {normalise(text): text for text in drawn}
    order = [keys[key] for key in by_hash(keys)]
    report = verify_target(of_sets(tmp_path, [order[COUNT:], PICKED[1], order[:COUNT]], own).path)
    assert report.ok
    (check,) = of_status(report.checks, Status.UNKNOWN)
    assert "was handed over by the owner" in check.detail


def test_an_audit_set_of_ones_own_does_not_spoil_the_draw_of_the_holdout(tmp_path: Path) -> None:
    own = SetRules(holdout=LOWEST_HASH, audit=GIVEN, copies=FOLD)
    (check,) = searched(of_sets(tmp_path, [*HONEST[:2], written(COUNT, 9)], own))
    assert check.status is Status.OK


def test_a_rule_that_is_not_known_is_a_question(tmp_path: Path) -> None:
    later = SetRules(holdout="best/v9", audit=GIVEN, copies="fold/v9")
    report = verify_target(of_sets(tmp_path, PICKED, later).path)
    assert report.ok
    (check,) = of_status(report.checks, Status.UNKNOWN)
    assert "was drawn by 'best/v9', which is not known here" in check.detail


def test_a_pool_that_is_withheld_leaves_the_draw_open(tmp_path: Path) -> None:
    made = of_sets(tmp_path, HONEST, DRAWN)
    (made.path / "data" / made.data.digest / "train.jsonl").unlink()
    report = verify_target(made.path)
    assert report.ok
    assert any("cannot be drawn again: train.jsonl is not here" in check.detail for check in report.checks)


def test_another_python_that_normalises_otherwise_is_no_liar(tmp_path: Path) -> None:
    """A small letter that Unicode 16 has and 14 lacks may be another text there."""
    sets = [list(texts) for texts in HONEST]
    newer = [f"{text} \U00010d50" for text in sets[0]]
    low = next(text for text in newer if by_hash(map(normalise, [text, sets[3][-1]]))[0] == normalise(text))
    sets[0][newer.index(low)] = low
    report = verify_target(of_sets(tmp_path, sets, DRAWN).path)
    assert report.ok
    assert any(
        "another version of Python" in check.detail for check in of_status(report.checks, Status.UNKNOWN)
    )


def test_one_such_letter_does_not_excuse_a_holdout_that_was_picked(tmp_path: Path) -> None:
    sets = [list(texts) for texts in PICKED]
    sets[0][0] += " \U00010d50"
    assert not verify_target(of_sets(tmp_path, sets, DRAWN).path).ok


def test_a_spare_that_is_the_used_holdout_with_a_word_before_it_is_no_fresh_one(tmp_path: Path) -> None:
    sets = [list(texts) for texts in HONEST]
    sets[3] = [f"again {text}" for text in sets[1]]
    report = verify_target(of_sets(tmp_path, sets, None).path)
    assert any("it is no fresh one" in check.detail for check in of_status(report.checks, Status.UNKNOWN))
    assert any(said.startswith("what the holdout is worth") for said in report.exceptions)


def test_a_log_cannot_change_its_mind_about_who_chose_the_holdout(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.data = made.data.but(rules=SetRules(holdout=GIVEN, audit=GIVEN, copies=FOLD))
    made.attempt(0.02)
    bad = of_status(verify_target(made.finish()).checks, Status.FAIL)
    assert [(check.number, check.detail) for check in bad] == [
        (8, "uses another data set than the first attempt")
    ]
