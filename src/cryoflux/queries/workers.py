"""What each worker of a fleet has done for a log: attempts, what was kept, and its η."""

from __future__ import annotations

__all__ = ["WorkerRow", "worker_rows"]

import base64
from dataclasses import dataclass

from cryoflux.fleet.by_meter import MeterFold, MeterTally
from cryoflux.quantities import MICRO, NANO, Energy
from cryoflux.signing.keys import raw_key_id


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """What a meter charged one worker."""

    worker: str
    meter_key: str
    """raw key in base64; empty where nothing of it was signed"""
    boot: str
    attempts: int
    kept: int
    lost: int
    delta: float | None
    """Σ Δ of what was kept, in ``unit``; none where what was kept has no one unit"""
    unit: str
    charged: Energy | None
    """by its meter, for attempts"""
    whole: Energy | None
    """these attempts in all, judging included"""
    beside: Energy | None
    """by its meter, beside attempts"""
    joules_per_example: float | None
    """that it takes to train on an example once, J"""

    @property
    def meter_key_id(self) -> str:
        """Of the key, as 64 hexadecimal digits; empty where nothing was signed."""
        return raw_key_id(base64.b64decode(self.meter_key)) if self.meter_key else ""

    @property
    def eta_per_kj(self) -> float | None:
        """Δ by kJ of the attempts that it trained, judging included; none where it is not known."""
        if self.delta is None or self.whole is None or self.whole.uj <= 0:
            return None
        return self.delta / (self.whole.uj / MICRO / 1000)


def worker_rows(fold: MeterFold) -> list[WorkerRow]:
    """The workers that a log names, the most frugal first; none where its runs made their attempts alone.

    Args:
        fold: of its entries.
    """
    found = (_row(key, worker, tally) for (key, worker), tally in fold.tallies.items())
    return sorted(found, key=_thrift)


def _thrift(row: WorkerRow) -> tuple[bool, float, str]:
    each = row.joules_per_example
    return each is None, each or 0.0, row.worker


def _row(key: str, worker: str, tally: MeterTally) -> WorkerRow:
    each_uj = tally.uj_per_example
    return WorkerRow(
        worker=worker,
        meter_key=key,
        boot=tally.boot,
        attempts=tally.attempts,
        kept=tally.kept,
        lost=tally.lost,
        delta=tally.delta_nano / NANO if len(tally.units) < 2 else None,
        unit=next(iter(tally.units), "") if len(tally.units) < 2 else "",
        charged=tally.charged,
        whole=tally.whole,
        beside=tally.beside,
        joules_per_example=each_uj / MICRO if each_uj is not None else None,
    )
