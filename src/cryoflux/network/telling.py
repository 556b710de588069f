"""From a log that is mirrored here to what books need of it.

Times are those by which a quorum of witnesses had seen an entry. What none has seen yet counts as later than
everything: an offer is not committed, a guest holdout was entered too late, and a round counts nowhere.

An opened guest holdout is reproduced where every seal opens to its sums, every level follows from them, and
the examples have the root that was entered. Where the examples could not be had, that is not known, and the
holdout weighs nothing. Whether its losses are those of the models is what `auditing` finds, and what it could
not find for want of what the peer does not show pulls ask for.
"""

from __future__ import annotations

__all__ = ["own_record", "tell", "told_by"]

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cryoflux.digests import sha256_hex
from cryoflux.errors import VerificationError
from cryoflux.files import IrregularFileError, read_regular
from cryoflux.network.books import LATER, CapsuleTold, LogTold, RoundTold
from cryoflux.network.folder import EXAMPLES, NetworkFolder
from cryoflux.network.following import follow, signed_heads
from cryoflux.network.head_times import HeadTimes, together
from cryoflux.network.log_facts import LogFacts, OpeningFact, RoundFact
from cryoflux.network.mirror import MirrorFolder
from cryoflux.network.peer_record import (
    MOST_EXAMPLES_BYTES,
    ClaimMade,
    PeerRecord,
    claims_made,
    first_of,
)
from cryoflux.network.peers import Peers
from cryoflux.receipts.entry import parse_entry
from cryoflux.receipts.guest_tree import guest_root
from cryoflux.receipts.log import LOG_FOLDER
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.signing.keys import KEYS_FOLDER, load_first_public, raw_public_key
from cryoflux.witness.cosigned import HEADS, MOST_HEADS_BYTES, WITNESSED, heads_in, log_key_of
from cryoflux.witness.policy import Policy


def told_by(network: Path, peers: Peers, own: Iterable[PeerRecord] = ()) -> tuple[list[LogTold], int]:
    """What all logs say that are here, and the newest time by which a quorum had seen one of them.

    Args:
        network: folder of the node's network.
        peers: whom it knows.
        own: the record of the node's own log.
    """
    records = {node.origin: PeerRecord.of(network, node.key) for node in peers.nodes}
    records |= {record.origin: record for record in own}
    logs, newest_s = list[LogTold](), 0
    claims: dict[str, list[ClaimMade]] = {}
    for record in records.values():
        facts, times, withheld = record.facts, record.times(peers.policy), record.missing
        newest_s = max(newest_s, times.newest_s)
        logs.append(tell(record, facts, times))
        offered = {one.capsule for one in logs[-1].offers}
        for adapter, claim in claims_made(record.origin, facts, times, withheld):
            if adapter in offered:
                claims.setdefault(adapter, []).append(claim)
    contested = _contested(claims, peers.policy)
    return [_with_contests(log, contested) for log in logs], newest_s


def _contested(claims: Mapping[str, Sequence[ClaimMade]], policy: Policy) -> set[tuple[str, str]]:
    """Log and adapter of offers of which nobody can tell which was first."""
    several = ((adapter, some) for adapter, some in claims.items() if len({one.origin for one in some}) > 1)
    return {(origin, adapter) for adapter, some in several for origin in first_of(some, policy).contested}


def _with_contests(log: LogTold, contested: Collection[tuple[str, str]]) -> LogTold:
    if all((log.origin, one.capsule) not in contested for one in log.offers):
        return log
    offers = (replace(one, contested=(log.origin, one.capsule) in contested) for one in log.offers)
    return replace(log, offers=tuple(offers))


