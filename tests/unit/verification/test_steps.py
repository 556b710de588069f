"""Each step catches the lie that it is there for, told by a signer who signs it properly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cryoflux.decision.reason import Reason
from cryoflux.errors import UsageError
from cryoflux.receipts.statement import Outcome, Rule
from cryoflux.signing.keys import load_public_key
from cryoflux.verification.result import Check, Knowledge, NumberedStep, Report, Status, conclude, failed
from synthetic_parts import BAR, RULE, decision, evaluation, figure, make_evidence, make_model, training
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def bad(report: Report) -> list[Check]:
    return [check for check in report.checks if check.status is Status.FAIL]


def open_questions(report: Report) -> list[Check]:
    return [check for check in report.checks if check.status is Status.UNKNOWN]


def test_an_honest_state_passes_every_step(pristine: SyntheticState) -> None:
    report = verify_target(pristine.path)
    assert [check.number for check in report.checks] == [*range(1, 10), 9, 9, 10]
    assert all(check.status is Status.OK for check in report.checks)
    assert (report.entries, report.receipts, report.pinned) == (8, 4, False)
    assert [c.number for c in report.checks if c.knowledge is Knowledge.ATTESTED] == [10]


def test_verifying_changes_nothing(state: Path) -> None:
    def listing() -> dict[str, tuple[int, int]]:
        return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in sorted(state.rglob("*"))}

    before = listing()
    assert verify_target(state).ok
    assert listing() == before


def test_a_state_without_attempts_is_fine(tmp_path: Path) -> None:
    report = verify_target(open_state(tmp_path / "state").finish())
    assert report.ok
    assert report.entries == 0


def test_a_missing_target_is_a_usage_error(tmp_path: Path) -> None:
    for target in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UsageError):
            verify_target(target)


def test_a_pinned_key_is_used_and_said(pristine: SyntheticState) -> None:
    key = load_public_key(pristine.path / "keys" / "receipt.pub")
    assert verify_target(pristine.path, key=key).pinned
    report = verify_target(pristine.path, key=load_public_key(pristine.path / "keys" / "log.pub"))
    assert {check.number for check in bad(report)} == {2, 4}


def test_an_open_intent_is_unknown_at_the_end_and_a_lie_elsewhere(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.announce()
    report = verify_target(made.path)
    assert report.ok
    assert [(c.number, c.subject) for c in open_questions(report)] == [(5, "entry 2 (intent a0002_2)")]
    made.attempt(0.05)
    report = verify_target(made.finish())
    assert [(c.number, c.subject) for c in bad(report)] == [(5, "entry 2 (intent a0002_2)")]


def forge(made: SyntheticState, **changes: object) -> list[Check]:
    made.attempt(0.05, **changes)
    return bad(verify_target(made.finish()))


def forged_evaluation(made: SyntheticState, **changes: object) -> object:
    candidate = make_model(made.path, [1.0, 0.05, 1.0])
    return evaluation(candidate, *make_evidence(made.path, 0.0, 0.05), **changes)


def rule(**changes: object) -> Rule:
    return RULE.but(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"delta_sum": 10**12}, "is not base − new"),
        ({"delta_squared_sum": "1"}, "Cauchy"),
        ({"delta_squared_sum": "9" * 78}, "cannot come from losses"),
        ({"gained": 64, "lost": 64}, "counts more examples"),
        ({"gained": 1, "lost": 0}, "change in correct"),
        ({"new": 65}, "counts more examples"),
    ],
)
def test_impossible_arithmetic_is_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    made = open_state(tmp_path / "state")
    found = forge(made, evaluation=forged_evaluation(made, **changes))
    named = [c for c in found if c.number == 6 and words in c.detail]
    assert named, found
    assert named[0].subject == "entry 1 (receipt a0001_0)"


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": decision(accepted=False)},
        {"outcome": Outcome.REJECTED},
        {"outcome": Outcome.ABORTED},
        {"decision": decision(accepted=True, rule=rule(name="generous/v9"))},
        {"decision": decision(accepted=True, bar=BAR.but(needed_milli=1_000_000))},
        {"decision": decision(accepted=True, bar=BAR.but(needed_milli=0))},
        {"decision": None},
        {"training": None},
        {"reason": Reason(code="wonderful")},
    ],
)
def test_a_decision_that_does_not_follow_is_named(tmp_path: Path, changes: dict[str, object]) -> None:
    found = forge(open_state(tmp_path / "state"), **changes)
    assert "entry 1 (receipt a0001_0)" in {c.subject for c in found if c.number == 7}, found


@pytest.mark.parametrize(
    "changes",
    [
        {"energy": figure(reserved_microjoules=1)},
        {"training": training(seed=8)},
        {"training": training(recipe="{}")},
        {"training": training(steps=201)},
        {"training": training(planned_steps=201)},
        {"training": training(slice_count=97)},
        {"training": training(slice_count=65)},
        {"training": training(modules=[])},
        {"decision": decision(accepted=True, rule=rule(z_milli=0))},
        {"decision": decision(accepted=True, rule=rule(min_delta=1))},
        {"intent": "f" * 64},
    ],
)
def test_a_receipt_that_is_not_what_was_announced_is_named(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    found = forge(open_state(tmp_path / "state"), **changes)
    assert "entry 1 (receipt a0001_0)" in {c.subject for c in found if c.number == 5}, found


@pytest.mark.parametrize("finished", ["2026-11-23T01:00:00Z", "2026-13-01T00:00:00Z"])
def test_times_in_an_odd_order_are_a_question(tmp_path: Path, finished: str) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, finished_at=finished)
    report = verify_target(made.finish())
    assert report.ok
    assert [(c.number, c.subject) for c in open_questions(report)] == [(5, "entry 1 (receipt a0001_0)")]


def test_a_profile_that_is_not_known_is_a_question(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, evaluation=forged_evaluation(made, profile="f16-generous/v9"))
    questions = open_questions(verify_target(made.finish()))
    assert (6, "profile 'f16-generous/v9'") in {(c.number, c.subject) for c in questions}


def test_the_rule_is_said_with_its_thresholds(pristine: SyntheticState) -> None:
    (said,) = [c.detail for c in verify_target(pristine.path).checks if c.number == 7]
    assert "evidence/v2 (Δ ≥ 0.002 nats, accuracy gain ≥ 1 points, error ≤ 5 % a holdout) × 3" in said


def test_two_receipts_of_one_intent_are_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    intent = made.announce()
    made.abort(intent)
    made.abort(intent)
    assert {(c.number, c.subject) for c in bad(verify_target(made.finish()))} == {
        (5, "entry 2 (receipt a0001_0)"),
    }


def test_a_receipt_before_its_intent_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    intent = made.announce()
    made.abort(intent)
    found = forge(made, intent=made.entries[1].leaf_hash)
    assert "names no intent before it that is still open" in {c.detail for c in found}


def wrong_result(made: SyntheticState) -> dict[str, object]:
    return {"result": make_model(made.path, [9.0, 9.0, 9.0])}


def unchanged_result(made: SyntheticState) -> dict[str, object]:
    return {"result": made.head}


@pytest.mark.parametrize("lie", [wrong_result, unchanged_result])
def test_a_result_that_is_not_the_candidate_is_named(
    tmp_path: Path, lie: Callable[[SyntheticState], dict[str, object]]
) -> None:
    made = open_state(tmp_path / "state")
    assert "entry 1 (receipt a0001_0)" in {c.subject for c in forge(made, **lie(made)) if c.number == 8}


def test_a_base_out_of_nowhere_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.head = make_model(made.path, [5.0, 5.0, 5.0])
    made.attempt(0.05)
    found = bad(verify_target(made.finish()))
    assert [(c.number, c.subject) for c in found] == [
        (8, "entry 2 (intent a0002_2)"),
        (8, "entry 3 (receipt a0002_2)"),
    ]


def test_another_data_set_or_an_uncounted_use_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.uses = 0
    made.data = made.data.but(train_count=41)
    made.attempt(0.02)
    found = [c for c in bad(verify_target(made.finish())) if c.number == 8]
    assert [c.subject for c in found] == ["entry 2 (intent a0001_2)"] * 2


def test_joules_outside_their_interval_fail_and_an_overdraft_is_flagged(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=figure(microjoules=130_000_000, hi_microjoules=140_000_000))
    report = verify_target(made.path)
    assert report.ok
    assert [(c.number, c.knowledge) for c in open_questions(report)] == [(10, Knowledge.ATTESTED)]
    made.attempt(0.05, energy=figure(lo_microjoules=105_000_000))
    assert [(c.number, c.subject) for c in bad(verify_target(made.finish()))] == [
        (10, "entry 3 (receipt a0002_2)")
    ]


def test_energy_that_was_given_back_fails(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=figure(lo_microjoules=-1))
    made.attempt(0.05, energy=figure(microjoules=-2, lo_microjoules=-3))
    found = bad(verify_target(made.finish()))
    assert {(c.number, c.subject) for c in found} == {
        (10, "entry 1 (receipt a0001_0)"),
        (10, "entry 3 (receipt a0002_2)"),
    }


@pytest.mark.parametrize(
    ("microjoules", "words"), [(0, "cost no energy"), (119_999, "less than any"), (120_000, "")]
)
def test_a_judged_attempt_that_cost_next_to_nothing_is_a_question(
    tmp_path: Path, microjoules: int, words: str
) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=figure(microjoules=microjoules, lo_microjoules=0))
    report = verify_target(made.finish())
    assert report.ok
    assert [c.subject for c in open_questions(report)] == (["entry 1 (receipt a0001_0)"] if words else [])
    assert all(words in c.detail for c in open_questions(report))


def test_many_findings_are_counted_and_control_characters_are_not_printed() -> None:
    step = NumberedStep(1, "a step")
    checks = conclude(step, [failed(f"thing {i}", "\x1b[2J" + "x" * 9000) for i in range(50)], "unused")
    assert len(checks) == 21
    assert checks[-1].detail == "and 30 more like these"
    assert all(check.detail.isprintable() and len(check.detail) <= 500 for check in checks)
