"""Layer S5: a thousand nodes for thirty days, by discrete events: who looks at what, and at what cost.

    python benchmarks/network_events.py                              # three settings, some CPU-minutes
    python benchmarks/network_events.py --nodes 100 --days 5 --setting cut
    python benchmarks/network_events.py --setting hostile --quorum 3

Each node trains, offers a part of what it makes, and spends a part of its joules on rounds, once an hour
while it is up. It sees the offers of the last day of all nodes that it can reach. Half of a round's
candidates are those that a quorum of verifiers adopted, the most praised first, as of the last hour; half are
drawn among those that no verifier has looked at; what verifiers have looked at without a quorum comes last,
and what a quorum refused never. Every tenth node is a verifier. Strangers are drawn by lottery among their
logs, eight an hour, and a round takes as many of them as `network_state` says that a hundredth of the node's
joules pays for: everybody is heard of by everybody, and each that is drawn has something to offer. How long
a newcomer waits by the real lottery: `newcomers.py`. Nodes come and go; in one setting the network is cut in
two for two days, and pulls what it missed when it is whole again.

Drawn are values and verdicts: a capsule has a true marginal, of which each node has a part already, and a
check finds it as often as `decision.power` says of 512 examples. Logs are counters, but for every 50th
node's, which is a tree of real entries: at the end each of some twenty of its heads has to be a beginning of
the last one. The same seed gives the same figures.
"""

from __future__ import annotations

import argparse
import heapq
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from cryoflux.decision.levels import RoundBudget
from cryoflux.decision.power import power
from cryoflux.network_state import ChargedTally, strangers_uj
from cryoflux.receipts.merkle import CompactRange, consistency_proof, leaf_hash, verify_consistency
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.fields import Document
from strategies.looks import ALPHA_PPM
from strategies.world import Array

_HOUR = 1.0
_DAY = 24.0
_WINDOW_H = 24
"""offers that are older are not looked at any more"""
_JOULES_A_DAY, _ATTEMPT_J, _CHECK_J = 20_000.0, 27.5, 3.3
_CHECKS, _STRANGERS = 0.10, 0.01
"""shares of the joules"""
_PLACES = 8
"""strangers that are drawn an hour, as `cryoflux.network.lottery` does"""
_OFFERED = 0.15
"""share of attempts that an honest node offers: what it kept"""
_VERIFIER_EACH, _REAL_EACH = 10, 50
_COUNT, _SPREAD_BY_ROOT = 512, 1.3
_MEAN_NATS = 0.05
"""of the true marginal of an honest capsule"""


@dataclass(frozen=True)
class Setting:
    """What kind of network it is."""

    name: str
    nodes: int = 1000
    days: int = 30
    cheats: float = 0.0
    """share of nodes that offer all they make, none of it of worth"""
    newcomers: int = 50
    """honest logs that no verifier has confirmed yet"""
    sybils: int = 0
    """keys of a cheat beside them"""
    up_h: float = 200.0
    down_h: float = 8.0
    """mean hours that a node is up, and down"""
    cut_days: tuple[int, int] = (0, 0)
    """from which day to which the network is cut in two"""
    quorum: int = 1
    """verifiers whose adoption is praise; 0: all candidates are chosen by chance"""


SETTINGS = (
    Setting("calm"),
    Setting("hostile", cheats=0.3, sybils=10_000),
    Setting("cut", cheats=0.1, up_h=40.0, down_h=12.0, cut_days=(10, 12), sybils=1_000),
)


