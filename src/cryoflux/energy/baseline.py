"""The frozen idle baseline: what each source draws at rest, learned once and then never moved.

A baseline that follows the load would eat the very energy that it is there to set apart. So it is
learned for a stated time as the median of one-second blocks, with a block-bootstrap error, marked
``unsettled`` if the machine was not at rest, then written to ``baseline.json`` and named by the SHA-256
of that file's bytes. A modelled source needs no learning: its idle power is its curve at zero load.
"""

from __future__ import annotations

__all__ = ["Baseline", "BaselineState", "Idle", "load_baseline", "obtain_baseline"]

import json
import math
import random
import statistics
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

from cryoflux.digests import sha256_hex
from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.interface import Source
from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.window import Accumulator, Mark, SourceLimits
from cryoflux.errors import StateTamperedError
from cryoflux.files import write_atomic
from cryoflux.quantities import MICRO, Tier

BaselineState = Literal["settled", "unsettled", "modelled"]
_Progress = Callable[[int, int], None] | None
"""Called with the seconds done and the seconds in all."""

_FORMAT = "cryoflux idle baseline/v1"
_BUSY_LIMIT = 0.05
_DRIFT_UW = MICRO
_DRIFT_SHARE = 0.02
_LEAST_BLOCKS = 10
_RESAMPLES = 400
_BOOTSTRAP_BLOCK = 5
_LEAST_ERROR_UW = MICRO // 20
_MOST_CORRELATED = 0.9
_Z95 = 1.96
_SPIKE = 3 * 1.4826
"""of the median absolute deviation: three standard deviations of a normal noise"""


@dataclass(frozen=True, slots=True)
class Idle:
    """One source at rest."""

    source: str
    tier: Tier
    curve: str
    idle_uw: int
    error_uw: int
    """half width of the 95 % interval"""
    blocks: int
    """one-second blocks that went into it; 0 for a modelled one"""
    state: BaselineState
    learned_at: str
    """UTC wall time; a label"""
    replaces: str = ""
    """``unknown`` where energy was settled by another baseline of this source, which is gone"""

    def fits(self, source: Source) -> bool:
        """Whether this is the baseline of that source."""
        same = (self.source, self.tier, self.curve) == (source.name, source.tier, source.curve)
        return same and source.idle_uw in (None, self.idle_uw)


