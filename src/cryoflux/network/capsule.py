"""``capsule.json``: who offers an update, since when, and that it is the one of a receipt; it proves itself.

Beside the two files of an adapter it brings the offer and the receipt, as they were signed, with a C2SP
tlog-proof of each whose head witnesses cosigned. Whoever has a policy checks it offline:

- the policy names the log by its key, and a quorum of its witnesses cosigned each head;
- proofs lead from both entries to those heads;
- the key that the log began under is the one that the log is named after; it signed both entries, or a key
  did that the log's root key put in its place, by entries that are brought and proven too;
- the receipt made the update, of the version that the offer says it was trained on;
- the adapter and its settings are the files that both entries name.

What it cannot show: that the log holds no entry that ends the signer's key (whoever has the log sees that),
and that the update helps. Nothing of it is run, and nothing of an adapter is read here but its bytes.
"""

from __future__ import annotations

__all__ = [
    "MOST_ADAPTER_BYTES",
    "MOST_CAPSULE_BYTES",
    "MOST_CONFIG_BYTES",
    "CapsuleDocument",
    "CapsuleFile",
    "CheckedCapsule",
    "ProvenEntry",
    "check_capsule",
    "check_capsule_files",
    "parse_capsule",
    "read_capsule",
]

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.digests import sha256_hex
from cryoflux.errors import UsageError, VerificationError
from cryoflux.files import IrregularFileError, read_regular, require_regular
from cryoflux.network.folder import CAPSULE
from cryoflux.receipts.checkpoint import (
    KeyType,
    VerifierKey,
    named_after,
    parse_note,
    parse_verifier_key,
    verify_log,
)
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_parts import LogName
from cryoflux.receipts.network_statement import UpdateOffer
from cryoflux.receipts.offering import offer_complaints
from cryoflux.receipts.proof import Proof, check_proof, parse_proof
from cryoflux.receipts.revocation import Authority
from cryoflux.receipts.statement import Receipt
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.signing.canonical import parse_strictly
from cryoflux.signing.ed25519 import refuse_weak_key
from cryoflux.signing.envelope import decode_base64
from cryoflux.signing.fields import Document, Positive, RawKey, Sha256, Text, at_most
from cryoflux.signing.keys import raw_key_id
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.witness.commitment import quorum_time
from cryoflux.witness.policy import Policy

MOST_ADAPTER_BYTES = 8 * 2**20
MOST_CAPSULE_BYTES = 65_536
MOST_CONFIG_BYTES = 64_000
_MOST_KEYS = 8
"""entries about keys: one that names the root key, and seven rotations"""


class ProvenEntry(Document, frozen=True):
    """An entry of a log with its proof."""

    entry: str
    """the signed envelope, base64"""
    proof: str
    """a C2SP tlog-proof that leaves the entry out"""


class CapsuleFile(Document, frozen=True):
    """A file of an adapter."""

    sha256: Sha256
    bytes: Positive


class CapsuleDocument(Document, frozen=True):
    """What ``capsule.json`` says; nothing about it has been verified."""

    v: Literal[1]
    origin: LogName
    """of the log that offers the update"""
    log_vkey: Text = msgspec.field(name="log_vkey")
    """that signs its heads, as a C2SP verifier key"""
    receipt_key: RawKey = msgspec.field(name="receipt_key")
    """that the log began under, and is named after"""
    offer: ProvenEntry
    receipt: ProvenEntry
    adapter: CapsuleFile
    config: CapsuleFile
    keys: Annotated[list[ProvenEntry], at_most(_MOST_KEYS)] = msgspec.field(default_factory=list)
    """entries before the offer that say which key signs, in order; none where it is the first one"""


_DECODER = msgspec.json.Decoder(CapsuleDocument)


@dataclass(frozen=True, slots=True)
class CheckedCapsule:
    """An offer that was checked offline against a policy."""

    update: OfferedUpdate
    log_key: VerifierKey
    committed_s: int | None
    """when a quorum had seen its receipt, POSIX seconds; none where the policy needs nobody"""
    offer: UpdateOffer
    offer_leaf: str
    """leaf hash of the entry"""
    receipt: Receipt
    receipt_leaf: str
    config_bytes: int
    """that the settings are said to have; their digest is signed, this is not"""
    signer: str
    """id of the key that signed the offer"""

    @property
    def origin(self) -> str:
        """Name of the log that offers it."""
        return self.log_key.name


