"""What the logs of the parties of a contract show before anybody signs: one's own, and what was pulled."""

from __future__ import annotations

__all__ = ["pulled_node", "refuse_low_tier"]

from collections.abc import Iterable, Iterator
from pathlib import Path

from cryoflux.errors import CryoFluxError
from cryoflux.expression import Quantity
from cryoflux.network.contracts.document import clauses_of, policy_of
from cryoflux.network.contracts.logs import read_each
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network_state import NodeState
from cryoflux.quantities import Tier, worst_tier
from cryoflux.receipts.charged import NEVER_RESERVED, UNTOLD
from cryoflux.receipts.contract_parts import AgreedTerms
from cryoflux.receipts.entry import Entry
from cryoflux.runs.by_hand import VersionsByHand
from cryoflux.witness.policy import Policy

_NO_TIER = frozenset({NEVER_RESERVED, *UNTOLD})
"""flags of figures that do not say by which meter the log's joules come"""


def pulled_node(state: Path, policy: Policy, origin: str, task: str) -> NodeState | None:
    """What the log of another party has come to for a task, as far as it was pulled; none where it was not.

    Args:
        state: of who asks.
        policy: it names the key of that log.
        origin: of it.
        task: that the contract is about.
    """
    record = _record(state, policy, origin)
    return record.facts.nodes.get(task) if record is not None else None


def refuse_low_tier(hand: VersionsByHand, terms: AgreedTerms) -> None:
    """Refuse a clause on η over joules that the seller does not have, where its log is here to tell.

    Args:
        hand: the state of a party.
        terms: that it is about to sign.

    Raises:
        CryoFluxError: the newest joules of the seller's log are of a lower tier than the terms believe.
    """
    clauses, least = clauses_of(terms), terms.joules.tier_min
    if not any(clause is not None and clause.quantity is Quantity.ETA for clause in clauses):
        return
    found = _newest_tier(hand.entries() if hand.origin == terms.seller else _pulled_entries(hand, terms))
    if found is None or worst_tier((found, least)) is least:
        return
    raise CryoFluxError(
        f"A clause on η asks for joules of the tier {least}, and those of the seller's log are {found}.",
        why="No window with such joules could be decided: each would come out as unverifiable.",
        hint=f"Terms that can be: cryoflux contract new --tier {found}, with the upper end of such joules as "
        "--joules; or clauses on delta alone.",
    )


def _newest_tier(entries: Iterable[Entry]) -> Tier | None:
    """By which tier a log was charged last; none where it says of no joules how they are known."""
    found = None
    for entry in entries:
        record = entry.receipt or entry.round  # what η counts
        if record is not None and _NO_TIER.isdisjoint(record.energy.flags):
            found = record.energy.tier
    return found


def _pulled_entries(hand: VersionsByHand, terms: AgreedTerms) -> Iterator[Entry]:
    record = _record(hand.state.path, policy_of(terms), terms.seller)
    if record is not None:
        told = read_each(list(record.mirror.entries()))
        yield from (entry for entry in told if isinstance(entry, Entry))


def _record(state: Path, policy: Policy, origin: str) -> PeerRecord | None:
    key = next(iter(policy.log_keys(origin)), None)
    return PeerRecord.of(NetworkFolder.of(state).path, key) if key is not None else None
