"""The machine's net energy by who caused it: the few that caused most of it, by name.

Each device's net energy between two looks is shared as an attribution shares it: CPU and memory by CPU time,
a GPU by time on it where its driver tells whose. Nobody pays by it, so looks are as far apart as whoever
reads it likes, and nothing is done between them. What is nobody's (idle error, the kernel, who came and went
unseen) is what the shares leave of the whole.
"""

from __future__ import annotations

__all__ = ["OwnerShares"]

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryoflux.energy.channels import Snapshot, net_between, pairs
from cryoflux.energy.clock import BILLION
from cryoflux.energy.meter import Meter
from cryoflux.energy.owner_times import Owned, OwnerName, OwnerTimes

_KEPT_NS = 600 * BILLION
"""One that has ended is named so long, ns, so that its last figure is seen by whoever reads seldom."""


@dataclass(slots=True)
class _Share:
    uj: int
    seen_ns: int
    """when it was there last"""


class OwnerShares:
    """Who caused how much since this was made.

    Args:
        meter: of the machine.
        times: whose CPU time it was.
        most: so many are named.
    """

    def __init__(self, meter: Meter, times: OwnerTimes, most: int) -> None:
        self._meter = meter
        self._times = times
        self._most = most
        self._lock = threading.Lock()
        self._then = meter.last
        self._shares: dict[OwnerName, _Share] = {}

    def read(self) -> list[tuple[OwnerName, int]]:
        """Net energy of those that caused most, µJ, the most first; signed, as all net energy is."""
        with self._lock:
            now = self._meter.last
            if now is not self._then:
                self._share(self._then, now, self._times.advance())
                self._then = now
            ranked = self._ranked()[: self._most]
            return [(name, share.uj) for name, share in ranked]

    def _ranked(self) -> list[tuple[OwnerName, _Share]]:
        return sorted(self._shares.items(), key=lambda item: (-item[1].uj, item[0]))

    def _share(self, then: Snapshot, now: Snapshot, owned: Owned) -> None:
        rows = pairs(self._meter.channels, then, now)
        for channel, first, last in rows:
            net_uj = net_between(first, last, channel).amount.uj
            if channel.source.kind == "gpu":
                parts = _of_device(channel.source.name, then, now, owned.pids)
            else:
                parts = _of_cpus(then, now, owned.used_us)
            for name, (part, whole) in parts.items():
                share = self._shares.setdefault(name, _Share(0, now.monotonic_ns))
                share.uj += net_uj * part // whole
        self._forget(now.monotonic_ns, owned.used_us)

    def _forget(self, now_ns: int, there: Iterable[OwnerName]) -> None:
        """Let go of those that have ended, at once where they are not named; so there is an end to them."""
        alive = frozenset(there)
        for place, (name, share) in enumerate(self._ranked()):
            if name in alive:
                share.seen_ns = now_ns
            elif place >= self._most or now_ns - share.seen_ns > _KEPT_NS:
                del self._shares[name]


_Parts = Mapping[OwnerName, tuple[int, int]]
"""owner → its part, and the whole that it is of"""


def _of_cpus(then: Snapshot, now: Snapshot, used_us: Mapping[OwnerName, int]) -> _Parts:
    busy_us = now.busy.all_us - then.busy.all_us if then.busy and now.busy else 0
    # Both are read one after the other, and what ran meanwhile is in one of them alone.
    whole_us = max(busy_us, sum(used_us.values()))
    return {name: (us, whole_us) for name, us in used_us.items() if us}


def _of_device(source: str, then: Snapshot, now: Snapshot, pids: Mapping[int, OwnerName]) -> _Parts:
    users, before = now.users.get(source), then.users.get(source)
    if not users:
        return {}
    # Of what was used before nobody told, nothing can be said.
    earlier = users if before is None else before
    used_us: Counter[OwnerName | None] = Counter()
    for pid, us in users.items():
        used_us[pids.get(pid)] += max(0, us - earlier.get(pid, 0))
    if len(used_us) == 1 and not used_us.total():
        used_us[next(iter(used_us))] = 1  # alone on it, however little was told
    return {name: (us, used_us.total()) for name, us in used_us.items() if name is not None and us}
