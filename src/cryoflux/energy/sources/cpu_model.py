"""Modelled energy of the CPUs, where nothing measures it.

CPU-seconds, which are a counter, go through a named concave power curve. The curve is applied to
blocks of at least one second, and inside a block to the load since the block began, so that the
result does not depend on how often it is read. What load means is the busy share of the CPUs
that this process may run on; other CPUs of the machine are somebody else's.

The share of TDP at a load follows the widely used Teads points (12, 32, 75 and 102 % of TDP at 0, 10,
50 and 100 % load). Measured families are concave as well, but differ: hence the wide ranges, which are
plausible and no 95 % intervals. A concave curve makes the first busy CPU the dearest: the same job costs
more alone than beside a neighbour.
"""

from __future__ import annotations

__all__ = ["CONCAVE_V1", "GUESSED_W_PER_CPU", "CpuModelSource", "Curve", "tdp_here"]

from dataclasses import dataclass

from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.interface import Reading, SourceKind
from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.sources.tdp import GUESSED_W_PER_CPU, Tdp, guessed_tdp, possible_tdps, stated_tdp
from cryoflux.quantities import MICRO, Energy, Tier

_TICK_S = 0.02
"""Busy time comes in ticks of 10 ms; two readings can each be one tick off."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Power as a share of TDP over load, piecewise linear and concave."""

    id: str
    points: tuple[tuple[float, float], ...]

    def share(self, load: float) -> float:
        """Share of TDP at a load between 0 and 1; beyond, that of the nearest end."""
        load = max(0.0, min(1.0, load))
        for (x0, y0), (x1, y1) in zip(self.points, self.points[1:], strict=False):
            if load <= x1:
                return y0 + (y1 - y0) * (load - x0) / (x1 - x0)
        return self.points[-1][1]

    @property
    def steepest(self) -> float:
        """The largest slope, which a concave curve has at its start."""
        (x0, y0), (x1, y1) = self.points[:2]
        return (y1 - y0) / (x1 - x0)


CONCAVE_V1 = Curve("concave/v1", ((0.0, 0.12), (0.1, 0.32), (0.5, 0.75), (1.0, 1.02)))


class CpuModelSource:
    """Cumulative modelled energy of the allowed CPUs.

    Args:
        times: the machine's busy time.
        clock: the time.
        tdp_w: thermal design power of the allowed CPUs, as stated in the settings.
        tdp: the same, from elsewhere; a rough guess where both are none.
        curve: the power curve.
    """

    name = "cpu-model"
    kind: SourceKind = "cpu"
    tier = Tier.MODELLED
    range_uj: int | None = None
    poll_s = 1.0
    update_s = 0.0

    def __init__(
        self,
        times: MachineTimes,
        clock: Clock,
        *,
        tdp_w: float | None = None,
        tdp: Tdp | None = None,
        curve: Curve = CONCAVE_V1,
    ) -> None:
        self._times = times
        self._clock = clock
        self._power = curve
        self.cpus = len(times.cpus)
        known = (tdp or guessed_tdp(self.cpus)) if tdp_w is None else stated_tdp(tdp_w, tdp)
        self.tdp_w = known.watts
        self.tdp_source = known.source
        """``setting``, a row of the tables, a fit, or ``guess``"""
        self.guessed = known.source == "guess"
        self.curve = curve.id
        self.gain_error = known.error
        # What is plausible can flow: up to the power limit, which lies above the TDP.
        self.max_power_uw = int(curve.share(1.0) * self.tdp_w * max(1.0, self.gain_error[1]) * MICRO) + 1
        self.idle_uw: int | None = _idle_uw(curve, self.tdp_w)
        self.resolution_uj = int(curve.steepest * self.tdp_w * _TICK_S * MICRO) + 1
        self._block: tuple[int, int] | None = None
        self._done_uj = 0

    def energy_uj(self, busy_us: int, elapsed_ns: int) -> int:
        """Energy of so much busy time in so long a time, at an even load."""
        if elapsed_ns <= 0:
            return 0
        load = busy_us * 1000 / (elapsed_ns * self.cpus)
        return int(self._power.share(load) * self.tdp_w * MICRO * elapsed_ns / BILLION)

    def read(self) -> Reading:
        """Modelled energy since the first reading."""
        now_ns = self._clock.monotonic_ns()
        busy = self._times.read()
        if busy is None:
            return Reading(None, now_ns, self._clock.boot_id)
        if self._block is None:
            self._block = (now_ns, busy.allowed_us)
        started_ns, started_us = self._block
        energy_uj = self._done_uj + self.energy_uj(max(0, busy.allowed_us - started_us), now_ns - started_ns)
        if now_ns - started_ns >= BILLION:
            self._block, self._done_uj = (now_ns, busy.allowed_us), energy_uj
        return Reading(energy_uj, now_ns, self._clock.boot_id)

    def net_before(self, busy_us: int, elapsed_ns: int) -> Energy:
        """Net energy of a process from its start to now, from its CPU time alone."""
        rest_uj = self.energy_uj(0, elapsed_ns)
        net_uj = max(0, self.energy_uj(busy_us, elapsed_ns) - rest_uj)
        low, high = self.gain_error
        return Energy(net_uj, int(net_uj * low), int(net_uj * high) + 1, self.tier)

    def users(self) -> None:
        """Not told."""

    def close(self) -> None:
        """Nothing to let go of."""


def tdp_here(cpuinfo: str, cpus: int, frozen_idle_uw: int | None = None) -> Tdp:
    """The TDP to model with where the settings state none.

    A state whose baseline was frozen with a lesser figure (the guess, the family before the model was in the
    table) goes on with it: another TDP in the middle would make its joules before and after incomparable, and
    its baseline a lost one. The range is that of the best figure.

    Args:
        cpuinfo: what the kernel says of the CPUs.
        cpus: how many of them may be used.
        frozen_idle_uw: idle power of the model in the state's frozen baseline, µW; none in a new state.
    """
    best, *others = possible_tdps(cpuinfo, cpus)
    if frozen_idle_uw in {None, _idle_uw(CONCAVE_V1, best.watts)}:
        return best
    kept = (other for other in others if frozen_idle_uw == _idle_uw(CONCAVE_V1, other.watts))
    return next((best.seen_from(other) for other in kept), best)


def _idle_uw(curve: Curve, tdp_w: float) -> int:
    return int(curve.share(0.0) * tdp_w * MICRO)
