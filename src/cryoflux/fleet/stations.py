"""Where workers live, and how the coordinator speaks to them: what is the same for processes and for Ray."""

from __future__ import annotations

__all__ = ["Dispatcher", "Station"]

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cryoflux.fleet.documents import Delivery, Lease, SessionTerms, WorkerFacts, WorkerState
from cryoflux.tasks.elsewhere import Inputs


class Station(Protocol):
    """One worker, as the coordinator sees it. Every call may raise `FleetError`."""

    name: str

    def facts(self) -> WorkerFacts:
        """What it is."""
        ...

    def open_session(self, terms: SessionTerms) -> None:
        """Have what its process spends beside attempts charged to the run's session."""
        ...

    def warm_up(self, task: str) -> None:
        """Have it load what a task's training takes."""
        ...

    def close_session(self, request: str) -> str:
        """Settle that; what its meter signed, empty where nothing was reserved."""
        ...

    def give(self, inputs: Inputs, state: Path) -> int:
        """Send the files of an order that its machine does not have; how many bytes that took.

        Args:
            inputs: the files.
            state: the state directory that they lie in.
        """
        ...

    def begin(self, lease: Lease) -> None:
        """Have it begin what a lease allows."""
        ...

    def state(self) -> WorkerState | None:
        """How it goes; none where it has not answered yet."""
        ...

    def fetch(self, delivery: Delivery, name: str, into: Path) -> None:
        """Put a file of a delivery into a folder."""
        ...

    def forget(self, lease: str) -> None:
        """Tell it that its delivery was taken over."""
        ...

    def settle(self, request: str) -> str:
        """Have it settle what was reserved under a name; what its meter signed, empty where nothing was."""
        ...

    def stop(self) -> None:
        """Ask it to end what it is at."""
        ...

    def close(self) -> None:
        """End the worker."""
        ...


class Dispatcher(Protocol):
    """Starts workers, ends them for certain, and settles what one that died has left."""

    def start(self) -> Sequence[Station]:
        """All workers, started.

        Raises:
            FleetError: they cannot be.
        """
        ...

    def settle(self, worker: str, request: str) -> str:
        """Settle what a worker's meter reserved under a name, once its process is ended for certain.

        Args:
            worker: its name.
            request: of the reservation.

        Returns:
            what its meter signed; empty where nothing was reserved.

        Raises:
            CryoFluxError: its account cannot be reached.
        """
        ...

    def replace(self, worker: str) -> Station:
        """Another worker in the place of one that died, with a name and an account of its own.

        Raises:
            FleetError: there is no place.
        """
        ...

    def close(self) -> None:
        """End what was started."""
        ...
