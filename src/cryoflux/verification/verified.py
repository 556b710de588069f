"""What the one who verifies has verified before, so that it need not all be gone through again.

It lies beside the heads that were seen (`cryoflux.verification.known_heads`), and is the verifier's own word
to itself: nobody signs it, and whoever can write in that folder can have any entry left out. It holds what a
log had come to at one root, and what each step had counted up to there. It is taken up only where the log
that is verified now begins with that root; and it only ever confirms: where anything is amiss, or anything
else is asked for than it holds, all is gone through from the beginning.
"""

from __future__ import annotations

__all__ = [
    "Trust",
    "Verified",
    "VerifiedFile",
    "recall_verified",
    "remember_verified",
    "trust_in",
    "verified_files",
]

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from cryoflux.energy.account.audit import Compared
from cryoflux.errors import UsageError
from cryoflux.files import write_atomic
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import named_after
from cryoflux.signing.keys import key_id, raw_public_key
from cryoflux.verification.result import Finding
from cryoflux.verification.walk import Fold

_RULES = 31
"""counts up when a rule or the form of a tally changes: what was verified by older ones is verified again"""
_DIGEST_BYTES = 32


class Trust(Enum):
    """What to believe of the beginning of a log that was verified here before."""

    NOTHING = "nothing"
    """all of it is judged again"""
    JUDGED = "judged"
    """its bytes are compared by their hashes, and not judged again"""
    READ = "read"
    """it is not even read; that the signed head goes on from it is checked"""


def trust_in(*, trust_memory: bool, only_new: bool) -> Trust:
    """What the switches of that name ask for.

    Raises:
        UsageError: both were given.
    """
    if only_new and trust_memory:
        raise UsageError(
            "--only-new and --trust-memory ask for two things.",
            why="The one does not read the older entries at all, the other compares their bytes.",
            hint="Leave one of them out.",
        )
    if only_new:
        return Trust.READ
    return Trust.JUDGED if trust_memory else Trust.NOTHING


class _Step(Struct, array_like=True, frozen=True):
    """How far a step has come."""

    questions: list[Finding]
    """that it left open, as far as they are kept"""
    count: int
    """of all of them"""
    tally: msgspec.Raw


class Verified(Struct, frozen=True):
    """The beginning of a log that was verified wholly, and what it came to."""

    rules: int
    key: str
    """id of the receipt key that the log began under"""
    asked: tuple[str, ...]
    """what else the verdict depends on: the meter's key, and the kinds of section that could be checked"""
    most: int
    """receipts that are kept for the steps on request"""
    root: bytes
    """RFC 6962 root over its entries"""
    log: LogState
    account: Compared | None
    steps: list[_Step]

    @classmethod
    def of(
        cls,
        material_key: Ed25519PublicKey,
        asked: tuple[str, ...],
        most: int,
        root: bytes,
        log: LogState,
        account: Compared | None,
        folds: Sequence[Fold],
    ) -> Verified:
        """What is known after a walk; to be made before the steps conclude."""
        steps = [_Step(*fold.findings.open(), msgspec.Raw(_ENCODER.encode(fold.tally))) for fold in folds]
        return cls(_RULES, key_id(material_key), asked, most, root, log, account, steps)

    @property
    def size(self) -> int:
        """Entries."""
        return self.log.size

    def take_up(self, folds: Sequence[Fold]) -> None:
        """Let steps go on from here.

        Raises:
            ValueError: they are others than those of then.
        """
        for fold, step in zip(folds, self.steps, strict=True):
            fold.findings.reopen(step.questions, step.count)
            fold.tally = _decoded(step.tally, type(fold.tally))


def _plain(value: Any) -> bytes:
    if isinstance(value, Ed25519PublicKey):
        return raw_public_key(value)
    raise NotImplementedError(type(value))


def _special(kind: type, value: Any) -> Any:
    if kind is Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(value)
    raise NotImplementedError(kind)


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain)


def _decoded(content: bytes | msgspec.Raw, kind: type[Any]) -> Any:
    return msgspec.msgpack.decode(content, type=kind, dec_hook=_special)


def _path(folder: Path, key: str) -> Path:
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.verified"


def recall_verified(folder: Path, key: str) -> Verified | None:
    """What was verified of the log of a key; none where nothing was, or it cannot be read."""
    try:
        content = _path(folder, key).read_bytes()
        digest, said = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(said).digest() != digest:
            return None
        found: Verified = _decoded(said, Verified)
        return found if (found.rules, found.key) == (_RULES, key) and found.size > 0 else None
    except (OSError, ValueError, TypeError, RecursionError, msgspec.DecodeError):
        return None


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """What is kept of a log that was verified: which log, and where."""

    origin: str
    path: Path
    at_s: int
    """when it was written, POSIX seconds"""


class _Whose(Struct, frozen=True):
    """The one field of a `Verified` that says of which log it is, whatever version wrote the rest."""

    key: str


def verified_files(folder: Path) -> Iterator[VerifiedFile]:
    """What is kept of which log, as far as it can be read."""
    for path in sorted(folder.glob("*.verified")):
        if not path.is_file():  # a pipe would be waited for
            continue
        try:
            found = msgspec.msgpack.decode(path.read_bytes()[_DIGEST_BYTES:], type=_Whose)
            yield VerifiedFile(named_after(found.key), path, int(path.stat().st_mtime))
        except (OSError, ValueError, msgspec.DecodeError):
            continue


def remember_verified(folder: Path, found: Verified) -> None:
    """Remember what was verified of a log.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
        OverflowError: a number in it is too large to be kept.
    """
    content = _ENCODER.encode(found)
    write_atomic(_path(folder, found.key), hashlib.sha256(content).digest() + content, mode=0o600)
