"""Files of a public tree that bring an entry of the log with its proof, to be checked offline.

``node.json`` says who the node is, and ``opening.json``, beside examples of a guest holdout, what opens it.
"""

from __future__ import annotations

__all__ = ["NodeFile", "node_file", "opening_file", "proven_entry"]

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from cryoflux.network.capsule import ProvenEntry
from cryoflux.receipts.checkpoint import Note
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import Url
from cryoflux.receipts.proof import Proof, format_proof, prove
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.fields import Document, RawKey, at_most
from cryoflux.signing.keys import KEYS_FOLDER, load_first_public, raw_public_key

_MOST_PEERS = 256


class NodeFile(Document, frozen=True):
    """What ``node.json`` says; nothing about it has been verified."""

    v: Literal[1]
    entry: str
    """the signed envelope of the newest entry about the node, base64"""
    proof: str
    """a C2SP tlog-proof of it that leaves the entry out"""
    peers: Annotated[list[Url], at_most(_MOST_PEERS)]
    """addresses of other nodes: hints, nobody has to follow them"""
    receipt_key: RawKey = msgspec.field(name="receipt_key")
    """that the log began under, and is named after: whoever mirrors the log reads it by that"""


def node_file(state: Path, entry: Entry, note: Note, peers: Sequence[str]) -> bytes:
    """The bytes of ``node.json``.

    Args:
        state: whose log the entry is in.
        entry: the newest one in which the node says who it is.
        note: a head of that log that covers it.
        peers: addresses of other nodes.

    Raises:
        StateTamperedError: the published log is damaged.
    """
    shown = proven_entry(state, entry, note)
    first = raw_public_key(load_first_public(state / KEYS_FOLDER, create=False))
    key = base64.b64encode(first).decode()
    hints = list(peers[:_MOST_PEERS])
    said = NodeFile(v=1, entry=shown.entry, proof=shown.proof, peers=hints, receipt_key=key)
    return canonical_bytes(said)


def opening_file(state: Path, entry: Entry, note: Note) -> bytes:
    """The bytes of ``opening.json``.

    Args:
        state: whose log the entry is in.
        entry: that opens a guest holdout.
        note: a head of that log that covers it.

    Raises:
        StateTamperedError: the published log is damaged.
    """
    return canonical_bytes(proven_entry(state, entry, note))


def proven_entry(state: Path, entry: Entry, note: Note) -> ProvenEntry:
    """An entry of a log, and the proof of its place under a head.

    Args:
        state: whose log the entry is in.
        entry: it.
        note: a head of that log that covers it.

    Raises:
        StateTamperedError: the published log is damaged.
    """
    proof = prove(state, entry.index, note.content)
    shown = format_proof(Proof(proof.index, proof.hashes, proof.checkpoint, b""))
    return ProvenEntry(entry=base64.b64encode(entry.envelope).decode(), proof=shown.decode())
