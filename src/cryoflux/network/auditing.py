"""Verifies a peer by its mirror: its log, and the rounds and openings in it, with models that are made here.

Nobody is asked for anything. What a log says of itself goes through the steps of a verification; what only
the peer's own files could show is left out. Versions that its rounds adopted are composed again of updates
that were fetched, and opened looks are evaluated again on the examples that it published.

What comes of a guest holdout's looks is remembered beside the mirror: books go by it. So is what they could
not be made again for want of, which pulls ask for from then on.
"""

from __future__ import annotations

__all__ = ["Audited", "audit"]

import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import structs

from cryoflux.errors import StorageError, UsageError, VerificationError
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.log_facts import LogFacts, receipt_key_of
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import PeerNode, Peers
from cryoflux.network.shown_log import mirrored, verify_mirrored
from cryoflux.network.telling import own_record
from cryoflux.network.unmade import Unmade, UnmadeByRoot, lacked
from cryoflux.network.unshown import Unshown
from cryoflux.receipts.store import DATABASE
from cryoflux.state import StateFolder
from cryoflux.verification.again import Again
from cryoflux.verification.levels import Word
from cryoflux.verification.material import Material
from cryoflux.verification.model_sources import ModelSources
from cryoflux.verification.open_question import OPENINGS
from cryoflux.verification.result import Report
from cryoflux.verification.rounds_told import OpenedLook
from cryoflux.verification.sections import Sections
from cryoflux.verification.witnessing import Demand


@dataclass(frozen=True, slots=True)
class Audited:
    """What was found of a peer."""

    node: PeerNode
    report: Report
    convicted: bool
    """whether there is proof that it told two histories"""
    unmade: Mapping[str, Sequence[Unmade]] = field(default_factory=dict)
    """root of an opened guest holdout → what its looks cannot be made again for want of"""

    @property
    def refuted(self) -> bool:
        """Whether something that it says does not hold."""
        return self.convicted or not self.report.ok


def audit(
    state: Path, peers: Peers, name: str, again: Again | None, sections: Sections, now_s: int
) -> Audited:
    """Verify what is here of a peer.

    Args:
        state: the node's own, whose geneses and updates versions are composed of.
        peers: whom it knows.
        name: of the peer.
        again: how much is to be computed again; none for nothing.
        sections: what checks the sections that only a task knows, by their kind.
        now_s: Unix seconds.

    Raises:
        UsageError: there is no such peer, or nothing of it is here.
        VerificationError: what is here is damaged.
        StorageError: the disk is full, read-only, or refuses.
    """
    network, node = NetworkFolder.of(state).path, _named(peers, name)
    record = PeerRecord.of(network, node.key)
    if again is not None:
        records = [PeerRecord.of(network, one.key) for one in peers.nodes]
        records += [own_record(state)] if (state / DATABASE).is_file() else []
        again = _for_peer(again, state, record, _considered(record, records))
    looks = _Looks()
    report = verify_mirrored(
        _material(record, node),
        Demand(peers.policy, now_s),
        record.published,
        again=replace(again, hears=looks.hear) if again is not None else None,
        sections=sections,
    )
    for path in looks.false:  # so that pulls ask for it again
        shutil.rmtree(record.shown(path.partition("/")[2]), ignore_errors=True)
    decided = looks.decided(record.facts)
    record.add_remeasured(decided)
    made_again = {root for root, holds in record.remeasured.items() if holds}
    unmade = record.change_unmade(lambda before: looks.unmade(before, made_again.union(decided)))
    unshown = Unshown(record.folder, now_s)
    still = {root: [_with_why(one, unshown) for one in some if not one.here] for root, some in unmade.items()}
    lacking = {root: some for root, some in still.items() if some}
    return Audited(node, report, bool(record.mirror.evidence), lacking)


def _with_why(one: Unmade, unshown: Unshown) -> Unmade:
    """The same with why pulls did not bring it, where they had asked before an audit lacked it."""
    kind, _, name = one.lacks.partition("/")
    why = one.why or (unshown.missing(name).why if kind == OPENINGS else "")
    return structs.replace(one, why=why)


