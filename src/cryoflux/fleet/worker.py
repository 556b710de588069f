"""A worker: trains by leases, and is metered by itself or by the JouleAgent of its machine.

It is the same object in a local process and in an actor of Ray. One lease is begun once, ever: that is on the
disk before anything is done for it. What it costs is reserved, metered and signed here, under the attempt's
own name; so what a worker that died has spent is said by the next one in its folder, which settles it.

A worker that nobody asks how it goes ends what it is at by itself: whoever announced it takes it for lost.
"""

from __future__ import annotations

__all__ = ["Worker"]

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from cryoflux.agent.token import without_password
from cryoflux.attempt.phase_joules import PREPARE, PhaseJoules
from cryoflux.attempt.watch import Phases, Step
from cryoflux.config import Settings
from cryoflux.decision.reason import Reason
from cryoflux.digests import file_digest
from cryoflux.energy.account.settlement import read_settlement
from cryoflux.energy.clock import BILLION, SystemClock
from cryoflux.energy.interface import Earlier, JouleAgent, Reservation, worker_request
from cryoflux.errors import CryoFluxError
from cryoflux.files import storage_errors, sync_folder, write_atomic
from cryoflux.fleet.documents import Delivery, Lease, SessionTerms, WorkerFacts, WorkerState
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.store import FileStore
from cryoflux.fleet.worker_meter import started_meter
from cryoflux.receipts.statement import Cause
from cryoflux.registry.drafts import weight_errors
from cryoflux.state import StateFolder
from cryoflux.tasks.elsewhere import Trainer
from cryoflux.tasks.interface import Update
from cryoflux.tasks.pacing import (
    JoulesEndedError,
    Limits,
    Progress,
    TrainingInterruptedError,
)
from cryoflux.tasks.registry import find_trainer

_WORD_NS = 2 * BILLION
"""so long a word on an attempt is said again before the meter signs another: each takes milliseconds"""
_BESIDE_NS = 5 * BILLION
"""the same of the session, which is charged little while an attempt goes on"""


class _OpenWord:
    """A meter's word on what is open, signed anew once it is old.

    Args:
        agent: whose meter it is.
        old_ns: when it is old.
        now_ns: the time.
    """

    def __init__(self, agent: JouleAgent, old_ns: int, now_ns: Callable[[], int]) -> None:
        self._agent, self._old_ns, self._now_ns = agent, old_ns, now_ns
        self._about, self._word, self._signed_ns = "", "", 0

    def on(self, reservation: Reservation | None) -> str:
        """What it has cost so far; empty where nothing is reserved."""
        if reservation is None:
            return ""
        now_ns = self._now_ns()
        if reservation.id != self._about or now_ns - self._signed_ns >= self._old_ns:
            self._about, self._signed_ns = reservation.id, now_ns
            self._word = self._agent.word(reservation.id)
        return self._word


