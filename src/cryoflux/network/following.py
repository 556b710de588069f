"""Holds what came of a peer against each other: its entries, its cosigned heads, and those of witnesses.

Every head that the peer's key signed has to be one of the history that is mirrored here. One that is not is
the proof that it has told two, and convicts it wherever the head came from: from the peer, or from a witness
that was shown another history than we were.
"""

from __future__ import annotations

__all__ = ["follow", "signed_heads"]

from collections.abc import Iterable, Sequence
from itertools import islice

from cryoflux.network.log_facts import LogFacts
from cryoflux.network.log_walk import BAD_SIGNATURE, walk
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.pulling import MirrorFolder
from cryoflux.receipts.checkpoint import Note, verify_log
from cryoflux.receipts.merkle import CompactRange, consistency_proof, leaf_hash
from cryoflux.witness.evidence import Equivocation, check_equivocation


def signed_heads(record: PeerRecord, notes: Iterable[Note]) -> tuple[Note, ...]:
    """Those of some heads that the peer's log signed and that are not known yet.

    Raises:
        VerificationError: one of them is not signed by its key.
    """
    known = {note.checkpoint for note in (*record.published, *record.seen)}
    new = tuple(note for note in notes if note.checkpoint not in known)
    for note in new:
        verify_log(note, record.mirror.key)
    return new


def follow(record: PeerRecord, receipt_key: bytes, heads: Sequence[Note] = ()) -> LogFacts:
    """Go on by what is new in a mirror, and make sure that heads are of its history.

    Args:
        record: of the peer.
        receipt_key: the one that its log began under; empty where it is not known, then nothing is read.
        heads: new ones that its key signed.

    Returns:
        What its entries come to. Where it has signed another history too, its mirror has the evidence.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    mirror, facts = record.mirror, record.facts
    size, before = mirror.size, facts.size
    pending = [note for note in record.seen if before < note.checkpoint.size <= size]
    heads = [*(note for note in heads if note.checkpoint.size <= size), *pending]
    sizes = frozenset(note.checkpoint.size for note in heads)
    roots: dict[int, bytes] = {}
    if receipt_key and not facts.fault and size > before:
        facts, roots = _read_on(record, facts, receipt_key, sizes)
        record.keep_facts(facts)
    roots |= _roots(mirror, sizes - roots.keys())
    for note in heads:
        if note.checkpoint.root != roots[note.checkpoint.size]:
            _convict(mirror, note, roots[note.checkpoint.size])
            break
    return facts


def _read_on(
    record: PeerRecord, facts: LogFacts, receipt_key: bytes, wanted: frozenset[int]
) -> tuple[LogFacts, dict[int, bytes]]:
    """What the entries of a mirror come to, and the roots of the wanted sizes that were passed."""
    mirror = record.mirror
    before, count = facts.size, mirror.size - facts.size
    entries = mirror.entries(before)
    roots, bad = walk(facts, mirror.key, receipt_key, entries, mirror.entry, count=count, wanted=wanted)
    if bad is not None:
        facts = record.facts  # as they were: what was read has changed the others
        entries = islice(mirror.entries(before), bad - before)
        walk(facts, mirror.key, receipt_key, entries, mirror.entry, count=count)
        facts.fault = f"entry {bad}: {BAD_SIGNATURE}"
    return facts, roots


def _roots(mirror: MirrorFolder, sizes: frozenset[int]) -> dict[int, bytes]:
    """The roots of some sizes of a mirror."""
    tree, found = CompactRange(), dict[int, bytes]()
    if 0 in sizes:
        found[0] = tree.root()
    for entry in islice(mirror.entries(), max(sizes, default=0)):
        tree.append(leaf_hash(entry))
        if tree.size in sizes:
            found[tree.size] = tree.root()
    return found


def _convict(mirror: MirrorFolder, head: Note, root: bytes) -> None:
    """Keep the proof that a log has signed a head that is not of its history.

    Args:
        mirror: of its log.
        head: it.
        root: that as many entries of the mirror have.
    """
    newest = mirror.note
    if newest is None:
        return
    evidence = Equivocation(mirror.key, newest, head)
    if newest.checkpoint.size > head.checkpoint.size:
        proof = tuple(consistency_proof(head.checkpoint.size, [leaf_hash(one) for one in mirror.entries()]))
        evidence = Equivocation(mirror.key, head, newest, root, proof)
    check_equivocation(evidence)
    mirror.convict(evidence.content)
