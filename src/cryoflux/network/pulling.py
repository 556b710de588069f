"""Pulls a peer's log into its mirror, which only ever grows by what continues it.

A pull asks for the newest head first. Nothing else of it is believed before the entries that came have, with
those that are here, the root that the peer signed: so a consistency proof is not asked for, it is computed.

What a pull can find:

- *new*: the log has grown, and what came is here now;
- *same*: it has not;
- *goes back*: what came is an older head of the same history: the peer, or something on the way, shows an
  old copy;
- *differs*: the peer has signed two histories. The evidence convinces anybody who has its key, and is kept;
- *not what was signed*: the entries that came do not have the root: they may have been changed on the way.

Whatever it finds, what is here stays what it was unless it is continued. Whole bundles of a pull that is
broken off wait in a folder of their own for the next one: a log may be larger than what one pull brings.
"""

from __future__ import annotations

__all__ = ["PullOutcome", "Pulled", "pull"]

from dataclasses import dataclass
from enum import StrEnum

from cryoflux.errors import VerificationError
from cryoflux.network.fetching import Fetches, PeerUnreachableError
from cryoflux.network.mirror import MirrorFolder, unbundled
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Note, parse_note, verify_log
from cryoflux.receipts.merkle import consistency_proof, leaf_hash, root_hash
from cryoflux.receipts.tiles import MOST_TILE_BYTES, TILE_WIDTH, Tile
from cryoflux.witness.evidence import Equivocation

_MOST_NEW = 1_000_000
"""entries that one pull takes"""
_HEAD = "checkpoint"


class PullOutcome(StrEnum):
    """What a pull found."""

    NEW = "new"
    SAME = "same"
    UNREACHABLE = "peer unreachable"
    GOES_BACK = "head goes back"
    DIFFERS = "history differs"
    NOT_SIGNED = "bytes are not what was signed"


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came of a pull."""

    outcome: PullOutcome
    size: int
    """entries that are here now"""
    came: int = 0
    """entries that are new"""
    why: str = ""
    """what was wrong; empty where nothing was"""
    received: int = 0
    """bytes that came"""


def pull(mirror: MirrorFolder, url: str, fetcher: Fetches) -> Pulled:
    """Bring a mirror up to date.

    Args:
        mirror: of the peer's log.
        url: where its log lies: the folder of its ``checkpoint`` and ``tile/``.
        fetcher: gets files.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    return _Pull(mirror, url.rstrip("/"), fetcher).run()


class _Pull:
    """One pull, and what it has received."""

    def __init__(self, mirror: MirrorFolder, url: str, fetcher: Fetches) -> None:
        self._mirror, self._url, self._fetcher = mirror, url, fetcher
        self._received = 0

    def run(self) -> Pulled:
        known = self._mirror.note
        size = known.checkpoint.size if known is not None else 0
        try:
            head = self._fetcher.fetch(f"{self._url}/{_HEAD}", MAX_NOTE_BYTES, etag=self._mirror.etag)
            if head.same:
                return self._said(PullOutcome.SAME, size)
            self._received += len(head.content)
            note = parse_note(head.content)
            verify_log(note, self._mirror.key)
            return self._by(known, note, head.etag)
        except PeerUnreachableError as error:
            return self._said(PullOutcome.UNREACHABLE, size, why=error.what)
        except VerificationError as error:
            return self._said(PullOutcome.NOT_SIGNED, size, why=error.what)

    def _by(self, known: Note | None, note: Note, etag: str) -> Pulled:
        """Go on by a head that the peer signed."""
        head = note.checkpoint
        size = known.checkpoint.size if known is not None else 0
        if known is not None and head.size <= size:
            return self._by_old(known, note, etag)
        if head.size - size > _MOST_NEW:
            why = f"more than {_MOST_NEW:,} entries at once are not taken"
            return self._said(PullOutcome.UNREACHABLE, size, why=why)
        tree = self._mirror.tree()
        tiles = _bundles(size, head.size)
        continues = True
        for tile in tiles:
            content = self._arriving(tile)
            continues = continues and content.startswith(self._mirror.beginning_of(tile))
            for entry in _from(tile, content, size):
                tree.append(leaf_hash(entry))
        if tree.root() != head.root or not continues:
            self._mirror.leave_out()
            return self._apart(known, note)
        self._mirror.keep(tiles, tree, note, etag)
        return self._said(PullOutcome.NEW, head.size, came=head.size - size)

    def _by_old(self, known: Note, note: Note, etag: str) -> Pulled:
        """A head of no more entries than are here: whether it is of the same history."""
        size, head = known.checkpoint.size, note.checkpoint
        tree = self._mirror.tree()
        root = tree.root() if head.size == size else self._mirror.roots({head.size})[head.size]
        if head.root != root:
            return self._convicted(self._mirror.convict_by(known, note, root))
        if head.size < size:
            why = f"it signs {head.size} entries, and has signed {size}"
            return self._said(PullOutcome.GOES_BACK, size, why=why)
        self._mirror.keep((), tree, note, etag)
        return self._said(PullOutcome.SAME, size)

    def _arriving(self, tile: Tile) -> bytes:
        """A bundle, which waits from now on; it may have come with a pull that was broken off."""
        if content := self._mirror.arriving(tile):
            return content
        content = self._fetched(tile)
        self._mirror.arrive(tile, content)
        return content

    def _fetched(self, tile: Tile) -> bytes:
        came = self._fetcher.fetch(f"{self._url}/{tile.path}", MOST_TILE_BYTES)
        self._received += len(came.content)
        unbundled(came.content, tile)
        return came.content

    def _apart(self, known: Note | None, note: Note) -> Pulled:
        """What came does not continue what is here: whether the peer has signed both."""
        size = known.checkpoint.size if known is not None else 0
        if known is None or not size:
            why = "its entries do not have the root that it signed"
            return self._said(PullOutcome.NOT_SIGNED, size, why=why)
        leaves = [
            leaf_hash(entry)
            for tile in _bundles(0, note.checkpoint.size)
            for entry in _from(tile, self._fetched(tile), 0)
        ]
        prefix = root_hash(leaves[:size])
        if root_hash(leaves) != note.checkpoint.root or prefix == known.checkpoint.root:
            why = "its entries do not have the root that it signed"
            return self._said(PullOutcome.NOT_SIGNED, size, why=why)
        proof = tuple(consistency_proof(size, leaves))
        evidence = Equivocation(self._mirror.key, known, note, prefix, proof)
        self._mirror.convict(evidence.content)
        return self._convicted(evidence)

    def _convicted(self, evidence: Equivocation) -> Pulled:
        told = f"{evidence.older.checkpoint.size} and {evidence.newer.checkpoint.size} entries"
        why = f"it has signed {told} of two histories"
        return self._said(PullOutcome.DIFFERS, self._mirror.size, why=why)

    def _said(self, outcome: PullOutcome, size: int, *, came: int = 0, why: str = "") -> Pulled:
        return Pulled(outcome, size, came, why, self._received)


def _bundles(start: int, size: int) -> list[Tile]:
    """The bundles that entries lie in, from the one at a position on."""
    return [
        Tile(None, index, min(TILE_WIDTH, size - index * TILE_WIDTH))
        for index in range(start // TILE_WIDTH, -(-size // TILE_WIDTH))
    ]


def _from(tile: Tile, content: bytes, start: int) -> list[bytes]:
    """The entries of a bundle, from a position of the log on."""
    return unbundled(content, tile)[max(0, start - tile.index * TILE_WIDTH) :]
