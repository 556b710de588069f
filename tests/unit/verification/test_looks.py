"""The bar of evidence follows from the looks in the log, and a reading that stopped early from its rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.decision.budget import ErrorBudget
from cryoflux.receipts.statement import Bar, Evaluation, Outcome
from cryoflux.verification.result import Status
from synthetic_parts import (
    ALPHA_PPM,
    BAR,
    COUNT,
    OLD_RULE,
    RULE,
    decision,
    evaluation,
    make_evidence,
    make_model,
)
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def bad(made: SyntheticState) -> list[tuple[int, str, str]]:
    checks = verify_target(made.finish()).checks
    return [(c.number, c.subject, c.detail) for c in checks if c.status is Status.FAIL]


def bar(looks: int, kept: int) -> Bar:
    return Bar(looks=looks, kept=kept, needed_milli=ErrorBudget(ALPHA_PPM, looks, kept).needed_milli)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (bar(0, 0), "says that its holdout gave 0 verdicts, 0 of them acceptances; by the log it gave 2, 1"),
        (bar(2, 0), "says that its holdout gave 2 verdicts, 0"),
        (bar(2, 2), "says that its holdout gave 2 verdicts, 2"),
        (bar(2, 1).but(needed_milli=1000), "asks for evidence of 1000/1000"),
    ],
)
def test_a_bar_that_the_log_does_not_give_is_named(tmp_path: Path, said: Bar, words: str) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.abort(made.announce())
    made.screen_out()
    made.conclude_attempt(made.announce(), -0.01, read=32)
    made.conclude_attempt(made.announce(bar=said), 0.02)
    found = bad(made)
    assert [(n, subject) for n, subject, _ in found] == [(7, "entry 8 (intent a0005_8)")], found
    assert words in found[0][2]


def test_verdicts_under_an_older_rule_are_looks_too(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.rule = OLD_RULE
    made.attempt(0.05)
    made.rule = RULE
    made.attempt(0.02)
    assert made.entries[2].statement.predicate.bar.looks == 1
    made.conclude_attempt(made.announce(bar=BAR), 0.02)
    assert [(n, subject) for n, subject, _ in bad(made)] == [(7, "entry 4 (intent a0003_4)")]


def test_a_larger_error_budget_after_looking_is_a_question(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.rule = RULE.but(alpha_ppm=2 * ALPHA_PPM)
    made.attempt(0.02)
    report = verify_target(made.finish())
    assert report.ok
    assert [(c.number, c.subject) for c in report.checks if c.status is Status.UNKNOWN] == [
        (7, "entry 2 (intent a0002_2)")
    ]


def test_what_is_neither_shown_nor_ruled_out_is_undecided(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    # More than is reached, and not more than the interval of Δ allows for.
    made.rule = RULE.but(alpha_ppm=1, screen="", min_delta=55_000_000, min_accuracy_gain_ppm=1_000_000)
    for _ in range(6):
        made.policy = "uniform/v1"
        made.attempt(0.0001)
    made.attempt(0.05)
    assert made.entries[-1].statement.predicate.outcome is Outcome.UNDECIDED
    assert bad(made) == []


def test_a_bar_of_a_verdict_that_the_log_does_not_give_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.attempt(0.02, decision=decision(accepted=True))
    found = bad(made)
    assert [(n, subject) for n, subject, _ in found] == [(7, "entry 3 (receipt a0002_2)")] * len(found)
    assert "says that its holdout gave 0 verdicts" in found[0][2] + found[-1][2]


def test_an_error_budget_that_is_none_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    forged = made.announce(rule=RULE.but(alpha_ppm=0), bar=bar(1, 1))
    made.memory.tasks["lora_delta"].alpha_ppm = None
    assert forged.intent is not None
    made.abort(forged)
    found = bad(made)
    assert [(n, subject) for n, subject, _ in found] == [(7, "entry 2 (intent a0002_2)")], found
    assert "its error budget is none" in found[0][2]


@pytest.mark.parametrize("claimed", [Outcome.REJECTED, Outcome.UNDECIDED])
def test_undecided_and_rejected_are_not_the_same(tmp_path: Path, claimed: Outcome) -> None:
    made = open_state(tmp_path / "state")
    # more than is reached, though not more than the interval of Δ allows for
    high = {"min_delta": 55_000_000, "min_accuracy_gain_ppm": 2_000_000, "screen": ""}
    made.rule, made.policy = RULE.but(**high), "uniform/v1"
    made.attempt(0.05, outcome=claimed)
    made.attempt(0.0001, outcome=claimed)
    wrong = {Outcome.REJECTED: "entry 1 (receipt a0001_0)", Outcome.UNDECIDED: "entry 3 (receipt a0002_2)"}
    found = bad(made)
    assert [(n, subject) for n, subject, _ in found] == [(7, wrong[claimed])], found
    assert f"is {claimed.value}, but evidence/v2 gives" in found[0][2]


def partial(made: SyntheticState, read: int, gain: float, **changes: object) -> Evaluation:
    candidate = make_model(made.path, [1.0, gain, 1.0])
    evidence = make_evidence(made.path, 0.0, gain, range(read))
    return evaluation(candidate, *evidence, **changes)


def test_a_reading_that_stopped_where_no_look_is_due_is_named(tmp_path: Path) -> None:
    for read in (31, COUNT + 1):
        made = open_state(tmp_path / f"state-{read}")
        forged = partial(made, min(read, COUNT), -0.01).but(read=read)
        made.conclude_attempt(made.announce(), -0.01, read=32, evaluation=forged)
        found = {(n, subject) for n, subject, _ in bad(made)}
        assert {(6, "entry 1 (receipt a0001_0)"), (7, "entry 1 (receipt a0001_0)")} <= found


def test_a_reading_that_stopped_though_there_was_hope_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.conclude_attempt(made.announce(), -0.01, read=32, evaluation=partial(made, 32, 0.05))
    found = bad(made)
    assert [(n, subject) for n, subject, _ in found] == [(7, "entry 1 (receipt a0001_0)")], found
    assert "could still be kept" in found[0][2]


def test_a_rule_that_never_stops_early_has_to_read_all(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    intent = made.announce(rule=OLD_RULE)
    made.conclude_attempt(intent, -0.01, evaluation=partial(made, 32, -0.01))
    found = bad(made)
    assert any("judges the whole holdout only" in detail for n, _, detail in found if n == 7), found


def test_losses_of_a_reading_that_stopped_are_so_many(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.conclude_attempt(made.announce(), -0.01, read=32)
    said = made.entries[1].statement.predicate.evaluation
    path = made.path / "evidence" / f"{said.per_example}.bin"
    assert path.stat().st_size == 32 * 18
    assert bad(made) == []
