"""What each window of a contract is about, by the logs: which offer, against which list, for how many joules.

The buyer looks at what is due, and whoever evaluates compares what was looked at with it.
"""

from __future__ import annotations

__all__ = ["ContractLogs", "DueLook", "PaidJoules"]

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from cryoflux.network.contracts.told import AttemptTold, ContractTold, LookTold, OfferTold, UnreadTold
from cryoflux.quantities import Tier, worst_tier
from cryoflux.receipts.contract_parts import AgreedTerms
from cryoflux.receipts.contract_statement import ContractLook, last_kept


@dataclass(frozen=True, slots=True)
class PaidJoules:
    """What was spent for a result since its base."""

    upper_uj: int
    """of all that has a record"""
    tier: Tier
    unrecorded: tuple[AttemptTold, ...]
    """announced, and without a record"""
    unmade: tuple[str, ...]
    """adapters of the result that no attempt since the contract made"""
    unread: tuple[UnreadTold, ...]
    """entries of a form that is not known here: each may have cost something"""

    @property
    def known_uj(self) -> int | None:
        """Upper joules; none where they are not known, µJ."""
        return None if self.unrecorded or self.unmade or self.unread else self.upper_uj


@dataclass(frozen=True, slots=True)
class DueLook:
    """What a look at a window has to be of."""

    window: int
    base: str
    """digest of the list that is compared with"""
    offer: OfferTold
    paid: PaidJoules


class ContractLogs:
    """The logs of a contract, of each the longest copy.

    Args:
        terms: of the contract.
        logs: in any order, several of one origin or none.
    """

    def __init__(self, terms: AgreedTerms, logs: Iterable[ContractTold]) -> None:
        self._terms, self.by_origin = terms, _longest(logs)
        self.seller = self.by_origin.get(terms.seller) or ContractTold(terms.seller)
        self.buyer = self.by_origin.get(terms.buyer) or ContractTold(terms.buyer)

    @cached_property
    def first_looks(self) -> dict[int, LookTold]:
        """Window → the buyer's first look at it: no other counts."""
        found: dict[int, LookTold] = {}
        for look in self.buyer.looks:
            found.setdefault(look.said.window, look)
        return found

    @cached_property
    def _made(self) -> frozenset[str]:
        by_attempts = (attempt.made for attempt in self.seller.attempts)
        return frozenset((*by_attempts, *(term.adapter for term in self._terms.start_list)))

    def windows(self) -> Iterator[tuple[int, DueLook | None]]:
        """What each window is about, in order; none where nothing was offered since its base."""
        counted: list[ContractLook] = []
        for window in range(self._terms.windows.count):
            last = last_kept(counted)
            base = last.result if last is not None else self._terms.start
            since_s = self._terms.windows.end_s(last.window) if last is not None else 0
            due = self._due(window, base, since_s)
            yield window, due
            if due is not None and (look := self.valid_look(due)) is not None:
                counted.append(look.said)

    def valid_look(self, due: DueLook) -> LookTold | None:
        """The buyer's look at a window, if it is of what is due, and in time."""
        look = self.first_looks.get(due.window)
        if look is None or look.committed_s > self._terms.windows.due_s(due.window):
            return None
        said = look.said
        about = (said.base, said.result, said.offer) == (due.base, due.offer.result, due.offer.leaf)
        return look if about and len(said.kept) == len(self._terms.clauses) else None

    def _due(self, window: int, base: str, since_s: int) -> DueLook | None:
        end_s, genesis = self._terms.windows.end_s(window), self._terms.genesis.digest
        offers = [one for one in self.seller.offers if one.committed_s < end_s and one.genesis == genesis]
        if not offers or offers[-1].result == base:
            return None
        counted = [one for one in self.seller.attempts if since_s <= one.announced_s < end_s]
        paid = PaidJoules(
            upper_uj=sum(one.upper_uj or 0 for one in counted),
            tier=worst_tier(one.tier for one in counted) if counted else Tier.COUNTER,
            unrecorded=tuple(one for one in counted if one.upper_uj is None),
            unmade=tuple(sorted(offers[-1].adapters - self._made)),
            unread=tuple(one for one in self.seller.unread if since_s <= one.seen_s < end_s),
        )
        return DueLook(window, base, offers[-1], paid)


def _longest(logs: Iterable[ContractTold]) -> dict[str, ContractTold]:
    """Origin → the longest copy of its log; one that is convicted by any copy stays so."""
    found: dict[str, ContractTold] = {}
    for log in sorted(logs, key=lambda one: (one.size, one.seen_s, one.root), reverse=True):
        before = found.setdefault(log.origin, log)
        apart = before.size == log.size and before.root != log.root
        if not before.convicted and (apart or log.convicted):
            found[log.origin] = replace(before, convicted="it has told two histories")
    return found