@dataclass
class Offers:
    """All offers of the last days, a row each, in the order in which they were made."""

    room: int
    count: int = 0
    made_h: Array = field(init=False)
    owner: Array = field(init=False)
    worth: Array = field(init=False)
    """true marginal, nats; 0 of a cheat's"""
    side: Array = field(init=False)
    """on which side of a cut it was made; −1 outside of one"""
    looked: Array = field(init=False)
    """nodes that looked at it"""
    used: Array = field(init=False)
    praise: Array = field(init=False)
    """(2, offers): verifiers that adopted it, as far as each side of a cut knows"""
    refused: Array = field(init=False)
    """the same of those that looked at it and did not take it"""

    def __post_init__(self) -> None:
        self.made_h, self.owner = np.zeros(self.room, np.float32), np.zeros(self.room, np.int32)
        self.worth, self.side = np.zeros(self.room, np.float32), np.full(self.room, -1, np.int8)
        self.looked, self.used = np.zeros(self.room, np.int32), np.zeros(self.room, np.int32)
        self.praise, self.refused = (np.zeros((2, self.room), np.int16) for _ in range(2))

    def add(self, now: float, owner: int, worth: Array, side: int) -> None:
        """More of them, by one node."""
        rows = slice(self.count, self.count + len(worth))
        if rows.stop > self.room:
            raise MemoryError("more offers than there is room for")
        self.made_h[rows], self.owner[rows], self.worth[rows], self.side[rows] = now, owner, worth, side
        self.count = rows.stop


class LogLine(Document, frozen=True):
    """An entry of a real log."""

    kind: str
    at_s: int
    capsules: tuple[int, ...]


@dataclass
class RealLog:
    """The log of a node in real bytes: leaves, the growing tree, and the heads that it had."""

    leaves: list[bytes] = field(default_factory=list)
    tree: CompactRange = field(default_factory=CompactRange)
    heads: list[tuple[int, bytes]] = field(default_factory=list)

    def enter(self, kind: str, at_s: int, *capsules: int) -> None:
        """One more entry."""
        leaf = leaf_hash(canonical_bytes(LogLine(kind, at_s, capsules)))
        self.leaves.append(leaf)
        self.tree.append(leaf)

    def sign(self) -> None:
        """A head, as a round leaves it."""
        self.heads.append((self.tree.size, self.tree.root()))

    def consistent(self, each: int) -> int:
        """How many of its heads, one in so many, are beginnings of the last one; all have to be."""
        size, root = self.tree.size, self.tree.root()
        for old, head in self.heads[::each]:
            if 0 < old < size and not verify_consistency(
                old, size, head, root, consistency_proof(old, self.leaves)
            ):
                raise AssertionError(f"the head of size {old} is no beginning of that of {size}")
        return len(self.heads[::each])


@dataclass
class Told:
    """What was counted."""

    checks: int = 0
    on_cheats: int = 0
    on_strangers: int = 0
    adopted: int = 0
    joules: float = 0.0
    """of all nodes"""
    rounds: int = 0
    down_h: float = 0.0
    other_side: int = 0
    """checks of what was made on the other side of a cut, after it"""
    seen_newcomers: set[int] = field(default_factory=set)
    entries: int = 0
    events: int = 0


