"""A coordinator tells the joules of its workers differently than their meters did, or leaves some out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cryoflux.attempt.metered_parts import lost_part, never_begun
from cryoflux.decision.reason import Reason
from cryoflux.energy.interface import SESSION
from cryoflux.quantities import MICRO, SO_FAR, Tier
from cryoflux.receipts.charged import EnergyFigure, MeteredPart
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Cause
from cryoflux.signing.keys import load_key
from cryoflux.verification.result import Status
from cryoflux.verification.verified import Trust
from metering import meter_key
from shared_joules import OWN_UJ, TRAINED_UJ, Fleet
from shell_bundles import Verdict, bare_tools, bundle_of, needs_tools, run_shell, run_verify
from synthetic_parts import RESERVED_UJ, digest_of, phases
from verifying import verify_target

NOTHING = digest_of("baseline")
HALF = RESERVED_UJ // 2
RUN = f"{SESSION}1_0"
Parts = list[MeteredPart]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet.of(tmp_path)


def lines(fleet: Fleet, **options: object) -> list[tuple[Status, str]]:
    report = verify_target(fleet.made.path, **options)
    asked = [c for c in report.checks if c.number == 10 and c.subject != "what runs"]
    return [(check.status, f"{check.subject}: {check.detail}") for check in asked]


def failures(fleet: Fleet, **options: object) -> list[str]:
    fleet.made.log.close()
    return [detail for status, detail in lines(fleet, **options) if status is Status.FAIL]


def questions(fleet: Fleet, **options: object) -> list[str]:
    fleet.made.log.close()
    return [detail for status, detail in lines(fleet, **options) if status is Status.UNKNOWN]


def rows(fleet: Fleet) -> list[bytes]:
    return [entry.envelope for entry in fleet.made.entries]


def scripted(fleet: Fleet, folder: Path) -> tuple[Verdict, Verdict]:
    """What the script says of the entries, and what Python says of the same."""
    key, tools = fleet.key(), folder / "tools"
    tools.mkdir()
    log_key = load_key(fleet.made.path / "keys", "log", create=False)
    bundle = bundle_of(folder / "bundle", rows(fleet), key, log_key)
    return run_shell(bundle, bare_tools(tools)), run_verify(folder / "log.jsonl", rows(fleet), key)


# ---- Honest ones ------------------------------------------------------------------------------------------


def test_what_each_meter_signed_verifies_and_is_told_apart(fleet: Fleet) -> None:
    intent = fleet.made.announce()
    fleet.conclude(intent, fleet.parts(intent))
    fleet.made.finish()
    (_, asked), = [line for line in lines(fleet) if line[0] is not Status.OK]  # fmt: skip
    assert "1 of 2 are under other keys than this state's keys/meter.pub" in asked
    assert "a worker's" in asked
    assert failures(fleet) == []
    pinned = lines(fleet, meters=fleet.keys("w1"))
    ((status, said),) = pinned
    assert status is Status.OK
    assert "100.0 J in all" in said
    assert "80.0 J of it in 1 part that the meters of workers charged" in said
    assert "the account was charged the same" in said
    assert "2 of 2 signed by those meters" in said


def test_each_meter_has_to_be_named_where_one_is(fleet: Fleet) -> None:
    intent = fleet.made.announce()
    fleet.conclude(intent, fleet.parts(intent))
    assert failures(fleet, meters=fleet.keys("w1")) == []
    (found,) = failures(fleet, meters=fleet.keys())
    assert "its worker w1 was metered under the key" in found
    assert "--meter-key did not name" in found
    (found,) = failures(fleet, meters=[meter_key(fleet.folder("w1")).public_key()])
    assert "its coordinator was metered under the key" in found


def test_phases_of_an_attempt_add_up_to_what_all_of_its_meters_charged(fleet: Fleet) -> None:
    intent = fleet.made.announce()
    parts = fleet.parts(intent)
    told = phases(train=(80, 72, 88), evaluate=(20, 18, 22))
    fleet.conclude(intent, parts, EnergyFigure.of_parts(parts, phases=told))
    assert failures(fleet) == []
    assert questions(fleet, meters=fleet.keys("w1")) == []


def test_a_session_has_a_part_of_each_worker(fleet: Fleet) -> None:
    intent = fleet.made.announce()
    fleet.conclude(intent, fleet.parts(intent))
    parts = [fleet.part(worker, uj * MICRO, RUN) for worker, uj in (("", 9), ("w1", 4), ("w2", 5))]
    fleet.session(parts, RUN)
    assert failures(fleet, meters=fleet.keys("w1", "w2")) == []
    assert questions(fleet, meters=fleet.keys("w1", "w2")) == []


def test_one_daemon_may_be_the_meter_of_several_workers(fleet: Fleet) -> None:
    intent, key = fleet.made.announce(), meter_key(fleet.folder("w1"))
    fleet.conclude(intent, fleet.parts(intent))
    beside = {"": None, "w1": key, "w2": key}
    parts = [fleet.part(worker, 4 * MICRO, RUN, key=signs) for worker, signs in beside.items()]
    fleet.session(parts, RUN)
    assert failures(fleet, meters=fleet.keys("w1")) == []
    assert questions(fleet, meters=fleet.keys("w1")) == []


def test_but_what_it_signed_for_one_of_them_is_not_the_other_ones(fleet: Fleet) -> None:
    intent, key = fleet.made.announce(), meter_key(fleet.folder("w1"))
    fleet.conclude(intent, fleet.parts(intent))
    own, first, other = (
        fleet.part(worker, 4 * MICRO, RUN, **signs)
        for worker, signs in (("", {}), ("w1", {"key": key}), ("w2", {"key": key}))
    )
    fleet.session([own, first, other.but(settlement=first.settlement)], RUN)
    assert any("its worker w2 says another attempt" in found for found in failures(fleet)), failures(fleet)


@pytest.mark.parametrize("cause", [Cause.LOST, Cause.CRASHED])
def test_the_last_word_on_a_worker_that_was_lost_is_taken_for_that(fleet: Fleet, cause: Cause) -> None:
    intent = fleet.made.announce()
    said = {} if cause is Cause.LOST else {"cause": cause, "reason": Reason(code="crashed")}
    parts = fleet.parts(intent, flags=[SO_FAR])
    assert parts[1].hi_microjoules == max(TRAINED_UJ * 11 // 10, HALF)
    fleet.lose(intent, [parts[0], parts[1].but(hi_microjoules=2 * HALF)], **said)
    assert failures(fleet, meters=fleet.keys("w1")) == []
    (asked,) = questions(fleet, meters=fleet.keys("w1"))
    assert "1 of 2 are the last word on a worker that was lost" in asked


def test_a_worker_that_was_lost_without_a_word_may_have_spent_all(fleet: Fleet) -> None:
    intent = fleet.made.announce()
    own = fleet.parts(intent)[0]
    fleet.lose(intent, [own, lost_part("w1", HALF, boot="b", baseline=NOTHING)])
    assert failures(fleet, meters=fleet.keys()) == []
    (asked,) = questions(fleet, meters=fleet.keys())
    assert "lacking for 1 cut short" in asked


def test_nothing_is_charged_to_a_worker_that_never_began(fleet: Fleet) -> None:
    intent = fleet.made.announce()
    own = fleet.parts(intent)[0]
    fleet.pay(intent.intent.task.id, [own])
    energy = EnergyFigure.of_parts([own, never_begun("w1", HALF, baseline=NOTHING)])
    fleet.made.abort(intent, energy=energy, settles=False)
    beside = [fleet.part("", 9 * MICRO, RUN), never_begun("w1", HALF, baseline=NOTHING)]
    fleet.pay(RUN, beside[:1])
    fleet.made.session(energy=EnergyFigure.of_parts(beside), settles=False)
    assert failures(fleet) == []


NEVER: dict[str, tuple[Callable[[Fleet, Entry], MeteredPart], str]] = {
    "by its own word": (
        lambda fleet, intent: fleet.parts(intent)[1].but(flags=["never-reserved"]),
        "its worker w1 says that nothing was reserved, and that it was charged something",
    ),
    "by the account": (
        lambda *_: never_begun("w1", HALF, baseline=NOTHING),
        "its worker w1 says that nothing was reserved, but account.db did",
    ),
}


@pytest.mark.parametrize("told", NEVER)
def test_a_worker_that_never_began_was_charged_nothing(fleet: Fleet, told: str) -> None:
    tell, complaint = NEVER[told]
    intent = fleet.made.announce()
    own, trained = fleet.parts(intent)
    fleet.pay(intent.intent.task.id, [own, trained])
    energy = EnergyFigure.of_parts([own, tell(fleet, intent)])
    fleet.made.abort(intent, energy=energy, settles=False)
    assert any(complaint in found for found in failures(fleet)), failures(fleet)


def test_what_is_lent_for_an_attempt_that_goes_on_is_explained_by_it(fleet: Fleet) -> None:
    intent = fleet.made.announce()
    name = f"{intent.intent.task.id}/lent/w1"
    fleet.made.account.lend(RESERVED_UJ, request_id=name, log=fleet.made.log.origin)
    fleet.made.account.lend(HALF, request_id=f"{RUN}/lent/w1", log=fleet.made.log.origin)
    assert failures(fleet) == []
    (asked,) = questions(fleet)
    assert "a run goes on or has died" in asked
    fleet.made.settle(name, 7 * MICRO, fleet.made.log.origin)  # the worker told, and the receipt is to come
    assert failures(fleet) == []


@pytest.mark.parametrize("trust", [Trust.JUDGED, Trust.READ])
def test_what_was_verified_before_is_gone_on_from(fleet: Fleet, tmp_path: Path, trust: Trust) -> None:
    """A reservation that a part has shown is not shown again by a later one."""
    known = {"meters": fleet.keys("w1"), "heads": tmp_path / "heads", "trust": trust}
    first = fleet.made.announce()
    fleet.conclude(first, fleet.parts(first))
    assert failures(fleet, **known) == []
    later = Fleet(fleet.made.fork(tmp_path / "later"))
    later.made.metered, later.made.policy = True, "uniform/v1"
    second = later.made.announce()
    shown = f"w1-{first.intent.task.id}"
    later.conclude(second, later.parts(second, reservation=shown))
    assert [found for found in failures(later, **known) if "that entry 1 shows" in found]


# ---- Lies -------------------------------------------------------------------------------------------------


def halved(parts: Parts) -> Parts:
    own, trained = parts
    low = {name: getattr(trained, name) // 2 for name in ("microjoules", "lo_microjoules", "hi_microjoules")}
    return [own, trained.but(**low)]


def of_another_attempt(fleet: Fleet, intent: Entry) -> Parts:
    own, trained = fleet.parts(intent)
    other = fleet.part("w1", TRAINED_UJ, "a0009_16", intent.leaf_hash)
    return [own, trained.but(settlement=other.settlement)]


def of_another_log(fleet: Fleet, intent: Entry) -> Parts:
    own, _ = fleet.parts(intent)
    request, log = intent.intent.task.id, "cryoflux.dev/0123456789abcdef"
    return [own, fleet.part("w1", TRAINED_UJ, request, intent.leaf_hash, log=log)]


def by_the_coordinator(fleet: Fleet, intent: Entry) -> Parts:
    own, _ = fleet.parts(intent)
    key = meter_key(fleet.folder(""))
    return [own, fleet.part("w1", TRAINED_UJ, intent.intent.task.id, intent.leaf_hash, key=key)]


def by_one_reservation(fleet: Fleet, intent: Entry) -> Parts:
    request, leaf = intent.intent.task.id, intent.leaf_hash
    return [fleet.part(worker, OWN_UJ, request, leaf, reservation="r") for worker in ("", "w1")]


def on_another_announcement(fleet: Fleet, intent: Entry) -> Parts:
    own, _ = fleet.parts(intent)
    return [own, fleet.part("w1", TRAINED_UJ, intent.intent.task.id, digest_of("another"))]


def changed(**changes: object) -> Callable[[Fleet, Entry], Parts]:
    def lie(fleet: Fleet, intent: Entry) -> Parts:
        own, trained = fleet.parts(intent)
        return [own, trained.but(**changes)]

    return lie


LIES: dict[str, tuple[Callable[[Fleet, Entry], Parts], str]] = {
    "joules of a part halved, and the sum with them": (
        lambda fleet, intent: halved(fleet.parts(intent)),
        "its worker w1 says another joules",
    ),
    "a statement of another attempt": (of_another_attempt, "its worker w1 says another attempt"),
    "a statement of another log": (of_another_log, "is of another log"),
    "a statement on another announcement": (on_another_announcement, "on another announcement"),
    "a worker's part that the coordinator's meter signed": (by_the_coordinator, "the key of its coordinator"),
    "one reservation for two parts": (by_one_reservation, "on the reservation that entry 1 shows"),
    "another machine": (changed(boot="elsewhere"), "its worker w1 says another boot"),
    "another tier": (changed(tier=Tier.COUNTER), "its worker w1 says another tier"),
    "another upper end": (changed(hi_microjoules=TRAINED_UJ * 2), "its worker w1 says another joules"),
    "no statement": (changed(settlement=""), "its worker w1 lacks the meter's statement"),
    "joules given back": (
        changed(microjoules=-5, lo_microjoules=-9, settlement=""),
        "its worker w1 says that it gave energy back",
    ),
    "a last word passed as final": (
        lambda fleet, intent: [
            part.but(flags=[]) for part in fleet.parts(intent, flags=[SO_FAR], lo_microjoules=TRAINED_UJ)
        ],
        "its worker w1 says another flags",
    ),
    "a last word of a judged attempt": (
        lambda fleet, intent: fleet.parts(intent, flags=[SO_FAR]),
        "though neither its worker was lost nor its run died",
    ),
    "a lost worker of a judged attempt": (
        lambda fleet, intent: [
            fleet.parts(intent)[0],
            lost_part("w1", HALF, boot="", baseline=NOTHING),
        ],
        "though neither its worker was lost nor its run died",
    ),
    "a worker that never began of a judged attempt": (
        lambda fleet, intent: [fleet.parts(intent)[0], never_begun("w1", HALF, baseline=NOTHING)],
        "which only a worker can be that never began",
    ),
    "a coordinator that was lost": (
        lambda fleet, intent: [
            fleet.part("", OWN_UJ, intent.intent.task.id, intent.leaf_hash, flags=[SO_FAR]),
            fleet.parts(intent)[1],
        ],
        "which only the part of a worker can be",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_part_is_what_its_own_meter_signed(fleet: Fleet, lie: str) -> None:
    tell, complaint = LIES[lie]
    intent = fleet.made.announce()
    parts = tell(fleet, intent)
    fleet.conclude(intent, parts)
    assert any(complaint in found for found in failures(fleet)), failures(fleet)


def dropped(parts: Parts, said: EnergyFigure) -> EnergyFigure:
    return said.but(parts=[], settlement=parts[0].settlement)


SUMS: dict[str, tuple[Callable[[Parts, EnergyFigure], EnergyFigure], str]] = {
    "a part left out while the sum stays": (
        lambda parts, said: said.but(parts=[*said.parts[:1], said.parts[2]]),
        "says another joules (107000000) than its parts come to",
    ),
    "a sum that is less": (
        lambda parts, said: said.but(microjoules=said.lo_microjoules),
        "says another joules",
    ),
    "a lower end of its own": (lambda parts, said: said.but(lo_microjoules=0), "another lower end"),
    "an upper end of its own": (lambda parts, said: said.but(hi_microjoules=2**50), "another upper end"),
    "another reservation": (lambda parts, said: said.but(reserved_microjoules=1), "another reservation"),
    "less CPU time": (lambda parts, said: said.but(cpu_microseconds=1), "another CPU time"),
    "a better tier": (lambda parts, said: said.but(tier=Tier.COUNTER), "another tier"),
    "other sources": (lambda parts, said: said.but(sources=["rapl:package-0"]), "another sources"),
    "flags of nobody": (lambda parts, said: said.but(flags=["gpu-shared"]), "another flags"),
    "a baseline of its own": (lambda parts, said: said.but(baseline=digest_of("x")), "another baseline"),
    "a curve of its own": (lambda parts, said: said.but(curve="other/v1"), "another curve"),
    "a statement of one meter on the sum": (
        lambda parts, said: said.but(settlement=parts[0].settlement),
        "another statement of a meter",
    ),
    "one worker twice": (
        lambda parts, said: said.but(parts=[*said.parts[:2], said.parts[1]]),
        "each once",
    ),
    "workers in another order": (
        lambda parts, said: said.but(parts=[said.parts[0], said.parts[2], said.parts[1]]),
        "each once",
    ),
    "a coordinator that is not there": (lambda parts, said: said.but(parts=said.parts[1:]), "each once"),
}


@pytest.mark.parametrize("lie", SUMS)
@needs_tools
def test_a_figure_is_the_sum_of_its_parts_to_both(fleet: Fleet, lie: str, tmp_path: Path) -> None:
    lied, complaint = SUMS[lie]
    intent = fleet.made.announce()
    request, leaf, lent = intent.intent.task.id, intent.leaf_hash, HALF // 2
    second = fleet.part("w2", 7 * MICRO, request, leaf, reserved_microjoules=lent)
    parts = [*fleet.parts(intent, reserved_microjoules=lent), second]
    fleet.conclude(intent, parts, lied(parts, EnergyFigure.of_parts(parts)))
    assert any(complaint in found for found in failures(fleet)), failures(fleet)
    shell, python = scripted(fleet, tmp_path)
    assert not shell.holds
    assert not python.holds
    assert shell.entries == python.entries == {1}, (shell.said, python.said)


@needs_tools
def test_the_script_takes_what_verifies(fleet: Fleet, tmp_path: Path) -> None:
    intent = fleet.made.announce()
    fleet.conclude(intent, fleet.parts(intent))
    intent = fleet.made.announce()
    fleet.lose(intent, fleet.parts(intent, flags=[SO_FAR]))
    intent = fleet.made.announce()
    fleet.lose(intent, [fleet.parts(intent)[0], lost_part("w1", HALF, boot="", baseline=NOTHING)])
    run = f"{SESSION}1_0"
    fleet.session([fleet.part("", 9 * MICRO, run), fleet.part("w1", 4 * MICRO, run, flags=[SO_FAR])], run)
    assert failures(fleet) == []
    shell, python = scripted(fleet, tmp_path)
    assert python.holds, python.said
    assert shell.holds, shell.said


UNFINISHED = [
    "a last word of a judged attempt",
    "a lost worker of a judged attempt",
    "a coordinator that was lost",
]


@pytest.mark.parametrize("lie", UNFINISHED)
@needs_tools
def test_what_no_meter_told_to_its_end_is_said_by_both(fleet: Fleet, lie: str, tmp_path: Path) -> None:
    intent = fleet.made.announce()
    fleet.conclude(intent, LIES[lie][0](fleet, intent))
    shell, python = scripted(fleet, tmp_path)
    assert not shell.holds
    assert shell.entries == python.entries == {1}, (shell.said, python.said)


LOST: dict[str, tuple[Callable[[Fleet, Entry], Parts], str]] = {
    "less than the meter's last word": (
        lambda fleet, intent: [
            fleet.parts(intent)[0],
            fleet.parts(intent, flags=[SO_FAR])[1].but(hi_microjoules=TRAINED_UJ),
        ],
        "its worker w1 says another joules",
    ),
    "less than was lent": (
        lambda fleet, intent: [
            fleet.parts(intent)[0],
            lost_part("w1", HALF, boot="", baseline=NOTHING).but(hi_microjoules=HALF - 1),
        ],
        "so it may have cost all",
    ),
    "a last word that is not shown": (
        lambda fleet, intent: [
            fleet.parts(intent)[0],
            fleet.parts(intent, flags=[SO_FAR])[1].but(settlement=""),
        ],
        "shows no word of its meter",
    ),
    "no word, and one": (
        lambda fleet, intent: [
            fleet.parts(intent)[0],
            fleet.parts(intent)[1].but(flags=["worker-lost"]),
        ],
        "shows what it said",
    ),
}


@pytest.mark.parametrize("lie", LOST)
def test_a_lost_worker_excuses_no_more_than_is_not_known(fleet: Fleet, lie: str) -> None:
    tell, complaint = LOST[lie]
    intent = fleet.made.announce()
    fleet.lose(intent, tell(fleet, intent))
    assert any(complaint in found for found in failures(fleet)), failures(fleet)


# ---- The account ------------------------------------------------------------------------------------------


def test_a_workers_joules_cannot_be_left_out_of_the_receipt(fleet: Fleet) -> None:
    """With the coordinator's key alone, an attempt could say that it trained by itself, and cheaply."""
    intent = fleet.made.announce()
    own = fleet.part("", OWN_UJ, intent.intent.task.id, intent.leaf_hash, reserved_microjoules=RESERVED_UJ)
    fleet.pay(intent.intent.task.id, fleet.parts(intent))
    fleet.made.conclude_attempt(intent, 0.05, energy=EnergyFigure.of_parts([own]), settles=False)
    (found,) = failures(fleet)
    assert f"charged {intent.intent.task.id}/lent/w1, which has no part of a receipt" in found


