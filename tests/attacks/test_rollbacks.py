"""Rollbacks that claim a test which was not due, or evidence which there is not; and those that do not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cryoflux.decision.monitor import MONITOR, needed_milli
from cryoflux.decision.reason import Reason
from cryoflux.digests import sha256_hex
from cryoflux.quantities import NANO
from cryoflux.receipts.statement import Base, CheckedAgainst, HeadMove, MonitorTest, Move
from cryoflux.state import StateFolder
from cryoflux.verification import rollbacks
from cryoflux.verification.pairing import Pairing, read_losses
from cryoflux.verification.result import Status
from cryoflux.verification.rollbacks import rollback_complaints
from plain_log import KEY, model, plain_log
from rolled_back import ALPHA_PPM, COUNT, WORSE, Rollback, three_heads
from shell_bundles import bare_tools, bundle_of, needs_tools, run_shell, run_verify
from synthetic_state import SyntheticState
from verifying import verify_target


@pytest.fixture
def rollback(tmp_path: Path) -> Rollback:
    made = three_heads(tmp_path / "state")
    to = made.entries[1].receipt.result
    return Rollback(made, WORSE, [loss - NANO for loss in WORSE], to)


def results(made: SyntheticState) -> list[Base]:
    return [entry.receipt.result for entry in made.entries if entry.receipt is not None]


def found(made: SyntheticState, status: Status = Status.FAIL) -> list[tuple[int, str]]:
    checks = verify_target(made.finish()).checks
    return [(c.number, c.detail) for c in checks if c.status is status]


def test_a_rollback_with_its_evidence_is_what_it_says(rollback: Rollback) -> None:
    rollback.write()
    rollback.made.attempt(0.03)
    assert found(rollback.made) == []
    assert not any("goes back" in detail for _, detail in found(rollback.made, Status.UNKNOWN))


def test_what_somebody_just_chose_needs_no_evidence(rollback: Rollback) -> None:
    rollback.made.move(rollback.to)
    assert found(rollback.made) == []
    assert not any("goes back" in detail for _, detail in found(rollback.made, Status.UNKNOWN))


@pytest.mark.parametrize("evidence", [True, False])
def test_a_rollback_without_a_test_is_asked_for_it(rollback: Rollback, evidence: bool) -> None:
    rollback.write(test=None, evidence=[rollback.measurement()] if evidence else [])
    assert found(rollback.made) == [], "older logs could not say it"
    assert any("goes back with" in detail for _, detail in found(rollback.made, Status.UNKNOWN))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head_number": 1, "needed_milli": needed_milli(ALPHA_PPM, 1, 2)}, "by the log it is 3"),
        ({"compared": 1, "needed_milli": needed_milli(ALPHA_PPM, 3, 1)}, "by the log there were 2"),
        ({"needed_milli": 1}, "by its error budget it needed"),
        ({"alpha_ppm": 500_000}, "by its error budget it needed"),
        ({"cap_nano": 1}, "cuts differences off at 1 billionths"),
        ({"evidence_milli": 100_000}, "its losses are evidence of"),
        ({"evidence_milli": -3}, "goes back on evidence of -3"),
    ],
)
def test_a_test_that_was_not_due_is_named(rollback: Rollback, changes: dict[str, object], words: str) -> None:
    rollback.write(test=rollback.test(**changes))
    assert any(words in detail for _, detail in found(rollback.made))


def test_noise_that_is_called_evidence_is_named(rollback: Rollback) -> None:
    rollback.other = [loss - 1000 for loss in WORSE]
    rollback.write(test=rollback.test(evidence_milli=20_000))
    assert any("its losses are evidence of" in detail for _, detail in found(rollback.made))


def test_losses_that_were_exchanged_are_named(rollback: Rollback) -> None:
    rollback.write()
    path = StateFolder(rollback.made.path).losses(sha256_hex(rollback.content))
    path.write_bytes(bytes(len(rollback.content)))
    assert any("not those that were signed" in detail for _, detail in found(rollback.made))


def test_sums_of_other_losses_are_named(rollback: Rollback) -> None:
    rollback.write(evidence=[rollback.measurement(base_loss_sum=1)])
    assert any("do not add up" in detail for _, detail in found(rollback.made))


def test_a_sentence_about_other_losses_is_named(rollback: Rollback) -> None:
    numbers = {"count": COUNT, "worse": 7, "unit": "nats", "alpha_ppm": ALPHA_PPM}
    rollback.write(reason=Reason(code="monitor-worse", numbers=numbers))
    assert any("of the sentence" in detail for _, detail in found(rollback.made))


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("monitor-worse", {"alpha_ppm": 1}),
        ("monitor-worse", {"unit": "votes"}),
        ("monitor-worse", {"count": 1_000_000}),
        ("promoted", {}),
    ],
)
def test_a_sentence_that_its_test_does_not_bear_out(
    rollback: Rollback, code: str, changes: dict[str, int | str]
) -> None:
    numbers = {"count": COUNT, "worse": COUNT * NANO, "unit": "nats", "alpha_ppm": ALPHA_PPM, **changes}
    rollback.write(reason=Reason(code=code, numbers=numbers))
    assert any("gives another reason than its test" in detail for _, detail in found(rollback.made))


def test_a_test_without_losses_is_named(rollback: Rollback) -> None:
    rollback.write(evidence=[])
    assert any("shows the losses of 0" in detail for _, detail in found(rollback.made))


def test_a_promotion_does_not_borrow_a_test(rollback: Rollback) -> None:
    rollback.write(move=Move.PROMOTION)
    assert any("is a promotion" in detail for _, detail in found(rollback.made))


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (
            lambda one, two: [one.but(worse_nano=7), two.but(worse_nano=NANO)],
            "another version than the best one",
        ),
        (lambda one, two: [one, one], "lists a version twice"),
        (lambda one, two: [one, two.but(version="1" * 64)], "which the log does not compare it with"),
        (lambda one, two: [one.but(evidence_milli=0), two], "another version than the best one"),
    ],
)
def test_a_rollback_to_another_version_than_the_best_that_it_lists(
    rollback: Rollback, forge: Callable[..., list[CheckedAgainst]], words: str
) -> None:
    listed = sorted(rollback.test().against, key=lambda one: one.version != rollback.to.digest)
    evidence = rollback.test().evidence_milli
    forged = forge(*(one.but(evidence_milli=evidence) for one in listed))
    rollback.write(test=rollback.test(against=forged))
    assert any(re.search(words, detail) for _, detail in found(rollback.made))


def test_a_rollback_that_leaves_a_version_out_is_asked_about(rollback: Rollback) -> None:
    rollback.write(test=rollback.test(against=rollback.test().against[-1:]))
    assert any("does not say how it compares" in d for _, d in found(rollback.made, Status.UNKNOWN))


def test_what_was_freed_may_be_left_out(rollback: Rollback) -> None:
    made = rollback.made
    made.attempt(0.03)
    first, second = results(made)[:2]
    made.move(made.head, move=Move.PRUNE, pruned=[second])
    shutil.rmtree(made.path / "models" / second.digest)
    listed = [one for one in rollback.test().against if one.version != second.digest]
    assert rollback.to == first
    rollback.write(test=rollback.test(against=listed))
    assert found(made) == []
    assert not any("how it compares" in detail for _, detail in found(made, Status.UNKNOWN))


def test_a_rollback_of_an_older_log_lists_nothing_and_is_asked_about(rollback: Rollback) -> None:
    rollback.write(test=rollback.test(against=[]))
    assert found(rollback.made) == []
    assert any("the best one is open" in detail for _, detail in found(rollback.made, Status.UNKNOWN))


def test_losses_that_a_promotion_shows_are_asked_about(rollback: Rollback) -> None:
    rollback.made.move(rollback.to, evidence=[rollback.measurement(base_loss_sum=1)])
    assert any("they are not looked at" in detail for _, detail in found(rollback.made, Status.UNKNOWN))


def test_losses_that_many_entries_name_are_read_once(
    rollback: Rollback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a log of short entries would cost its auditor the arithmetic of a large file for each of them."""
    read: list[str] = []

    def reads(path: Path, digest: str, count: int) -> Pairing:
        read.append(digest)
        return read_losses(path, digest, count)

    monkeypatch.setattr(rollbacks, "read_losses", reads)
    made, back = rollback.made, rollback.to
    for _ in range(4):
        rollback.write()
        made.move(next(one for one in results(made) if one != back))
    verify_target(made.finish())
    assert read == [sha256_hex(rollback.content)]