def read_capsule(path: Path) -> bytes:
    """The bytes of a ``capsule.json``.

    Raises:
        UsageError: it cannot be read.
        VerificationError: it has more than 64 KiB, or is no file.
    """
    try:
        return read_regular(path, MOST_CAPSULE_BYTES)
    except IrregularFileError as error:
        raise VerificationError(f"{path} is no {CAPSULE}: {error.strerror}.") from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", hint=f"Name a capsule's folder, or its {CAPSULE}."
        ) from error


def parse_capsule(content: bytes) -> CapsuleDocument:
    """Read a ``capsule.json``; nothing about it is verified.

    Raises:
        VerificationError: it is none, has another spelling, or more than 64 KiB.
    """
    if len(content) > MOST_CAPSULE_BYTES:
        raise VerificationError(
            f"The {CAPSULE} has {len(content):,} bytes; at most {MOST_CAPSULE_BYTES:,} are read.",
            why="It holds two entries and their proofs, and nothing else.",
        )
    return parse_strictly(_DECODER, content, f"The {CAPSULE}", most=MOST_CAPSULE_BYTES)


def check_capsule(content: bytes, policy: Policy, logs: Collection[VerifierKey] = ()) -> CheckedCapsule:
    """Check all that a ``capsule.json`` claims, offline.

    Args:
        content: its bytes.
        policy: logs that are known, witnesses, and how many of them make a quorum.
        logs: further keys of logs that are known, such as those of peers.

    Raises:
        VerificationError: something does not hold; it says what.
    """
    said = parse_capsule(content)
    log_key = _known_log(said, {*(line.key for line in policy.logs), *logs})
    found = _entries(said, log_key, policy)
    offer, receipt = found[said.offer.proof], found[said.receipt.proof]
    offered = offer.entry.statement.predicate
    if not isinstance(offered, UpdateOffer) or receipt.entry.receipt is None:
        raise VerificationError(
            f"Entries {offer.entry.index} and {receipt.entry.index} are no offer and its receipt.",
            why=f"They are: {offer.entry.kind}, {receipt.entry.kind}.",
        )
    _require_same(said, offered, offer.entry, receipt.entry)
    return CheckedCapsule(
        update=offered.update,
        log_key=log_key,
        committed_s=receipt.reached_s,
        offer=offered,
        offer_leaf=offer.entry.leaf_hash,
        receipt=receipt.entry.receipt,
        receipt_leaf=receipt.entry.leaf_hash,
        config_bytes=said.config.bytes,
        signer=offer.entry.signed.keyid,
    )


def _known_log(said: CapsuleDocument, known: Collection[VerifierKey]) -> VerifierKey:
    key = parse_verifier_key(said.log_vkey)
    if key.kind is not KeyType.LOG or key.name != said.origin:
        raise VerificationError(
            f"The {CAPSULE} brings no key of the log {said.origin!r}.", why=f"It brings {key.name!r}."
        )
    if key not in known:
        raise VerificationError(
            f"The policy does not name the log {key.name} by the key that signed its head.",
            why="Anybody can begin a log under any name; only who knows its key knows whose it is.",
            hint=f"If you know that it is theirs, add a line to the policy: log {key}",
        )
    return key


def _require_same(said: CapsuleDocument, offered: UpdateOffer, offer: Entry, receipt: Entry) -> None:
    for complaint in offer_complaints(offered, receipt if receipt.index == offered.receipt_at else None):
        raise VerificationError(
            f"Entry {offer.index} {complaint}.", why="An offer is about what its receipt signed."
        )
    due = (offered.update.adapter, offered.adapter_bytes, offered.config)
    if (said.adapter.sha256, said.adapter.bytes, said.config.sha256) != due:
        raise VerificationError(
            f"The {CAPSULE} names other files than its offer.", why="Those that count are the signed ones."
        )


@dataclass(frozen=True, slots=True)
class _Proven:
    """An entry whose proof and signature hold."""

    entry: Entry
    reached_s: int | None
    """when a quorum had seen its head"""


