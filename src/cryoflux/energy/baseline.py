"""The frozen idle baseline: what each source draws at rest, learned once and then never moved.

A baseline that follows the load would eat the very energy that it is there to set apart. So it is
learned for a stated time as the median of one-second blocks, with a block-bootstrap error, marked
``unsettled`` if the machine was not at rest, then written to ``baseline.json`` and named by the SHA-256
of its bytes. A modelled source needs no learning: its idle power is its curve at zero load.

A baseline is of one machine. Where several share a home, each has its own in the file, and its digest
is over those alone.
"""

from __future__ import annotations

__all__ = [
    "Baseline",
    "BaselineState",
    "Idle",
    "defined_idle",
    "glanced",
    "learn_again",
    "load_baseline",
    "machine_here",
    "obtain_baseline",
]

import json
import random
import shlex
import statistics
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from cryoflux.digests import sha256_hex
from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.idle_error import LEAST_BLOCKS, learning_error_uw
from cryoflux.energy.interface import Source
from cryoflux.energy.processes import Busy, MachineTimes
from cryoflux.energy.window import Accumulator, Mark, SourceLimits
from cryoflux.errors import MeterError, StateTamperedError
from cryoflux.files import MOST_DOCUMENT_BYTES, one_at_a_time, read_regular, write_atomic
from cryoflux.quantities import MICRO, Tier, utc_label

BaselineState = Literal["settled", "unsettled", "modelled"]
_Progress = Callable[[int, int], None] | None  # called with the seconds done and the seconds in all

_FORMAT = "cryoflux idle baseline/v1"
_LOST = "unknown"
_LATER = frozenset({"replaces", "doubt_uw", "machine"})
"""fields that came later, or mostly say nothing: left out where they say nothing"""
_BUSY_LIMIT = 0.05
_QUIET_SECONDS = 5
_GLANCE_S = 2.0
_DRIFT_UW = MICRO
_DRIFT_SHARE = 0.02


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
    """digest of the baseline before this one; ``unknown`` where energy was settled by one that is gone"""
    doubt_uw: int = 0
    """the truth may lie lower by so much, because the machine was at work while it was learned"""
    machine: str = ""
    """where it was learned (`machine_here`); empty in a file of before that was noted"""

    def fits(self, source: Source) -> bool:
        """Whether this is the baseline of that source."""
        same = (self.source, self.tier, self.curve) == (source.name, source.tier, source.curve)
        return same and source.idle_uw in (None, self.idle_uw)


@dataclass(frozen=True, slots=True)
class Baseline:
    """All that is frozen on this machine, by source."""

    idles: tuple[Idle, ...]
    """sorted by source"""
    elsewhere: tuple[Idle, ...] = ()
    """of other machines that share the file; nothing is measured against them"""

    def content(self) -> bytes:
        """The file."""
        return _written(sorted((*self.idles, *self.elsewhere), key=lambda idle: (idle.source, idle.machine)))

    @property
    def digest(self) -> str:
        """SHA-256 of the file; of what it would be, where other machines share it."""
        return sha256_hex(_written(self.idles))

    @property
    def flags(self) -> tuple[str, ...]:
        """What is wrong with every figure above this baseline."""
        return ("baseline-relearned",) if any(idle.replaces == _LOST for idle in self.idles) else ()

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
        return Baseline(tuple(merged[name] for name in sorted(merged)), self.elsewhere)


def machine_here(etc: str = "/etc", proc_root: str = "/proc") -> str:
    """What tells this machine from others: a hash of its id, or of its CPUs where it has none.

    The id itself is nobody's business (machine-id(5)), so it never leaves this function.
    """
    try:
        said = (Path(etc) / "machine-id").read_text("ascii").strip()
    except (OSError, ValueError):
        said = ""
    if not said:  # a container, most often: the same image on the same hardware draws the same
        with suppress(OSError):
            lines = (Path(proc_root) / "cpuinfo").read_text("utf-8", "replace").splitlines()
            said = "\n".join(line for line in lines if line.startswith(("model name", "CPU part")))
    return sha256_hex(f"cryoflux baseline\n{said}".encode())[:16]


def _written(idles: Iterable[Idle]) -> bytes:
    """Canonical JSON: sorted keys, no spaces, ASCII, integers only."""
    document = {"format": _FORMAT, "sources": [_fields(idle) for idle in idles]}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _fields(idle: Idle) -> dict[str, object]:
    return {name: value for name, value in asdict(idle).items() if name not in _LATER or value}


