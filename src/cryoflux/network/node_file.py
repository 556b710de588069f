"""Files of a public tree that bring an entry of the log with its proof, to be checked offline.

``node.json`` says who the node is, and ``opening.json``, beside examples of a guest holdout, what opens it.
"""

from __future__ import annotations

__all__ = [
    "MOST_PEERS",
    "NodeFile",
    "PeerHint",
    "hint_of",
    "hints_in",
    "introduced_in",
    "is_hinted_url",
    "node_file",
    "opening_file",
    "proven_entry",
]

import base64
import ipaddress
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from cryoflux.digests import sha256_hex
from cryoflux.errors import VerificationError
from cryoflux.network.capsule import ProvenEntry
from cryoflux.receipts.checkpoint import KeyType, Note, VerifierKey, parse_verifier_key
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import Url
from cryoflux.receipts.proof import Proof, format_proof, prove
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.fields import Document, RawKey, Text, at_most
from cryoflux.signing.keys import KEYS_FOLDER, load_first_public, raw_public_key

MOST_PEERS = 256
"""that a node names"""
_MOST_KEY = 200
_MOST_INTRODUCED = 16
_NAMED_AFTER_KEY = re.compile(r"cryoflux\.dev/[0-9a-f]{16}")
_HINTED_URL = re.compile(r"https?://[0-9A-Za-z.-]{1,100}(:[0-9]{1,5})?(/[0-9A-Za-z._~-]{1,60}){0,4}/?")
_LABEL = re.compile(r"[0-9a-z]([0-9a-z-]{0,61}[0-9a-z])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class PeerHint(Document, frozen=True):
    """Another node, by the key of its log and where it is: what one calls it is nobody else's business."""

    log_key: Text = msgspec.field(name="log_key")
    """as a C2SP verifier key; the log's origin is in it"""
    url: Url


class NodeFile(Document, frozen=True):
    """What ``node.json`` says; nothing about it has been verified."""

    v: Literal[1]
    entry: str
    """the signed envelope of the newest entry about the node, base64"""
    proof: str
    """a C2SP tlog-proof of it that leaves the entry out"""
    peers: Annotated[list[PeerHint], at_most(MOST_PEERS)]
    """other nodes: hints, nobody has to follow them"""
    receipt_key: RawKey = msgspec.field(name="receipt_key")
    """that the log began under, and is named after: whoever mirrors the log reads it by that"""
    introduced: Annotated[list[PeerHint], at_most(_MOST_INTRODUCED)] = msgspec.field(default_factory=list)
    """nodes that have introduced themselves to this one, which does not vouch for their addresses"""


def node_file(
    state: Path, entry: Entry, note: Note, peers: Sequence[PeerHint], introduced: Sequence[PeerHint] = ()
) -> bytes:
    """The bytes of ``node.json``.

    Args:
        state: whose log the entry is in.
        entry: the newest one in which the node says who it is.
        note: a head of that log that covers it.
        peers: other nodes; of too many, others of them while the log grows.
        introduced: those that have introduced themselves.

    Raises:
        StateTamperedError: the published log is damaged.
    """
    shown = proven_entry(state, entry, note)
    first = raw_public_key(load_first_public(state / KEYS_FOLDER, create=False))
    key = base64.b64encode(first).decode()
    turn = note.checkpoint.size // 256
    hints = sorted(peers, key=lambda one: sha256_hex(f"{turn} {one.log_key}".encode()))[:MOST_PEERS]
    said = NodeFile(
        v=1,
        entry=shown.entry,
        proof=shown.proof,
        peers=hints,
        receipt_key=key,
        introduced=list(introduced)[:_MOST_INTRODUCED],
    )
    return canonical_bytes(said)


def hints_in(document: bytes) -> list[tuple[VerifierKey, str]]:
    """The nodes that a ``node.json`` names, by the key of their log and address; what is none is passed over.

    An address has no query, no name and password, and leads to a plain path: what is asked for there is a
    file of a public tree, and nothing else. It is written in the one way that it has: no `127.1`, no dot at
    the end, no port that there is not.

    Args:
        document: as it came, of whatever bytes.
    """
    return _named(document, "peers", MOST_PEERS)


def introduced_in(document: bytes) -> list[tuple[VerifierKey, str]]:
    """The nodes that have introduced themselves where a ``node.json`` is from; as `hints_in` otherwise.

    Args:
        document: as it came, of whatever bytes.
    """
    return _named(document, "introduced", _MOST_INTRODUCED)


def _named(document: bytes, field: str, most: int) -> list[tuple[VerifierKey, str]]:
    try:
        named = json.loads(document or b"{}").get(field, [])[:most]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return []
    hints = [hint_of(one["log_key"], one["url"]) for one in named if _is_hint(one)]
    return [found for found in hints if found is not None]


def _is_hint(said: object) -> bool:
    match said:
        case {"log_key": str(), "url": str()}:
            return True
    return False


def hint_of(key: str, url: str) -> tuple[VerifierKey, str] | None:
    """The key of a log and the address of its tree; none where one of them is none.

    Args:
        key: as a C2SP verifier key.
        url: of a public tree.
    """
    if len(key) >= _MOST_KEY or not is_hinted_url(url):
        return None
    try:
        found = parse_verifier_key(key)
    except VerificationError:
        return None
    good = found.kind is KeyType.LOG and _NAMED_AFTER_KEY.fullmatch(found.name)
    return (found, url.rstrip("/")) if good else None


def is_hinted_url(url: str) -> bool:
    """Whether an address is one that a node hears of from others, written in the one way that it has.

    It has a name or an IPv4 address in lower case, no port that goes without saying, and a path that leads
    nowhere but down. What ends in a number is an IPv4 address, as for browsers, whatever a resolver makes of
    fewer numbers, or of octal and hexadecimal ones.

    Args:
        url: as it was said.
    """
    if not _HINTED_URL.fullmatch(url):
        return False
    parts = urlsplit(url)
    host, _, port = parts.netloc.partition(":")
    try:
        if _NUMBER.fullmatch(host.rpartition(".")[2]):
            ipaddress.IPv4Address(host)
    except ValueError:
        return False
    is_plain = all(map(_LABEL.fullmatch, host.split("."))) and not {".", ".."} & {*parts.path.split("/")}
    return is_plain and (not port or _is_plain_port(parts.scheme, port))


def _is_plain_port(scheme: str, port: str) -> bool:
    return str(int(port)) == port and 0 < int(port) < 2**16 and int(port) != _DEFAULT_PORTS[scheme]


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
