"""The last that each worker's meter signed, on the coordinator's disk: so that nothing is lost with a worker.

One file for each reservation that was lent, under its request id. It is there until the receipt or the
session has it.
"""

from __future__ import annotations

__all__ = ["LOCAL", "LastWord", "LastWords"]

import hashlib
from pathlib import Path

import msgspec

from cryoflux.errors import StorageError
from cryoflux.files import MOST_DOCUMENT_BYTES, IrregularFileError, read_regular, storage_errors, write_atomic
from cryoflux.receipts.charged import MeteredPart, PhaseFigure
from cryoflux.signing.fields import Document, Text

LOCAL = "local"
"""workers are processes of this machine"""


class LastWord(Document, frozen=True):
    """What is known of one reservation that was lent."""

    lent: Text
    """its request id in the account"""
    fleet: Text = LOCAL
    """where the worker is: ``local``, or the address of a cluster"""
    word: str = ""
    """what the worker's meter signed while it was open"""
    part: MeteredPart | None = None
    """what it was settled at"""
    phases: list[PhaseFigure] = msgspec.field(default_factory=list)


class LastWords:
    """Last words by the request id of what was lent.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, LastWord] = {}

    def _path(self, lent: str) -> Path:
        return self._folder / f"{hashlib.sha256(lent.encode()).hexdigest()}.json"

    def put(self, word: LastWord) -> None:
        """Write a word down, if it is news.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        if self._written.get(word.lent) == word:
            return
        path = self._path(word.lent)
        with storage_errors(path):
            self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, msgspec.json.encode(word))
        self._written[word.lent] = word

    def get(self, lent: str) -> LastWord:
        """The last word; an empty one where there is none, or it cannot be read."""
        found = _read(self._path(lent))
        return found if found is not None and found.lent == lent else LastWord(lent=lent)

    def all(self) -> list[LastWord]:
        """All words that are here and can be read, in the order of their request ids."""
        found = (_read(path) for path in sorted(self._folder.glob("*.json")))
        return sorted((word for word in found if word is not None), key=lambda word: word.lent)

    def clear(self) -> None:
        """All of it is in the log by now; what could not be read goes, too."""
        self._written = {}
        with storage_errors(self._folder):
            for path in self._folder.glob("*"):  # what a run that died was just writing, too
                path.unlink(missing_ok=True)

    def forget(self, lent: str) -> None:
        """It is in the log by now."""
        self._written.pop(lent, None)
        with storage_errors(self._folder):
            self._path(lent).unlink(missing_ok=True)


def _read(path: Path) -> LastWord | None:
    try:
        return msgspec.json.decode(read_regular(path, MOST_DOCUMENT_BYTES), type=LastWord)
    except (OSError, StorageError, IrregularFileError, msgspec.MsgspecError):
        return None
