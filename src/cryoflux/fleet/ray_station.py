"""How an actor of a Ray cluster is spoken to: no call is made twice, and a late answer is only late."""

from __future__ import annotations

__all__ = ["GONE", "RayStation", "last_line"]

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from cryoflux.files import storage_errors
from cryoflux.fleet.asked import AskedStation, document_of, question_line
from cryoflux.fleet.documents import Delivery, WorkerFacts, WorkerState
from cryoflux.fleet.failing import FleetError
from cryoflux.tasks.elsewhere import Inputs

GONE = "the head of its cluster is gone."
_CHUNK = 4 * 2**20
_GLANCE_S = 0.5


class RayStation(AskedStation):
    """A worker in an actor.

    Args:
        ray: the library.
        actor: the actor.
        name: of the worker.
        patience_s: how long an answer is waited for.
    """

    starting_s = 180.0

    def __init__(self, ray: Any, actor: Any, name: str, patience_s: float) -> None:
        self._ray, self._actor, self.name, self._patience_s = ray, actor, name, patience_s
        self._glance: Any = None
        """the question how it goes that has no answer yet: another one would only lie behind it"""

    @contextmanager
    def _errors(self) -> Iterator[None]:
        if not self._ray.is_initialized():  # its client is gone with the head, and never comes back by itself
            raise self._lost(GONE)
        found = self._ray.exceptions
        try:
            yield
        except found.ActorDiedError as error:  # what Ray says of that are ten lines about its own options
            raise self._lost("its process has ended, or its machine is out of reach") from error
        except found.RayTaskError as error:
            raise FleetError(f"{self.name}: {last_line(error)}") from error
        except Exception as error:  # Ray raises whatever it likes, bare exceptions too
            raise self._lost(last_line(error)) from error

    def _lost(self, why: str) -> FleetError:
        return FleetError(
            f"The worker {self.name} is lost: {why}",
            why="What it had spent is settled by its meter, and its attempt is aborted.",
        )

    def _got(self, asked: Any, patience_s: float) -> Any:
        with self._errors():
            return self._ray.get(asked, timeout=patience_s)

    def _call(
        self, kind: Any, call: str, *texts: str, document: Any = None, patience_s: float | None = None
    ) -> Any:
        with self._errors():
            asked = self._actor.call.remote(question_line(call, *texts, document=document))
        return self._read(kind, self._got(asked, patience_s or self._patience_s))

    def _read(self, kind: Any, line: bytes) -> Any:
        try:
            return document_of(self.name, kind, line)
        except msgspec.MsgspecError as error:
            raise self._lost("it answers what nobody asked.") from error

    def facts(self) -> WorkerFacts:
        """What it is."""
        found: WorkerFacts = self._call(WorkerFacts, "facts")
        return found

    def give(self, inputs: Inputs, state: Path) -> int:
        """Send the files that its machine does not have."""
        by_digest = {digest: name for name, digest in inputs.files.items()}
        sent = 0
        for digest in self._call(list[str], "lacks", *by_digest):
            with (state / by_digest[digest]).open("rb") as stream:
                chunk, first = stream.read(_CHUNK), True
                while True:
                    following = stream.read(_CHUNK)
                    with self._errors():
                        asked = self._actor.put.remote(digest, chunk, first=first, last=not following)
                    self._got(asked, self._patience_s)
                    sent += len(chunk)
                    if not following:
                        break
                    chunk, first = following, False
        return sent

    def state(self) -> WorkerState | None:
        """How it goes; none where it has not answered the last time yet."""
        if self._glance is None:
            with self._errors():
                self._glance = self._actor.call.remote(question_line("state"))
        with self._errors():
            ready, _ = self._ray.wait([self._glance], timeout=_GLANCE_S)
        if not ready:
            return None
        asked, self._glance = self._glance, None
        found: WorkerState = self._read(WorkerState, self._got(asked, self._patience_s))
        return found

    def fetch(self, delivery: Delivery, name: str, into: Path) -> None:
        """Get a file of a delivery, piece by piece."""
        target, offset = into / name, 0
        with storage_errors(target), target.open("wb") as stream:
            while True:
                with self._errors():
                    asked = self._actor.fetch.remote(delivery.id, name, offset, _CHUNK)
                chunk = self._got(asked, self._patience_s)
                stream.write(chunk)
                offset += len(chunk)
                if len(chunk) < _CHUNK:
                    return

    def stop(self) -> None:
        """Ask it to end what it is at."""
        self._call(None, "stop")

    def kill(self) -> None:
        """End its process at once, whatever it does."""
        with suppress(Exception):  # the cluster may be gone, and with it whoever could be told
            self._ray.kill(self._actor, no_restart=True)

    def close(self) -> None:
        """Let it stop metering, and end it."""
        with suppress(FleetError):
            with self._errors():
                asked = self._actor.close.remote()
            self._got(asked, self._patience_s)
        self.kill()


def last_line(error: Exception) -> str:
    """What an error of Ray says in the end: before it stands where it arose."""
    return (str(error).splitlines() or [type(error).__name__])[-1]
