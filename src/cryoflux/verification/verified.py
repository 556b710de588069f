"""What the one who verifies has verified before: up to which entry every signature was checked.

It lies beside the heads that were seen (`cryoflux.verification.known_heads`), and is the verifier's own word
to itself: nobody signs it, and whoever can write in that folder can have signatures left out. It says of one
root that all entries under it were signed as they should be; where the first entries of a log do not have
that root, it says nothing, and all signatures are checked. Only signatures are ever left out.
"""

from __future__ import annotations

__all__ = ["Verified", "recall_verified", "remember_verified"]

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from cryoflux.files import write_atomic

_RULES = 1
"""counts up when the rules of who may sign what change: what was verified by older ones is verified again"""
_MOST_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Verified:
    """The beginning of a log whose signatures were all checked."""

    key: str
    """id of the receipt key that the log began under"""
    size: int
    """entries"""
    root: bytes
    """RFC 6962 root over them"""


def _path(folder: Path, key: str) -> Path:
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.verified"


def recall_verified(folder: Path, key: str) -> Verified | None:
    """What was verified of the log of a key; none where nothing was, or it cannot be read."""
    try:
        with _path(folder, key).open("rb") as stream:
            said = json.loads(stream.read(_MOST_BYTES))
        found = Verified(str(said["key"]), int(said["size"]), bytes.fromhex(said["root"]))
        return found if (said["rules"], found.key) == (_RULES, key) and found.size > 0 else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def remember_verified(folder: Path, found: Verified) -> None:
    """Remember that all signatures of the beginning of a log were checked.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    said = {"key": found.key, "root": found.root.hex(), "rules": _RULES, "size": found.size}
    write_atomic(_path(folder, found.key), json.dumps(said, sort_keys=True).encode() + b"\n", mode=0o600)
