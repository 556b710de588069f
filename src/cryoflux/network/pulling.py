"""A mirror of a peer's log, which only ever grows by what continues it.

A pull asks for the newest head first. Nothing else of it is believed before the entries that came have, with
those that are here, the root that the peer signed: so a consistency proof is not asked for, it is computed.

What a pull can find:

- *new*: the log has grown, and what came is here now;
- *same*: it has not;
- *goes back*: the peer signs a smaller head than it did, which no log may;
- *differs*: the peer has signed two histories. The evidence convinces anybody who has its key, and is kept;
- *not what was signed*: the entries that came do not have the root: they may have been changed on the way.

Whatever it finds, what is here stays what it was unless it is continued.
"""

from __future__ import annotations

__all__ = ["EVIDENCE", "PEERS", "MirrorFolder", "PullOutcome", "Pulled", "pull"]

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryoflux.digests import sha256_hex
from cryoflux.errors import VerificationError
from cryoflux.files import read_regular, write_atomic
from cryoflux.network.fetching import Fetches, PeerUnreachableError
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Note, VerifierKey, parse_note, verify_log
from cryoflux.receipts.merkle import CompactRange, consistency_proof, leaf_hash, root_hash
from cryoflux.receipts.tiles import MOST_TILE_BYTES, TILE_WIDTH, Tile, remove_superseded
from cryoflux.witness.evidence import Equivocation

_MOST_NEW = 1_000_000
"""entries that one pull takes"""
EVIDENCE, PEERS = "equivocation", "peers"
_HEAD, _TAG, _PEAKS = "checkpoint", "etag", "peaks"
_HASH_BYTES = 32


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


