"""Joules that nobody metered are told as if a meter had, or as if it could not have.

The owner of the log has every key but that of a meter that others trust, and makes everything else fit.
Beside each lie stands somebody innocent who looks like it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux.claims.check import check_claim
from cryoflux.claims.making import make_claim
from cryoflux.decision.reason import Reason
from cryoflux.errors import StateTamperedError, VerificationError
from cryoflux.quantities import Tier
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.session import SessionEnd
from cryoflux.receipts.statement import Cause, EnergyFigure
from cryoflux.signing.keys import KEYS_FOLDER, METER_KEY
from cryoflux.verification.result import Status
from metering import meter_key, sign
from synthetic_parts import RESERVED_UJ, figure
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

FREE = {"microjoules": 1, "lo_microjoules": 1, "hi_microjoules": 1, "tier": Tier.COUNTER}
NOTHING = {"microjoules": 0, "lo_microjoules": 0, "hi_microjoules": 0, "cpu_microseconds": 0}
CHEAP = "joules <= 1 J and eta >= 1000 nats/J and tier == counter"


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    """A state whose meter signs."""
    found = open_state(tmp_path / "state")
    found.metered, found.policy = True, "uniform/v1"
    return found


def public(made: SyntheticState) -> Ed25519PublicKey:
    return meter_key(made.path).public_key()


def energy_lines(made: SyntheticState, *meters: Ed25519PublicKey) -> list[tuple[Status, str]]:
    made.log.close()
    report = verify_target(made.path, meters=meters)
    assert {check.number for check in report.checks if check.status is Status.FAIL} <= {10}
    return [(c.status, f"{c.subject}: {c.detail}") for c in report.checks if c.number == 10]


def failures(made: SyntheticState, *meters: Ed25519PublicKey) -> list[str]:
    return [detail for status, detail in energy_lines(made, *meters) if status is Status.FAIL]


def summary(made: SyntheticState, *meters: Ed25519PublicKey) -> str:
    """What is said where nothing failed."""
    ((status, detail), *rest) = energy_lines(made, *meters)
    assert status is Status.OK
    assert all(status is Status.UNKNOWN for status, _ in rest)
    return detail


def unsigned(made: SyntheticState, gain: float, **changes: object) -> Entry:
    """An attempt on which no meter's statement stands."""
    made.metered = False
    return made.attempt(gain, energy=figure(**changes))


def crash(made: SyntheticState, intent: Entry, said: EnergyFigure, cause: Cause = Cause.CRASHED) -> Entry:
    why = Reason(code=cause.value)
    return made.abort(intent, energy=said, cause=cause, reason=why, settles=False)


ELSEWHERE = figure(**{**NOTHING, "hi_microjoules": RESERVED_UJ}, flags=["settled-elsewhere"])


# Flags that excuse from the meter


@pytest.mark.parametrize("flag", ["settled-elsewhere", "never-reserved"])
@pytest.mark.parametrize("gain", [0.05, 0.0005, -0.03])
@pytest.mark.parametrize("pins", [True, False])
def test_what_was_judged_was_not_closed_from_outside(
    made: SyntheticState, flag: str, gain: float, pins: bool
) -> None:
    meters = [public(made)] if pins else []
    unsigned(made, gain, **FREE, flags=[flag])
    assert any(f"is flagged {flag}, which only what" in detail for detail in failures(made, *meters))


@pytest.mark.parametrize("cause", [Cause.INTERRUPTED, Cause.EXHAUSTED, Cause.FAILED])
def test_an_attempt_that_its_own_run_ended_was_not_either(made: SyntheticState, cause: Cause) -> None:
    crash(made, made.announce(meter="daemon"), ELSEWHERE, cause)
    (found,) = failures(made, public(made))
    assert "is flagged settled-elsewhere" in found


def test_nor_a_session_that_came_to_its_end(made: SyntheticState) -> None:
    made.attempt(0.05)
    made.session(energy=ELSEWHERE, settles=False)
    assert any("is flagged settled-elsewhere" in detail for detail in failures(made, public(made)))


def test_what_was_settled_elsewhere_may_have_cost_all_that_it_reserved(made: SyntheticState) -> None:
    crash(made, made.announce(meter="daemon"), figure(**NOTHING, flags=["settled-elsewhere"]))
    (found,) = failures(made)
    assert f"it may have cost all of the {RESERVED_UJ} µJ" in found


def test_what_was_never_reserved_was_charged_nothing(made: SyntheticState) -> None:
    crash(
        made,
        made.announce(meter="daemon"),
        figure(**{**NOTHING, "hi_microjoules": 1}, flags=["never-reserved"]),
    )
    (found,) = failures(made)
    assert "says that nothing was reserved, and that it was charged something" in found


