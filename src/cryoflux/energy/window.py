"""The one place where two readings of a counter become an amount of energy.

Between two readings, `0 ≤ ΔE ≤ P_max · Δt` holds whatever the counter says. Inside that bound:

- same epoch, counter grew: the difference, exactly;
- same epoch, counter fell, and one turn of the counter explains it: a wrap, exactly;
- same epoch, counter fell otherwise: a reset; what the new counter shows is the least;
- several turns fit into the bound: any of them is possible, and the interval says so;
- more than the bound, and no more than any such source can give: the bound may be wrong (a power limit
  that was raised, or never held) or the counter jumped, so it is what the counter says or less, and from
  then on that limit bounds nothing;
- more than that, or another epoch: unknown, so the interval is the whole bound;
- a failed read: wait; the next good reading settles it, and until then the time since the last good
  one is unknown;
- a hardware counter that stands still: the same, but even then it shows no more than the least, because
  it may have gone on from where it stopped.

An unknown is estimated from the last known power, flagged, and never silently zero.
"""

from __future__ import annotations

__all__ = ["ABOVE_LIMIT", "Accumulator", "BoundedEnergy", "Mark", "SourceLimits", "delta", "exactly"]

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cryoflux.energy.clock import BILLION
from cryoflux.energy.interface import Reading

