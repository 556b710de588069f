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
from cryoflux.receipts.checkpoint import Note, verify_log


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
    roots |= mirror.roots(sizes - roots.keys())
    other = next((note for note in heads if note.checkpoint.root != roots[note.checkpoint.size]), None)
    if other is not None and (newest := mirror.note) is not None:
        mirror.convict_by(newest, other, roots[other.checkpoint.size])
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
