"""What a round hands from one of its steps to the next, and what of it survives a crash."""

from __future__ import annotations

__all__ = [
    "ChosenOffers",
    "Considered",
    "OfferHere",
    "Screened",
    "ShownLook",
    "refused",
]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from cryoflux.decision.evidence import Evidence
from cryoflux.network.head_times import SeenBy
from cryoflux.receipts.network_parts import (
    MOST_CANDIDATES,
    GuardResult,
    LogName,
    Member,
    MemberVerdict,
    SealedSums,
    Search,
)
from cryoflux.receipts.network_statement import MOST_STEPS
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import ListStep, OfferedUpdate
from cryoflux.signing.fields import Document, Sha256, Text, at_most


@dataclass(frozen=True, slots=True)
class OfferHere:
    """An update that is offered, as far as it is known here."""

    update: OfferedUpdate
    origin: LogName
    """of the proposer's log"""
    offer: Sha256
    """leaf hash of the entry there that offers it"""
    committed_s: int
    """when a quorum of witnesses had seen its receipt, Unix seconds"""
    absent: str = ""
    """why its bytes, or those of its parents, are not here; empty where they are"""
    name: str = ""
    """what it is called here: ``north/1``; empty where it has no name"""
    by_lottery: bool = False
    """whether its log is a stranger's, that is looked at because it was drawn"""
    witnesses: Mapping[str, int] = field(default_factory=dict)
    """which of them had seen its receipt, and when, each by its own clock"""

    @property
    def seen(self) -> SeenBy:
        """When its receipt was seen."""
        return SeenBy(self.committed_s, self.witnesses)


@dataclass(frozen=True, slots=True)
class ChosenOffers:
    """What a round may consider."""

    known: Sequence[OfferHere]
    """of nodes that the reader names, in the order of their commitments"""
    strangers: Sequence[OfferHere] = ()
    """of logs that were drawn, in the order of the draw"""
    seed: int = 0
    """by which all of them were chosen"""

    def paid(self, fits: Callable[[int, int], bool], most: int) -> list[OfferHere]:
        """The candidates of the round, in the order of their commitments.

        Args:
            fits: whether so many strangers among so many candidates are paid for.
            most: candidates; strangers give way, the last that was drawn first.
        """
        count, room = len(self.known), max(0, most - len(self.known))
        numbers = range(min(len(self.strangers), room), 0, -1)
        taken = next((number for number in numbers if fits(number, count + number)), 0)
        together = [*self.known, *self.strangers[:taken]]
        return sorted(together, key=lambda one: (one.committed_s, one.update.adapter))


@dataclass(frozen=True, slots=True)
class Considered:
    """What became of the candidates before anything was composed."""

    refused: Mapping[str, Member] = field(default_factory=dict)
    """adapter → why it is no part of the search"""
    why: Mapping[str, str] = field(default_factory=dict)
    """adapter → that in words"""


@dataclass(frozen=True, slots=True)
class Screened:
    """What the search on the node's own training side came to."""

    members: tuple[Member, ...]
    """of all candidates, in order; those that were composed are ``adopted`` if the look keeps them"""
    steps: tuple[ListStep, ...]
    composed: Composition
    evidence: Evidence | None
    """none where nothing could be tried"""
    tried: int
    guards: tuple[GuardResult, ...] = ()

    @property
    def worth_a_look(self) -> bool:
        """Whether something was composed that no guard set speaks against."""
        return bool(self.steps) and all(guard.passed for guard in self.guards)

    @property
    def search(self) -> Search | None:
        """As the record has it."""
        return Search.of(self.evidence, self.tried) if self.evidence is not None else None


class ShownLook(Document, frozen=True):
    """A look at a guest holdout that was computed, before its verdict is published.

    It is kept until the record is written: so a run that dies in between can neither look again nor choose
    whether to tell.
    """

    intent: Sha256
    members: Annotated[list[Member], at_most(MOST_CANDIDATES)]
    steps: Annotated[list[ListStep], at_most(MOST_STEPS)]
    search: Search
    sums: SealedSums
    sealed: Sha256
    """of the sums"""
    losses_root: Sha256
    started_at: Text
    guards: Annotated[list[GuardResult], at_most(8)]


def refused(capsule: str, verdict: MemberVerdict, of: str = "") -> Member:
    """A candidate that is no part of the search."""
    return Member(capsule=capsule, verdict=verdict, of=of)
