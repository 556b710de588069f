"""Which of many offers a node looks at: half by praise, half by chance, and of strangers a few.

Pure functions of what is known and of a seed, so that anybody can make a choice again. The order of chance is
that of SHA-256 over the seed and a name: it does not depend on what else is there, and nobody who does not
know the seed can choose a name that comes early.

- *Praise*: updates that a quorum of verifiers adopted alone. They help most often, and are known best.
- *Chance*: updates of which no verifier has said anything. Somebody has to be the first to look.
- *Strangers* are logs of which nothing was ever confirmed. Places are drawn among logs, and what they cost
  together is at most a hundredth of the joules (`cryoflux.network_state`): more keys win more often, and
  never more joules in all.
"""

from __future__ import annotations

__all__ = ["StandingOffer", "chosen_offers", "drawn_strangers"]

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StandingOffer:
    """An offer, with what verifiers have said of it."""

    capsule: str
    origin: str
    committed_s: int
    praised_by: int = 0
    """verifiers that adopted it alone"""
    refused_by: int = 0
    """verifiers that tried it alone and did not take it"""


def chosen_offers(offers: Iterable[StandingOffer], most: int, quorum: int, seed: int) -> list[StandingOffer]:
    """The offers that a round considers, in the order of their commitments.

    Places that one half does not fill go to the other; what is left goes to those of which some verifiers
    have said something, and no quorum the same. What a quorum refused is never chosen.

    Args:
        offers: all that are here, each once; the order does not matter.
        most: how many the round considers.
        quorum: verifiers that have to say the same.
        seed: of the round.
    """
    every = sorted(offers, key=lambda one: (one.committed_s, one.capsule, one.origin))
    praised = [one for one in every if one.praised_by >= quorum]
    unseen = [one for one in every if not one.praised_by and not one.refused_by]
    heard = [
        one
        for one in every
        if one.praised_by < quorum and (one.praised_by or one.refused_by) and one.refused_by < quorum
    ]
    praised.sort(key=lambda one: -one.praised_by)  # equally praised ones stay in the order of commitment
    unseen.sort(key=lambda one: _chance(seed, f"{one.origin} {one.capsule}"))
    heard.sort(key=lambda one: _chance(seed, f"{one.origin} {one.capsule}"))
    by_praise = max(-(-most // 2), most - len(unseen))
    first = praised[:by_praise]
    second = unseen[: most - len(first)]
    chosen = [*first, *second, *heard[: max(0, most - len(first) - len(second))]]
    return sorted(chosen, key=lambda one: (one.committed_s, one.capsule, one.origin))


def drawn_strangers(logs: Iterable[str], places: int, seed: int) -> list[str]:
    """The strangers that are looked at, in the order in which they were drawn.

    Args:
        logs: of which nothing was confirmed, by name; each has one ticket, however often it is there.
        places: how many there are.
        seed: of the draw, which nobody else knows before it.
    """
    return sorted(set(logs), key=lambda name: _chance(seed, name))[:places]


def _chance(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"cryoflux choice {seed} {name}".encode()).digest()