def test_an_honest_crash_that_another_meter_settles_is_told_apart(made: SyntheticState) -> None:
    made.attempt(0.05)
    crash(made, made.announce(meter="daemon"), ELSEWHERE)
    crash(made, made.announce(meter="daemon"), figure(**NOTHING, flags=["never-reserved"]))
    crash(made, made.announce(meter="daemon"), figure(**NOTHING, flags=["never-reserved"]), Cause.UNRESERVED)
    made.session(energy=ELSEWHERE, settles=False, ended=SessionEnd.CRASHED)
    said = summary(made, public(made))
    assert "metered under the key that you named, but for 4 cut short; " in said
    assert "1 of 5 signed by that meter" in said
    assert "240.0 J at most, by their own word, in 4 cut short that no meter signed" in said
    asked = [detail for status, detail in energy_lines(made, public(made)) if status is Status.UNKNOWN]
    (found,) = [one for one in asked if "cut short" in one]
    assert "lacking for 4 cut short, of which 2 say that they reserved nothing: what those cost is" in found
    assert "the account was charged the same for 1 of 5" in said


def test_costs_that_are_hidden_as_never_reserved_are_counted_by_a_named_meter(made: SyntheticState) -> None:
    made.attempt(0.05)
    for _ in range(20):
        crash(made, made.announce(meter="daemon"), figure(**NOTHING, flags=["never-reserved"]))
    asked = [detail for status, detail in energy_lines(made, public(made)) if status is Status.UNKNOWN]
    (found,) = [one for one in asked if "cut short" in one]
    assert "for 20 cut short, of which 20 say that they reserved nothing" in found
    # Without a meter's key nothing is asked of them, and nothing is vouched for either.
    said = summary(made)
    assert "self-reported" in said
    assert "0.0 J at most, by their own word, in 20 cut short that no meter signed" in said


# A meter that was named


def test_each_charge_has_to_carry_the_statement_of_the_meter_that_was_named(made: SyntheticState) -> None:
    made.attempt(0.05)
    unsigned(made, 0.02, **FREE)
    made.session(1)
    found = failures(made, public(made))
    assert [detail.partition(":")[0] for detail in found] == [
        "entry 3 (receipt a0002_2)",
        "entry 4 (session/1_0)",
    ]
    assert all("carries no statement of a meter" in detail for detail in found)


@pytest.mark.parametrize("meter", ["daemon", "embedded"])
def test_a_key_of_ones_own_is_not_the_one_that_was_named(made: SyntheticState, meter: str) -> None:
    trusted = Ed25519PrivateKey.generate().public_key()
    made.conclude_attempt(made.announce(meter=meter), 0.05)
    (found,) = failures(made, trusted)
    assert found.startswith("entry 1 (receipt a0001_0): was metered under the key ")
    assert "name its key too" in found


def test_a_statement_that_nobody_signed_is_none(made: SyntheticState) -> None:
    intent = made.announce(meter="daemon")
    forged = made.signed("a0001_0", figure(**FREE), key=Ed25519PrivateKey.generate())
    real = made.signed("a0001_0", figure(**FREE))
    sig = real.settlement.partition('"sig":"')[2].partition('"')[0]
    head, _, tail = forged.settlement.partition('"sig":"')
    made.conclude_attempt(
        intent, 0.05, energy=real.but(settlement=f'{head}"sig":"{sig}"{tail.partition(chr(34))[2]}')
    )
    assert failures(made, public(made))


def test_an_honest_state_verifies_under_the_key_of_its_meter(made: SyntheticState) -> None:
    made.attempt(0.05)
    made.abort(made.announce())
    made.screen_out()
    made.session()
    said = summary(made, public(made))
    assert "metered under the key that you named" in said
    assert "4 of 4 signed by that meter" in said
    assert said.endswith("; the account was charged the same; 4 of 4 signed by that meter")


def test_without_a_name_it_is_self_reported_whoever_signed(made: SyntheticState) -> None:
    made.attempt(0.05, energy=made.signed("a0001_0", figure(assurance="other-machine")))
    unsaid = summary(made)
    assert "in all, self-reported; " in unsaid
    assert "1 of 1 signed by a meter that nobody named" in unsaid
    assert "other-machine" not in unsaid


def test_a_label_of_the_owner_is_no_evidence(made: SyntheticState) -> None:
    made.metered = False
    made.attempt(0.05, energy=figure(assurance="other-machine"))
    said = summary(made)
    assert "in all, self-reported; " in said
    assert said.endswith("100.0 J in 1 that no meter signed")


def test_a_meter_that_lost_its_key_is_vouched_for_by_whoever_names_both(made: SyntheticState) -> None:
    before = public(made)
    made.attempt(0.05)
    for name in (f"{METER_KEY}.pem", f"{METER_KEY}.pub"):
        (made.path / KEYS_FOLDER / name).unlink()
    made.attempt(0.02)
    made.session()
    assert public(made) != before
    lines = energy_lines(made)
    assert [status for status, _ in lines] == [Status.OK, Status.UNKNOWN]
    assert "1 of 3 are under other keys than this state's keys/meter.pub (a meter that lost" in lines[1][1]
    first, second = failures(made, before)
    assert "name its key too" in first
    assert "--meter-key did not name" in second
    said = summary(made, before, public(made))
    assert "metered under keys that you named" in said
    assert "3 of 3 signed by those meters" in said


