"""What stands behind nats that rounds of a range certify: guest holdouts, lists, upper joules and their tier.

A claim about `certified` signs it, and whoever checks the claim makes it again of the entries that the
claim carries. It is a sentence about one log, by nobody but its owner: no unit of account, and nothing
that could be handed on. A look is at a holdout of the node's own, and sealed: until that is opened the bit
is the node's word.
"""

from __future__ import annotations

__all__ = ["BackedRounds", "CertifiedBacking", "backing_of", "certified_in"]

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from cryoflux.quantities import Tier
from cryoflux.receipts.certified import CertifiedLevels
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import (
    GuestHoldout,
    GuestOpening,
    Recall,
    RoundIntent,
    RoundResult,
)
from cryoflux.receipts.profiles import F32, PROFILE
from cryoflux.signing.fields import Count, Document, Sha256, at_most

_IN_NATS = frozenset({PROFILE, F32})
_MOST_GUESTS = 256


class CertifiedBacking(Document, frozen=True):
    """What stands behind certified nats, as a claim signs it."""

    guests: Annotated[list[Sha256], at_most(_MOST_GUESTS)]
    """roots of the guest holdouts that judged, in the order of their first look"""
    list_before: Sha256
    """digest of the list that the first of the rounds was compared with"""
    list_after: Sha256
    """digest of the list that the last of them was judged for"""
    upper_microjoules: Count
    """upper ends of what all attempts and rounds of the range were charged"""
    tier: Tier
    """the worst of them"""


@dataclass(frozen=True, slots=True)
class BackedRounds:
    """The same, and what else the entries of the range say of it."""

    backing: CertifiedBacking
    nano: int
    """Σ of what counts, nano-nats"""
    rounds: int
    """that count"""
    opened: Mapping[str, bool]
    """root of a guest holdout that the range opens → whether it enters it too: then all its looks are here,
    and have to be what was opened"""


def certified_in(
    told: Iterable[RoundResult | Recall], standing: Collection[int]
) -> tuple[dict[int, int], int, str]:
    """What the rounds of a range certify, of what its heads rest on at the end.

    Args:
        told: rounds and recalls, in the order of the log.
        standing: places of the rounds that these heads went on by.

    Returns:
        place of a round's record → its level, nano-nats; how many accepted ones count no more; and why there
        is no sum, empty where there is one.
    """
    by_task: dict[str, CertifiedLevels] = {}
    strange = ""
    for said in told:
        by_task.setdefault(said.task, CertifiedLevels()).take(said)
        if isinstance(said, RoundResult) and said.look is not None and said.look.profile not in _IN_NATS:
            strange = f"Round {said.id} was judged in {said.look.profile}, which is not known to be in nats."
    counted = {
        task: {at: level for at, level in found.levels if at in standing} for task, found in by_task.items()
    }
    lost = sum(found.withdrawn + len(found.levels) - len(counted[task]) for task, found in by_task.items())
    gained = [task for task, levels in counted.items() if levels]
    if len(gained) > 1:
        strange = f"{len(gained)} tasks have {len(gained)} heads, and no model gained what all of them did."
    return {at: level for levels in counted.values() for at, level in levels.items()}, lost, strange


def backing_of(
    entries: Iterable[Entry], certified: Mapping[int, int], hi_uj: int, tier: Tier
) -> BackedRounds | None:
    """What stands behind what rounds certify; none where none does.

    Args:
        entries: of the range, in order.
        certified: place of a round's record → its level, of those that count.
        hi_uj: upper ends of all charges of the range, µJ.
        tier: the worst of them.
    """
    announced: dict[str, RoundIntent] = {}
    counted: list[tuple[RoundIntent, RoundResult]] = []
    entered: set[str] = set()
    opened: dict[str, bool] = {}
    for entry in entries:
        match entry.statement.predicate:
            case RoundIntent() as intent:
                announced[entry.leaf_hash] = intent
            case RoundResult() as record if record.sequence in certified and record.intent in announced:
                counted.append((announced[record.intent], record))
            case GuestHoldout(root=root):
                entered.add(root)
            case GuestOpening(root=root):
                opened[root] = root in entered
    if not counted:
        return None
    backing = CertifiedBacking(
        guests=list(dict.fromkeys(intent.guest.root for intent, _ in counted)),
        list_before=counted[0][0].composed,
        list_after=counted[-1][1].composed,
        upper_microjoules=max(0, hi_uj),
        tier=tier,
    )
    known = {root: opened[root] for root in backing.guests if root in opened}
    return BackedRounds(backing, sum(certified.values()), len(counted), known)