class MirrorFolder:
    """A peer's log as it was pulled: its newest head, and its entries in bundles of 256."""

    def __init__(self, path: Path, key: VerifierKey) -> None:
        self.path, self.key = path, key
        self._verified: Note | None = None

    @classmethod
    def of(cls, network: Path, key: VerifierKey) -> MirrorFolder:
        """The mirror of a log among those of a node.

        Args:
            network: folder of the node's network.
            key: of the peer's log.
        """
        return cls(network / PEERS / sha256_hex(key.name.encode()), key)

    @property
    def note(self) -> Note | None:
        """The newest head that was verified, with its signatures; none before the first pull."""
        try:
            content = read_regular(self.path / _HEAD, MAX_NOTE_BYTES)
        except FileNotFoundError:
            return None
        if self._verified is None or self._verified.content != content:
            note = parse_note(content)
            verify_log(note, self.key)
            self._verified = note
        return self._verified

    @property
    def size(self) -> int:
        """Entries."""
        note = self.note
        return note.checkpoint.size if note is not None else 0

    @property
    def etag(self) -> str:
        """By which the peer knows the newest head."""
        path = self.path / _TAG
        return read_regular(path, 1024).decode("utf-8", "replace") if path.is_file() else ""

    @property
    def evidence(self) -> bytes:
        """Proof that the peer told two histories; empty where it is not known to."""
        path = self.path / EVIDENCE
        return read_regular(path, 1 << 20) if path.is_file() else b""

    def entries(self, start: int = 0) -> Iterator[bytes]:
        """The exact bytes of the entries from one on.

        Raises:
            VerificationError: a bundle is damaged.
        """
        size = self.size
        for index in range(start // TILE_WIDTH, -(-size // TILE_WIDTH)):
            tile = Tile(None, index, min(TILE_WIDTH, size - index * TILE_WIDTH))
            found = unbundled(read_regular(self.path / tile.path, MOST_TILE_BYTES), tile)
            yield from found[max(0, start - index * TILE_WIDTH) :]

    def entry(self, index: int) -> bytes:
        """The exact bytes of one entry.

        Raises:
            LookupError: there is no such entry.
            VerificationError: its bundle is damaged.
        """
        for entry in self.entries(index) if index < self.size else ():
            return entry
        raise LookupError(index)

    def tree(self) -> CompactRange:
        """The tree over all entries; from its peaks where they are those of the head, else computed anew."""
        note, found = self.note, CompactRange()
        if note is None:
            return found
        path = self.path / _PEAKS
        content = read_regular(path, 4096) if path.is_file() else b""
        found.size = note.checkpoint.size
        found.peaks = [content[at : at + _HASH_BYTES] for at in range(0, len(content), _HASH_BYTES)]
        right = len(found.peaks) == found.size.bit_count() and found.root() == note.checkpoint.root
        return found if right else CompactRange(map(leaf_hash, self.entries()))

    def beginning_of(self, tile: Tile) -> bytes:
        """What is here of a bundle; empty where nothing is."""
        width = min(tile.width, self.size - tile.index * TILE_WIDTH)
        if width <= 0:
            return b""
        return read_regular(self.path / Tile(None, tile.index, width).path, MOST_TILE_BYTES)

    def keep(self, bundles: list[tuple[Tile, bytes]], tree: CompactRange, note: Note, etag: str) -> None:
        """Go on by what continues the log; the head last, so that a crash leaves the mirror as it was.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        for tile, content in bundles:
            write_atomic(self.path / tile.path, content)
        write_atomic(self.path / _PEAKS, b"".join(tree.peaks))
        write_atomic(self.path / _HEAD, note.content)
        write_atomic(self.path / _TAG, etag.encode())
        remove_superseded(self.path, (tile for tile, _ in bundles))

    def convict(self, evidence: bytes) -> None:
        """Keep the proof that the peer told two histories; it is marked for ever."""
        write_atomic(self.path / EVIDENCE, evidence)


def unbundled(content: bytes, tile: Tile) -> list[bytes]:
    """The entries in a bundle.

    Raises:
        VerificationError: it has not as many as its path says, or more bytes.
    """
    found, at = list[bytes](), 0
    while at < len(content) and len(found) < tile.width:
        end = at + 2 + int.from_bytes(content[at : at + 2], "big")
        found.append(content[at + 2 : end])
        at = end
    if at != len(content) or len(found) != tile.width:
        raise VerificationError(f"{tile.path} is not a bundle of {tile.width} entries.")
    return found


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
        if known is not None and head.size == size:
            if head.root == known.checkpoint.root:
                self._mirror.keep([], self._mirror.tree(), note, etag)
                return self._said(PullOutcome.SAME, size)
            return self._convict(Equivocation(self._mirror.key, known, note))
        if head.size < size:
            why = f"it signs {head.size} entries, and has signed {size}"
            return self._said(PullOutcome.GOES_BACK, size, why=why)
        if head.size - size > _MOST_NEW:
            return self._said(
                PullOutcome.UNREACHABLE, size, why=f"more than {_MOST_NEW:,} entries at once are not taken"
            )
        bundles = self._bundles(size, head.size)
        tree = self._mirror.tree()
        for entry in _from(bundles, size):
            tree.append(leaf_hash(entry))
        begins = all(content.startswith(self._mirror.beginning_of(tile)) for tile, content in bundles[:1])
        if tree.root() != head.root or not begins:
            return self._apart(known, note)
        self._mirror.keep(bundles, tree, note, etag)
        return self._said(PullOutcome.NEW, head.size, came=head.size - size)

    def _apart(self, known: Note | None, note: Note) -> Pulled:
        """What came does not continue what is here: whether the peer has signed both."""
        size = known.checkpoint.size if known is not None else 0
        if known is None or not size:
            why = "its entries do not have the root that it signed"
            return self._said(PullOutcome.NOT_SIGNED, size, why=why)
        every = list(_from(self._bundles(0, note.checkpoint.size), 0))
        leaves = [leaf_hash(entry) for entry in every]
        prefix = root_hash(leaves[:size])
        if root_hash(leaves) != note.checkpoint.root or prefix == known.checkpoint.root:
            why = "its entries do not have the root that it signed"
            return self._said(PullOutcome.NOT_SIGNED, size, why=why)
        proof = tuple(consistency_proof(size, leaves))
        return self._convict(Equivocation(self._mirror.key, known, note, prefix, proof))

    def _convict(self, evidence: Equivocation) -> Pulled:
        self._mirror.convict(evidence.content)
        why = (
            f"it has signed {evidence.older.checkpoint.size} and {evidence.newer.checkpoint.size} entries of "
            "two histories"
        )
        return self._said(PullOutcome.DIFFERS, evidence.older.checkpoint.size, why=why)

    def _bundles(self, start: int, size: int) -> list[tuple[Tile, bytes]]:
        """The bundles of some entries, whole ones from where the first of them stands."""
        found = []
        for index in range(start // TILE_WIDTH, -(-size // TILE_WIDTH)):
            tile = Tile(None, index, min(TILE_WIDTH, size - index * TILE_WIDTH))
            came = self._fetcher.fetch(f"{self._url}/{tile.path}", MOST_TILE_BYTES)
            self._received += len(came.content)
            unbundled(came.content, tile)
            found.append((tile, came.content))
        return found

    def _said(self, outcome: PullOutcome, size: int, *, came: int = 0, why: str = "") -> Pulled:
        return Pulled(outcome, size, came, why, self._received)


def _from(bundles: list[tuple[Tile, bytes]], start: int) -> Iterator[bytes]:
    """The entries of some bundles, from a position of the log on."""
    for tile, content in bundles:
        first = tile.index * TILE_WIDTH
        yield from unbundled(content, tile)[max(0, start - first) :]
