"""What a worker is asked, in the words that its desk knows; how a question gets there differs."""

from __future__ import annotations

__all__ = ["AskedStation", "document_of", "question_line"]

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import msgspec

from cryoflux.fleet.documents import Lease, SessionTerms
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.worker_process import WorkerAnswer, WorkerQuestion


def question_line(call: str, *texts: str, document: Any = None) -> bytes:
    """A question as it is sent."""
    return msgspec.json.encode(WorkerQuestion(call, list(texts), msgspec.Raw(msgspec.json.encode(document))))


def document_of(worker: str, kind: Any, line: bytes) -> Any:
    """What a worker answers.

    Args:
        worker: its name.
        kind: of what is expected.
        line: that came.

    Raises:
        FleetError: it says that it could not do it.
        msgspec.MsgspecError, UnicodeDecodeError: it is no answer to that.
    """
    found = msgspec.json.decode(line, type=WorkerAnswer)
    if not found.failed:
        return msgspec.json.decode(found.document, type=kind)
    raise FleetError(f"{worker}: {found.what}", why=found.why, hint=found.hint)


class AskedStation(ABC):
    """A station whose worker answers one question at a time."""

    starting_s: ClassVar[float]
    """how long an answer is waited for while libraries are loaded"""

    @abstractmethod
    def _call(
        self, kind: Any, call: str, *texts: str, document: Any = None, patience_s: float | None = None
    ) -> Any:
        """The answer to a question, of such a kind."""

    def open_session(self, terms: SessionTerms) -> None:
        """Have what its process spends beside attempts charged to the run's session."""
        self._call(None, "open session", document=terms, patience_s=self.starting_s)

    def warm_up(self, task: str) -> None:
        """Have it load what a task's training takes."""
        self._call(None, "warm up", task, patience_s=self.starting_s)

    def close_session(self, request: str) -> str:
        """Settle that; what its meter signed, empty where nothing was reserved."""
        found: str = self._call(str, "close session", request)
        return found

    def begin(self, lease: Lease) -> None:
        """Have it begin what a lease allows."""
        self._call(None, "begin", document=lease)

    def forget(self, lease: str) -> None:
        """Tell it that its delivery was taken over."""
        self._call(None, "forget", lease)

    def settle(self, request: str) -> str:
        """Have it settle what was reserved under a name; what its meter signed, empty where nothing was."""
        found: str = self._call(str, "settle", request)
        return found