class Network:
    """Nodes, their events in the order of time, and what is offered."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting, self.told = setting, Told()
        self._rng = np.random.default_rng([seed, setting.nodes, setting.days])
        nodes = setting.nodes
        self._cheat = np.arange(nodes) < round(setting.cheats * nodes)
        self._rng.shuffle(self._cheat)
        self._side = (np.arange(nodes) % 2).astype(np.int8)
        self._up, self._spent_h = np.ones(nodes, bool), np.zeros(nodes)
        self._owed = np.zeros(nodes)
        self._charged = [ChargedTally() for _ in range(nodes)]
        self._seen: list[dict[int, None]] = [{} for _ in range(nodes)]
        self._logs = {node: RealLog() for node in range(0, nodes, _REAL_EACH)}
        attempts = _JOULES_A_DAY * (1 - _CHECKS) / _ATTEMPT_J / _DAY
        self._offered_an_h = np.where(self._cheat, attempts, _OFFERED * attempts)
        self.offers = Offers(int(1.05 * self._offered_an_h.sum() * setting.days * _DAY) + 10_000)
        self._first_row = [0]
        self._events: list[tuple[float, int, str, int]] = []
        self._found = found_table()
        self._before: tuple[Array, Array] = (np.zeros(0), np.zeros(0))
        self._praised: list[list[int]] = [[], []]
        self._begin()

    def _begin(self) -> None:
        for node in range(self.setting.nodes):
            self._at(float(self._rng.uniform(0, _HOUR)), "round", node)
            self._at(float(self._rng.exponential(self.setting.up_h)), "down", node)
        for hour in range(self.setting.days * round(_DAY)):
            self._at(float(hour), "hour", hour)
        first, last = self.setting.cut_days
        if last > first:
            self._at(first * _DAY, "cut", 0)
            self._at(last * _DAY, "whole", 0)

    def _at(self, when: float, what: str, who: int) -> None:
        heapq.heappush(self._events, (when, self.told.events, what, who))
        self.told.events += 1

    def look_around(self, now: float) -> None:
        """What is praised now."""
        self._hour(now, 0)

    @property
    def cheats(self) -> Array:
        """Which nodes offer what is of no worth."""
        return self._cheat

    def lived(self) -> Told:
        """All events until the last day ends."""
        end, handlers = (
            self.setting.days * _DAY,
            {
                "round": self._round,
                "down": self._down,
                "up": self._rise,
                "hour": self._hour,
                "cut": self._parted,
                "whole": self._whole,
            },
        )
        while self._events and self._events[0][0] < end:
            now, _, what, who = heapq.heappop(self._events)
            handlers[what](now, who)
        for log in self._logs.values():
            self.told.entries += len(log.leaves)
            log.consistent(max(1, len(log.heads) // 20))
        return self.told

    def _cut(self, now: float) -> bool:
        first, last = self.setting.cut_days
        return first * _DAY <= now < last * _DAY

    def _down(self, now: float, node: int) -> None:
        self._up[node] = False
        gone = float(self._rng.exponential(self.setting.down_h))
        self.told.down_h += gone
        self._at(now + gone, "up", node)

    def _rise(self, now: float, node: int) -> None:
        self._up[node] = True
        self._spent_h[node] = now
        self._at(now, "round", node)
        self._at(now + float(self._rng.exponential(self.setting.up_h)), "down", node)

    def _hour(self, _now: float, _hour: int) -> None:
        """Another hour: what is a day old, and what is praised."""
        self._first_row.append(self.offers.count)
        first = self._first
        for side in (0, 1) if self.setting.quorum else ():
            praise = self.offers.praise[side, first : self.offers.count]
            rows = np.flatnonzero(praise >= self.setting.quorum)
            self._praised[side] = (first + rows[np.argsort(-praise[rows], kind="stable")]).tolist()

    @property
    def _first(self) -> int:
        """The first offer of the last day."""
        return self._first_row[max(0, len(self._first_row) - 1 - _WINDOW_H)]

    def _parted(self, _now: float, _who: int) -> None:
        """From here on each side knows what it did alone."""
        self._before = self.offers.praise[0].copy(), self.offers.refused[0].copy()

    def _whole(self, _now: float, _who: int) -> None:
        """Both sides pull what the other has: what is known is the union."""
        for said, before in zip((self.offers.praise, self.offers.refused), self._before, strict=True):
            said[:] = said.sum(0) - before

    def _round(self, now: float, node: int) -> None:
        if not self._up[node]:
            return
        hours, self._spent_h[node] = now - self._spent_h[node], now
        self.told.rounds += 1
        self.told.joules += hours * _JOULES_A_DAY / _DAY
        self._offer(now, node, hours)
        self._owed[node] += hours * _JOULES_A_DAY / _DAY * (_CHECKS - _STRANGERS) / _CHECK_J
        most = int(self._owed[node])
        chosen = self.chosen(now, node, most)
        self._owed[node] = min(self._owed[node] - len(chosen), 100.0)
        self._check(now, node, chosen)
        self._draw_strangers(node, len(chosen), hours * _JOULES_A_DAY / _DAY)
        if (log := self._logs.get(node)) is not None:
            log.enter("round", int(now * 3600), *chosen.tolist())
            log.sign()
        self._at(now + _HOUR, "round", node)

    def _offer(self, now: float, node: int, hours: float) -> None:
        count = int(self._rng.poisson(self._offered_an_h[node] * hours))
        worth = np.zeros(count) if self._cheat[node] else self._rng.exponential(_MEAN_NATS, count)
        first = self.offers.count
        self.offers.add(now, node, worth, int(self._side[node]) if self._cut(now) else -1)
        if (log := self._logs.get(node)) is not None:
            for row in range(first, first + count):
                log.enter("offer", int(now * 3600), row)

    def chosen(self, now: float, node: int, most: int) -> Array:
        """The offers that a node considers, as `network.choosing` orders them.

        Of those that are not praised, as many are drawn by chance as leave enough that are new.
        """
        first, count, seen = self._first, self.offers.count, self._seen[node]
        if most < 1 or count == first:
            return np.zeros(0, int)
        fine = (row for row in self._praised[self._side[node]] if row not in seen)
        praised = list(islice((row for row in fine if self.offers.owner[row] != node), most))
        drawn = np.arange(first, count)
        if len(drawn) > 3 * most:
            drawn = np.unique(self._rng.integers(first, count, 3 * most))
        drawn = self._rng.permutation(drawn[self._visible(now, node, drawn)])
        if self.setting.quorum:
            side = self._side[node]
            refused, praise = self.offers.refused[side, drawn], self.offers.praise[side, drawn]
            open_ = (refused < self.setting.quorum) & (praise < self.setting.quorum)
            drawn, heard = drawn[open_], (refused + praise)[open_] > 0
            drawn, new = drawn[np.argsort(heard, kind="stable")], int((~heard).sum())
            praised = praised[: max(-(-most // 2), most - new)]
        return np.concatenate([np.array(praised, int), drawn[: most - len(praised)]])

    def _visible(self, now: float, node: int, rows: Array) -> Array:
        """Which of some offers a node can see, is not the owner of and has not looked at."""
        seen = self._seen[node]
        fine = (self.offers.owner[rows] != node) & np.array([row not in seen for row in rows.tolist()])
        if self._cut(now):
            side = self.offers.side[rows]
            fine &= (side < 0) | (side == self._side[node])
        return fine

    def _check(self, now: float, node: int, rows: Array) -> None:
        if not len(rows):
            return
        worth = self.offers.worth[rows] * self._rng.random(len(rows))
        place = np.minimum((worth / _STEP_NATS).astype(int), len(self._found) - 1)
        adopted = rows[self._rng.random(len(rows)) < self._found[place]]
        self.offers.looked[rows] += 1
        self.offers.used[adopted] += 1
        if node % _VERIFIER_EACH == 0:
            for side in (self._side[node],) if self._cut(now) else (0, 1):
                self.offers.refused[side, rows] += 1
                self.offers.refused[side, adopted] -= 1
                self.offers.praise[side, adopted] += 1
        self.told.checks += len(rows)
        self.told.adopted += len(adopted)
        self.told.on_cheats += int(self._cheat[self.offers.owner[rows]].sum())
        first, last = self.setting.cut_days
        if last > first and now >= last * _DAY:
            made = self.offers.side[rows]
            self.told.other_side += int(((made >= 0) & (made != self._side[node])).sum())
        seen = self._seen[node]
        seen.update(dict.fromkeys(rows.tolist()))
        if len(seen) > 2000:  # what is older than the window cannot be drawn again
            self._seen[node] = {row: None for row in seen if row >= self._first}

    def _draw_strangers(self, node: int, known: int, joules: float) -> None:
        """Eight by lottery, each log with one ticket; of them those that the joules settled pay for."""
        charged = self._charged[node]
        logs = self.setting.newcomers + self.setting.sybils
        drawn = np.unique(self._rng.integers(0, logs, _PLACES)) if logs else np.zeros(0, int)
        drawn, taken = self._rng.permutation(drawn), 0
        for number in range(1, len(drawn) + 1):
            if charged.strangers_fit(_uj(known + number), number, known + number):
                taken = number
        charged.all_uj += round(joules * 1e6)
        charged.strangers_uj += strangers_uj(_uj(known + taken), taken, known + taken) if taken else 0
        self.told.on_strangers += taken
        seen = drawn[:taken]
        self.told.seen_newcomers.update(seen[seen < self.setting.newcomers].tolist())


def _uj(checks: int) -> int:
    """What a round of so many checks costs, µJ."""
    return round(checks * _CHECK_J * 1e6)


_STEP_NATS = 0.002


def found_table() -> Array:
    """How often a check adopts a capsule by its true marginal, in steps of `_STEP_NATS`."""
    bar = RoundBudget(ALPHA_PPM, 4, 2).needed_milli
    steps = [(place + 0.5) * _STEP_NATS for place in range(300)]
    found = [power(_COUNT, _SPREAD_BY_ROOT * math.sqrt(delta), delta, bar) for delta in steps]
    return np.array([0.0, *found[1:]])  # of no worth: S1 saw none in all its rounds


def lines(setting: Setting, told: Told, offers: Offers, cheat: Array) -> Iterator[tuple[str, str]]:
    """What is said of a setting."""
    # offers of the last day have not had their time yet
    rows = np.flatnonzero(offers.made_h[: offers.count] < (setting.days - 1) * _DAY)
    honest = rows[~cheat[offers.owner[rows]]]
    node_days = told.joules / _JOULES_A_DAY
    spent = told.checks * _CHECK_J
    yield "offers", f"{offers.count:,}"
    yield "checks of each capsule, mean", f"{offers.looked[rows].mean():.2f}"
    yield "honest capsules seen by one node or more", f"{100 * (offers.looked[honest] >= 1).mean():.1f} %"
    yield "by three or more", f"{100 * (offers.looked[honest] >= 3).mean():.1f} %"
    yield (
        "a node's view: offers of a day that it looks at",
        (f"{100 * told.checks / node_days / (offers.count / setting.days):.2f} %"),
    )
    yield (
        "joules on checks, strangers included",
        (f"{100 * (spent + told.on_strangers * _CHECK_J) / told.joules:.2f} %"),
    )
    yield "joules on strangers", f"{100 * told.on_strangers * _CHECK_J / told.joules:.2f} %"
    yield "joules on cheats", f"{100 * told.on_cheats * _CHECK_J / told.joules:.2f} %"
    yield "adopted, of 1,000 checks", f"{1000 * told.adopted / max(1, told.checks):.1f}"
    yield "newcomers that somebody looked at", f"{len(told.seen_newcomers)} of {setting.newcomers}"
    yield (
        "checks a newcomer gets, mean",
        (f"{told.on_strangers / max(1, setting.newcomers + setting.sybils):.1f}"),
    )
    yield "nodes down, mean", f"{100 * min(1, told.down_h / (setting.nodes * setting.days * _DAY)):.1f} %"
    if setting.cut_days[1]:
        yield "checks of the other side's offers after the cut", f"{told.other_side:,}"
    yield "events; entries of real logs", f"{told.events:,}; {told.entries:,}"


def main() -> None:
    """Simulate and print a table as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--setting", choices=[one.name for one in SETTINGS], help="one of them; else all")
    parser.add_argument("--quorum", type=int, default=1, help="verifiers of a praise; 0 chooses by chance")
    arguments = parser.parse_args()
    found: dict[str, list[str]] = {}
    chosen = [one for one in SETTINGS if arguments.setting in {None, one.name}]
    for setting in chosen:
        start = time.process_time()
        size = {"nodes": arguments.nodes, "days": arguments.days, "quorum": arguments.quorum}
        network = Network(replace(setting, **size), arguments.seed)
        told = network.lived()
        for what, value in lines(network.setting, told, network.offers, network.cheats):
            found.setdefault(what, []).append(value)
        found.setdefault("CPU-s", []).append(f"{time.process_time() - start:.0f}")
    print("| | " + " | ".join(one.name for one in chosen) + " |\n|---|" + "---:|" * len(chosen))
    for what, values in found.items():
        print(f"| {what} | " + " | ".join(values) + " |")


if __name__ == "__main__":
    main()
