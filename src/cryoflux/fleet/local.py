"""Workers as processes of this machine: the default, which takes no other library.

Each has a process group of its own, so that Ctrl-C reaches the coordinator alone, which then asks it to stop.
Where the coordinator dies, a worker finds its input at an end, and settles what it is at.
"""

from __future__ import annotations

__all__ = ["LocalDispatcher", "LocalStation"]

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from cryoflux.config import Settings
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.processes import Owner, find_owner, set_apart
from cryoflux.errors import StateLockedError
from cryoflux.files import MOST_DOCUMENT_BYTES, IrregularFileError, copy_regular, read_regular, write_atomic
from cryoflux.fleet.asked import AskedStation, document_of, question_line
from cryoflux.fleet.documents import Delivery, WorkerFacts, WorkerState
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.gpus import VISIBLE
from cryoflux.fleet.settling import settled
from cryoflux.state import StateFolder
from cryoflux.tasks.elsewhere import Inputs

_PATIENCE_S = 120.0
"""for an answer of a worker that starts, and loads libraries"""
_LAUNCH = """import os
if os.fork():
    os._exit(0)
os.setsid()
os.write(1, b"%d\\n" % os.getpid())
from cryoflux.fleet.worker_process import main
main()
"""
"""starts a worker that is nobody's child: what it spends is told by its own meter, and not by its parent's"""
_PROCESS = "process.json"
_MOST_ANSWER = 64 * 2**20
"""bytes of an answer"""
_GLANCE_S = 0.2
"""for an answer how it goes, before others are asked"""


