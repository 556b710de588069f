"""Who is told to be first in a network of layer S2, of which the truth is known: no copy may be."""

from __future__ import annotations

__all__ = ["by_clocks", "judge_priority"]

from typing import TYPE_CHECKING

from cryoflux.network.head_times import SeenBy, seen_before
from cryoflux.network.screening import find_copies
from cryoflux.witness.policy import Policy

if TYPE_CHECKING:
    from strategies.log_world import LogWorld, Reader


def by_clocks(one: SeenBy, other: SeenBy, _policy: Policy) -> bool:
    """Whether one commitment is before another one by the times of quorums, and nothing else."""
    return one.time_s < other.time_s


def judge_priority(world: LogWorld, reader: Reader) -> None:
    """Count where a copy is told to be first, and where bytes count as those of who copied them."""
    offers, usable, policy = reader.offers(), reader.usable(), reader.peers.policy
    places = {(one.origin, one.capsule): at for at, one in enumerate(offers)}
    makers = {one.adapter: node.origin for node in world.own for one in node.offered}
    by = seen_before if world.defences.seen_first else by_clocks

    def before(one: SeenBy, other: SeenBy) -> bool:
        return by(one, other, policy)

    known = [one for one in offers if one.capsule in world.moves]
    found = find_copies([], known, lambda update: world.moves[update.adapter], before)
    if makers.keys() & found.of.keys():
        world.harms["an original is called a copy"] += 1
    for liar, one in ((cheat, one) for cheat in world.cheats for one in cheat.offered):
        original = world.copies.get(one.adapter, "")
        first, second = (makers.get(original, ""), original), (liar.origin, one.adapter)
        if not places.keys() >= {first, second}:
            continue
        mine, copied = offers[places[first]].seen, offers[places[second]].seen
        is_first, is_last = before(mine, copied), before(copied, mine)
        if not world.defences.dated_by_witnesses:
            is_first = places[first] < places[second]
            is_last = not is_first
        world.told["contested copies"] += not (is_first or is_last) and reader is world.readers[0]
        world.harms["a copy stands before its original"] += is_last
        taken = one.adapter == original and second in usable and first not in usable
        world.harms["an original counts as another's"] += is_last and taken
