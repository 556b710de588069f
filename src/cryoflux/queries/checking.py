"""A state that is verified again and again, in the background, for whoever asks what holds.

One verification at a time, begun when somebody asks and something has changed, at most once in a few
seconds. Nothing is computed again, and heads that were seen elsewhere are neither compared nor remembered:
nothing is written. While one goes on, the result of the one before stays.
"""

from __future__ import annotations

__all__ = ["Checking", "CheckingNow", "EndedCheck"]

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryoflux.errors import CryoFluxError, VerificationError
from cryoflux.log_check import verify
from cryoflux.state import StateFolder
from cryoflux.verification.result import Report

_LOG = logging.getLogger(__name__)
_Mark = tuple[tuple[int, ...], ...]
_REST_S = 5.0
"""between two verifications"""
_STALE_S = 300.0
"""after so long files are looked at again, though the log has not changed"""


@dataclass(frozen=True, slots=True)
class EndedCheck:
    """A verification that came to its end."""

    report: Report | None
    """none where it could not be made"""
    error: CryoFluxError | None
    at: float
    """when it began, wall time, seconds since 1970"""
    took_s: float


@dataclass(frozen=True, slots=True)
class CheckingNow:
    """What is known of a state, and whether somebody is at it."""

    last: EndedCheck | None
    running: bool
    done: int
    """entries that the one that goes on has been through"""
    total: int


class Checking:
    """The verifications of a state.

    Args:
        state: its folder.
        now: wall time, seconds since 1970; a label.
    """

    def __init__(self, state: Path, now: Callable[[], float] = time.time) -> None:
        self._state, self._now = state, now
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._last: EndedCheck | None = None
        self._mark: _Mark = ()
        self._ended_s = -_STALE_S
        self._progress = (0, 0)

    def ask(self, wait_s: float) -> CheckingNow:
        """Begin one if it is due, and return what is known after waiting a moment for it."""
        self._begin_if_due()
        self._idle.wait(wait_s)
        with self._lock:
            return CheckingNow(self._last, not self._idle.is_set(), *self._progress)

    def _begin_if_due(self) -> None:
        with self._lock:
            since_s, mark = time.monotonic() - self._ended_s, _mark_of(StateFolder(self._state))
            due = since_s >= (_REST_S if mark != self._mark else _STALE_S)
            if not due or not self._idle.is_set():
                return
            self._idle.clear()
            self._mark, self._progress = mark, (0, 0)
        try:
            threading.Thread(target=self._run, name="verifying", daemon=True).start()
        except RuntimeError:  # no thread can be started now: the next one who asks tries again
            self._mark = ()
            self._idle.set()

    def _run(self) -> None:
        began_s, at = time.monotonic(), self._now()
        report, error = None, None
        try:
            report = verify(self._state, progress=self._tell)
        except CryoFluxError as refused:
            error = refused
        except Exception as failed:  # noqa: BLE001 - an old verdict must not stand for what could not be checked
            _LOG.exception("a verification of %s failed", self._state)
            error = VerificationError(
                f"The check itself failed ({type(failed).__name__}), which is a mistake of ours.",
                why="Nothing is known of this log for it.",
                hint="Type cryoflux verify to see more.",
            )
        with self._lock:
            self._ended_s = time.monotonic()
            self._last = EndedCheck(report, error, at, self._ended_s - began_s)
            self._idle.set()

    def _tell(self, done: int, total: int) -> None:
        self._progress = done, total


def _mark_of(state: StateFolder) -> _Mark:
    """Changes when the log, its signed head or its keys do, or others of the same age and size lie there."""
    wal = state.receipts.with_name(f"{state.receipts.name}-wal")
    found = []
    for path in (state.receipts, wal, state.checkpoint, state.keys, state.witnessed):
        with suppress(OSError):
            status = path.stat()
            found.append((status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size))
    return tuple(found)