class LocalStation(AskedStation):
    """A worker in a process of this machine.

    Args:
        name: of the worker.
        folder: its own.
        files: the folder of the machine's files.
        settings: how it computes and meters.
        patience_s: how long an answer to what is done at once is waited for: one that is frozen gives none.
        gpu: the one that it computes on; empty for what the run itself sees.
    """

    starting_s = _PATIENCE_S

    def __init__(
        self,
        name: str,
        folder: Path,
        files: Path,
        settings: Settings,
        patience_s: float = _PATIENCE_S,
        *,
        gpu: str = "",
    ) -> None:
        self.name, self._folder, self._patience_s = name, folder, patience_s
        folder.mkdir(parents=True, exist_ok=True)
        self._errors = folder / "worker.log"
        with self._errors.open("ab") as errors:
            self._launcher = subprocess.Popen(  # noqa: S603 - this Python, and names of ours
                [sys.executable, "-c", _LAUNCH, name, str(folder), str(files)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, VISIBLE: gpu} if gpu else None,
            )
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._due: deque[Any] = deque()
        """of what kind the answers are that have not come yet, in order"""
        self._ended = threading.Event()
        with set_apart(self._launcher.pid):
            self._launcher.wait()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()
        self.pid = self._said_pid()
        self._write(settings.model_dump_json().encode())

    def _said_pid(self) -> int:
        try:
            return int(self._answers.get(timeout=_PATIENCE_S))
        except (queue.Empty, ValueError) as error:
            raise self._lost() from error

    def _listen(self) -> None:
        stream = self._launcher.stdout
        while stream is not None and (line := stream.readline(_MOST_ANSWER)):
            self._answers.put(line)
        self._ended.set()  # nobody else has the other end
        self._answers.put(b"")

    def _write(self, line: bytes) -> None:
        stream = self._launcher.stdin
        try:
            if stream is None:
                raise OSError("its input is closed")
            stream.write(line + b"\n")
            stream.flush()
        except (OSError, ValueError) as error:
            raise self._lost() from error

    def _lost(self, why: str = "") -> FleetError:
        ended = "its process has ended" if self._ended.is_set() else "it does not answer"
        return FleetError(
            f"The worker {self.name} is lost: {why or ended}.",
            why="What it had spent is settled by its meter, and its attempt is aborted.",
            hint=f"What it said last is in {self._errors}.",
        )

    def _ask(self, kind: Any, call: str, *texts: str, document: Any = None) -> None:
        self._write(question_line(call, *texts, document=document))
        self._due.append(kind)

    def _answer(self, patience_s: float) -> Any:
        """The answer to the oldest question.

        Raises:
            queue.Empty: it has not come in that time.
        """
        line = self._answers.get(timeout=patience_s)
        if not line:
            self._answers.put(b"")
            raise self._lost()
        kind = self._due.popleft()
        try:
            return document_of(self.name, kind, line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._lost(f"it gives no answer that can be read: {error}") from error

    def _call(
        self, kind: Any, call: str, *texts: str, document: Any = None, patience_s: float | None = None
    ) -> Any:
        patience_s = patience_s or self._patience_s
        try:
            while self._due:  # it may have been asked how it goes, or to stop
                self._answer(patience_s)
            self._ask(kind, call, *texts, document=document)
            return self._answer(patience_s)
        except queue.Empty as error:
            raise self._lost() from error

    def facts(self) -> WorkerFacts:
        """What it is."""
        found: WorkerFacts = self._call(WorkerFacts, "facts", patience_s=_PATIENCE_S)
        return found

    def give(self, inputs: Inputs, state: Path) -> int:
        """Have it copy the files that its machine does not have."""
        by_digest = {digest: name for name, digest in inputs.files.items()}
        sent = 0
        for digest in self._call(list[str], "lacks", *by_digest):
            path = state / by_digest[digest]
            self._call(None, "add", digest, str(path.absolute()))
            sent += path.stat().st_size
        return sent

    def state(self) -> WorkerState | None:
        """How it goes; none where it has not answered the last time yet."""
        if WorkerState not in self._due:
            self._ask(WorkerState, "state")
        with suppress(queue.Empty):
            while self._due:
                found = self._answer(_GLANCE_S)
                if isinstance(found, WorkerState):
                    return found
        return None

    def fetch(self, delivery: Delivery, name: str, into: Path) -> None:
        """Copy a file of a delivery."""
        copy_regular(self._folder / "deliveries" / delivery.id / name, into / name)

    def forget(self, lease: str) -> None:
        """Tell it that its delivery was taken over."""
        super().forget(lease)
        shutil.rmtree(self._folder / "deliveries" / lease, ignore_errors=True)

    def stop(self) -> None:
        """Ask it to end what it is at."""
        self._ask(None, "stop")

    def kill(self) -> None:
        """End its process at once, whatever it does."""
        if not self._ended.is_set():  # else its number may be another process's by now
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._ended.wait(_PATIENCE_S)
        self._let_go()

    def _let_go(self) -> None:
        """Let go of the pipes of a process that has ended."""
        self.dismiss()
        self._listening.join(_GLANCE_S)  # a process that it started may hold on to the other end
        if not self._listening.is_alive() and self._launcher.stdout is not None:
            self._launcher.stdout.close()

    def dismiss(self) -> None:
        """Tell it that nobody asks it any more: it ends what it is at, and then itself."""
        with suppress(OSError):
            if self._launcher.stdin is not None:
                self._launcher.stdin.close()

    def close(self) -> None:
        """Let it end; kill it where it does not."""
        self.dismiss()
        if not self._ended.wait(self._patience_s):
            self.kill()
        self._let_go()


class LocalDispatcher:
    """Starts workers on this machine.

    Args:
        state: of the run; workers have a folder each in it.
        names: of the workers.
        settings: of the run.
        threads: of each worker.
        gpus: that they compute on, one each as long as there are enough; none for what the run itself sees.
        patience_s: how long an answer is waited for.
    """

    def __init__(
        self,
        state: StateFolder,
        names: Sequence[str],
        settings: Settings,
        *,
        threads: int = 1,
        gpus: Sequence[str] = (),
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._state, self._names, self._patience_s = state, tuple(names), patience_s
        self._gpus = tuple(gpus)
        model = settings.model.model_copy(update={"threads": settings.model.threads or threads})
        self._settings = settings.model_copy(update={"model": model})
        self._stations: dict[str, LocalStation] = {}

    def start(self) -> list[LocalStation]:
        """All workers, started."""
        return [self._started(name) for name in self._names]

    def _started(self, name: str) -> LocalStation:
        folder = self._state.workers / name
        baseline = folder / self._state.baseline.name
        if self._state.baseline.is_file() and not baseline.exists():
            folder.mkdir(parents=True, exist_ok=True)
            copy_regular(self._state.baseline, baseline)  # the same machine, at rest as it was learned
        files = self._state.fleet / "files"
        _end_orphan(folder)
        gpu = self._gpu_of(name)
        found = LocalStation(name, folder, files, self._settings, self._patience_s, gpu=gpu)
        self._stations[name] = found
        _note_process(folder, found.pid)
        return found

    def _gpu_of(self, name: str) -> str:
        if not self._gpus:
            return ""
        place = name.partition(".")[0]  # one that takes another's place has its GPU
        return self._gpus[self._names.index(place) % len(self._gpus)]

    def settle(self, worker: str, request: str) -> str:
        """Settle what a worker's meter reserved, once its process is dead."""
        if (station := self._stations.get(worker)) is not None:
            station.kill()
        folder = self._state.workers / worker
        try:
            found = settled(folder, self._settings, request, patience_s=self._patience_s)
        except StateLockedError:  # of a run that died, and frozen: else it had ended by itself by now
            if not _end_orphan(folder):
                raise
            found = settled(folder, self._settings, request, patience_s=self._patience_s)
        _clear(folder)
        return found

    def replace(self, worker: str) -> LocalStation:
        """Another worker in its place."""
        place, _, generation = worker.partition(".")
        return self._started(f"{place}.{int(generation or 1) + 1}")

    def close(self) -> None:
        """End all of them."""
        for station in self._stations.values():  # all first, so that none goes on while another ends
            station.dismiss()
        for station in self._stations.values():
            station.close()


def _note_process(folder: Path, pid: int) -> None:
    """Note which process a worker is, for a run that finds it here after this one."""
    owner = find_owner(pid, SystemClock().boot_id)
    if owner is not None:
        write_atomic(folder / _PROCESS, msgspec.json.encode(owner))


def _end_orphan(folder: Path) -> bool:
    """End the process of a worker that a dead run has left, if it is still there."""
    try:
        owner = msgspec.json.decode(read_regular(folder / _PROCESS, MOST_DOCUMENT_BYTES), type=Owner)
    except (OSError, IrregularFileError, msgspec.MsgspecError):
        return False
    if owner != find_owner(owner.pid, SystemClock().boot_id):
        return False
    with suppress(ProcessLookupError):
        os.killpg(owner.pid, signal.SIGKILL)
    return True


def _clear(folder: Path) -> None:
    """Throw away what only a worker that is at work needs; its account and its key stay."""
    for name in ("models", "data", "deliveries", "working", "cache"):
        shutil.rmtree(folder / name, ignore_errors=True)