def load_baseline(path: Path, machine: str | None = None) -> Baseline:
    """The stored baseline; an empty one where there is none yet.

    Args:
        path: the file.
        machine: whose baseline; this one's by default.

    Raises:
        StateTamperedError: the file is not the one that was written.
    """
    if not path.exists():
        return Baseline(())
    try:
        content = read_regular(path, MOST_DOCUMENT_BYTES)
        document = json.loads(content)
        idles = [Idle(**{**entry, "tier": Tier(entry["tier"])}) for entry in document["sources"]]
        here = {"", machine if machine is not None else machine_here()}
        baseline = Baseline(
            tuple(idle for idle in idles if idle.machine in here),
            tuple(idle for idle in idles if idle.machine not in here),
        )
        if document["format"] != _FORMAT or baseline.content() != content:
            raise ValueError("not canonical")
        return baseline
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise StateTamperedError(
            f"{path} is not a baseline that CryoFlux wrote ({error}).",
            why="The idle baseline is frozen: net joules measured against another one cannot be compared.",
            hint=f"Restore it, or move it away to learn anew: mv {(q := shlex.quote(str(path)))} {q}.old",
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
    patience_s: float = 0.0,
    provisional: bool = False,
    machine: str | None = None,
) -> Baseline:
    """The frozen baseline of these sources; what is missing is learned now and stored.

    Args:
        path: where it is stored.
        sources: that need one.
        times: the machine's busy time.
        clock: the time.
        seconds: how long to watch, s.
        rng: of the bootstrap.
        progress: called with seconds done and seconds in all.
        settled: sources that energy was settled by before: one that takes the place of a lost one says so.
        patience_s: how long to wait for the machine to be at rest first, s.
        provisional: whether work may be under way: what is missing is glanced at, doubted, and not stored.
        machine: whose baseline; this one's by default.
    """
    here = machine if machine is not None else machine_here()
    with ExitStack() as alone:
        baseline, missing = _missing(path, here, sources)
        if any(source.idle_uw is None for source in missing) and not provisional:
            # Of those that begin at once on one machine one learns, and the others take what it learned.
            alone.enter_context(one_at_a_time(path.with_name(f"{path.stem}.{here}.lock")))
            baseline, missing = _missing(path, here, sources)
        if not missing:
            return baseline
        label = utc_label(clock.wall_s())
        learned = [
            defined_idle(source, source.idle_uw, label) for source in missing if source.idle_uw is not None
        ]
        measured = [source for source in missing if source.idle_uw is None]
        if measured and provisional:
            return baseline.with_idles([*learned, *glanced(measured, times, clock, rng)])
        if measured:
            _wait_for_rest(times, clock, patience_s)
            blocks = _observe(measured, times, clock, seconds=seconds, progress=progress)
            learned += _all_learned(measured, blocks, rng, label)
        return _stored(path, here, learned, settled)


def _missing(path: Path, here: str, sources: Sequence[Source]) -> tuple[Baseline, list[Source]]:
    """What is frozen, and the sources that it has nothing of."""
    baseline = load_baseline(path, here)
    return baseline, [source for source in sources if baseline.of(source) is None]


def _stored(path: Path, here: str, learned: Sequence[Idle], settled: Container[str]) -> Baseline:
    """The baseline with what was learned; other machines may write into the same file meanwhile."""
    with one_at_a_time(path.with_name(f"{path.stem}.lock")):
        frozen = load_baseline(path, here)
        known = {idle.source for idle in (*frozen.idles, *frozen.elsewhere)}
        lost = {idle.source for idle in learned if idle.source in settled} - known
        named = (replace(idle, replaces=_LOST) if idle.source in lost else idle for idle in learned)
        baseline = frozen.with_idles([replace(idle, machine=here) for idle in named])
        write_atomic(path, baseline.content())
    return baseline


def glanced(sources: Sequence[Source], times: MachineTimes, clock: Clock, rng: random.Random) -> list[Idle]:
    """What sources draw in two seconds in which somebody may be at work: doubted, and not to be stored."""
    seen = _observe(sources, times, clock, seconds=_GLANCE_S, progress=None)
    return _all_learned(sources, replace(seen, busy=1.0), rng, utc_label(clock.wall_s()))


