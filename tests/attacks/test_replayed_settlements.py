"""A meter's statement is shown where it does not belong: in another log, on another attempt, or twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cryoflux.receipts.checkpoint import origin_of
from cryoflux.signing.keys import load_public_key
from cryoflux.verification.result import Status
from cryoflux.verification.settlements import Settlements
from cryoflux.verification.verified import Trust
from metering import in_the_first_form, meter_key, sign
from synthetic_parts import digest_of, figure
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

TASK = "a0001_0"
"""id of the first attempt of every synthetic log"""


def begun(path: Path) -> SyntheticState:
    made = open_state(path)
    made.metered, made.policy = True, "uniform/v1"
    return made


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    return begun(tmp_path / "state")


def lines(made: SyntheticState, meter: Path | None = None, **options: object) -> list[tuple[Status, str]]:
    """What step 10 says, by the key of the meter whose state that is."""
    made.log.close()
    meters = [meter_key(meter or made.path).public_key()]
    report = verify_target(made.path, meters=meters, **options)
    return [(c.status, f"{c.subject}: {c.detail}") for c in report.checks if c.number == 10]


def failures(made: SyntheticState, meter: Path | None = None, **options: object) -> list[str]:
    return [detail for status, detail in lines(made, meter, **options) if status is Status.FAIL]


def questions(made: SyntheticState, meter: Path | None = None) -> list[str]:
    asked = [detail for status, detail in lines(made, meter) if status is Status.UNKNOWN]
    return [detail for detail in asked if not detail.startswith("what runs")]  # nobody told a session here


def in_two_logs(made: SyntheticState, tmp_path: Path) -> SyntheticState:
    """A second log that shows what the meter signed for the first; both pay from one daemon."""
    first = made.announce(meter="daemon")
    charged = made.conclude_attempt(first, 0.05).receipt
    assert charged is not None
    other = begun(tmp_path / "other")
    other.conclude_attempt(other.announce(meter="daemon"), 0.05, energy=charged.energy)
    return other


def test_a_statement_of_another_log_is_found_though_the_attempt_has_the_same_name(
    made: SyntheticState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = in_two_logs(made, tmp_path)
    assert failures(made) == []
    (of_log, of_intent) = failures(other, made.path)
    assert f"is of another log, {made.log.origin}" in of_log
    assert "on another announcement" in of_intent
    monkeypatch.setattr(Settlements, "_misplaced", lambda *_: iter(()))
    assert failures(other, made.path) == []


def test_nor_does_it_pay_for_another_announcement_of_the_same_log(made: SyntheticState) -> None:
    intent = made.announce()
    said = made.signed(TASK, figure(), intent=digest_of("an attempt that was cut off"))
    made.conclude_attempt(intent, 0.05, energy=said)
    (found,) = failures(made)
    assert "on another announcement" in found


def test_a_session_has_no_announcement_and_its_statement_one_log(made: SyntheticState) -> None:
    made.attempt(0.05)
    announced = made.signed("session/1_0", figure(), intent=made.entries[0].leaf_hash)
    made.settle("session/1_0", 100_000_000)
    made.session(energy=announced, settles=False)
    (found,) = failures(made)
    assert "on another announcement" in found


@pytest.mark.parametrize("log", ["cryoflux.dev/0123456789abcdef", "example.org/log"])
def test_a_session_of_another_log_is_found(made: SyntheticState, log: str) -> None:
    made.attempt(0.05)
    made.settle("session/1_0", 100_000_000)
    made.session(energy=made.signed("session/1_0", figure(), log=log), settles=False)
    (found,) = failures(made)
    assert f"is of another log, {log}" in found


def test_one_reservation_pays_for_one_entry(made: SyntheticState) -> None:
    for number, gain in enumerate((0.05, 0.02), 1):
        intent = made.announce()
        task = f"a{number:04}_{2 * number - 2}"
        made.conclude_attempt(intent, gain, energy=made.signed(task, figure(), reservation="r-1"))
    assert failures(made) == ["entry 3: shows a statement of the meter on the reservation that entry 1 shows"]


@pytest.mark.parametrize("trust", [Trust.JUDGED, Trust.READ])
def test_a_reservation_that_was_shown_before_is_remembered(
    made: SyntheticState, tmp_path: Path, trust: Trust
) -> None:
    heads = tmp_path / "heads"
    made.conclude_attempt(made.announce(), 0.05, energy=made.signed(TASK, figure(), reservation="r-1"))
    assert failures(made, heads=heads) == []
    again = made.fork(tmp_path / "later")
    again.metered, again.policy = True, "uniform/v1"
    again.conclude_attempt(
        again.announce(), 0.02, energy=again.signed("a0002_2", figure(), reservation="r-1")
    )
    assert any("that entry 1 shows" in found for found in failures(again, heads=heads, trust=trust))


def test_older_statements_leave_one_question_in_all(made: SyntheticState, tmp_path: Path) -> None:
    key = meter_key(made.path)
    for number, gain in enumerate((0.05, 0.02), 1):
        intent, task = made.announce(), f"a{number:04}_{2 * number - 2}"
        old = in_the_first_form(sign(made.path, task, figure()), key)
        made.conclude_attempt(intent, gain, energy=figure(settlement=old))
    made.attempt(0.01)
    assert failures(made) == []
    (asked,) = questions(made)
    assert asked.startswith("the meter's statements: 2 of 3 do not name log and announcement")
    assert "they could be another log's" in asked


def test_an_older_statement_is_still_of_one_attempt_and_one_reservation(made: SyntheticState) -> None:
    old = in_the_first_form(sign(made.path, TASK, figure()), meter_key(made.path))
    made.attempt(0.05, energy=figure(settlement=old))
    made.attempt(0.02, energy=figure(settlement=old))
    assert [found.partition(": ")[2].partition(" (")[0] for found in failures(made)] == [
        "says another attempt",
        "shows a statement of the meter on the reservation that entry 1 shows",
    ]


@pytest.mark.parametrize("whose", [{"log": ""}, {"intent": ""}, {"log": "", "intent": ""}])
def test_a_take_that_named_nothing_is_asked_about_like_an_older_one(
    made: SyntheticState, whose: dict[str, str]
) -> None:
    made.conclude_attempt(made.announce(), 0.05, energy=made.signed(TASK, figure(), **whose))
    assert failures(made) == []
    (asked,) = questions(made)
    assert "1 of 1 do not name log and announcement" in asked


def test_a_state_that_was_moved_is_the_same_log(made: SyntheticState, tmp_path: Path) -> None:
    made.attempt(0.05)
    made.session()
    made.finish()
    moved = Path(shutil.move(made.path, tmp_path / "elsewhere"))
    report = verify_target(moved, meters=[meter_key(moved).public_key()])
    assert report.ok
    assert not [check for check in report.checks if check.status is Status.UNKNOWN and check.number == 10]


def test_exported_receipts_tell_of_one_log_and_a_key_of_which(made: SyntheticState, tmp_path: Path) -> None:
    made.attempt(0.05)
    made.session()
    made.finish()
    file = tmp_path / "export.jsonl"
    file.write_bytes(b"".join(entry.envelope + b"\n" for entry in made.entries))
    (asked,) = [c for c in verify_target(file).checks if c.number == 10 and c.status is Status.UNKNOWN]
    assert f"are of the log {made.log.origin}; without --key" in asked.detail
    key = load_public_key(made.path / "keys" / "receipt.pub")
    assert origin_of(key) == made.log.origin
    assert not [
        c for c in verify_target(file, key=key).checks if c.number == 10 and c.status is not Status.OK
    ]


def test_exported_receipts_cannot_mix_the_statements_of_two_logs(
    made: SyntheticState, tmp_path: Path
) -> None:
    made.attempt(0.05)
    said = made.signed("a0002_2", figure(), log="example.org/log")
    made.conclude_attempt(made.announce(), 0.02, energy=said)
    file = tmp_path / "export.jsonl"
    file.write_bytes(b"".join(entry.envelope + b"\n" for entry in made.entries))
    (found,) = [c for c in verify_target(file).checks if c.status is Status.FAIL]
    assert "is of another log, example.org/log" in found.detail
