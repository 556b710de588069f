"""The power curve of this machine, fitted to its own counters.

Where RAPL can be read, the watts at each load are known, and the curve through them is better than any
published one: for the same machine's containers and virtual machines, and to say how far off the
default is. The fit is least squares over all concave curves that never fall, on the load knots of
``concave/v1``. Such a curve is ``a + Σ cᵢ·min(load, knotᵢ)`` with nothing negative, so the best one is found
exactly, by trying each set of terms.
"""

from __future__ import annotations

__all__ = ["FittedCurve", "LoadSample", "fit_curve", "observe_loads"]

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.interface import Source
from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.sources.cpu_model import CONCAVE_V1, Curve
from cryoflux.energy.sources.tdp import Tdp
from cryoflux.energy.window import Accumulator, SourceLimits
from cryoflux.errors import MeterError
from cryoflux.quantities import MICRO, Tier

_KNOTS = tuple(load for load, _ in CONCAVE_V1.points[1:])
_LEAST_SAMPLES = 10
_LEAST_SPAN = 0.3
"""Loads closer together than this say nothing about the shape."""
_SINGULAR = 1e-9
_COUNTER_ERROR = 0.05
"""of the counters that the curve was fitted to"""


@dataclass(frozen=True, slots=True)
class LoadSample:
    """One second or so of a machine at work."""

    load: float
    """busy share of all its CPUs"""
    watts: float


@dataclass(frozen=True, slots=True)
class FittedCurve:
    """The curve of a machine, and how well it fits."""

    curve: Curve
    """shares of the power at full load"""
    idle_w: float
    max_w: float
    mape: float
    """mean of the absolute relative residuals"""
    default_mape: float
    """the same of ``concave/v1``, scaled to the same power at full load"""
    samples: int

    def tdp(self, cpus: int, all_cpus: int) -> Tdp:
        """What the model needs besides the curve, for some of the machine's CPUs."""
        error = min(0.9, 2 * self.mape + _COUNTER_ERROR)
        source = f"fit of {self.samples} samples, residual {self.mape:.1%}"
        return Tdp(self.max_w * cpus / all_cpus, source, (1 - error, 1 + error))


def fit_curve(samples: Sequence[LoadSample]) -> FittedCurve:
    """The best concave curve that never falls.

    Args:
        samples: at least 10, over at least three tenths of the load range.

    Raises:
        MeterError: too few samples, or too much alike.
    """
    loads = [sample.load for sample in samples]
    if len(samples) < _LEAST_SAMPLES or max(loads) - min(loads) < _LEAST_SPAN:
        span = f"{min(loads):.0%} to {max(loads):.0%}" if loads else "none"
        raise MeterError(
            f"{len(samples)} samples at loads of {span} do not show a power curve.",
            why="Watts at rest, at some and at full load are needed.",
            hint="Let the machine idle for a while and work hard for a while, and watch it for a minute.",
        )
    weights = _least_squares([_terms(load) for load in loads], [sample.watts for sample in samples])
    points = [(load, _dot(weights, _terms(load))) for load in (0.0, *_KNOTS)]
    max_w = max(points[-1][1], 1e-3)
    shares = tuple((load, watts / max_w) for load, watts in points)
    curve = Curve(_curve_id(points), shares)
    default_w = max_w / CONCAVE_V1.share(1.0)
    return FittedCurve(
        curve=curve,
        idle_w=points[0][1],
        max_w=max_w,
        mape=_mape(samples, curve, max_w),
        default_mape=_mape(samples, CONCAVE_V1, default_w),
        samples=len(samples),
    )


def _terms(load: float) -> list[float]:
    return [1.0, *(min(load, knot) for knot in _KNOTS)]


def _dot(weights: Sequence[float], terms: Sequence[float]) -> float:
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))


def _curve_id(points: Sequence[tuple[float, float]]) -> str:
    content = json.dumps([[load, round(watts * 1000)] for load, watts in points]).encode()
    return f"fitted/{hashlib.sha256(content).hexdigest()[:8]}"


def _mape(samples: Sequence[LoadSample], curve: Curve, full_w: float) -> float:
    counted = [sample for sample in samples if sample.watts > 0]
    residuals = [abs(curve.share(sample.load) * full_w / sample.watts - 1) for sample in counted]
    return sum(residuals) / max(1, len(residuals))