@dataclass(frozen=True, slots=True)
class Baseline:
    """All that is frozen, by source."""

    idles: tuple[Idle, ...]
    """sorted by source"""

    def content(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, ASCII, integers only."""
        document = {"format": _FORMAT, "sources": [_fields(idle) for idle in self.idles]}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return sha256_hex(self.content())

    @property
    def flags(self) -> tuple[str, ...]:
        """What is wrong with every figure above this baseline."""
        return ("baseline-relearned",) if any(idle.replaces for idle in self.idles) else ()

    def of(self, source: Source) -> Idle | None:
        """The baseline of one source."""
        return next((idle for idle in self.idles if idle.fits(source)), None)

    def state(self, sources: Sequence[Source]) -> BaselineState:
        """How far the baselines of some sources can be trusted."""
        states = {idle.state for source in sources if (idle := self.of(source))}
        if "unsettled" in states:
            return "unsettled"
        return "settled" if "settled" in states else "modelled"

    def with_idles(self, learned: Sequence[Idle]) -> Baseline:
        """This baseline and new entries, which take the place of others for the same source."""
        merged = {idle.source: idle for idle in (*self.idles, *learned)}
        return Baseline(tuple(merged[name] for name in sorted(merged)))


def _fields(idle: Idle) -> dict[str, object]:
    return {name: value for name, value in asdict(idle).items() if name != "replaces" or value}


def load_baseline(path: Path) -> Baseline:
    """The stored baseline; an empty one where there is none yet.

    Raises:
        StateTamperedError: the file is not the one that was written.
    """
    if not path.exists():
        return Baseline(())
    try:
        content = path.read_bytes()
        document = json.loads(content)
        idles = tuple(Idle(**{**entry, "tier": Tier(entry["tier"])}) for entry in document["sources"])
        baseline = Baseline(idles)
        if document["format"] != _FORMAT or baseline.content() != content:
            raise ValueError("not canonical")
        return baseline
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StateTamperedError(
            f"{path} is not a baseline that CryoFlux wrote ({error}).",
            why="The idle baseline is frozen: net joules measured against another one cannot be compared.",
            hint=f"Restore the file, or move it away to learn a new baseline: mv {path} {path}.old",
        ) from error


def obtain_baseline(
    path: Path,
    sources: Sequence[Source],
    times: MachineTimes,
    clock: Clock,
    *,
    seconds: float,
    rng: random.Random,
    progress: _Progress = None,
    settled: Container[str] = (),
) -> Baseline:
    """The frozen baseline of these sources; what is missing is learned now and stored.

    One that takes the place of a baseline that was lost, because energy of its source is among what was
    ``settled``, says so.
    """
    baseline = load_baseline(path)
    missing = [source for source in sources if baseline.of(source) is None]
    if not missing:
        return baseline
    label = datetime.fromtimestamp(clock.wall_s(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    learned = [_defined(source, source.idle_uw, label) for source in missing if source.idle_uw is not None]
    measured = [source for source in missing if source.idle_uw is None]
    if measured:
        blocks = _observe(measured, times, clock, seconds=seconds, progress=progress)
        for source, powers_uw in zip(measured, blocks.powers_uw, strict=True):
            learned.append(_learned(source, powers_uw, busy=blocks.busy, rng=rng, label=label))
    frozen = load_baseline(path)
    known = {idle.source for idle in frozen.idles}
    lost = {idle.source for idle in learned if idle.source in settled} - known
    learned = [replace(idle, replaces="unknown") if idle.source in lost else idle for idle in learned]
    baseline = frozen.with_idles(learned)
    write_atomic(path, baseline.content())
    return baseline


def _defined(source: Source, idle_uw: int, label: str) -> Idle:
    return Idle(source.name, source.tier, source.curve, idle_uw, 0, 0, "modelled", label)


@dataclass(frozen=True, slots=True)
class _Observed:
    powers_uw: list[list[int]]
    """per source, one figure a block"""
    busy: float
    """share of the CPUs' time that was busy"""


def _observe(
    sources: Sequence[Source], times: MachineTimes, clock: Clock, *, seconds: float, progress: _Progress
) -> _Observed:
    meters = [Accumulator(limits_of(source)) for source in sources]
    powers_uw: list[list[int]] = [[] for _ in sources]
    before = _read_all(sources, meters)
    busy_before, started_ns = times.read(), clock.monotonic_ns()
    blocks = max(1, -(-int(seconds * 1000) // 1000))
    steps = max(1, round(1 / min(source.poll_s for source in sources)))
    for block in range(blocks):
        for _ in range(steps):
            clock.sleep(1 / steps)
            after = _read_all(sources, meters)
        for figures, then, now in zip(powers_uw, before, after, strict=True):
            elapsed_ns = max(1, now.elapsed_ns - then.elapsed_ns)
            figures.append(now.since(then).uj * BILLION // elapsed_ns)
        before = after
        if progress:
            progress(block + 1, blocks)
    busy_after, elapsed_ns = times.read(), max(1, clock.monotonic_ns() - started_ns)
    if busy_before is None or busy_after is None:
        return _Observed(powers_uw, 1.0)
    busy_ns = (busy_after.allowed_us - busy_before.allowed_us) * 1000
    return _Observed(powers_uw, busy_ns / elapsed_ns / len(times.cpus))


def _read_all(sources: Sequence[Source], meters: Sequence[Accumulator]) -> list[Mark]:
    for source, meter in zip(sources, meters, strict=True):
        meter.advance(source.read())
    return [meter.mark() for meter in meters]


def limits_of(source: Source) -> SourceLimits:
    """What is physically possible for a source."""
    ticks = source.tier is Tier.COUNTER
    step_uj = source.resolution_uj + int(source.max_power_uw * source.update_s)
    return SourceLimits(source.range_uj, source.max_power_uw, step_uj, ticks)


def _learned(source: Source, powers_uw: list[int], *, busy: float, rng: random.Random, label: str) -> Idle:
    idle_uw = int(statistics.median(powers_uw))
    half = len(powers_uw) // 2
    drift_uw = (
        abs(statistics.median(powers_uw[:half]) - statistics.median(powers_uw[half:])) if half else idle_uw
    )
    at_rest = busy <= _BUSY_LIMIT and drift_uw <= max(_DRIFT_UW, _DRIFT_SHARE * idle_uw)
    state: BaselineState = "settled" if at_rest and len(powers_uw) >= _LEAST_BLOCKS else "unsettled"
    error_uw = _learning_error_uw(powers_uw, idle_uw, rng)
    if state == "unsettled":
        error_uw = max(error_uw, int(drift_uw))
    return Idle(source.name, source.tier, source.curve, idle_uw, error_uw, len(powers_uw), state, label)


def _learning_error_uw(powers_uw: list[int], centre_uw: int, rng: random.Random) -> int:
    """95 % half width of the median: the larger of two ways to reckon with seconds that are alike."""
    return max(
        _LEAST_ERROR_UW,
        _bootstrap_error_uw(powers_uw, centre_uw, rng),
        _autocorrelated_error_uw(powers_uw),
    )


def _bootstrap_error_uw(powers_uw: list[int], centre_uw: int, rng: random.Random) -> int:
    # Neighbouring seconds are alike, so runs of them are drawn, not single ones.
    length = min(_BOOTSTRAP_BLOCK, len(powers_uw))
    runs = -(-len(powers_uw) // length)
    distances = []
    for _ in range(_RESAMPLES):
        starts = (rng.randrange(len(powers_uw) - length + 1) for _ in range(runs))
        drawn = [power for start in starts for power in powers_uw[start : start + length]]
        distances.append(abs(statistics.median(drawn) - centre_uw))
    return int(sorted(distances)[int(0.95 * _RESAMPLES)])


def _autocorrelated_error_uw(powers_uw: list[int]) -> int:
    """Of an AR(1) noise; its correlation, underestimated in a short series, is corrected for that.

    Source: Marriott and Pope, Biometrika 41 (1954); the median's standard error is √(π/2) of the mean's.
    """
    count = len(powers_uw)
    if count < _LEAST_BLOCKS:
        return 0
    median_uw = statistics.median(powers_uw)
    apart_uw = statistics.median(abs(power - median_uw) for power in powers_uw)
    # The median does not follow single spikes, so they must not count as noise of it.
    most_uw = _SPIKE * apart_uw
    off = [max(-most_uw, min(most_uw, power - median_uw)) for power in powers_uw]
    squares = sum(value * value for value in off)
    if not squares:
        return 0
    found = sum(a * b for a, b in pairwise(off)) / squares
    correlation = min(_MOST_CORRELATED, max(0.0, found + (1 + 3 * found) / count))
    independent = count * (1 - correlation) / (1 + correlation)
    deviation = math.sqrt(squares / max(1.0, count - count / independent))
    return int(_Z95 * math.sqrt(math.pi / 2) * deviation / math.sqrt(independent))
