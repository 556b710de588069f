"""Heads that move without an update, several tasks in one log, and sections that nobody here can check."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.receipts.statement import Hits, Metric, Outcome, Section
from cryoflux.verification.result import Status
from synthetic_parts import BAR, OLD_RULE, make_model, training
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def found(made: SyntheticState, status: Status = Status.FAIL) -> list[tuple[int, str, str]]:
    checks = verify_target(made.finish()).checks
    return [(c.number, c.subject, c.detail) for c in checks if c.status is status]


def grown(path: Path) -> SyntheticState:
    made = open_state(path)
    made.policy = "uniform/v1"
    made.attempt(0.05)
    made.attempt(0.02)
    return made


def test_a_head_goes_back_to_what_an_attempt_made_and_the_log_goes_on_from_there(tmp_path: Path) -> None:
    made = grown(tmp_path / "state")
    made.move(made.entries[1].receipt.result)
    made.attempt(0.03)
    assert made.entries[-1].receipt.outcome is Outcome.ACCEPTED
    assert found(made) == found(made, Status.UNKNOWN) == []


def test_a_head_goes_back_to_what_its_task_began_with(tmp_path: Path) -> None:
    made = grown(tmp_path / "state")
    made.move(made.entries[0].intent.base)
    assert found(made) == []


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        ({"made_at": 3}, "has another hash"),
        ({"made_by": "f" * 64}, "has another hash"),
        ({"made_at": 2**53 - 1}, "has another hash"),
        ({"made_at": 4}, "has another hash"),
    ],
)
def test_a_move_to_what_another_entry_made_is_named(
    tmp_path: Path, forged: dict[str, object], words: str
) -> None:
    made = grown(tmp_path / "state")
    made.move(made.entries[1].receipt.result, **forged)
    ((number, subject, detail),) = found(made)
    assert (number, subject) == (8, "entry 4 (head)")
    assert words in detail


def test_a_move_to_a_model_that_no_attempt_made_is_named(tmp_path: Path) -> None:
    made = grown(tmp_path / "state")
    stranger = make_model(made.path, [7.0, 7.0, 7.0])
    made.move(stranger, made_at=1, made_by=made.entries[1].leaf_hash)
    assert [f[:2] for f in found(made) if "did not make" in f[2]] == [(8, "entry 4 (head)")]


def test_a_later_intent_makes_no_version_to_go_to(tmp_path: Path) -> None:
    made = grown(tmp_path / "state")
    later = made.entries[2]
    made.move(later.intent.base, made_at=later.index, made_by=later.leaf_hash)
    ((number, subject, detail),) = found(made)
    assert (number, subject) == (8, "entry 4 (head)")
    assert "entry 2 did not make" in detail


def test_a_move_from_another_head_than_there_is_is_named(tmp_path: Path) -> None:
    made = grown(tmp_path / "state")
    first = made.entries[0].intent.base
    made.move(made.entries[1].receipt.result, base=first)
    assert [f[:2] for f in found(made)] == [(8, "entry 4 (head)")]


def test_a_head_that_moved_without_an_entry_is_named_by_the_next_base(tmp_path: Path) -> None:
    made = grown(tmp_path / "state")
    made.head, made.gain = made.entries[1].receipt.result, 0.05
    made.link()
    intent = made.announce()
    made.abort(intent)
    assert {f[:2] for f in found(made) if f[0] == 8} == {
        (8, "entry 4 (intent a0003_4)"),
        (8, "entry 5 (receipt a0003_4)"),
    }


def test_what_a_rejected_attempt_made_is_no_version_to_go_to(tmp_path: Path) -> None:
    made = grown(tmp_path / "state")
    rejected = made.attempt(0.0001)
    assert rejected.receipt.outcome is not Outcome.ACCEPTED
    candidate = rejected.receipt.evaluation.candidate
    made.move(candidate, made_at=rejected.index, made_by=rejected.leaf_hash)
    assert [f[:2] for f in found(made) if f[0] == 8] == [(8, "entry 6 (head)")]


def test_two_tasks_in_one_log_have_heads_looks_and_links_of_their_own(tmp_path: Path) -> None:
    made = grown(tmp_path / "state")
    made.begin("digits")
    made.attempt(0.05)
    assert made.entries[-2].intent.bar == BAR
    made.begin("lora_delta")
    made.attempt(0.01)
    assert made.entries[-2].intent.bar.looks == 2
    assert (made.path / "heads" / "digits").resolve() != (made.path / "base_model").resolve()
    report = verify_target(made.finish())
    said, asked = [c.detail for c in report.checks if c.number == 8]
    assert [c.detail for c in report.checks if c.status is not Status.OK] == [asked]
    assert "looks at a holdout that lora_delta looks at too" in asked
    assert "6 model versions in 2 lines" in said


def test_the_link_of_a_second_task_is_looked_at_too(tmp_path: Path) -> None:
    made = grown(tmp_path / "state")
    made.begin("digits")
    made.attempt(0.05)
    made.begin("lora_delta")
    made.abort(made.announce())
    link = made.path / "heads" / "digits"
    link.unlink()
    link.symlink_to(f"../models/{made.head.digest}")
    assert [f[:2] for f in found(made)] == [(9, "heads/digits")]


def test_a_section_that_nobody_here_can_check_is_one_question(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    strange = training(section=Section(kind="tree/v1", fields={"depth": 3}))
    made.attempt(0.05, training=strange)
    made.attempt(0.02, training=strange)
    assert found(made, Status.UNKNOWN) == [
        (
            5,
            "section tree/v1",
            "2 receipts have it, and nothing here can check it: name its task with --task",
        )
    ]


def test_another_metric_than_the_task_began_with_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.metric = Metric(name="cross-entropy", unit="bits")
    made.abort(made.announce())
    assert [f[:2] for f in found(made)] == [(8, "entry 2 (intent a0002_2)")]


def test_hits_that_are_left_out_where_they_would_speak_against_an_update_are_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    intent = made.announce()
    forged = made.conclude_attempt(intent, 0.02)
    assert isinstance(forged.receipt.evaluation.hits, Hits)
    again = open_state(tmp_path / "again")
    again.attempt(0.05)
    said = forged.receipt.evaluation.but(hits=None)
    again.conclude_attempt(again.announce(), 0.02, evaluation=said)
    assert (6, "entry 3 (receipt a0002_2)") in {f[:2] for f in found(again)}


def test_a_bar_that_a_rule_does_not_ask_for_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.rule = OLD_RULE.but(screen="screen/v1")
    made.conclude_attempt(made.announce(bar=BAR), 0.05)
    assert [f[:2] for f in found(made)] == [(7, "entry 0 (intent a0001_0)")]


def test_a_base_whose_losses_changed_since_they_were_signed_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.0001)
    made.gain = 0.01  # the same head, and better than it was
    made.attempt(0.02)
    assert (6, "entry 3 (receipt a0002_2)") in {f[:2] for f in found(made)}


@pytest.mark.parametrize("code", ["crashed", "said", "exhausted.training"])
def test_a_reason_that_does_not_fit_its_cause_is_named(tmp_path: Path, code: str) -> None:
    made = open_state(tmp_path / "state")
    intent = made.announce()
    made.abort(intent, reason=intent.intent.schedule.reason.but(code=code, numbers={}))
    assert [f[:2] for f in found(made)] == [(7, "entry 1 (receipt a0001_0)")]


def test_an_id_that_does_not_end_in_its_place_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.abort(made.announce(task="a0001_1"))
    assert [f[:2] for f in found(made)] == [(5, "entry 0 (intent a0001_1)")]