def tell(record: PeerRecord, facts: LogFacts, times: HeadTimes) -> LogTold:
    """What one log says, whatever others say.

    Args:
        record: of the log.
        facts: what its entries come to.
        times: since when a quorum had seen which of its entries.
    """
    remeasured = record.remeasured
    made_again = {root for root, holds in remeasured.items() if holds}
    offers = ((one, times.at(one.receipt_index)) for one in facts.offers)
    used = {one.root for one in facts.rounds}  # one that never judged bears nothing out
    opened = {
        one.root: _reproduced(record, one, losses=remeasured.get(one.root))
        for one in facts.openings
        if one.root in used or not one.follows
    }
    nodes = facts.nodes.values()
    recalled = frozenset[str]().union(*(node.recalled for node in nodes))
    counting = {place for node in nodes for place, _ in node.certified.levels} & facts.lines.standing()
    opened_s = {one.root: times.at(one.index) for one in facts.openings}
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
        unmade={
            root: time_s
            for root, some in record.unmade.items()
            if root not in made_again
            and any(one.is_withheld for one in some)
            and (time_s := opened_s.get(root)) is not None
        },
        convicted=bool(record.mirror.evidence),
        broken=facts.broken + bool(facts.fault),
        tiers=frozenset(facts.tiers),
    )


def _round(one: RoundFact, times: HeadTimes, recalled: frozenset[str], counts: Collection[int]) -> RoundTold:
    """What a log says of a round; that it recalled something, or went back, counts at once.

    Args:
        one: the round.
        times: of the log's entries.
        recalled: adapters that the log has recalled.
        counts: places of the rounds whose level has not been withdrawn by that, and that its heads rest on.
    """
    entered_s, recorded_s = times.at(one.guest_index), times.at(one.index)
    return RoundTold(
        root=one.root,
        entered_s=entered_s if entered_s is not None else LATER,
        recorded_s=recorded_s if recorded_s is not None else LATER,
        members=one.members,
        level=one.level,
        origins=one.origins,
        copied=one.copied,
        shown_alone=one.shown_alone,
        withdrawn=one.level > 0 and one.index not in counts,
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
    if sha256_hex(content) != one.examples:  # nothing, or damaged here since it came
        return None
    lines = content.removesuffix(b"\n").split(b"\n")
    return len(lines) == one.count and guest_root(lines, bytes.fromhex(one.key)) == one.root


class _OwnRecord(PeerRecord):
    """The record of a node's own log: what others have to ask for lies in its state."""

    def __init__(self, state: Path) -> None:
        network, key = NetworkFolder.of(state), log_key_of(state)
        mirror = MirrorFolder(state / LOG_FOLDER, key)
        super().__init__(MirrorFolder.of(network.path, key).path, mirror)
        self._openings = network.openings

    def examples(self, root: str) -> bytes:
        """The examples of a guest holdout that it opened; empty where they are not there."""
        try:
            return read_regular(self._openings / root / EXAMPLES, MOST_EXAMPLES_BYTES)
        except (FileNotFoundError, NotADirectoryError, IrregularFileError):
            return b""

    def times(self, policy: Policy) -> HeadTimes:
        """When a quorum had seen which of its entries; where nobody is needed, when they were written."""
        if policy.reached(set()):
            self._arrive_as_written()
        return super().times(policy)

    def _arrive_as_written(self) -> None:
        arrivals = self.arrivals
        size, latest_s = arrivals[-1] if arrivals else (0, 0)
        if size >= self.mirror.size:
            return
        for envelope in self.mirror.entries(size):
            with suppress(VerificationError):  # then it came no earlier than the one before it
                said = datetime.fromisoformat(parse_entry(size, envelope).at)
                latest_s = max(latest_s, int(said.timestamp()))
            size += 1
            arrivals.append((size, latest_s))
        self.keep_arrivals(arrivals)


def own_record(state: Path) -> PeerRecord:
    """The record of a node's own log, brought up to date from what it has published.

    Args:
        state: the state directory.

    Raises:
        UsageError: there is no log.
        VerificationError: it is damaged.
        StorageError: the disk is full, read-only, or refuses.
    """
    record, log = _OwnRecord(state), state / LOG_FOLDER
    path = next((log / name for name in (HEADS, WITNESSED) if (log / name).is_file()), None)
    heads = heads_in(read_regular(path, MOST_HEADS_BYTES)) if path is not None else ()
    first = load_first_public(state / KEYS_FOLDER, create=False)
    follow(record, raw_public_key(first), signed_heads(record, heads))
    record.keep_published(tuple(together((*record.published, *heads))), "")
    return record