ABOVE_LIMIT = "above-power-limit"
_UPDATE_NS = 2_000_000
"""Between two reads a counter may show what flowed up to its update before the first one."""


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """What is physically possible for one source."""

    range_uj: int | None
    """the counter wraps to zero after so many µJ; none where it does not wrap"""
    max_power_uw: int
    resolution_uj: int
    """a reading may run ahead of the truth, or behind it, by so much"""
    ticks: bool
    """hardware that counts even at rest, so that a counter standing still is a fault"""
    ceiling_uw: int = 0
    """what no such source gives, whatever limit it states; 0 where ``max_power_uw`` is no mere statement"""

    def explain(self, uj: int, elapsed_ns: int) -> bool:
        """Whether so much can have flowed in so long a time."""
        return uj <= self.most_uj(elapsed_ns + _UPDATE_NS * self.ticks)

    def beyond(self) -> SourceLimits:
        """The same, with what no such source gives for the limit."""
        return replace(self, max_power_uw=max(self.max_power_uw, self.ceiling_uw))

    def most_uj(self, elapsed_ns: int) -> int:
        """The most that can have flowed in so long a time."""
        return -(-self.max_power_uw * max(elapsed_ns, 0) // BILLION) + self.resolution_uj


@dataclass(frozen=True, slots=True)
class BoundedEnergy:
    """Energy with hard bounds, µJ."""

    uj: int = 0
    lo_uj: int = 0
    hi_uj: int = 0

    def __add__(self, other: BoundedEnergy) -> BoundedEnergy:
        return BoundedEnergy(self.uj + other.uj, self.lo_uj + other.lo_uj, self.hi_uj + other.hi_uj)


def exactly(uj: int) -> BoundedEnergy:
    """An amount that nothing is unknown of."""
    return BoundedEnergy(uj, uj, uj)


def delta(then: Reading, now: Reading, limits: SourceLimits, expected_uj: int) -> tuple[BoundedEnergy, str]:
    """Energy between two good readings, and a flag where something was odd.

    Args:
        then: the last good reading.
        now: this one.
        limits: what the source can do.
        expected_uj: an estimate for when the counter cannot tell.
    """
    if then.energy_uj is None or now.energy_uj is None:
        raise ValueError("a failed read has no delta")
    most_uj = limits.most_uj(now.monotonic_ns - then.monotonic_ns)
    guess_uj = max(0, min(expected_uj, most_uj))
    if then.epoch != now.epoch:
        return BoundedEnergy(guess_uj, 0, most_uj), "epoch-changed"
    elapsed_ns = now.monotonic_ns - then.monotonic_ns
    gained_uj, flag = now.energy_uj - then.energy_uj, ""
    if gained_uj < 0:
        gained_uj, flag = gained_uj + (limits.range_uj or 0), "wrap"
        if gained_uj < 0 or not limits.explain(gained_uj, elapsed_ns):
            least_uj = now.energy_uj if 0 <= now.energy_uj <= most_uj else 0
            shown_uj = gained_uj if limits.beyond().explain(gained_uj, elapsed_ns) else 0
            return BoundedEnergy(max(guess_uj, least_uj), least_uj, max(most_uj, shown_uj)), "counter-reset"
    elif not limits.explain(gained_uj, elapsed_ns):
        if limits.beyond().explain(gained_uj, elapsed_ns):
            return BoundedEnergy(gained_uj, 0, gained_uj), ABOVE_LIMIT
        return BoundedEnergy(guess_uj, 0, most_uj), "impossible-jump"
    return _of_turns(gained_uj, most_uj, guess_uj, limits.range_uj, flag)


def _of_turns(
    gained_uj: int, most_uj: int, guess_uj: int, range_uj: int | None, flag: str
) -> tuple[BoundedEnergy, str]:
    """What a counter gained, and as many whole turns of it as can have flowed besides."""
    turns = max(0, most_uj - gained_uj) // range_uj if range_uj else 0
    if turns and range_uj:
        nearest = max(0, min(turns, round((guess_uj - gained_uj) / range_uj)))
        return BoundedEnergy(
            gained_uj + nearest * range_uj, gained_uj, gained_uj + turns * range_uj
        ), "several-wraps"
    return exactly(gained_uj), flag


@dataclass(frozen=True, slots=True)
class Mark:
    """What a source had given in all at one instant."""

    total: BoundedEnergy
    """up to the last good reading"""
    tail: BoundedEnergy
    """since then: what is unknown so far; its lower end is zero"""
    elapsed_ns: int
    faults: Mapping[str, int]
    """flag → how often"""
    pending: bool
    """whether the last reading is still waited for"""
    power_uw: int = 0
    """between the last two good readings, µW; 0 where there were none"""
    reading: Reading | None = None
    """the last good one"""
    waits_for: str = ""
    """the fault that a good reading is waited for because of"""
    check: tuple[int, int] | None = None
    """the same energy by a second way, µJ, behind the number of the stretch that it was added up in"""

    def since(self, earlier: Mark) -> BoundedEnergy:
        """Energy from ``earlier`` to here; never negative."""
        lo_uj = max(0, self.total.lo_uj - earlier.total.lo_uj - earlier.tail.hi_uj)
        hi_uj = max(lo_uj, self.total.hi_uj + self.tail.hi_uj - earlier.total.hi_uj)
        uj = self.total.uj + self.tail.uj - earlier.total.uj - earlier.tail.uj
        return BoundedEnergy(max(lo_uj, min(uj, hi_uj)), lo_uj, hi_uj)

    def flags_since(self, earlier: Mark) -> tuple[str, ...]:
        """What went wrong from ``earlier`` to here, and what was pending at its start."""
        started_pending = (earlier.waits_for,) if earlier.waits_for else ()
        new = (flag for flag, count in self.faults.items() if count > earlier.faults.get(flag, 0))
        return tuple(sorted({*new, *started_pending}))


@dataclass(slots=True)
class Accumulator:
    """Adds up the energy of one source, reading by reading."""

    limits: SourceLimits
    _base: Reading | None = None
    _started_ns: int = 0
    _latest_ns: int = 0
    _total: BoundedEnergy = BoundedEnergy()
    _tail: BoundedEnergy = BoundedEnergy()
    _power_uw: int = 0
    _stretch: int = 0
    _check: tuple[int, str] | None = None
    _check_uj: int = 0
    _pending: str = ""
    _faults: dict[str, int] = field(default_factory=dict)
    _stated_uw: int = 0
    _refuted_uw: int = 0

    def __post_init__(self) -> None:
        self._stated_uw = self.limits.max_power_uw

    @property
    def max_power_uw(self) -> int:
        """No more than this flows now, by what is stated, unless the counter itself has shown more."""
        refuted = self._stated_uw <= self._refuted_uw
        return max(self._stated_uw, self.limits.ceiling_uw) if refuted else self._stated_uw

    def advance(self, reading: Reading, max_power_uw: int | None = None) -> None:
        """Take a reading into account.

        Args:
            reading: of now.
            max_power_uw: the bound that the source states now; none where it is as it was.
        """
        self._advance_check(reading)
        self._heed(max_power_uw)
        if self._base is None:
            self._base = reading
            self._started_ns = self._latest_ns = reading.monotonic_ns
            if reading.energy_uj is None:
                self._wait("failed-read")
            return
        self._latest_ns = max(self._latest_ns, reading.monotonic_ns)
        if reading.energy_uj is None:
            self._wait("failed-read")
        elif self._base.energy_uj is None:
            unknown_uj = self.limits.most_uj(self._elapsed_ns)
            self._commit(reading, BoundedEnergy(0, 0, unknown_uj), "")
        elif self._stands_still(reading):
            self._wait("frozen" if self._elapsed_ns >= BILLION else "")
        else:
            amount, flag = delta(self._base, reading, self.limits, self._expected_uj)
            self._commit(reading, self._thawed(amount) if self._pending == "frozen" else amount, flag)

    def _heed(self, stated_uw: int | None) -> None:
        # Since the last good reading the higher one of two limits may have held.
        if stated_uw is not None:
            self._stated_uw = stated_uw
        if self.max_power_uw > self.limits.max_power_uw:
            self.limits = replace(self.limits, max_power_uw=self.max_power_uw)

    def mark(self) -> Mark:
        """Everything up to the latest reading."""
        elapsed_ns = self._latest_ns - self._started_ns
        pending = self._tail != BoundedEnergy()
        good = self._base if self._base and self._base.energy_uj is not None else None
        check = (self._stretch, self._check_uj) if self._check else None
        return Mark(
            self._total,
            self._tail,
            elapsed_ns,
            self._faults,
            pending,
            self._power_uw,
            good,
            self._pending,
            check,
        )

    def _advance_check(self, reading: Reading) -> None:
        # A second way with a hole in it cannot be compared across the hole.
        if reading.check_uj is None:
            self._check = None
            return
        if self._check is None or self._check[1] != reading.epoch or reading.check_uj < self._check[0]:
            self._stretch += 1
        else:
            self._check_uj += reading.check_uj - self._check[0]
        self._check = (reading.check_uj, reading.epoch)

    @property
    def _elapsed_ns(self) -> int:
        return self._latest_ns - self._base.monotonic_ns if self._base else 0

    @property
    def _expected_uj(self) -> int:
        return self._power_uw * self._elapsed_ns // BILLION

    def _thawed(self, amount: BoundedEnergy) -> BoundedEnergy:
        # It may have caught up, or gone on from where it stopped: then what flowed meanwhile is lost to it.
        most_uj = max(amount.hi_uj, self.limits.most_uj(self._elapsed_ns))
        return BoundedEnergy(max(amount.uj, min(self._expected_uj, most_uj)), amount.lo_uj, most_uj)

    def _stands_still(self, reading: Reading) -> bool:
        base = self._base
        same = base is not None and base.energy_uj == reading.energy_uj and base.epoch == reading.epoch
        return self.limits.ticks and same

    def _count(self, flag: str) -> None:
        # Replaced, not changed: marks taken before keep the counts of their time.
        self._faults = {**self._faults, flag: self._faults.get(flag, 0) + 1}

    def _wait(self, flag: str) -> None:
        # The counter's step is left out: the edges of a figure have it already.
        most_uj = -(-self.limits.max_power_uw * self._elapsed_ns // BILLION)
        self._tail = BoundedEnergy(min(self._expected_uj, most_uj), 0, most_uj)
        if flag and flag != self._pending:
            self._count(flag)
            self._pending = flag

    def _commit(self, reading: Reading, amount: BoundedEnergy, flag: str) -> None:
        elapsed_ns = self._elapsed_ns
        if amount.lo_uj == amount.hi_uj and elapsed_ns > 0:
            self._power_uw = amount.uj * BILLION // elapsed_ns
        if flag:
            self._count(flag)
        if flag == ABOVE_LIMIT:
            self._refuted_uw = self._stated_uw
        if self.max_power_uw != self.limits.max_power_uw:
            self.limits = replace(self.limits, max_power_uw=self.max_power_uw)
        self._total, self._tail = self._total + amount, BoundedEnergy()
        self._pending, self._base = "", reading