def _named(peers: Peers, name: str) -> PeerNode:
    found = next((node for node in peers.nodes if name in {node.name, node.origin}), None)
    if found is None:
        known = ", ".join(node.name for node in peers.nodes) or "nobody"
        raise UsageError(
            f"There is no peer {name[:64]!r}.",
            why=f"The file of peers names {known}.",
            hint="Add it: cryoflux node peers add NAME VKEY URL.",
        )
    return found


def _material(record: PeerRecord, node: PeerNode) -> Material:
    """The log of a peer, as it is mirrored.

    Raises:
        UsageError: nothing of it is here, or not the key that its entries are signed with.
    """
    note, key = record.mirror.note, receipt_key_of(record.node, node.key)
    if note is None or not key:
        raise UsageError(
            f"The log of {node.name} is not here.",
            why="It was not pulled yet, or the peer does not bring the key that its log is named after.",
            hint="Pull it: cryoflux node pull.",
        )
    return mirrored(record.folder, record.mirror, key, note.content)


def _for_peer(again: Again, state: Path, record: PeerRecord, configs: dict[str, str]) -> Again:
    """The same for a log whose state is elsewhere: its versions are made of what lies here."""
    openings = record.folder / "openings"
    sources = ModelSources(StateFolder(state), lambda root: openings / root, configs, record.shown)
    return replace(again, sources=sources)


def _considered(record: PeerRecord, records: Iterable[PeerRecord]) -> dict[str, str]:
    """Adapter → digest of its settings, as those logs sign them whose offers a peer says it considered.

    Only these are settings that it has to have used. Any log may name the digest of an adapter, with settings
    of its own; so what logs sign that the peer does not speak of, or sign in two ways, says nothing of it.

    Args:
        record: of the peer.
        records: of all logs that are here.
    """
    said, signed = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for one in record.facts.rounds:
        for adapter, origin in one.origins.items():
            said[adapter].add(origin)
    for other in records:
        try:
            facts = other.facts
        except StorageError:
            raise
        except (VerificationError, OSError):  # what is damaged here says nothing
            continue
        claims = [(offer.update.adapter, offer.config) for offer in facts.offers]
        claims += [(adapter, config) for adapter, (config, _) in facts.made.items()]
        for adapter, config in claims:
            if said.get(adapter) == {other.origin}:
                signed[adapter].add(config)
    return {adapter: config for adapter, (config, *more) in signed.items() if not more}


class _Looks:
    """What came of opened looks, by guest holdout."""

    def __init__(self) -> None:
        self._words: dict[str, list[Word]] = defaultdict(list)
        self._lacking: dict[str, dict[str, bool]] = defaultdict(dict)

    def hear(self, look: OpenedLook, word: Word, lacks: Mapping[str, bool]) -> None:
        """Take note of one."""
        self._words[look.root].append(word)
        self._lacking[look.root].update(lacks)

    @property
    def false(self) -> set[str]:
        """Paths of what is here, and cannot be what a look was made of."""
        return {path for some in self._lacking.values() for path, is_false in some.items() if is_false}

    def unmade(self, before: UnmadeByRoot, decided: Collection[str]) -> UnmadeByRoot:
        """What looks could not be made again for want of.

        Args:
            before: as it was known.
            decided: roots of which nothing is open any more, by this audit or one before.
        """
        found = before | {root: lacked(before.get(root, ()), some) for root, some in self._lacking.items()}
        return {root: some for root, some in found.items() if some and root not in decided}

    def decided(self, facts: LogFacts) -> dict[str, bool]:
        """Root → whether its looks are those of the models: all of them, or one is not.

        Args:
            facts: of the log, which say how many looks a guest holdout has given.
        """
        tallies = (tally for node in facts.nodes.values() for tally in node.guests.values())
        given = {tally.said.root: len(tally.looks) for tally in tallies}
        return {
            root: Word.REFUTED not in words
            for root, words in self._words.items()
            if Word.REFUTED in words or (len(words) == given.get(root) and all(w.reproduced for w in words))
        }
