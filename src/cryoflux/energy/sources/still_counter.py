"""Counters that are there and do not count, as a guest's are where its host only stubs RAPL.

The counter of a package moves every millisecond, whatever the package does. Watched are those that are to
be used, while this thread computes for 50 ms at most and then waits, a second in all. One that counts is
told after a millisecond; only one that does not costs the second.
"""

from __future__ import annotations

__all__ = ["WATCHED_S", "standing_still"]

import time
from collections.abc import Mapping, Sequence

from cryoflux.energy.clock import Clock
from cryoflux.energy.interface import Reading, Source

WATCHED_S = 1.0
"""so long a counter is given to move"""
_SPINS = 20
_SPIN_NS = 2_500_000
_WAITS = 20


def standing_still(sources: Sequence[Source], first: Mapping[str, Reading], clock: Clock) -> frozenset[str]:
    """Names of the sources that showed the same at every look.

    Args:
        sources: what to watch.
        first: what each showed before.
        clock: the time.
    """
    still = _unmoved(sources, first)
    for look in range(_SPINS + _WAITS):
        if not still:
            break
        if look < _SPINS:
            _compute(_SPIN_NS)
        else:
            clock.sleep(WATCHED_S / _WAITS)
        still = _unmoved(still, first)
    return frozenset(source.name for source in still)


def _unmoved(sources: Sequence[Source], first: Mapping[str, Reading]) -> list[Source]:
    # A counter that cannot be read at the moment is no counter that stands still.
    return [source for source in sources if source.read().energy_uj == first[source.name].energy_uj]


def _compute(for_ns: int) -> None:
    until_ns = time.monotonic_ns() + for_ns
    while time.monotonic_ns() < until_ns:
        pass
