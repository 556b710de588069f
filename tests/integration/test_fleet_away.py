"""Workers whose node is away, that fail of themselves, or whose bucket others empty: all is charged once.

The workers are inside this process (`inside_fleet`), so that they can be cut off without being killed.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from cryoflux.attempt.watch import Step
from cryoflux.config import load_settings
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.account.settlement import read_settlement
from cryoflux.energy.clock import BILLION, SystemClock
from cryoflux.fleet.documents import Delivery, Lease, WorkerState
from cryoflux.fleet.failing import FleetError
from cryoflux.quantities import SO_FAR
from cryoflux.receipts.statement import Cause, Outcome
from cryoflux.runs import crewing
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.session import run
from cryoflux.runs.watch import RunObserver
from fleet_end import assert_settled, begun, entries, receipts
from inside_fleet import Inside, InsideStation
from running import cryoflux, exit_code_of
from waiting import until

SHORT = [
    *("--learning-rate", "0.01", "--reserve", "60J", "--recipes", "prefix-1", "--max-steps", "12"),
    *("--policy", "uniform/v1", "--worker-silence", "5", "--json"),
]


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Inside]]:
    def use(station: type, *names: str, away: Collection[str] = ()) -> list[Inside]:
        made: list[Inside] = []

        def dispatcher(context, settings) -> Inside:
            made.append(Inside(context.state, names, settings, station, away))
            return made[-1]

        monkeypatch.setattr(crewing, "_dispatcher", dispatcher)
        return made

    return use


def ledger(state: Path) -> list[tuple[int, int, str]]:
    """What the bucket held after each entry, what of it was reserved, and what kind of an entry that was."""
    with closing(sqlite3.connect(f"file:{state / 'account.db'}?mode=ro", uri=True)) as db:
        return db.execute("SELECT balance_uj, reserved_uj, kind FROM entries ORDER BY seq").fetchall()


class CutOff(InsideStation):
    """Is cut off while it trains; the worker on the other side goes on, and hears nothing any more."""

    thaws: threading.Event

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.ahead_ns, self.cut = 0, False
        if self.name == "w1":
            now_ns = time.monotonic_ns
            self.worker._now_ns = lambda: now_ns() + self.ahead_ns
            trained = self.worker.trained

            def frozen(*said) -> None:
                trained(*said)
                self.thaws.wait()

            self.worker.trained = frozen

    def state(self) -> WorkerState | None:
        if self.name == "w1" and self.cut:
            raise FleetError("The worker w1 is lost: its node is away.")
        found = super().state()
        self.cut = found.doing == "training" and bool(found.word)  # it is heard once more, and then no more
        return found


def test_a_worker_that_nobody_reaches_is_charged_its_last_word_and_ends_by_itself(
    inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inputs: list[str], capsys
) -> None:
    state, thaws = tmp_path / "state", threading.Event()
    made = inside(type("Cut", (CutOff,), {"thaws": thaws}), "w1", "w2", away={"w1"})
    words = ["run", *inputs, *SHORT, "--state", state, "--budget", "2kJ", "--workers", "2", "--attempts", "3"]
    assert exit_code_of(monkeypatch, *words) == 0, capsys.readouterr()
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["worker"] for event in events if event["event"] == "worker_lost"] == ["w1"]
    assert_settled(state)
    (lost,) = [one for one in receipts(state) if one.cause is Cause.LOST]
    _, part = lost.energy.parts
    assert part.worker == "w1"
    assert SO_FAR in part.flags
    assert part.hi_microjoules > part.reserved_microjoules > part.microjoules > 0
    sessions = [entry.session for entry in entries(state) if entry.session is not None]
    assert [SO_FAR in said.flags for said in sessions[0].energy.parts] == [False, True, False]
    before = ledger(state)
    station = made[0].stations["w1"]
    station.ahead_ns = 6 * BILLION  # so long nobody has asked it
    thaws.set()
    folder = station.folder / "deliveries" / lost.task.id / "delivery.json"
    said = until(lambda: folder.is_file() and folder.read_bytes(), "it to end by itself")
    delivery = msgspec.json.decode(said, type=Delivery)
    assert delivery.update.stopped_by == "interrupt"
    own = read_settlement(delivery.settlement)
    assert (own.request, SO_FAR in own.flags) == (lost.task.id, False), "its own meter has settled it"
    station.worker.close()
    assert cryoflux("run", *SHORT, "--attempts", "1", "--state", state).summary["attempts"] == 1
    assert ledger(state)[: len(before)] == before
    assert_settled(state)
    assert begun(state)[lost.task.id] == 1


class Faulty(InsideStation):
    """Whose trainer has a fault that nobody foresaw, at its first attempt."""

    def begin(self, lease: Lease) -> None:
        if self.name == "w1":
            self.worker._trainer = lambda _: {}["a fault"]
        super().begin(lease)


class Emptied(InsideStation):
    """While whose second attempt is at work, somebody takes all that the bucket holds."""

    def state(self) -> WorkerState | None:
        found = super().state()
        path = self.folder.parents[2] / "account.db"
        if found is not None and found.delivery is not None and len([*self.folder.glob("leases/*")]) == 2:
            with closing(Bucket(path, SystemClock())) as bucket:
                if bucket.find("rival") is None:
                    bucket.take(bucket.available_uj(), request_id="rival")
        return found


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_a_worker_is_no_silence_and_an_emptied_bucket_pays_it_all_the_same(
    inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inputs: list[str], capsys
) -> None:
    state = tmp_path / "state"
    inside(Faulty, "w1")
    words = ["run", *SHORT, "--state", state, "--workers", "1"]
    assert exit_code_of(monkeypatch, *words, *inputs, "--attempts", "2", "--budget", "900J") == 0
    assert [one.cause for one in receipts(state)] == [Cause.LOST, Cause.NONE]
    assert_settled(state)
    inside(Emptied, "w1")
    capsys.readouterr()
    assert exit_code_of(monkeypatch, *words) == 1, "all of its attempts were aborted"
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["ended"] == "budget"
    unpaid = receipts(state)[-1]
    assert (unpaid.outcome, unpaid.cause) == (Outcome.ABORTED, Cause.UNRESERVED)
    assert [(part.worker, part.microjoules > 0) for part in unpaid.energy.parts] == [
        ("", False),
        ("w1", True),
    ]
    with closing(Bucket(state / "account.db", SystemClock())) as bucket:
        bucket.release(bucket.find("rival").reservation.id)
    assert_settled(state)


def test_attempts_at_work_never_hold_more_than_there_is(
    inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inputs: list[str], capsys
) -> None:
    state = tmp_path / "state"
    inside(InsideStation, "w1", "w2", "w3")
    words = ["run", *inputs, *SHORT, "--state", state, "--workers", "3"]
    words += ["--budget", "120J", "--reserve", "25J", "--max-steps", "200"]
    assert exit_code_of(monkeypatch, *words) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["ended"] == "budget"
    assert summary["attempts"] == len(receipts(state)) > 2
    taken = [held - reserved for held, reserved, kind in ledger(state) if kind == "take"]
    assert len(taken) > 2 * summary["attempts"]
    assert min(taken) >= 0
    held = [entry.intent.reserved_microjoules for entry in entries(state) if entry.intent is not None]
    assert max(held) <= 120_000_000
    assert_settled(state)


class Rival(RunObserver):
    """Takes nearly all as soon as the second attempt is announced."""

    def __init__(self, state: Path) -> None:
        self._account, self._announced = state / "account.db", 0

    def step(self, step: Step, moment: str) -> None:
        self._announced += (step, moment) == (Step.ANNOUNCE, "end")
        if self._announced == 2:
            with closing(Bucket(self._account, SystemClock())) as bucket:
                if bucket.find("rival") is None:
                    bucket.take(bucket.available_uj() - 30_000_000, request_id="rival")


def test_where_nothing_is_left_to_lend_those_that_are_at_work_go_on(
    inside, tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "state"
    inside(InsideStation, "w1", "w2")
    recipe = {"learning_rate": "0.01", "recipes": "prefix-1", "max_steps": "12", "policy": "uniform/v1"}
    flags = {"model": inputs[1], "train": inputs[3], "reserve": "60J", "state": str(state), "workers": "2"}
    sourced = load_settings({**flags, **recipe}, environ={}, folder=tmp_path)
    summary = run(sourced, RunLimits(budget_uj=900_000_000, attempts=2), observers=[Rival(state)])
    assert (summary.attempts, summary.ended) == (2, "attempts")
    given_up, first, second = receipts(state)
    assert (given_up.cause, given_up.energy.parts) == (Cause.UNRESERVED, [])
    assert first.intent == entries(state)[0].leaf_hash
    assert [one.outcome is Outcome.ABORTED for one in (first, second)] == [False, False]
    with closing(Bucket(state / "account.db", SystemClock())) as bucket:
        bucket.release(bucket.find("rival").reservation.id)
    assert_settled(state)