def test_a_daemon_may_have_metered_and_then_its_key_is_the_one_to_name(
    made: SyntheticState, tmp_path: Path
) -> None:
    daemon = meter_key(tmp_path / "daemon")
    intent = made.announce(meter="daemon")
    made.conclude_attempt(intent, 0.05, energy=made.signed("a0001_0", figure(), key=daemon))
    for meters in ([], [daemon.public_key()]):
        said = summary(made, *meters)
        assert "the account was charged the same" not in said
        assert "1 of 1 signed by" in said


def test_a_restored_backup_of_the_account_is_told_as_an_account_that_was_set_back(
    made: SyntheticState, tmp_path: Path
) -> None:
    made.attempt(0.05)
    made.account._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    early = (made.path / "account.db").read_bytes()
    made.attempt(0.02)
    made.finish()
    (made.path / "account.db").write_bytes(early)
    (found,) = failures(made, public(made))
    assert found.startswith("entry 3 (receipt a0002_2): account.db knows no reservation of a0002_2")


# What the statement itself does not bear out


def test_a_charge_above_its_own_counters_is_found(made: SyntheticState) -> None:
    intent = made.announce()
    made.conclude_attempt(intent, 0.05, energy=made.signed("a0001_0", figure(), moved_uj=10_000_000))
    (found,) = failures(made, public(made))
    assert "says 90.0 J or more, but its own counters moved 10.0 J in that time" in found


def test_nearly_nothing_beside_counters_and_cpu_time_is_asked_about(made: SyntheticState) -> None:
    made.announce()
    said = made.signed("a0001_0", figure(**FREE), moved_uj=2_000_000_000)
    made.conclude_attempt(made.entries[0], 0.05, energy=said)
    made.session(energy=made.signed("session/1_0", figure(**FREE), moved_uj=2_000_000_000), settles=False)
    made.settle("session/1_0", 1)
    asked = [detail for status, detail in energy_lines(made, public(made)) if status is Status.UNKNOWN]
    assert sum("its own counters moved 2.00 kJ" in detail for detail in asked) == 2
    assert sum("less than any processor" in detail for detail in asked) == 2


def test_a_session_cannot_draw_more_than_its_sources_give(made: SyntheticState) -> None:
    made.attempt(0.05)
    made.session(10**12)
    assert any("its sources cannot draw more than" in detail for detail in failures(made))


# Claims


def test_a_claim_of_free_joules_is_not_made_of_flags(made: SyntheticState) -> None:
    unsigned(made, 0.05, **FREE, flags=["settled-elsewhere"])
    made.finish()
    with pytest.raises(VerificationError, match="tier is modelled"):
        make_claim(made.path, CHEAP)
    with pytest.raises(StateTamperedError, match="is flagged settled-elsewhere"):
        make_claim(made.path, "joules <= 1 J and eta >= 1000 nats/J")


def test_a_claim_of_free_joules_says_that_they_are_self_reported_and_fails_by_a_meter(
    made: SyntheticState,
) -> None:
    trusted = public(made)
    unsigned(made, 0.05, **FREE, assurance="other-machine")
    made.finish()
    content = make_claim(made.path, CHEAP).content
    report = check_claim(content, Path("claim.json"))
    assert report.ok
    assert report.metering == "self-reported"
    on_joules = [c.detail for c in report.report.checks if c.number == 22 and c.knowledge.value == "attested"]
    assert len(on_joules) == 3
    assert all(detail.endswith("say of their energy, self-reported") for detail in on_joules)
    assert not check_claim(content, Path("claim.json"), meters=[trusted]).ok


def test_a_claim_of_metered_joules_says_under_whose_key(made: SyntheticState) -> None:
    made.attempt(0.05)
    made.finish()
    content = make_claim(made.path, "kept >= 1 and joules <= 200 J").content
    report = check_claim(content, Path("claim.json"), meters=[public(made)])
    assert report.ok
    assert report.metering == "metered under the key that you named"
    other = Ed25519PrivateKey.generate().public_key()
    both = check_claim(content, Path("claim.json"), meters=[other, public(made)])
    assert (both.ok, both.metering) == (True, "metered under a key that you named")
    wrong = check_claim(content, Path("claim.json"), meters=[other])
    assert (wrong.ok, wrong.metering) == (False, "self-reported")


def test_no_tier_is_claimed_for_what_another_meter_has(made: SyntheticState) -> None:
    crash(made, made.announce(meter="daemon"), ELSEWHERE.but(tier=Tier.COUNTER))
    made.attempt(0.05, energy=figure(tier=Tier.COUNTER))
    made.finish()
    assert make_claim(made.path, "tier == modelled and joules <= 230 J")


def test_what_a_forger_signs_is_what_an_honest_meter_would(made: SyntheticState) -> None:
    """The lies above differ from the truth in nothing but what is said to be wrong with them."""
    made.attempt(0.05)
    receipt = made.entries[1].receipt
    assert receipt is not None
    whose = {"log": made.log.origin, "intent": made.entries[0].leaf_hash}
    assert receipt.energy.settlement == sign(made.path, "a0001_0", figure(), **whose)
