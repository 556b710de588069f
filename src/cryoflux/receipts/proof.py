"""One receipt in one file that proves itself offline: C2SP tlog-proof v1.

::

    c2sp.org/tlog-proof@v1
    extra <base64 of the signed envelope>
    index <position in the log>
    <base64 hash>                          the inclusion proof, from the leaf upwards
    <empty line>
    <the signed checkpoint, with the cosignatures of witnesses that it carries>

Nobody vouches for the extra data by itself, but it is the entry: its leaf hash has to lead to the signed
root, and its own signature has to hold. Source: C2SP tlog-proof, tlog-checkpoint; RFC 6962 §2.1.1.
"""

from __future__ import annotations

__all__ = ["MAX_PROOF_BYTES", "Proof", "check_proof", "format_proof", "parse_proof", "prove"]

import base64
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import StateTamperedError, UsageError, VerificationError
from cryoflux.files import read_beginning
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, parse_checkpoint
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.log import CHECKPOINT, LOG_FOLDER
from cryoflux.receipts.log_key import vouched_log_key
from cryoflux.receipts.merkle import leaf_hash, verify_inclusion
from cryoflux.receipts.tile_reader import TileReader
from cryoflux.signing.canonical import MAX_ENTRY_BYTES
from cryoflux.signing.envelope import decode_base64, verify
from cryoflux.signing.keys import KEYS_FOLDER, LOG_KEY, key_id, load_public_key

MAX_PROOF_BYTES = 4 * MAX_ENTRY_BYTES
"""Largest file that is read."""
_FORMAT = re.compile(
    r"c2sp\.org/tlog-proof@v1\n"
    r"(?:extra (?P<extra>[0-9A-Za-z+/]*={0,2})\n)?"
    r"index (?P<index>0|[1-9][0-9]{0,17})\n"
    r"(?P<hashes>(?:[0-9A-Za-z+/]{43}=\n){0,63})"
    r"\n(?P<checkpoint>.+)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof file holds; nothing about it has been verified."""

    index: int
    """position of the entry in the log"""
    hashes: tuple[bytes, ...]
    """inclusion proof, from the leaf upwards"""
    checkpoint: bytes
    """the signed note, verbatim"""
    extra: bytes
    """the entry; empty where the file leaves it out"""


def format_proof(proof: Proof) -> bytes:
    """The bytes of a proof file."""
    lines = ["c2sp.org/tlog-proof@v1"]
    if proof.extra:
        lines.append(f"extra {base64.b64encode(proof.extra).decode()}")
    lines.append(f"index {proof.index}")
    lines += [base64.b64encode(found).decode() for found in proof.hashes]
    return "\n".join([*lines, "", ""]).encode() + proof.checkpoint


def parse_proof(content: bytes) -> Proof:
    """Read a proof file.

    Raises:
        VerificationError: it is none.
    """
    try:
        found = _FORMAT.fullmatch(content.decode("utf-8")) if len(content) <= MAX_PROOF_BYTES else None
    except UnicodeDecodeError:
        found = None
    if found is None:
        raise VerificationError(
            "The file is not a C2SP tlog-proof (v1).",
            why="It has to hold the index, the inclusion proof and the signed checkpoint.",
            hint="Make one with: cryoflux receipts proof ID",
        )
    hashes = tuple(decode_base64(line, "A hash of the proof") for line in found["hashes"].splitlines())
    extra = decode_base64(found["extra"], "The extra data") if found["extra"] else b""
    return Proof(int(found["index"]), hashes, found["checkpoint"].encode(), extra)


def prove(state: Path, index: int, note: bytes = b"") -> Proof:
    """The proof of one entry of a state's log, checked before it is handed out.

    Args:
        state: the state directory.
        index: position of the entry.
        note: a signed head of that log that covers it; the newest one where it is empty.

    Raises:
        UsageError: the signed checkpoint does not cover such an entry.
        StateTamperedError: the published log is damaged.
        VerificationError: its checkpoint is not signed by its key.
    """
    folder = state / LOG_FOLDER
    if not note and (folder / CHECKPOINT).is_file():
        note = read_beginning(folder / CHECKPOINT, MAX_NOTE_BYTES + 1)
    head = parse_checkpoint(note, load_public_key(state / KEYS_FOLDER / f"{LOG_KEY}.pub"))
    if index >= head.size:
        raise UsageError(
            f"The signed checkpoint covers {head.size} entries, and not entry {index}.",
            why="Only what it covers can be proven.",
            hint="The next cryoflux run signs a newer one; see cryoflux receipts list.",
        )
    reader = TileReader(folder, head.size)
    entry, hashes = reader.entry(index), tuple(reader.inclusion(index))
    if not verify_inclusion(index, head.size, leaf_hash(entry), hashes, head.root):
        raise StateTamperedError(
            f"The tiles of the log do not lead from entry {index} to the signed root.",
            why="A proof made of them would not be accepted anywhere.",
            hint="cryoflux verify names everything that is wrong; the next run derives tiles again.",
        )
    return Proof(index, hashes, note, entry)


def check_proof(proof: Proof, key: Ed25519PublicKey, log_key: Ed25519PublicKey, entry: bytes = b"") -> Entry:
    """Check everything that a proof claims, offline; the entry that it proves.

    The origin that the head names is compared with neither key: only the first key of a log is in its name,
    and of a later one only the whole log shows whose it is.

    Args:
        proof: what the file holds.
        key: that has to have signed the entry.
        log_key: that has to have signed the checkpoint.
        entry: its exact bytes, where the file leaves them out, or has something else in their place.

    Raises:
        VerificationError: something does not hold; it says what.
    """
    head = parse_checkpoint(proof.checkpoint, log_key)
    envelope = entry or proof.extra
    if not envelope:
        raise VerificationError(
            "The proof does not bring the entry that it is about.",
            why="A proof may leave it out; only its hash is in the log.",
            hint="Name a file with its exact bytes: --entry FILE",
        )
    if not verify_inclusion(proof.index, head.size, leaf_hash(envelope), proof.hashes, head.root):
        raise VerificationError(
            f"The inclusion proof does not lead from entry {proof.index} to the signed root.",
            why="The entry, its index or a hash is not the one that the log holds.",
        )
    found = parse_entry(proof.index, envelope)
    if not verify(found.signed, key):
        raise VerificationError(
            f"The entry is not signed by the key {key_id(key)[:16]}….",
            why=f"It names key {found.signed.keyid[:16]}….",
        )
    if found.statement.predicate.sequence != proof.index:
        raise VerificationError(
            f"The entry says that it is number {found.statement.predicate.sequence}, not {proof.index}."
        )
    if vouched_log_key(found) not in {"", key_id(log_key)}:
        raise VerificationError(
            "The log key is not the one that the first entry vouches for.",
            why=f"The head is signed by key {key_id(log_key)[:16]}….",
        )
    return found
