"""Workers inside the coordinator's process, each with a folder and an account, whose words a test may change.

They carry out orders as workers in processes do; what is missing is the process. So a test of what workers
say takes no seconds to start them.
"""

from __future__ import annotations

__all__ = ["Inside", "InsideStation"]

from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from cryoflux.config import Settings
from cryoflux.files import copy_regular
from cryoflux.fleet.documents import Delivery, Lease, SessionTerms, WorkerFacts, WorkerState
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.settling import settled
from cryoflux.fleet.store import FileStore
from cryoflux.fleet.worker import Worker
from cryoflux.state import StateFolder
from cryoflux.tasks.elsewhere import Inputs


class InsideStation:
    """A worker, spoken to directly, though in the documents that would be sent."""

    def __init__(self, name: str, folder: Path, store: FileStore, settings: Settings) -> None:
        self.name, self.folder, self.store = name, folder, store
        self.worker = Worker(name, folder, store, settings)

    def facts(self) -> WorkerFacts:
        return self.worker.facts()

    def open_session(self, terms: SessionTerms) -> None:
        self.worker.open_session(terms)

    def warm_up(self, task: str) -> None:
        self.worker.warm_up(task)

    def close_session(self, request: str) -> str:
        return self.worker.close_session(request)

    def give(self, inputs: Inputs, state: Path) -> int:
        by_digest = {digest: name for name, digest in inputs.files.items()}
        for digest in self.worker.lacks([*by_digest]):
            self.store.add(digest, [(state / by_digest[digest]).read_bytes()])
        return 0

    def begin(self, lease: Lease) -> None:
        self.worker.begin(sent(lease))

    def state(self) -> WorkerState | None:
        return sent(self.worker.state())

    def fetch(self, delivery: Delivery, name: str, into: Path) -> None:
        copy_regular(self.folder / "deliveries" / delivery.id / name, into / name)

    def forget(self, lease: str) -> None:
        self.worker.forget(lease)

    def settle(self, request: str) -> str:
        return self.worker.settle(request)

    def stop(self) -> None:
        self.worker.stop()

    def close(self) -> None:
        self.worker.close()


def sent(document):
    """What arrives of a document on the other side."""
    return msgspec.json.decode(msgspec.json.encode(document), type=type(document))


class Inside:
    """Starts them.

    Args:
        state: of the run.
        names: of the workers.
        settings: of the run.
        station: what speaks to them.
        away: workers whose node nobody reaches once they are lost.
    """

    def __init__(
        self,
        state: StateFolder,
        names: Sequence[str],
        settings: Settings,
        station: type = InsideStation,
        away: Collection[str] = (),
    ) -> None:
        self._state, self._names, self._settings, self._station = state, names, settings, station
        self.stations: dict[str, InsideStation] = {}
        self.away = away

    def _started(self, name: str) -> InsideStation:
        folder, store = self._state.workers / name, FileStore(self._state.fleet / "files")
        self.stations[name] = self._station(name, folder, store, self._settings)
        return self.stations[name]

    def start(self) -> list[InsideStation]:
        return [self._started(name) for name in self._names]

    def settle(self, worker: str, request: str) -> str:
        if worker in self.away:
            raise FleetError(f"The node of {worker} is away.")
        if (station := self.stations.pop(worker, None)) is not None:
            station.worker.close()
        return settled(self._state.workers / worker, self._settings, request)

    def replace(self, worker: str) -> InsideStation:
        place, _, generation = worker.partition(".")
        return self._started(f"{place}.{int(generation or 1) + 1}")

    def close(self) -> None:
        for name, station in self.stations.items():
            if name not in self.away:
                station.close()