def _entries(said: CapsuleDocument, log_key: VerifierKey, policy: Policy) -> dict[str, _Proven]:
    """All entries of a capsule by their proofs, each checked under the key that was valid at its place."""
    brought = [*((one, True) for one in said.keys), (said.offer, False), (said.receipt, False)]
    read = [(parse_proof(one.proof.encode()), one, about_key) for one, about_key in brought]
    authority, found, last = Authority(_first_key(said)), dict[str, _Proven](), -1
    for proof, one, about_key in sorted(read, key=lambda found: found[0].index):
        signer = (authority.root_key if about_key else None) or authority.receipt_key
        if proof.index == last or signer is None:
            raise VerificationError(
                f"Entry {proof.index} is brought twice, or no key was valid there.",
                why="Which key may sign follows from the entries about keys, one after the other.",
            )
        entry, reached_s = _proven(proof, one, signer, log_key, policy)
        stands = "" if (entry.key is not None) is about_key else "stands where another kind is due"
        if complaint := stands or authority.admit(entry):
            raise VerificationError(f"Entry {entry.index} {complaint}.", why="It was not valid in its log.")
        found[one.proof], last = _Proven(entry, reached_s), proof.index
    return found


def _first_key(said: CapsuleDocument) -> Ed25519PublicKey:
    raw = decode_base64(said.receipt_key, "The receipt key")
    refuse_weak_key(raw, "The receipt key")
    if named_after(raw_key_id(raw)) != said.origin:
        raise VerificationError(
            f"The log {said.origin!r} is not named after the receipt key that the {CAPSULE} brings.",
            why="A log carries the id of the key that it began under in its name.",
        )
    return Ed25519PublicKey.from_public_bytes(raw)


def _proven(
    proof: Proof, brought: ProvenEntry, signer: Ed25519PublicKey, log_key: VerifierKey, policy: Policy
) -> tuple[Entry, int | None]:
    """The entry of a proof, and since when a quorum has seen its head."""
    if proof.extra:
        raise VerificationError(
            f"A proof of the {CAPSULE} brings an entry of its own.", why="Each entry is brought once."
        )
    note = parse_note(proof.checkpoint)
    verify_log(note, log_key)
    envelope = decode_base64(brought.entry, f"An entry of the {CAPSULE}")
    entry = check_proof(proof, signer, Ed25519PublicKey.from_public_bytes(log_key.raw), envelope)
    reached, time_s = quorum_time(note, policy)
    if not reached:
        raise VerificationError(
            f"Entry {proof.index} is not witnessed: its head was not cosigned by {policy.describe()}.",
            why="What no quorum has seen may be told to others in another way, or later.",
            hint="Fetch it again once its log has been witnessed, or name the policy that you mean.",
        )
    return entry, time_s


def check_capsule_files(folder: Path, capsule: CheckedCapsule) -> tuple[bytes, bytes]:
    """The bytes of an adapter and of its settings, which are those that were signed.

    Args:
        folder: where they lie.
        capsule: what says which ones they are.

    Raises:
        VerificationError: one is missing, a link or no file, or has other bytes.
    """
    offer = capsule.offer
    adapter = _signed_bytes(folder / ADAPTER, offer.adapter_bytes, offer.update.adapter, MOST_ADAPTER_BYTES)
    settings = _signed_bytes(folder / ADAPTER_CONFIG, capsule.config_bytes, offer.config, MOST_CONFIG_BYTES)
    return adapter, settings


def _signed_bytes(path: Path, size: int, digest: str, most: int) -> bytes:
    if size > most:
        raise VerificationError(f"{path} is said to have {size:,} bytes; at most {most:,} are read.")
    try:
        require_regular(path)  # a link would lead to what somebody else chooses
        content = read_regular(path, size)
    except OSError as error:
        raise VerificationError(
            f"{path} cannot be read: {error.strerror}.",
            why=f"It has to be a file of {size:,} bytes.",
            hint="Fetch it again.",
        ) from error
    if len(content) != size or sha256_hex(content) != digest:
        raise VerificationError(
            f"{path}: its bytes are not what was signed.",
            why=f"Its SHA-256 has to be {digest}, of {size:,} bytes.",
            hint="Fetch it again.",
        )
    return content