def test_an_error_budget_is_not_widened(rollback: Rollback) -> None:
    rollback.write()
    made = rollback.made
    made.attempt(0.09)
    known = made.memory.tasks[made.task]
    due = needed_milli(2 * ALPHA_PPM, known.heads, len(known.before_head()))
    rollback.write(test=rollback.test(alpha_ppm=2 * ALPHA_PPM, needed_milli=due))
    assert any("may be tightened, never widened" in detail for _, detail in found(made))


def test_an_error_budget_may_be_tightened(rollback: Rollback) -> None:
    rollback.write()
    made = rollback.made
    made.attempt(0.09)
    known = made.memory.tasks[made.task]
    due = needed_milli(ALPHA_PPM // 2, known.heads, len(known.before_head()))
    rollback.write(test=rollback.test(alpha_ppm=ALPHA_PPM // 2, needed_milli=due))
    assert found(made) == []


def test_a_later_test_is_a_question_and_no_accusation(rollback: Rollback) -> None:
    rollback.write(test=rollback.test(rule="monitor/v9", needed_milli=1, cap_nano=7))
    assert found(rollback.made) == []
    assert any("'monitor/v9', which is not known" in d for _, d in found(rollback.made, Status.UNKNOWN))


def test_of_a_part_of_a_log_only_what_the_entry_itself_says_is_asked(rollback: Rollback) -> None:
    rollback.write()
    move = rollback.made.entries[-1].move
    assert isinstance(move, HeadMove)
    assert list(rollback_complaints(move, None, past=False)) == []
    worse = move.but(test=move.test.but(evidence_milli=0, against=[]))
    assert len(list(rollback_complaints(worse, None, past=False))) == 1


@pytest.mark.parametrize("test", [True, False])
def test_examples_that_did_not_lead_there_are_not_quarantined(rollback: Rollback, test: bool) -> None:
    rollback.write(quarantined=[1], **({} if test else {"test": None}))
    words = "not those which only the head had learned from" if test else "without a test"
    assert any(words in detail for _, detail in found(rollback.made))


def test_a_sentence_quarantines_what_the_entry_does(rollback: Rollback) -> None:
    said = {"count": COUNT, "worse": NANO * COUNT, "unit": "nats", "alpha_ppm": ALPHA_PPM}
    rollback.write(reason=Reason(code="monitor-worse", numbers={**said, "quarantined": 5}))
    assert any("unlike its sentence" in detail for _, detail in found(rollback.made))


BORROWED = MonitorTest(
    rule=MONITOR,
    alpha_ppm=ALPHA_PPM,
    head_number=2,
    compared=1,
    cap_nano=4 * NANO,
    needed_milli=needed_milli(ALPHA_PPM, 2, 1),
    evidence_milli=20_000,
)


@needs_tools
@pytest.mark.parametrize("lie", ["", "a promotion borrows a test", "no losses", "quarantine without a test"])
def test_stock_tools_hold_a_move_to_the_same(tmp_path: Path, lie: str) -> None:
    """But for whether its test was due, which takes a logarithm: the script's last words say so."""
    log = plain_log()
    task = "lora_delta"
    log.conclude(log.announce())
    began = log.entries[0]
    forged = {
        "": {"move": Move.PROMOTION},
        "a promotion borrows a test": {"move": Move.PROMOTION, "test": BORROWED},
        "no losses": {"move": Move.ROLLBACK, "test": BORROWED},
        "quarantine without a test": {"move": Move.ROLLBACK, "quarantined": [9]},
    }[lie]
    log.move(task, model(f"first {task}"), began, **forged)
    entries = [entry.envelope for entry in log.entries]
    (tools := tmp_path / "tools").mkdir()
    shell = run_shell(bundle_of(tmp_path / "bundle", entries, KEY.public_key()), bare_tools(tools))
    verify = run_verify(tmp_path / "log.jsonl", entries, KEY.public_key())
    assert (shell.holds, verify.holds) == (not lie, not lie), (shell.said, verify.said)
    assert min(shell.entries, default=-1) == min(verify.entries, default=-1)
    assert not shell.holds or "whether a rollback was due, and looks at a monitor" in shell.said
