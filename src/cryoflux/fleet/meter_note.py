"""What a worker's folder says of its meter."""

from __future__ import annotations

__all__ = ["NOTE", "MeterNote", "read_note", "write_note"]

from pathlib import Path

import msgspec
from msgspec import field

from cryoflux.files import MOST_DOCUMENT_BYTES, IrregularFileError, read_regular, write_atomic
from cryoflux.signing.fields import Document

NOTE = "meter.json"


class MeterNote(Document, frozen=True):
    """Who meters a worker."""

    agent: str
    """URL of the JouleAgent of its machine; empty for a meter of its own"""
    opened: bool = True
    """whether it ever was one; until then nothing was reserved"""
    rest_microjoules: int = 0
    """what the JouleAgent was granted for this worker and has not charged; negative where it charged more"""
    open: dict[str, int] = field(default_factory=dict)
    """request id → what of that is reserved, µJ"""


def read_note(folder: Path) -> MeterNote | None:
    """What a folder says; none where it says nothing that can be read."""
    try:
        return msgspec.json.decode(read_regular(folder / NOTE, MOST_DOCUMENT_BYTES), type=MeterNote)
    except (OSError, IrregularFileError, msgspec.MsgspecError):
        return None


def write_note(folder: Path, note: MeterNote) -> None:
    """Write it down, for its owner alone: a URL may have a password in it.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    write_atomic(folder / NOTE, msgspec.json.encode(note), mode=0o600)
