"""The sources of a meter side by side, and what they gave between two instants: gross, and above idle.

Net energy is gross energy less idle power times time, signed: clipping it would mint joules out of
noise. A source that was found while the meter ran stands behind the others, so a snapshot from before has
no mark of it.
"""

from __future__ import annotations

__all__ = [
    "Channel",
    "Snapshot",
    "busy_us_of",
    "counter_of",
    "figure_of",
    "gross_of",
    "gross_total",
    "net_between",
    "net_of",
    "net_total",
    "pairs",
    "total_of",
    "users_of",
]

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cryoflux.energy.baseline import Idle
from cryoflux.energy.clock import BILLION
from cryoflux.energy.drift import Drift
from cryoflux.energy.interface import Counter, Source
from cryoflux.energy.processes import Busy
from cryoflux.energy.uncertainty import CHECK_DISAGREES, ErrorTerms, counter_against_power, edge_uj, interval
from cryoflux.energy.window import BoundedEnergy, Mark
from cryoflux.quantities import Energy, Tier


@dataclass(frozen=True, slots=True)
class Channel:
    """A source with its frozen idle baseline, and how far that has drifted."""

    source: Source
    idle: Idle
    drift: Drift
    began: Mark | None = None
    """where a source begins that was found while the meter ran; none where it was there from the start"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All sources and the machine's busy time at one instant."""

    marks: tuple[Mark, ...]
    busy: Busy | None
    monotonic_ns: int
    users: Mapping[str, Mapping[int, int] | None] = field(default_factory=dict)
    """source → process number → its time on the device, µs; none where that is not told"""


def pairs(channels: Sequence[Channel], then: Snapshot, now: Snapshot) -> Iterator[tuple[Channel, Mark, Mark]]:
    """Each source with its marks at both ends.

    One that was found in between begins where it was found, and one that was found later is left out.
    """
    for number, (channel, mark) in enumerate(zip(channels, now.marks, strict=False)):
        yield channel, then.marks[number] if number < len(then.marks) else channel.began or mark, mark


def net_between(then: Mark, now: Mark, channel: Channel) -> ErrorTerms:
    """Net energy between two marks of one source, with the baseline's error."""
    gross = now.since(then)
    idle_uw = channel.idle.idle_uw
    # Differences of rounded totals, so that slices add up to the whole to the microjoule.
    rest_uj = idle_uw * now.elapsed_ns // BILLION - idle_uw * then.elapsed_ns // BILLION
    elapsed_ns = now.elapsed_ns - then.elapsed_ns
    slack_uj = channel.drift.error_uw * elapsed_ns // BILLION
    doubt_uj = -(-channel.drift.doubt_uw * elapsed_ns // BILLION)
    return ErrorTerms(gross + BoundedEnergy(-rest_uj, -rest_uj, doubt_uj - rest_uj), slack_uj)


def figure_of(
    terms: ErrorTerms, channel: Channel, then: Mark, now: Mark, *, share: float = 1.0, ticks_uj: float = 0.0
) -> Energy:
    """A figure of one source between two marks, with its interval.

    Args:
        terms: the estimate, its unknowns and its idle error.
        channel: the source.
        then: where it begins.
        now: where it ends.
        share: of what the source gave, so much was charged.
        ticks_uj: half width that the ticks of CPU times bring in, µJ.
    """
    flags = {*now.flags_since(then), *channel.drift.flags}
    more_uj = round(counter_against_power(then, now) * share)
    if more_uj:
        flags.add(CHECK_DISAGREES)
        amount = BoundedEnergy(0, min(0, more_uj), max(0, more_uj))
        terms = ErrorTerms(terms.amount + amount, terms.idle_uj)
    edge = math.hypot(edge_uj(channel.source, then, now) * share, ticks_uj)
    return interval(terms, edge, channel.source, tuple(sorted(flags)))


def gross_of(channel: Channel, then: Mark, now: Mark) -> Energy:
    """What one source gave between two marks."""
    gross = figure_of(ErrorTerms(now.since(then)), channel, then, now)
    return Energy(gross.uj, max(0, gross.lo_uj), gross.hi_uj, gross.tier, gross.flags)


def net_of(channel: Channel, then: Mark, now: Mark) -> Energy:
    """What one source gave above idle between two marks, signed."""
    return figure_of(net_between(then, now, channel), channel, then, now)


def total_of(figures: Iterable[Energy]) -> Energy:
    """What all sources gave together."""
    return Energy.total(figures) or Energy(0, 0, 0, Tier.MODELLED, ("no-source",))


def gross_total(channels: Sequence[Channel], then: Snapshot, now: Snapshot) -> Energy:
    """What all sources gave between two snapshots."""
    return total_of(gross_of(channel, a, b) for channel, a, b in pairs(channels, then, now))


def net_total(channels: Sequence[Channel], then: Snapshot, now: Snapshot) -> Energy:
    """What all sources gave above idle between two snapshots, signed."""
    return total_of(net_of(channel, a, b) for channel, a, b in pairs(channels, then, now))


def counter_of(channel: Channel, first: Mark, last: Mark) -> Counter:
    """What a source showed at two marks."""
    a, b = first.reading, last.reading
    return Counter(
        source=channel.source.name,
        first_uj=a.energy_uj if a else None,
        last_uj=b.energy_uj if b else None,
        first_epoch=a.epoch if a else "",
        last_epoch=b.epoch if b else "",
    )


def users_of(channel: Channel, snapshot: Snapshot) -> Mapping[int, int] | None:
    """Process number → its time on the device, µs; none where that is not told."""
    return snapshot.users.get(channel.source.name)


def busy_us_of(channel: Channel, snapshot: Snapshot) -> int | None:
    """CPU time that a source's energy is shared by, µs; none where it cannot be read."""
    if snapshot.busy is None:
        return None
    # The model covers the allowed CPUs, a hardware counter covers all of them.
    modelled = channel.source.tier is Tier.MODELLED
    return snapshot.busy.allowed_us if modelled else snapshot.busy.all_us