def test_nor_while_what_was_lent_stays_open(fleet: Fleet) -> None:
    intent = fleet.made.announce()
    request = intent.intent.task.id
    own = fleet.part("", OWN_UJ, request, intent.leaf_hash, reserved_microjoules=RESERVED_UJ)
    fleet.pay(request, [own])
    fleet.made.account.lend(HALF, request_id=f"{request}/lent/w1", log=fleet.made.log.origin)
    fleet.made.conclude_attempt(intent, 0.05, energy=EnergyFigure.of_parts([own]), settles=False)
    (found,) = failures(fleet)
    assert f"has joules lent as {request}/lent/w1" in found


def test_the_account_paid_each_part(fleet: Fleet) -> None:
    intent = fleet.made.announce()
    own, trained = fleet.parts(intent)
    fleet.pay(intent.intent.task.id, [own, trained.but(microjoules=TRAINED_UJ - 1)])
    fleet.made.conclude_attempt(intent, 0.05, energy=EnergyFigure.of_parts([own, trained]), settles=False)
    (found,) = failures(fleet)
    assert "its worker w1 says 80000000 µJ, but" in found
    assert "/lent/w1 at 79999999 µJ" in found


def test_a_part_that_the_account_knows_nothing_of_is_found(fleet: Fleet) -> None:
    intent = fleet.made.announce()
    parts = fleet.parts(intent)
    fleet.pay(intent.intent.task.id, parts[:1])
    fleet.made.conclude_attempt(intent, 0.05, energy=EnergyFigure.of_parts(parts), settles=False)
    (found,) = failures(fleet)
    assert "knows no reservation of" in found


def test_an_attempt_cannot_be_called_as_lent_joules_are(fleet: Fleet) -> None:
    intent = fleet.made.announce(task="a0001/lent/w1_0")
    fleet.made.conclude_attempt(intent, 0.05)
    assert any("as joules are that were lent to a worker" in found for found in failures(fleet))
