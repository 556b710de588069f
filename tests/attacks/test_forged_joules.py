"""Whoever signs the receipts tries to tell the joules differently than the meter did."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest

from cryoflux.decision.reason import Reason
from cryoflux.energy.account.settlement import SettlementStatement, read_settlement
from cryoflux.errors import VerificationError
from cryoflux.quantities import Tier
from cryoflux.receipts.statement import Cause, EnergyFigure
from cryoflux.signing.envelope import METER_PAYLOAD, STATEMENT_PAYLOAD, parse_envelope, sign_document
from cryoflux.signing.keys import KEYS_FOLDER, METER_KEY, load_key, raw_public_key
from cryoflux.verification.result import Check, Status
from metering import sign
from synthetic_parts import RESERVED_UJ, digest_of, figure, phases
from synthetic_state import open_state
from verifying import verify_target


def signed(folder: Path, task: str, *, reservation: str = "") -> str:
    return sign(folder, task, figure(), reservation=reservation)


def metered(folder: Path, task: str, **changes: object) -> EnergyFigure:
    return figure(**{"settlement": signed(folder, task), **changes})


def of_energy(state: Path) -> list[Check]:
    return [c for c in verify_target(state).checks if c.number == 10 and c.status is Status.FAIL]


def test_what_the_meter_signed_verifies_and_is_counted(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.metered = True
    for gain in (0.05, 0.02):
        made.attempt(gain)
    report = verify_target(made.finish())
    (check,) = (c for c in report.checks if c.number == 10)
    assert (check.status, check.knowledge.value) == (Status.OK, "attested")
    assert "2 of 2 signed by a meter that nobody named" in check.detail
    assert "self-reported" in check.detail


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"microjoules": 95_000_000}, "another joules"),
        ({"hi_microjoules": 100_000_001}, "another joules"),
        ({"lo_microjoules": 99_000_000}, "another joules"),
        ({"tier": Tier.COUNTER}, "another tier"),
        ({"flags": ["gpu-shared"]}, "another flags"),
        ({"baseline": digest_of("another")}, "another baseline"),
        ({"cpu_microseconds": 1_000_000}, "another CPU time"),
        ({"sources": ["rapl:package-0"]}, "another sources"),
        ({"reserved_microjoules": RESERVED_UJ + 1}, "another reservation"),
    ],
)
def test_a_receipt_cannot_tell_it_differently(
    tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=metered(made.path, "a0001_0", **changes))
    assert any(complaint in check.detail for check in of_energy(made.finish()))


def test_joules_of_one_attempt_do_not_pay_for_another(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=metered(made.path, "a0001_0"))
    made.attempt(0.02, energy=metered(made.path, "a0001_0"))
    details = " ".join(check.detail for check in of_energy(made.finish()))
    assert "another attempt" in details


def test_a_later_receipt_cannot_leave_the_meter_out(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=metered(made.path, "a0001_0"))
    made.attempt(0.02)
    (found,) = of_energy(made.finish())
    assert "lacks the meter's statement" in found.detail


def test_a_key_made_up_for_the_purpose_is_not_the_meters(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    load_key(made.path / KEYS_FOLDER, METER_KEY, create=True)
    made.attempt(0.05, energy=figure(settlement=signed(tmp_path / "forger", "a0001_0")))
    state = made.finish()
    assert not of_energy(
        state
    )  # a meter that lost its key makes another one: so the state's own proves little
    asked = [c.detail for c in verify_target(state).checks if c.number == 10 and c.status is Status.UNKNOWN]
    assert any("under other keys than this state's keys/meter.pub" in detail for detail in asked)
    named = [load_key(state / KEYS_FOLDER, METER_KEY, create=False).public_key()]
    assert any("--meter-key did not name" in c.detail for c in verify_target(state, meters=named).checks)


def test_a_meter_can_be_pinned_by_whoever_verifies(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=metered(made.path, "a0001_0"))
    stranger = load_key(tmp_path / "elsewhere", METER_KEY, create=True).public_key()
    checks = verify_target(made.finish(), meters=[stranger]).checks
    assert any("--meter-key did not name" in check.detail for check in checks)


def test_a_statement_that_was_changed_or_signed_by_another_key_is_refused(tmp_path: Path) -> None:
    text = signed(tmp_path, "a0001_0")
    payload = parse_envelope(text.encode(), METER_PAYLOAD).payload
    cheaper = payload.replace(b'"microjoules":100000000', b'"microjoules":100000001')
    assert cheaper != payload
    with pytest.raises(VerificationError, match="not signed by the key that it names"):
        read_settlement(text.replace(base64.b64encode(payload).decode(), base64.b64encode(cheaper).decode()))
    stranger = load_key(tmp_path / "elsewhere", METER_KEY, create=True)
    statement = msgspec.json.decode(payload, type=SettlementStatement)
    with pytest.raises(VerificationError, match="not signed by the key that it names"):
        read_settlement(sign_document(statement, stranger, METER_PAYLOAD).decode())


def test_what_was_signed_for_the_log_is_no_statement_of_a_meter(tmp_path: Path) -> None:
    key = load_key(tmp_path, METER_KEY, create=True)
    payload = parse_envelope(signed(tmp_path, "a0001_0").encode(), METER_PAYLOAD).payload
    statement = msgspec.json.decode(payload, type=SettlementStatement).but(
        meter_key=base64.b64encode(raw_public_key(key.public_key())).decode()
    )
    with pytest.raises(VerificationError, match="is needed here"):
        read_settlement(sign_document(statement, key, STATEMENT_PAYLOAD).decode())


def test_the_same_charge_is_always_the_same_statement(tmp_path: Path) -> None:
    assert signed(tmp_path, "a0001_0") == signed(tmp_path, "a0001_0")


TORN = {
    "less than was charged": (phases(train=(99, 90, 110)), "add up to 99000000"),
    "more than was charged": (phases(train=(90, 85, 100), settle=(11, 5, 10)), "add up to 101000000"),
    "another lower end": (phases(train=(100, 80, 110)), "[80000000, 110000000]"),
    "another upper end": (phases(train=(100, 90, 120)), "[90000000, 120000000]"),
    "one phase twice": (phases(train=(60, 50, 70)) + phases(train=(40, 40, 40)), "tells a phase twice"),
    "a phase beside its interval": (
        phases(train=(60, 70, 70), settle=(40, 20, 40)),
        "a phase whose joules lie outside",
    ),
}


def of_phases(folder: Path, **changes: object) -> Path:
    """A log of one attempt whose meter signed what it was charged, and whose owner tells phases."""
    made = open_state(folder / "state")
    made.attempt(0.05, energy=metered(made.path, "a0001_0", **changes))
    return made.finish()


@pytest.mark.parametrize("lie", TORN)
def test_phases_that_tell_another_sum_than_the_charge_are_refused(tmp_path: Path, lie: str) -> None:
    told, complaint = TORN[lie]
    found = of_energy(of_phases(tmp_path, phases=told))
    assert any(complaint in check.detail for check in found), found


def test_phases_that_add_up_are_taken_as_they_are(tmp_path: Path) -> None:
    told = phases(prepare=(60, 54, 66), train=(30, 27, 33), settle=(10, 9, 11))
    one, other = (
        verify_target(of_phases(tmp_path / name, phases=said)).checks
        for name, said in (("told", told), ("not told", []))
    )
    assert all(check.status is not Status.FAIL for check in one)
    assert [c.detail for c in one if c.number == 10] == [c.detail for c in other if c.number == 10]


def test_phases_of_what_nobody_metered_are_refused(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    nothing = {"microjoules": 0, "lo_microjoules": 0, "hi_microjoules": 0, "cpu_microseconds": 0}
    told = figure(**nothing, flags=["never-reserved"], phases=phases(train=(0, 0, 0)))
    intent = made.announce(meter="daemon")
    made.abort(intent, energy=told, cause=Cause.UNRESERVED, reason=Reason(code="unreserved"), settles=False)
    (found,) = of_energy(made.finish())
    assert "tells the phases of what nobody here metered" in found.detail


def test_a_phase_that_is_not_known_here_is_a_question(tmp_path: Path) -> None:
    state = of_phases(tmp_path, phases=phases(train=(60, 54, 66), dream=(40, 36, 44)))
    assert not of_energy(state)
    asked = [c for c in verify_target(state).checks if c.number == 10 and c.status is Status.UNKNOWN]
    assert [c.subject for c in asked if "is not known here" in c.detail] == ["phase 'dream'"]
