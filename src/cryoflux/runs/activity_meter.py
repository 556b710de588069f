"""The meter's side of what a run leaves: a row a second, and what it showed last."""

from __future__ import annotations

__all__ = ["MeterSeries", "meter_beside"]

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from cryoflux.attempt.watch import Step
from cryoflux.config import Settings
from cryoflux.energy.interface import JouleAgent, Sample
from cryoflux.quantities import MICRO, Energy
from cryoflux.runs.activity_files import ActivityFiles
from cryoflux.runs.activity_form import (
    MOST_WORDS,
    SaidEnergy,
    SaidMeter,
    SaidSource,
    SampleRow,
    pack_row,
    said_word,
)

_TIMEOUT_S = 2.0
"""a daemon is waited for so long; there is another second soon"""


@contextmanager
def meter_beside(settings: Settings, agent: JouleAgent) -> Iterator[JouleAgent]:
    """What another thread than the run's may ask: the meter in this process, or a client of its own.

    Args:
        settings: which daemon it is, where it is one.
        agent: what the run spends from.
    """
    chosen = settings.agent
    if not chosen.agent:
        yield agent
        return
    from cryoflux.agent.client import AgentClient

    timeout = min(chosen.timeout, _TIMEOUT_S)
    with closing(AgentClient(chosen.agent, token=chosen.token, timeout=timeout, attempts=1)) as client:
        yield client


class MeterSeries:
    """Notes what a meter shows, for as long as there is one.

    Args:
        files: where to.
        clock: seconds since 1970.
        steady: seconds by a clock that never goes back.
    """

    def __init__(
        self,
        files: ActivityFiles,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files, self._steady = files, steady
        self._wall_less_steady = clock() - steady()
        self._asking = threading.Lock()
        self._meter: JouleAgent | None = None
        self._apart = False
        """whether it is a daemon's"""
        self._noted: Energy | None = None
        """gross energy of the last row; none before the first of this meter"""

    @contextmanager
    def of(self, meter: JouleAgent, *, apart: bool = False) -> Iterator[None]:
        """Ask this one; nobody is in the middle of it once the block is over.

        Args:
            meter: that is asked.
            apart: whether it is a daemon's, and none in this process.
        """
        with self._asking:
            self._meter, self._noted, self._apart = meter, None, apart
        try:
            yield
        finally:
            with self._asking:
                self._meter = None

    def note(self, attempt: int, step: Step | None) -> SaidMeter | None:
        """Add a row, unless nothing has moved; returns what is shown, none where there is no meter.

        Args:
            attempt: that goes on; 0 where none does.
            step: of it.

        Raises:
            CryoFluxError: the meter does not answer.
            OSError: the row cannot be written.
        """
        with self._asking:
            if self._meter is None:
                return None
            sample, at_s = self._meter.sample(), self._wall_less_steady + self._steady()
            # A daemon's figures move once a second, and not at our moments.
            if self._noted is None or sample.gross.uj != self._noted.uj:
                self._append(sample, at_s, attempt, step)
                self._noted = sample.gross
            return _said_meter(sample, at_s, daemon=self._apart)

    def spent_uj(self, reservation: str) -> int | None:
        """What was spent of an open reservation, µJ; none where there is no meter.

        Raises:
            CryoFluxError: the meter does not answer, or knows no such reservation.
        """
        with self._asking:
            return self._meter.spent(reservation).uj if self._meter is not None else None

    def _append(self, sample: Sample, at_s: float, attempt: int, step: Step | None) -> None:
        row = SampleRow(
            sequence=self._files.next_sequence(),
            at_us=round(at_s * MICRO),
            gross=sample.gross,
            net=sample.net,
            bucket_uj=sample.bucket_uj,
            attempt=attempt,
            step=step,
            first=self._noted is None,
        )
        self._files.append(pack_row(row))


def _said_meter(sample: Sample, at_s: float, *, daemon: bool) -> SaidMeter:
    return SaidMeter(
        at=at_s,
        net_w=sample.net_w,
        bucket_uj=sample.bucket_uj,
        gross=_said_energy(sample.gross),
        net=_said_energy(sample.net),
        baseline_state=sample.baseline_state,
        flags=[said_word(flag) for flag in sample.flags[:MOST_WORDS]],
        sources=[
            SaidSource(said_word(one.name), one.kind, one.tier, one.power_w, one.idle_w)
            for one in sample.sources[:MOST_WORDS]
        ],
        daemon=daemon,
    )


def _said_energy(energy: Energy) -> SaidEnergy:
    return SaidEnergy(energy.uj, energy.lo_uj, energy.hi_uj, energy.tier)
