"""From a log that is mirrored here to what books need of it.

Times are those by which a quorum of witnesses had seen an entry. What none has seen yet counts as later than
everything: an offer is not committed, a guest holdout was entered too late, and a round counts nowhere.

An opened guest holdout is reproduced where every seal opens to its sums, every level follows from them, and
the examples have the root that was entered. Where the examples could not be had, that is not known, and the
holdout weighs nothing. Whether its losses are those of the models is what `auditing` finds.
"""

from __future__ import annotations

__all__ = ["own_record", "tell", "told_by"]

from collections.abc import Iterable, Mapping
from pathlib import Path

from cryoflux.files import read_regular
from cryoflux.network.books import LATER, CapsuleTold, LogTold, RoundTold
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.following import follow, signed_heads
from cryoflux.network.head_times import HeadTimes, together
from cryoflux.network.log_facts import OpeningFact, RoundFact
from cryoflux.network.mirror import MirrorFolder
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import Peers
from cryoflux.receipts.guest_tree import guest_root
from cryoflux.receipts.log import LOG_FOLDER
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.signing.keys import KEYS_FOLDER, load_first_public, raw_public_key
from cryoflux.witness.cosigned import HEADS, MOST_HEADS_BYTES, WITNESSED, heads_in, log_key_of


def told_by(network: Path, peers: Peers, own: Iterable[PeerRecord] = ()) -> tuple[list[LogTold], int]:
    """What all logs say that are here, and the newest time by which a quorum had seen one of them.

    Args:
        network: folder of the node's network.
        peers: whom it knows.
        own: the record of the node's own log.
    """
    records = {node.origin: PeerRecord.of(network, node.key) for node in peers.nodes}
    records |= {record.origin: record for record in own}
    logs, newest_s = [], 0
    for record in records.values():
        times = record.times(peers.policy)
        newest_s = max(newest_s, times.newest_s)
        logs.append(tell(record, times, record.remeasured))
    return logs, newest_s


def tell(record: PeerRecord, times: HeadTimes, remeasured: Mapping[str, bool]) -> LogTold:
    """What one log says.

    Args:
        record: of the log.
        times: since when a quorum had seen which of its entries.
        remeasured: root of an opened guest holdout → whether its losses are those of the models.
    """
    facts = record.facts
    offers = ((one, times.at(one.receipt_index)) for one in facts.offers)
    used = {one.root for one in facts.rounds}  # one that never judged bears nothing out
    opened = {
        one.root: _reproduced(record, one, losses=remeasured.get(one.root))
        for one in facts.openings
        if one.root in used or not one.follows
    }
    nodes = facts.nodes.values()
    recalled = frozenset[str]().union(*(node.recalled for node in nodes))
    counting = frozenset(place for node in nodes for place, _ in node.certified.levels)
    return LogTold(
        origin=record.origin,
        offers=tuple(
            CapsuleTold(one.update.adapter, committed_s, one.upper_uj)
            for one, committed_s in offers
            if committed_s is not None
        ),
        rounds=tuple(_round(one, times, recalled, counting) for one in facts.rounds),
        upper_uj=facts.upper_uj,
        # What an entry of a newer form has cost, this version cannot say.
        unrecorded=len(facts.open) + facts.unread,
        opened={root: held for root, held in opened.items() if held is not None},
        convicted=bool(record.mirror.evidence),
        broken=facts.broken + bool(facts.fault),
        tiers=frozenset(facts.tiers),
    )


def _round(one: RoundFact, times: HeadTimes, recalled: frozenset[str], counting: frozenset[int]) -> RoundTold:
    """What a log says of a round; that it recalled something counts at once, whoever has seen that.

    Args:
        one: the round.
        times: of the log's entries.
        recalled: adapters that the log has recalled.
        counting: places of the rounds whose level has not been withdrawn by that.
    """
    entered_s, recorded_s = times.at(one.guest_index), times.at(one.index)
    return RoundTold(
        root=one.root,
        entered_s=entered_s if entered_s is not None else LATER,
        recorded_s=recorded_s if recorded_s is not None else LATER,
        members=one.members,
        level=one.level,
        origins=one.origins,
        withdrawn=one.level > 0 and one.index not in counting,
        recalled=frozenset(
            capsule
            for capsule, verdict in one.members.items()
            if verdict is MemberVerdict.ADOPTED and capsule in recalled
        ),
    )


def _reproduced(record: PeerRecord, one: OpeningFact, *, losses: bool | None) -> bool | None:
    """Whether an opening bears out all verdicts; none where that is not known."""
    if not one.follows or losses is False:
        return False
    content = record.examples(one.root)
    if not content:
        return None
    lines = content.removesuffix(b"\n").split(b"\n")
    return len(lines) == one.count and guest_root(lines, bytes.fromhex(one.key)) == one.root


def own_record(state: Path) -> PeerRecord:
    """The record of a node's own log, brought up to date from what it has published.

    Args:
        state: the state directory.

    Raises:
        UsageError: there is no log.
        VerificationError: it is damaged.
        StorageError: the disk is full, read-only, or refuses.
    """
    key, log = log_key_of(state), state / LOG_FOLDER
    record = PeerRecord(MirrorFolder.of(NetworkFolder.of(state).path, key).path, MirrorFolder(log, key))
    path = next((log / name for name in (HEADS, WITNESSED) if (log / name).is_file()), None)
    heads = heads_in(read_regular(path, MOST_HEADS_BYTES)) if path is not None else ()
    first = load_first_public(state / KEYS_FOLDER, create=False)
    follow(record, raw_public_key(first), signed_heads(record, heads))
    record.keep_published(tuple(together((*record.published, *heads))), "")
    return record
