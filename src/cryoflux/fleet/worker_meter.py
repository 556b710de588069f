"""A worker's meter: one of its own, in its folder, or the JouleAgent of its machine.

Its folder says which of the two it is, so that whoever settles what a dead worker had reserved asks the same.
"""

from __future__ import annotations

__all__ = ["OwnMeter", "WorkerMeter", "never_opened", "settling_meter", "started_meter"]

from pathlib import Path
from typing import Protocol

from cryoflux.config import Settings
from cryoflux.energy.interface import Earlier, JouleAgent, Reservation
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.meter_note import MeterNote, read_note, write_note


class WorkerMeter(JouleAgent, Protocol):
    """What a worker spends from."""

    def take_lent(
        self, uj: int, *, request_id: str, log: str = "", intent: str = "", earlier: Earlier | None = None
    ) -> Reservation:
        """Reserve what a coordinator has lent: its bucket is given that first, as far as it has to be.

        Args:
            uj: what was lent, µJ.
            request_id: names the request, as of `JouleAgent.take`.
            log: as of `JouleAgent.take`.
            intent: the same.
            earlier: the same.

        Raises:
            BudgetError: others have taken it.
            MeterError: what is spent here cannot be told.
        """
        ...


class OwnMeter(LocalAgent):
    """A meter of one worker alone: what earlier leases left in its bucket, or overdrew, counts."""

    def take_lent(
        self, uj: int, *, request_id: str, log: str = "", intent: str = "", earlier: Earlier | None = None
    ) -> Reservation:
        """Reserve what a coordinator has lent."""
        missing_uj = uj - self.bucket_uj()
        if missing_uj > 0:
            self.grant(missing_uj, request_id=f"lent-{request_id}", note="lent by the coordinator")
        return self.take(uj, request_id=request_id, log=log, intent=intent, earlier=earlier)


def started_meter(folder: Path, settings: Settings) -> WorkerMeter:
    """The meter of a worker that starts.

    Args:
        folder: of the worker.
        settings: how it meters, or which JouleAgent does.

    Raises:
        StateLockedError: another process is this worker.
        CryoFluxError: nothing can be measured here, or the JouleAgent does not answer.
    """
    url = settings.fleet.worker_agent
    known = read_note(folder)
    if known is None and not (folder / "account.db").is_file():
        write_note(folder, MeterNote(url, opened=False))  # where this fails, nothing was ever reserved here
    meter = _opened(folder, settings, url)
    try:
        meter.sample()  # that it measures is known before anything is lent for it
        if known is None or known.agent != url or not known.opened:
            write_note(folder, MeterNote(url))
    except BaseException:
        meter.close()
        raise
    return meter


def never_opened(folder: Path) -> bool:
    """Whether a worker began in a folder and never had a meter there: then it has reserved nothing."""
    known = read_note(folder)
    return known is not None and not known.opened


def settling_meter(folder: Path, settings: Settings) -> WorkerMeter:
    """The meter of a worker that is dead, to settle what it had reserved.

    Args:
        folder: of the worker.
        settings: how it meters.

    Raises:
        FleetError: there is no account of a worker.
        StateLockedError: its process goes on.
        CryoFluxError: its account is not whole.
    """
    known = read_note(folder)
    url = known.agent if known is not None else ""
    if not url and not (folder / "account.db").is_file():
        raise FleetError(f"{folder} holds no account of a worker.")
    return _opened(folder, settings, url, background=False)


def _opened(folder: Path, settings: Settings, url: str, *, background: bool = True) -> WorkerMeter:
    if url:
        from cryoflux.fleet.machine_meter import MachineMeter  # its HTTP takes a while to load

        return MachineMeter(folder, url, settings)
    return OwnMeter(settings, folder, credit="grant", background=background)
