"""A worker's meter: one of its own, in its folder, or the JouleAgent of its machine.

Its folder says which of the two it is, so that whoever settles what a dead worker had reserved asks the same.
"""

from __future__ import annotations

__all__ = ["settling_meter", "started_meter"]

from pathlib import Path

import msgspec

from cryoflux.config import Settings
from cryoflux.energy.interface import JouleAgent
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.files import MOST_DOCUMENT_BYTES, IrregularFileError, read_regular, write_atomic
from cryoflux.fleet.failing import FleetError
from cryoflux.signing.fields import Document

_NOTE = "meter.json"


class MeterNote(Document, frozen=True):
    """Who meters a worker."""

    agent: str
    """URL of the JouleAgent of its machine; empty for a meter of its own"""


def started_meter(folder: Path, settings: Settings) -> JouleAgent:
    """The meter of a worker that starts.

    Args:
        folder: of the worker.
        settings: how it meters, or which JouleAgent does.

    Raises:
        StateLockedError: another process is this worker.
        CryoFluxError: nothing can be measured here, or the JouleAgent does not answer.
    """
    url = settings.fleet.worker_agent
    meter = _opened(folder, settings, url)
    try:
        meter.sample()  # that it measures is known before anything is written for it
        note = msgspec.json.encode(MeterNote(url))
        write_atomic(folder / _NOTE, note, mode=0o600)  # a URL may have a password in it
    except BaseException:
        meter.close()
        raise
    return meter


def settling_meter(folder: Path, settings: Settings) -> JouleAgent:
    """The meter of a worker that is dead, to settle what it had reserved.

    Args:
        folder: of the worker.
        settings: how it meters.

    Raises:
        FleetError: there is no account of a worker.
        StateLockedError: its process goes on.
        CryoFluxError: its account is not whole.
    """
    url = _noted(folder)
    if not url and not (folder / "account.db").is_file():
        raise FleetError(f"{folder} holds no account of a worker.")
    return _opened(folder, settings, url, background=False)


def _noted(folder: Path) -> str:
    """The JouleAgent that metered a worker; empty for a meter of its own, and where nothing says it."""
    try:
        return msgspec.json.decode(read_regular(folder / _NOTE, MOST_DOCUMENT_BYTES), type=MeterNote).agent
    except (OSError, IrregularFileError, msgspec.MsgspecError):
        return ""


def _opened(folder: Path, settings: Settings, url: str, *, background: bool = True) -> JouleAgent:
    if url:
        from cryoflux.fleet.machine_meter import MachineMeter  # its HTTP takes a while to load

        return MachineMeter(folder, url, settings)
    return LocalAgent(settings, folder, credit="grant", background=background)
