"""What becomes of a delivery: its files, each by its digest, or why there is no update.

A worker may say anything here, too. A file has a plain name and the bytes of its digest, or the attempt has
failed; and of the reasons why there is no update, those count that a worker can have.
"""

from __future__ import annotations

__all__ = ["Fetching", "stopped_at_worker"]

from pathlib import Path

from cryoflux.attempt.watch import AttemptStopped
from cryoflux.digests import file_digest
from cryoflux.errors import CryoFluxError
from cryoflux.files import copy_regular
from cryoflux.fleet.documents import Delivery, Lease
from cryoflux.fleet.stations import Station
from cryoflux.receipts.statement import Cause
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Update

_REASONS = {
    Cause.INTERRUPTED: {"interrupted.preparing"},
    Cause.EXHAUSTED: {"exhausted.preparing", "exhausted.training"},
}
"""why a worker has no update → the reasons that it may give, which have no numbers"""
_MOST_WORDS = 500


def _failed(what: str) -> AttemptStopped:
    return AttemptStopped(Cause.FAILED, "failed", what=what[:_MOST_WORDS])


class Fetching:
    """Brings the files of a delivery here, once somebody says whereto.

    Args:
        state: of the run.
        station: that has them.
        delivery: of which.
        update: that it brought.
    """

    def __init__(self, state: StateFolder, station: Station, delivery: Delivery, update: Update) -> None:
        self._state, self._station = state, station
        self._delivery, self._update = delivery, update

    def __call__(self, folder: Path) -> None:
        """Put the files into a folder, and what a chain goes on from to its place.

        Raises:
            AttemptStopped: a file is not what was delivered, or cannot be had any more.
        """
        files, update = self._delivery.files, self._update
        if not update.files or {*files} != {*update.files} or not all(map(_is_plain, update.files)):
            raise _failed(f"{self._delivery.id} was delivered with other files than its update has.")
        for name in update.files:
            self._fetch(name, files[name], folder)
        if update.working:
            self._fetch_working(update.working)

    def _fetch(self, name: str, digest: str, folder: Path) -> None:
        try:
            self._station.fetch(self._delivery, name, folder)
            found = file_digest(folder / name)
        except (CryoFluxError, OSError) as error:
            why = error.what if isinstance(error, CryoFluxError) else f"{type(error).__name__}"
            raise _failed(f"{name} of the delivery cannot be had: {why}") from error
        if found != digest:
            raise _failed(f"{name} of the delivery has other bytes than its digest says.")

    def _fetch_working(self, working: str) -> None:
        workings, target = self._state.workings, self._state.working(working)
        if not _is_plain(working) or target.parent != workings:
            raise _failed("What the chain would go on from has no digest for a name.")
        workings.mkdir(exist_ok=True)
        if target.exists():
            return
        fetched = workings / working
        try:
            self._fetch(working, working, workings)
            copy_regular(fetched, target)
        finally:
            fetched.unlink(missing_ok=True)


def _is_plain(name: str) -> bool:
    """Whether a name is that of a file in a folder, and of no hidden one."""
    return bool(name) and "/" not in name and "\0" not in name and not name.startswith(".")


def stopped_at_worker(lease: Lease, delivery: Delivery | None) -> AttemptStopped | None:
    """Why an attempt came to nothing at its worker; none where there is an update.

    Args:
        lease: of the attempt.
        delivery: that came; none where the worker was lost.
    """
    if delivery is None:
        return AttemptStopped(Cause.LOST, "lost", worker=lease.worker)
    update, reason = delivery.update, delivery.reason
    if update is not None:
        if update.stopped_by == "interrupt" and not update.working:
            return AttemptStopped(Cause.INTERRUPTED, "interrupted.training", steps=update.steps)
        return None
    if reason is None:
        return _failed(f"{lease.worker} delivered neither an update nor a reason.")
    if reason.code in _REASONS.get(delivery.cause, ()):
        return AttemptStopped(delivery.cause, reason.code)
    return _failed(str(reason.numbers.get("what", reason.code)))
