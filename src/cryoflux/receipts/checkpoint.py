r"""The signed head of the log: a C2SP tlog-checkpoint, which is a C2SP signed note.

Three lines (origin, size, base64 of the root), an empty line, and signature lines
``— <name> <base64 of key id ‖ signature>``. The key id is the first four bytes of
``SHA-256(name ‖ "\n" ‖ type ‖ public key)``. The log signs the three lines (type 1). A witness adds a line
of its own (type 4, C2SP tlog-cosignature): eight bytes of POSIX time, then its signature over
``cosignature/v1``, that time and the three lines. Lines of unknown keys are ignored, as the specification
asks; one of a known key that does not verify condemns the note.

Further lines of the text, which the specification calls extension lines, are kept as they are: every
signature of these types covers them, and nothing here goes by them. Our own logs write none.

The origin ``cryoflux.dev/<16 hex>`` carries the id of the receipt key, so that a log and its signer belong
together.
"""

from __future__ import annotations

__all__ = [
    "MAX_NOTE_BYTES",
    "Checkpoint",
    "KeyType",
    "Note",
    "NoteSignature",
    "VerifierKey",
    "cosign",
    "cosigned_at",
    "cosigned_times",
    "named_after",
    "origin_of",
    "parse_checkpoint",
    "parse_note",
    "parse_verifier_key",
    "sign_checkpoint",
    "verifier_key",
    "verify_log",
    "with_signatures",
]

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux.errors import VerificationError
from cryoflux.signing.ed25519 import refuse_weak_key, verify_signature
from cryoflux.signing.envelope import decode_base64
from cryoflux.signing.keys import key_id, raw_public_key

MAX_NOTE_BYTES = 128 * 1024
"""Largest note that is read: sixteen signatures of nearly 5 kB, as the specification asks, in base64."""
_MAX_SIGNATURES = 64
_MAX_NAME = 255
_DASH = "\N{EM DASH}"
_NAME = r"[^\s+\x00-\x1f]+"
_TEXT = re.compile(
    rf"(?P<origin>{_NAME})\n(?P<size>0|[1-9][0-9]{{0,17}})\n(?P<root>[0-9A-Za-z+/=]+)\n"
    r"(?P<extensions>([^\x00-\x1f]+\n)*)"
)
_LINE = re.compile(rf"{_DASH} (?P<name>{_NAME}) (?P<signature>[0-9A-Za-z+/=]+)\n")
_VERIFIER_KEY = re.compile(rf"(?P<name>{_NAME})\+(?P<id>[0-9a-f]{{8}})\+(?P<key>[0-9A-Za-z+/=]+)")


class KeyType(IntEnum):
    """What a key of a signed note signs."""

    LOG = 1
    """the text of the note, with Ed25519"""
    WITNESS = 4
    """the time and the text of the note, with Ed25519 (cosignature/v1)"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log at one size."""

    origin: str
    size: int
    """entries"""
    root: bytes
    """RFC 6962 root over their leaf hashes"""
    extensions: tuple[str, ...] = ()
    """further lines of the text, none of them empty"""

    @property
    def text(self) -> bytes:
        """The bytes that the log's signature covers."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()

    def said_at(self, time_s: int) -> bytes:
        """The bytes that a witness's signature covers."""
        return b"cosignature/v1\ntime %d\n%s" % (time_s, self.text)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Name and public key of somebody who signs notes."""

    name: str
    kind: KeyType
    raw: bytes
    """the 32 bytes of the Ed25519 public key"""

    @property
    def id(self) -> bytes:
        """The four bytes that a signature line names the key by."""
        return hashlib.sha256(f"{self.name}\n".encode() + bytes([self.kind]) + self.raw).digest()[:4]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.kind]) + self.raw).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key signed a message."""
        return verify_signature(self.raw, message, signature)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line; nothing about it has been verified."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> bytes:
        """The line as it is written."""
        return f"{_DASH} {self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n".encode()


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint with all its signature lines; nothing about it has been verified."""

    checkpoint: Checkpoint
    signatures: tuple[NoteSignature, ...]

    @property
    def content(self) -> bytes:
        """The bytes of the note."""
        return self.checkpoint.text + b"\n" + b"".join(signature.line for signature in self.signatures)

    def by(self, key: VerifierKey) -> list[bytes]:
        """The signatures that name a key."""
        named = (key.name, key.id)
        return [found.signature for found in self.signatures if (found.name, found.key_id) == named]


def origin_of(receipt_key: Ed25519PublicKey) -> str:
    """The name of the log of a receipt key."""
    return named_after(key_id(receipt_key))


def named_after(keyid: str) -> str:
    """The name of the log of a receipt key, by the key's id."""
    return f"cryoflux.dev/{keyid[:16]}"


def verifier_key(name: str, key: Ed25519PublicKey, kind: KeyType = KeyType.LOG) -> VerifierKey:
    """The signed-note verifier key (vkey) of a log, or of a witness."""
    return VerifierKey(name, kind, raw_public_key(key))