def learn_again(
    path: Path,
    sources: Sequence[Source],
    times: MachineTimes,
    clock: Clock,
    *,
    seconds: float,
    rng: random.Random,
    progress: _Progress = None,
    patience_s: float = 0.0,
    machine: str | None = None,
) -> tuple[Baseline, Baseline]:
    """Learn the idle power of these sources anew; the baseline before, and the one that is stored now.

    What was measured against the one before stays so: the new one has another digest, and says which it
    replaces. The arguments are those of `obtain_baseline`.

    Raises:
        MeterError: the machine is not at rest; nothing is changed.
    """
    here = machine if machine is not None else machine_here()
    before = load_baseline(path, here)
    measured = [source for source in sources if source.idle_uw is None]
    if not measured:
        return before, before
    _wait_for_rest(times, clock, patience_s)
    blocks = _observe(measured, times, clock, seconds=seconds, progress=progress)
    learned = _all_learned(measured, blocks, rng, utc_label(clock.wall_s()))
    if any(idle.doubt_uw for idle in learned):
        raise MeterError(
            f"The machine is not at rest: {blocks.busy:.0%} of its CPU time was used.",
            why="What it draws at work is no idle baseline: as much of later work would not be seen.",
            hint="Try again when nothing else runs, or wait for it: --wait 10m.",
        )
    replaced = before.digest if before.idles else ""
    new = [replace(idle, replaces=replaced) for idle in learned]
    return before, _stored(path, here, new, settled=())


def _wait_for_rest(times: MachineTimes, clock: Clock, patience_s: float) -> None:
    """Wait until the CPUs have rested for some seconds in a row, but not for ever."""
    end_ns, quiet = clock.monotonic_ns() + int(patience_s * BILLION), 0
    before = times.read()
    while quiet < _QUIET_SECONDS and clock.monotonic_ns() < end_ns:
        clock.sleep(1.0)
        now = times.read()
        rests = before is not None and now is not None and _busy(before, now, BILLION, times) <= _BUSY_LIMIT
        before, quiet = now, quiet + 1 if rests else 0


def _busy(before: Busy, after: Busy, elapsed_ns: int, times: MachineTimes) -> float:
    """Share of the time of all CPUs of the machine that was busy: a counter measures the load of them all."""
    return (after.all_us - before.all_us) * 1000 / max(1, elapsed_ns) / times.all_cpus


def defined_idle(source: Source, idle_uw: int, label: str) -> Idle:
    """The baseline of a model, which is right by definition; ``label`` says when that was."""
    return Idle(source.name, source.tier, source.curve, idle_uw, 0, 0, "modelled", label)


@dataclass(frozen=True, slots=True)
class _Observed:
    powers_uw: list[list[int]]
    """per source, one figure a block"""
    busy: float
    """share of the time of all CPUs that was busy"""


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
    return _Observed(powers_uw, _busy(busy_before, busy_after, elapsed_ns, times))


def _read_all(sources: Sequence[Source], meters: Sequence[Accumulator]) -> list[Mark]:
    for source, meter in zip(sources, meters, strict=True):
        meter.advance(source.read(), source.max_power_uw)
    return [meter.mark() for meter in meters]


def limits_of(source: Source) -> SourceLimits:
    """What is physically possible for a source."""
    ticks = source.tier is Tier.COUNTER
    step_uj = source.resolution_uj + int(source.max_power_uw * source.update_s)
    # Only a source whose bound is what its hardware states has a ceiling beyond that.
    ceiling_uw = int(getattr(source, "ceiling_uw", 0))
    return SourceLimits(source.range_uj, source.max_power_uw, step_uj, ticks, ceiling_uw)


def _all_learned(sources: Sequence[Source], seen: _Observed, rng: random.Random, label: str) -> list[Idle]:
    return [
        _learned(source, powers_uw, busy=seen.busy, rng=rng, label=label)
        for source, powers_uw in zip(sources, seen.powers_uw, strict=True)
    ]


def _learned(source: Source, powers_uw: list[int], *, busy: float, rng: random.Random, label: str) -> Idle:
    idle_uw = int(statistics.median(powers_uw))
    half = len(powers_uw) // 2
    drift_uw = (
        abs(statistics.median(powers_uw[:half]) - statistics.median(powers_uw[half:])) if half else idle_uw
    )
    at_rest = busy <= _BUSY_LIMIT and drift_uw <= max(_DRIFT_UW, _DRIFT_SHARE * idle_uw)
    state: BaselineState = "settled" if at_rest and len(powers_uw) >= LEAST_BLOCKS else "unsettled"
    error_uw = learning_error_uw(powers_uw, idle_uw, rng)
    if state == "unsettled":
        error_uw = max(error_uw, int(drift_uw))
    # At work a machine draws more than at rest; how much more, nobody knows, and it may be nearly all.
    doubt_uw = idle_uw if busy > _BUSY_LIMIT else 0
    count = len(powers_uw)
    return Idle(
        source.name, source.tier, source.curve, idle_uw, error_uw, count, state, label, doubt_uw=doubt_uw
    )
