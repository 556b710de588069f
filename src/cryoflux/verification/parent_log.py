"""Reading another log than the one that is verified: a state, a folder of published tiles, or a URL of one.

Nothing that is read here is trusted: whoever asks compares roots and signatures. From a URL only what a log
publishes is asked for, no more of a file than a log may publish, and not for longer than some minutes.
"""

from __future__ import annotations

__all__ = ["PublishedLog", "open_parent"]

import http.client
import queue
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryoflux.errors import StateTamperedError, UsageError
from cryoflux.files import read_beginning
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES
from cryoflux.receipts.log import CHECKPOINT, LOG_FOLDER
from cryoflux.receipts.store import DATABASE, StoredRows
from cryoflux.receipts.tile_reader import TileReader
from cryoflux.receipts.tiles import MOST_TILE_BYTES, TILE_WIDTH, Tile

_TIMEOUT_S = 20.0
"""for the next byte, and for all of the head"""
_LONGEST_S = 300.0
"""for all of a log"""
_HINT = "Name its state directory, the folder of its log (log/ of a state), or a URL of such a folder."


class PublishedLog(Protocol):
    """A log as it is read here."""

    name: str
    """as it was typed"""
    note: bytes
    """its newest signed head; nothing about it has been verified"""

    def envelopes(self, size: int) -> Iterator[bytes]:
        """The exact bytes of the first ``size`` entries, in order, or of those that there are."""


@dataclass
class _Stored:
    """The log of a state directory."""

    name: str
    note: bytes
    rows: StoredRows

    def envelopes(self, size: int) -> Iterator[bytes]:
        for _, _, envelope in self.rows.hashed(size):
            yield envelope


@dataclass
class _Tiles:
    """A folder of published tiles."""

    name: str
    note: bytes
    folder: Path

    def envelopes(self, size: int) -> Iterator[bytes]:
        reader = TileReader(self.folder, size)
        for index in range(size):
            yield reader.entry(index)


@dataclass
class _Served:
    """The same, behind a URL."""

    name: str
    note: bytes
    until_s: float
    """by the monotonic clock"""

    def envelopes(self, size: int) -> Iterator[bytes]:
        for index in range(-(-size // TILE_WIDTH)):
            tile = Tile(None, index, min(TILE_WIDTH, size - index * TILE_WIDTH))
            yield from _entries(
                _fetched(f"{self.name}/{tile.path}", MOST_TILE_BYTES, self.until_s), tile.path
            )


def _entries(content: bytes, where: str) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        end = at + 2 + int.from_bytes(content[at : at + 2], "big")
        if end > len(content):
            raise StateTamperedError(f"{where} is too short.", hint=_HINT)
        yield content[at + 2 : end]
        at = end


def _fetched(url: str, most: int, until_s: float) -> bytes:
    # A server that sends a byte now and then meets every time-out of the socket: its thread is left behind.
    came: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
    threading.Thread(target=_fetch, args=(url, most, until_s, came), daemon=True).start()
    try:
        found = came.get(timeout=max(0.0, until_s - time.monotonic()))
    except queue.Empty:
        found = TimeoutError(
            f"it did not come in time: a head may take {_TIMEOUT_S:.0f} s, a whole log {_LONGEST_S:.0f} s"
        )
    if isinstance(found, Exception):
        raise UsageError(f"{url} cannot be read: {found}.", hint=_HINT) from found
    if len(found) > most:
        raise UsageError(f"{url} is larger than a log publishes.", hint=_HINT)
    return found


def _fetch(url: str, most: int, until_s: float, came: queue.SimpleQueue[bytes | Exception]) -> None:
    content = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as reply:  # noqa: S310 - http and https, see open_parent
            while len(content) <= most and (read := reply.read1(most + 1 - len(content))):
                content += read
                if time.monotonic() > until_s:
                    return
    except (OSError, ValueError, http.client.HTTPException) as error:
        came.put(error)
        return
    came.put(bytes(content))


def _read(path: Path) -> bytes:
    try:
        return read_beginning(path, MAX_NOTE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", hint=_HINT) from error


@contextmanager
def open_parent(place: str) -> Iterator[PublishedLog]:
    """A log to compare with.

    Args:
        place: a state directory, a folder with a checkpoint and tiles, or an ``http`` URL of one.

    Raises:
        UsageError: there is no such log, or it cannot be read.
        StateTamperedError: it is damaged.
        StorageError: its database cannot be opened.
    """
    if place.startswith(("http://", "https://")):
        name = place.rstrip("/")
        began_s = time.monotonic()
        note = _fetched(f"{name}/{CHECKPOINT}", MAX_NOTE_BYTES, began_s + _TIMEOUT_S)
        yield _Served(name, note, began_s + _LONGEST_S)
        return
    folder = Path(place)
    if (folder / DATABASE).is_file():
        # The head before the rows: a run may add some in between.
        note, rows = _read(folder / LOG_FOLDER / CHECKPOINT), StoredRows(folder / DATABASE)
        try:
            yield _Stored(place, note, rows)
        finally:
            rows.close()
        return
    yield _Tiles(place, _read(folder / CHECKPOINT), folder)