def _least_squares(rows: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """Non-negative weights with the least squared residual."""
    width = len(rows[0])
    products = [[sum(row[i] * row[j] for row in rows) for j in range(width)] for i in range(width)]
    targets = [sum(row[i] * value for row, value in zip(rows, values, strict=True)) for i in range(width)]
    best, least = [0.0] * width, float("inf")
    for size in range(1, width + 1):
        for chosen in combinations(range(width), size):
            solved = _solve([[products[i][j] for j in chosen] for i in chosen], [targets[i] for i in chosen])
            if solved is None or min(solved) < 0:
                continue
            weights = [0.0] * width
            for place, weight in zip(chosen, solved, strict=True):
                weights[place] = weight
            # The squared residual, less the part that is the same for all.
            cost = _dot(weights, [_dot(weights, line) for line in products]) - 2 * _dot(weights, targets)
            if cost < least:
                best, least = weights, cost
    return best


def _solve(matrix: list[list[float]], values: list[float]) -> list[float] | None:
    """Gaussian elimination with pivots; none where the matrix is singular."""
    rows = [[*row, value] for row, value in zip(matrix, values, strict=True)]
    scale = max(abs(entry) for row in matrix for entry in row)
    for place in range(len(rows)):
        pivot = max(range(place, len(rows)), key=lambda row: abs(rows[row][place]))
        if abs(rows[pivot][place]) <= _SINGULAR * scale:
            return None
        rows[place], rows[pivot] = rows[pivot], rows[place]
        for other in range(len(rows)):
            if other != place:
                factor = rows[other][place] / rows[place][place]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[place], strict=True)]
    return [row[-1] / row[place] for place, row in enumerate(rows)]


def observe_loads(
    sources: Sequence[Source],
    times: MachineTimes,
    clock: Clock,
    *,
    seconds: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[LoadSample]:
    """Watch the machine at work, second by second.

    Args:
        sources: hardware counters whose sum is to be modelled; those of a GPU or a model do not belong here.
        times: the machine's busy time.
        clock: the time.
        seconds: how long.
        progress: called with the seconds done and the seconds in all.

    Returns:
        One sample for each second that all counters were read well in.

    Raises:
        MeterError: a source counts nothing by itself.
    """
    if not sources or any(source.tier is not Tier.COUNTER for source in sources):
        raise MeterError(
            "There is no hardware counter to fit a power curve to.",
            why="A curve that is fitted to a model only repeats the model.",
            hint="Run `cryoflux doctor` to see how RAPL can be read here.",
        )
    meters = [_accumulator(source) for source in sources]
    samples: list[LoadSample] = []
    before = _look(sources, meters, times, clock)
    for second in range(seconds):
        clock.sleep(1.0)
        now = _look(sources, meters, times, clock)
        if before.good and now.good and now.faults == before.faults:
            samples.append(_between(before, now, times.all_cpus))
        before = now
        if progress:
            progress(second + 1, seconds)
    return samples


@dataclass(frozen=True, slots=True)
class _Look:
    energy_uj: int
    busy_us: int
    monotonic_ns: int
    faults: int
    good: bool


def _accumulator(source: Source) -> Accumulator:
    return Accumulator(SourceLimits(source.range_uj, source.max_power_uw, source.resolution_uj, ticks=True))


def _look(
    sources: Sequence[Source], meters: Sequence[Accumulator], times: MachineTimes, clock: Clock
) -> _Look:
    for source, meter in zip(sources, meters, strict=True):
        meter.advance(source.read())
    marks = [meter.mark() for meter in meters]
    busy = times.read()
    return _Look(
        energy_uj=sum(mark.total.uj for mark in marks),
        busy_us=busy.all_us if busy else 0,
        monotonic_ns=clock.monotonic_ns(),
        faults=sum(sum(mark.faults.values()) for mark in marks),
        good=busy is not None and not any(mark.pending for mark in marks),
    )


def _between(before: _Look, now: _Look, cpus: int) -> LoadSample:
    elapsed_ns = max(1, now.monotonic_ns - before.monotonic_ns)
    load = (now.busy_us - before.busy_us) * 1000 / elapsed_ns / cpus
    watts = (now.energy_uj - before.energy_uj) * BILLION / elapsed_ns / MICRO
    return LoadSample(max(0.0, min(1.0, load)), watts)
