"""What a round takes from the bucket before it is announced, and what has to pay for it."""

from __future__ import annotations

__all__ = ["RoundBounds", "RoundPrices", "UnpaidRound"]

from dataclasses import dataclass

from cryoflux.attempt.context import Context
from cryoflux.errors import BudgetError
from cryoflux.network.looking import Looking
from cryoflux.network.proposing import FEW, PROPOSALS
from cryoflux.network.screening import TEXTS
from cryoflux.quantities import format_energy

LOOKS_ASIDE = 3
"""looks at the guest holdout that a reservation holds at least, in what one costs"""


@dataclass(frozen=True, slots=True)
class RoundBounds:
    """What a round may cost at most."""

    left_uj: int | None = None
    """what may still be spent, µJ; none for all that the bucket holds"""
    share_uj: int | None = None
    """what rounds may still cost beside attempts, µJ; none where a person asked for one"""


@dataclass(frozen=True, slots=True)
class UnpaidRound:
    """A round that is not made, because the share of rounds does not pay for all of it yet."""

    wanted_uj: int
    """what it would take from the bucket, µJ"""


@dataclass(frozen=True, slots=True)
class RoundPrices:
    """What a round takes from the bucket, by how many candidates it has."""

    context: Context
    looking: Looking
    searched: int
    """examples that the search has"""
    known: int
    """updates that offers are compared with"""

    def wanted_uj(self, offers: int) -> int:
        """What it takes if it can, µJ: for its look and the head's losses, and the search.

        Admission, copies and the search cost by the losses that they compute; modelled.
        """
        looking, searched = self.looking, self.searched
        tried = offers * (PROPOSALS * min(FEW, searched) + searched // 2) + 2 * searched
        compared = TEXTS * (offers + self.known)
        search_uj = looking.cost_uj * (tried + compared) // max(1, len(looking.guest.examples))
        return max(self.least_uj, LOOKS_ASIDE * looking.cost_uj + search_uj)

    @property
    def least_uj(self) -> int:
        """What its look and the head's losses cost, µJ."""
        return max(self.context.terms.reserve_uj, LOOKS_ASIDE * self.looking.cost_uj)

    def fit(self, strangers: int, candidates: int) -> bool:
        """Whether a hundredth of the log's joules pays for so many strangers among its candidates."""
        charged = self.context.memory.charged
        return charged.strangers_fit(self.wanted_uj(candidates), strangers, candidates)

    def unpaid(self, offers: int, bounds: RoundBounds) -> UnpaidRound | None:
        """What the share of rounds does not pay for yet; none where it does, or where it holds no round.

        Beside attempts a round waits until the share pays for all of it, and leaves no offer unread.
        """
        wanted_uj = self.wanted_uj(offers)
        return UnpaidRound(wanted_uj) if bounds.share_uj is not None and bounds.share_uj < wanted_uj else None

    def reserve_uj(self, offers: int, bounds: RoundBounds) -> int:
        """What it takes, µJ: with the search too, as far as what is left reaches; the rest is refunded.

        Raises:
            BudgetError: the bucket does not pay for it.
        """
        wanted_uj, least_uj = self.wanted_uj(offers), self.least_uj
        held_uj = self.context.agent.bucket_uj()
        held_uj = held_uj if bounds.left_uj is None else min(held_uj, bounds.left_uj)
        if held_uj < least_uj:
            raise BudgetError(
                f"{format_energy(max(0, held_uj))} are left, and a round reserves {format_energy(least_uj)}.",
                why="Checking what others offer is paid like training.",
                hint="Grant more: cryoflux node round --budget 200J.",
            )
        return min(held_uj, wanted_uj)
