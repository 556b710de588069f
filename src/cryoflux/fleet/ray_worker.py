"""A worker inside an actor of Ray: the same questions and answers as over the pipes of a process.

Ray carries calls and nothing else. An actor goes on when its coordinator has died, so it ends by itself: what
it is at as every worker does, and its process once nobody has asked anything for a while.
"""

from __future__ import annotations

__all__ = ["ActorWorker", "settled_on_machine"]

import os
import sys
import threading
import time
from pathlib import Path

import msgspec

from cryoflux import __version__
from cryoflux.config import PREFIX, Settings
from cryoflux.energy.started import Started
from cryoflux.files import storage_errors
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.settling import settled
from cryoflux.fleet.store import FileStore
from cryoflux.fleet.worker import Worker
from cryoflux.fleet.worker_process import Desk

_CHUNK = 4 * 2**20
_TOKEN = f"{PREFIX}TOKEN"
_DESERTED = 10
"""times the silence after which a worker ends what it is at: then its process ends, too"""


def home_of(fleet: str, settings: Settings) -> Path:
    """Where the workers of a fleet lie on this machine: it stays when another process takes their place.

    Args:
        fleet: what the coordinator is called: its log.
        settings: of the run; they may name another folder.
    """
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    chosen = settings.fleet.fleet_home
    return (Path(chosen) if chosen else state / "cryoflux" / "fleet") / fleet


def settings_here(settings: bytes) -> Settings:
    """The settings of a run as they are on this machine: its JouleAgent may have a token of its own.

    Args:
        settings: of the run, as JSON.
    """
    parsed = Settings.model_validate_json(settings)
    token = os.environ.get(_TOKEN) or parsed.agent.token
    return parsed.model_copy(update={"agent": parsed.agent.model_copy(update={"token": token})})


class ActorWorker:
    """Answers questions to a worker of this machine.

    Args:
        name: of the worker.
        fleet: what the coordinator is called.
        settings: how it computes and meters, as JSON.
        silence_s: after which a worker that nobody asks ends what it is at, s.
        version: of the coordinator's CryoFlux.

    Raises:
        FleetError: another version of CryoFlux is installed here.
    """

    def __init__(self, name: str, fleet: str, settings: bytes, silence_s: int, version: str) -> None:
        if version != __version__:
            raise FleetError(
                f"This machine has CryoFlux {__version__}, and the coordinator has {version}.",
                why="What they say to each other has to mean the same.",
                hint="Install the same version on all machines.",
            )
        parsed = settings_here(settings)
        home = home_of(fleet, parsed)
        self._store = FileStore(home / "files")
        started = Started.with_process()
        self._worker = Worker(name, home / name, self._store, parsed, started=started.earlier)
        self._desk = Desk(self._worker, self._store)
        self._asked_s = time.monotonic()
        self._deserted_s = _DESERTED * silence_s
        threading.Thread(target=self._end_deserted, daemon=True).start()

    def call(self, line: bytes) -> bytes:
        """The answer to a question, both lines of JSON."""
        self._asked_s = time.monotonic()
        return msgspec.json.encode(self._desk.answer(line))

    def put(self, digest: str, chunk: bytes, *, first: bool, last: bool) -> None:
        """A piece of a file that the machine does not have, in order."""
        self._asked_s = time.monotonic()
        draft = self._store.draft(digest)
        with storage_errors(draft), draft.open("wb" if first else "ab") as stream:
            stream.write(chunk)
        if last:
            try:
                with draft.open("rb") as stream:
                    self._store.add(digest, iter(lambda: stream.read(_CHUNK), b""))
            finally:
                draft.unlink(missing_ok=True)

    def fetch(self, lease: str, name: str, offset: int, size: int) -> bytes:
        """A piece of a file of a delivery."""
        self._asked_s = time.monotonic()
        with self._worker.delivered(lease, name).open("rb") as stream:
            stream.seek(offset)
            return stream.read(size)

    def close(self) -> None:
        """Stop metering: the coordinator is done with this worker."""
        self._worker.close()

    def _end_deserted(self) -> None:
        while time.monotonic() - self._asked_s < self._deserted_s:
            time.sleep(1.0)
        self._worker.close()
        sys.stdout.flush()
        os._exit(0)  # an actor has no other way to end itself that leaves no trace in the logs of its cluster


def settled_on_machine(fleet: str, worker: str, settings: bytes, request: str) -> str:
    """Settle here what a dead worker's meter had reserved; what it signed, empty where nothing was.

    Args:
        fleet: what the coordinator is called.
        worker: its name.
        settings: how it meters, as JSON.
        request: of the reservation.

    Raises:
        FleetError: no worker of that name was ever here.
    """
    parsed = settings_here(settings)
    return settled(home_of(fleet, parsed) / worker, parsed, request)