class Worker:
    """A worker in its folder.

    Args:
        name: what it is called in the log.
        folder: a state directory of its own, that no log lies in.
        store: the files of its machine.
        settings: how it computes and meters.
        started: what its process did before, for the session that pays for it.
        monotonic_ns: the time.

    Raises:
        StateLockedError: another process is this worker.
        MeterError: nothing can be measured here.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        store: FileStore,
        settings: Settings,
        *,
        started: Callable[[], Earlier | None] = lambda: None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.name, self._state, self._store, self._settings = name, StateFolder(folder), store, settings
        self._started, self._now_ns = started, monotonic_ns
        folder.mkdir(parents=True, exist_ok=True)
        self._boot = SystemClock(settings.energy.proc_root).boot_id
        self._agent = started_meter(folder, settings)
        self._word = _OpenWord(self._agent, _WORD_NS, self._now_ns)
        self._beside = _OpenWord(self._agent, _BESIDE_NS, self._now_ns)
        self._trainers: dict[str, Trainer] = {}
        self._lock = threading.RLock()
        self._heard_ns = self._now_ns()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._lease: Lease | None = None
        self._reservation: Reservation | None = None
        self._session: Reservation | None = None
        self._step = 0
        self._delivery: Delivery | None = None
        self._trouble = ""

    def facts(self) -> WorkerFacts:
        """What it is.

        Raises:
            FleetError: no session is open that its meter could sign anything about.
        """
        if self._session is None:
            raise FleetError(f"{self.name} has no session yet, so nobody knows the key of its meter.")
        sample = self._agent.sample()
        key = read_settlement(self._agent.word(self._session.id)).meter_key
        return WorkerFacts(
            name=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            boot=self._boot,
            meter_key=key,
            tier=sample.net.tier,
            sources=[source.name for source in sample.sources],
            compute=next((trainer.compute() for trainer in self._trainers.values()), "cpu"),
            metered_by=without_password(self._settings.fleet.worker_agent),
        )

    def open_session(self, terms: SessionTerms) -> None:
        """Have what this process spends beside attempts charged to a session, from its start on."""
        request = worker_request(terms.id, self.name)
        uj = max(1, terms.lent_microjoules)
        self._session = self._agent.take_lent(uj, request_id=request, log=terms.log, earlier=self._started())

    def warm_up(self, task: str) -> None:
        """Load what a task's training takes, so that no attempt is charged for it."""
        self._trainer(task)

    def close_session(self, request: str) -> str:
        """Settle a session, also one of a process that died here; empty where it was never opened."""
        self._session = None
        return self.settle(request)

    def settle(self, request: str) -> str:
        """Settle what was reserved under a name, also by a process that died here.

        Returns:
            what the meter signed; empty where nothing was reserved.
        """
        found = self._agent.find(request)
        return self._agent.settle(found.id).statement if found is not None else ""

    def begin(self, lease: Lease) -> None:
        """Begin what a lease allows, in a thread of its own.

        Raises:
            FleetError: it is another worker's, was begun before, or something else goes on here.
            StorageError: the disk is full, read-only, or refuses; nothing has begun.
        """
        with self._lock:
            if "/" in lease.id or lease.id.startswith("."):
                raise FleetError(f"{lease.id!r} is no name of a lease.")
            if lease.worker != self.name:
                raise FleetError(f"The lease of {lease.id} is for {lease.worker}, and not for {self.name}.")
            if self._thread is not None and (self._lease is None or self._delivery is not None):
                self._thread.join()  # it has said all, and has only to end
            if self._thread is not None and self._thread.is_alive():
                raise FleetError(f"{self.name} is at work already.")
            self._mark_begun(lease)
            self._heard_ns, self._stopped = self._now_ns(), False
            self._lease, self._delivery, self._step, self._trouble = lease, None, 0, ""
            self._reservation = None
            self._thread = threading.Thread(target=self._carry_out, args=(lease,), daemon=True)
            self._thread.start()

    def _mark_begun(self, lease: Lease) -> None:
        """Note that a lease was begun, before anything is done for it: what is noted is never begun again."""
        folder = self._state.path / "leases"
        path = folder / f"{lease.id}.begun"
        with storage_errors(path):
            folder.mkdir(exist_ok=True)
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            except FileExistsError as error:
                raise FleetError(f"{lease.id} was begun here before: a lease is for once.") from error
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            sync_folder(folder)

    def state(self) -> WorkerState:
        """How it goes; whoever asks is there, so the worker goes on."""
        with self._lock:
            self._heard_ns = self._now_ns()
            lease, reservation, delivery = self._lease, self._reservation, self._delivery
        beside = self._beside.on(self._session)
        if lease is None:
            return WorkerState(doing="idle", beside=beside)
        if self._trouble:
            return WorkerState(doing="failed", lease=lease.id, beside=beside, trouble=self._trouble)
        if delivery is not None:
            return WorkerState(doing="done", lease=lease.id, beside=beside, delivery=delivery)
        return WorkerState(
            doing="training" if self._step else "preparing",
            lease=lease.id,
            step=self._step,
            word=self._word.on(reservation),
            beside=beside,
        )

    def forget(self, lease: str) -> None:
        """The delivery of a lease was taken over: nobody needs its files here any more."""
        with self._lock:
            if self._lease is not None and self._lease.id == lease and self._delivery is not None:
                self._lease = self._delivery = None

    def stop(self) -> None:
        """End what goes on, after the step that it is at."""
        self._stopped = True

    def lacks(self, digests: list[str]) -> list[str]:
        """Files that the machine does not have."""
        return self._store.lacks(digests)

    def delivered(self, lease: str, name: str) -> Path:
        """A file of a delivery, or the working update that it left.

        Raises:
            FleetError: no delivery has such a file.
        """
        if "/" in name or name.startswith("."):
            raise FleetError(f"No delivery has a file {name!r}.")
        return self._delivered(lease) / name

    def _delivered(self, lease: str) -> Path:
        return self._state.path / "deliveries" / lease

    def close(self) -> None:
        """End what goes on and stop metering; open reservations stay open."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
        self._agent.close()

    def _silent(self, lease: Lease) -> bool:
        return self._now_ns() - self._heard_ns > lease.silence_seconds * BILLION

    def _carry_out(self, lease: Lease) -> None:
        trouble = "what it was at ended without a word"  # a fault of ours, which its log has
        try:
            self._make(lease)
            trouble = ""
        except (CryoFluxError, OSError) as error:  # a disk that is full, or an account that is not whole
            trouble = error.what if isinstance(error, CryoFluxError) else str(error)
        finally:
            self._trouble = trouble

    def _make(self, lease: Lease) -> None:
        phases, folder = Phases(), self._delivered(lease.id)
        uj = max(1, lease.lent_microjoules)
        reservation = self._agent.take_lent(uj, request_id=lease.id, log=lease.log, intent=lease.intent)
        self._reservation = reservation
        phases.joules = PhaseJoules(lambda: self._agent.spent(reservation.id))
        update, cause, reason = self._tried(lease, folder, phases)
        settlement = self._agent.settle(reservation.id)
        delivery = Delivery(
            id=lease.id,
            settlement=settlement.statement,
            phases=phases.joules.of(settlement),
            update=update,
            files={name: file_digest(folder / name) for name in update.files} if update is not None else {},
            cause=cause,
            reason=reason,
        )
        write_atomic(folder / "delivery.json", msgspec.json.encode(delivery))
        with self._lock:
            self._reservation, self._delivery = None, delivery

    def _tried(
        self, lease: Lease, folder: Path, phases: Phases
    ) -> tuple[Update | None, Cause, Reason | None]:
        """The update, or why there is none."""
        order = lease.order
        limits = Limits(
            order.limit_microjoules,
            lambda: self._agent.spent(self._charged()).uj,
            lambda: self._stopped or self._silent(lease),
            lambda: phases.measure(PREPARE),
        )
        try:
            with phases.measure(Step.TRAIN):
                with storage_errors(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                with phases.measure(PREPARE):
                    self._forget_others(lease)
                    self._store.place(lease.inputs, self._state.path)
                    trainer = self._trainer(order.task)
                limits.check()
                with weight_errors(folder):
                    update = trainer.train(order, lease.inputs, folder, limits, self)
                if update.working:
                    os.link(self._state.working(update.working), folder / update.working)
                return update, Cause.NONE, None
        except TrainingInterruptedError:
            return None, Cause.INTERRUPTED, Reason(code="interrupted.preparing", numbers={})
        except JoulesEndedError as error:
            return None, Cause.EXHAUSTED, Reason(code=error.code, numbers={})
        except (CryoFluxError, OSError, RuntimeError) as error:
            what = error.what if isinstance(error, CryoFluxError) else f"{type(error).__name__}: {error}"
            return None, Cause.FAILED, Reason(code="failed", numbers={"what": what})

    def _forget_others(self, lease: Lease) -> None:
        """Throw away what this order does not need: versions before it, and what was delivered."""
        needed = {tuple(Path(name).parts[:2]) for name in lease.inputs.files}
        for folder in (*self._state.models.glob("*"), *self._state.data("_").parent.glob("*")):
            if (folder.parent.name, folder.name) not in needed:
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self._delivered("_").parent.glob("*"):
            if folder.name != lease.id:
                shutil.rmtree(folder, ignore_errors=True)
        for path in self._state.workings.glob("*"):
            if path.relative_to(self._state.path).as_posix() not in lease.inputs.files:
                path.unlink(missing_ok=True)
        self._store.prune()

    def _charged(self) -> str:
        if self._reservation is None:
            raise RuntimeError("nothing is reserved")
        return self._reservation.id

    def _trainer(self, task: str) -> Trainer:
        if task not in self._trainers:
            trainer = find_trainer(task)
            if trainer is None:
                raise FleetError(f"What the task {task} trains is not trained in other processes.")
            self._trainers[task] = trainer(self._state, self._settings)
        return self._trainers[task]

    def prepared(self, done: int, count: int) -> None:
        """So many examples are prepared (`tasks.interface.Watch`)."""

    def trained(self, progress: Progress, reserved_uj: int) -> None:  # noqa: ARG002 - the lease has it
        """A training step is done (`tasks.interface.Watch`)."""
        self._step = progress.step
