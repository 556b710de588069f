"""Proof that a log told two stories, for anybody who has its key; no witness need be believed.

A log that signed two heads which no one history has has broken its word, whoever shows them:

- two heads of one size with different roots;
- a head of M entries and a head of N > M, where a consistency proof shows that the first M entries of the
  larger tree have *another* root than the smaller head says. The proof ties that other root to the signed
  larger one, so nobody but the log can have made it.

A proof that merely fails shows nothing, because anybody can send a wrong one; it is refused, not kept.

The file is text: ``cryoflux.dev/equivocation@v1``, ``log <vkey>``, ``prefix <base64 root>`` with the lines of
the proof where the sizes differ, then both notes, each after an empty line.
"""

from __future__ import annotations

__all__ = [
    "MAX_EVIDENCE_BYTES",
    "Equivocation",
    "check_equivocation",
    "from_submission",
    "parse_equivocation",
]

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import (
    MAX_NOTE_BYTES,
    Note,
    VerifierKey,
    parse_note,
    parse_verifier_key,
    verify_log,
)
from cryoflux.receipts.merkle import node_hash, verify_consistency
from cryoflux.signing.envelope import decode_base64
from cryoflux.witness.submission import MAX_PROOF_LINES

_HEADER = "cryoflux.dev/equivocation@v1"
MAX_EVIDENCE_BYTES = 2 * MAX_NOTE_BYTES + 8192


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two signed heads that exclude each other; `check_equivocation` says whether they do."""

    log: VerifierKey
    older: Note
    newer: Note
    """of the same size, or larger"""
    prefix: bytes = b""
    """root of as many entries of the newer tree as the older has; empty where the sizes are equal"""
    proof: tuple[bytes, ...] = ()
    """consistency proof from ``prefix`` to the newer root"""

    @property
    def content(self) -> bytes:
        """The bytes of the evidence file."""
        lines = [_HEADER, f"log {self.log}"]
        if self.prefix:
            lines += [f"prefix {_encode(self.prefix)}", *map(_encode, self.proof)]
        head = "\n".join([*lines, "", ""]).encode()
        return head + self.older.content + b"\n" + self.newer.content


def _encode(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def check_equivocation(found: Equivocation) -> str:
    """Make sure that the log's signer told two stories, and say which.

    Raises:
        VerificationError: this does not show it.
    """
    verify_log(found.older, found.log)
    verify_log(found.newer, found.log)
    older, newer = found.older.checkpoint, found.newer.checkpoint
    if older.size == newer.size:
        if older.root == newer.root:
            raise VerificationError("Both notes are the same head, so they show nothing.")
        return (
            f"{older.origin} signed two heads of {older.size} entries: roots {older.root.hex()[:16]}… "
            f"and {newer.root.hex()[:16]}…"
        )
    if older.root == found.prefix or not verify_consistency(
        older.size, newer.size, found.prefix, newer.root, found.proof
    ):
        raise VerificationError(
            "The proof does not tie another root of the older size to the newer head.",
            why="Anybody can send a wrong proof; it says nothing about the log.",
        )
    return (
        f"{older.origin} signed {older.size} entries with root {older.root.hex()[:16]}…, and {newer.size} "
        f"whose first {older.size} have root {found.prefix.hex()[:16]}…"
    )


def from_submission(
    log: VerifierKey, older: Note, newer: Note, proof: Sequence[bytes]
) -> Equivocation | None:
    """The evidence in a submission that was refused, if it holds any.

    Args:
        log: whose heads they are.
        older: the head that is known.
        newer: the head that was submitted.
        proof: what was submitted with it.
    """
    first, second = older.checkpoint, newer.checkpoint
    prefix = b"" if first.size == second.size else _implied_prefix(first.size, second.size, proof)
    found = Equivocation(log, older, newer, prefix, tuple(proof) if prefix else ())
    try:
        check_equivocation(found)
    except VerificationError:
        return None
    return found


def _implied_prefix(old_size: int, new_size: int, proof: Sequence[bytes]) -> bytes:
    """The root of the old size that a proof leads to; empty where the proof leaves it to the verifier."""
    if not proof or not 0 < old_size < new_size or not old_size & (old_size - 1):
        return b""
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    root, *path = proof
    for sibling in path:
        if position & 1 or position == last:
            root = node_hash(sibling, root)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        position, last = position >> 1, last >> 1
    return root


def parse_equivocation(content: bytes) -> Equivocation:
    """Read an evidence file; whether it shows anything is not checked.

    Raises:
        VerificationError: it is malformed.
    """
    parts = content.decode("utf-8", "replace").split("\n\n") if len(content) <= MAX_EVIDENCE_BYTES else []
    if len(parts) != 5:
        raise VerificationError("This is not a file of evidence against a log.")
    header, *lines = parts[0].split("\n")
    if header != _HEADER or not lines or not lines[0].startswith("log "):
        raise VerificationError(f"A file of evidence begins with {_HEADER} and the log's key.")
    prefix, *proof = [_decode(line) for line in lines[1:]] or [b""]
    if len(proof) > MAX_PROOF_LINES:
        raise VerificationError("The proof is too long.")
    older, newer = f"{parts[1]}\n\n{parts[2]}\n", f"{parts[3]}\n\n{parts[4]}"
    found = Equivocation(
        parse_verifier_key(lines[0].removeprefix("log ")),
        parse_note(older.encode()),
        parse_note(newer.encode()),
        prefix,
        tuple(proof),
    )
    if found.content != content:
        raise VerificationError("The evidence is in a spelling of its own.")
    return found


def _decode(line: str) -> bytes:
    digest = decode_base64(line.removeprefix("prefix "), "A line of the evidence")
    if len(digest) != 32:
        raise VerificationError("A line of the evidence is not a hash.")
    return digest