def parse_verifier_key(text: str) -> VerifierKey:
    """Read a verifier key.

    Raises:
        VerificationError: it is malformed, of a type that is not known here, or not sound; or its id is not
            its own.
    """
    found = _VERIFIER_KEY.fullmatch(text)
    if found is None or len(found["name"].encode()) > _MAX_NAME:
        raise VerificationError(
            f"{text[:100]!r} is not a verifier key.", hint="One looks like example.com/log+530d903a+AekyeRrm…"
        )
    encoded = decode_base64(found["key"], "The verifier key")
    kind, raw = encoded[:1], encoded[1:]
    if kind not in {bytes([known]) for known in KeyType} or len(raw) != 32:
        raise VerificationError(
            f"The key of {found['name']} has type {kind.hex()} and {len(raw)} bytes.",
            why="Known here are Ed25519 keys of logs (01) and of witnesses (04), of 32 bytes.",
        )
    refuse_weak_key(raw, f"The key of {found['name']}")
    key = VerifierKey(found["name"], KeyType(kind[0]), raw)
    if key.id.hex() != found["id"]:
        raise VerificationError(
            f"The verifier key of {key.name} has the id {key.id.hex()}, not {found['id']}."
        )
    return key


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> bytes:
    """The signed note of a checkpoint."""
    signer = verifier_key(checkpoint.origin, key.public_key())
    signature = NoteSignature(signer.name, signer.id, key.sign(checkpoint.text))
    return Note(checkpoint, (signature,)).content


def cosign(checkpoint: Checkpoint, name: str, key: Ed25519PrivateKey, time_s: int) -> NoteSignature:
    """A witness's line under a checkpoint.

    Args:
        checkpoint: the largest one of its log that the witness knows.
        name: the witness's.
        key: the witness's.
        time_s: now, POSIX seconds.
    """
    signer = verifier_key(name, key.public_key(), KeyType.WITNESS)
    signature = time_s.to_bytes(8, "big") + key.sign(checkpoint.said_at(time_s))
    return NoteSignature(signer.name, signer.id, signature)


def parse_note(content: bytes) -> Note:
    """Read a checkpoint with its signature lines; none is verified.

    Raises:
        VerificationError: the bytes are anything else, or too many.
    """
    try:
        decoded = content.decode("utf-8") if len(content) <= MAX_NOTE_BYTES else ""
    except UnicodeDecodeError:
        decoded = ""
    text, _, lines = decoded.partition("\n\n")
    found = _TEXT.fullmatch(f"{text}\n")
    signatures = _signatures(lines)
    if found is None or not signatures or len(found["origin"].encode()) > _MAX_NAME:
        raise VerificationError(
            "The checkpoint is not a signed note with origin, size and root.",
            why="Without it nobody can tell whether entries are missing at the end.",
        )
    root = decode_base64(found["root"], "The checkpoint's root")
    if len(root) != 32:
        raise VerificationError(f"The checkpoint's root has {len(root)} bytes; SHA-256 has 32.")
    extensions = tuple(found["extensions"].split("\n")[:-1])
    return Note(Checkpoint(found["origin"], int(found["size"]), root, extensions), signatures)


def _signatures(lines: str) -> tuple[NoteSignature, ...]:
    """Signature lines; none at all where one of them is malformed."""
    split = lines.splitlines(keepends=True) if "\n\n" not in lines else []
    matches = [_LINE.fullmatch(line) for line in split]
    if len(matches) > _MAX_SIGNATURES:
        return ()
    signatures = []
    for match in matches:
        if match is None:
            return ()
        signed = decode_base64(match["signature"], "A signature of the checkpoint")
        if len(signed) <= 4:
            return ()
        signatures.append(NoteSignature(match["name"], signed[:4], signed[4:]))
    return tuple(signatures)


def verify_log(note: Note, key: VerifierKey) -> None:
    """Make sure that a log signed a note.

    Raises:
        VerificationError: it did not, or not all that claims to be its signature is.
    """
    signatures = note.by(key)
    if not signatures or key.name != note.checkpoint.origin:
        raise VerificationError("The checkpoint names another log or another key than the one expected.")
    if not all(key.verifies(signature, note.checkpoint.text) for signature in signatures):
        raise VerificationError(
            "The checkpoint's signature does not match its text.",
            why="Its size or root was changed, or another key signed it.",
        )


def cosigned_at(note: Note, key: VerifierKey) -> int | None:
    """When a witness cosigned a note last, POSIX seconds; none where it did not.

    Raises:
        VerificationError: what claims to be its cosignature is not.
    """
    return max(cosigned_times(note, key), default=None)


def cosigned_times(note: Note, key: VerifierKey) -> list[int]:
    """When a witness cosigned a note, each time that it did, POSIX seconds.

    Raises:
        VerificationError: what claims to be its cosignature is not.
    """
    times = []
    for signed in note.by(key):
        time_s = int.from_bytes(signed[:8], "big")
        if (
            len(signed) != 72
            or time_s >= 2**63
            or not key.verifies(signed[8:], note.checkpoint.said_at(time_s))
        ):
            raise VerificationError(
                f"The cosignature of {key.name} is not over this checkpoint.",
                why="It was made for another log, size, root or time, or by another key.",
            )
        times.append(time_s)
    return times


def with_signatures(content: bytes, more: Iterable[NoteSignature]) -> bytes:
    """A note with further signature lines; a newer one of the same key takes the place of the older.

    Raises:
        VerificationError: the note is malformed, or would become too long.
    """
    note = parse_note(content)
    kept = {(found.name, found.key_id): found for found in note.signatures}
    kept |= {(found.name, found.key_id): found for found in more}
    return parse_note(Note(note.checkpoint, tuple(kept.values())).content).content


def parse_checkpoint(note: bytes, key: Ed25519PublicKey) -> Checkpoint:
    """Read a checkpoint that ``key`` signed for the log; other signatures are ignored.

    Raises:
        VerificationError: it is malformed, or signed by another key, or not at all.
    """
    found = parse_note(note)
    verify_log(found, verifier_key(found.checkpoint.origin, key))
    return found.checkpoint
