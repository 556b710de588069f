"""A mirror of a peer's log on the disk: its newest head, and its entries in bundles of 256.

What is in it has the root that the peer signed. What a pull has brought so far waits beside it, so a log may
be larger than what one pull brings.
"""

from __future__ import annotations

__all__ = ["EVIDENCE", "PEERS", "MirrorFolder", "unbundled"]

import shutil
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from cryoflux.digests import sha256_hex
from cryoflux.errors import VerificationError
from cryoflux.files import read_regular, storage_errors, sync_folder, write_atomic
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Note, VerifierKey, parse_note, verify_log
from cryoflux.receipts.merkle import CompactRange, consistency_proof, leaf_hash
from cryoflux.receipts.tiles import MOST_TILE_BYTES, TILE_WIDTH, Tile, remove_superseded
from cryoflux.witness.evidence import Equivocation, check_equivocation

EVIDENCE, PEERS = "equivocation", "peers"
_HEAD, _TAG, _PEAKS, _ARRIVING = "checkpoint", "etag", "peaks", "arriving"
_HASH_BYTES = 32


class MirrorFolder:
    """A peer's log as it was pulled.

    Args:
        path: of its folder.
        key: of the log.
    """

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

    def roots(self, sizes: Collection[int]) -> dict[int, bytes]:
        """The roots that the log had when it was of some sizes.

        Raises:
            VerificationError: a bundle is damaged.
        """
        tree, found = CompactRange(), dict[int, bytes]()
        if 0 in sizes:
            found[0] = tree.root()
        for entry in islice(self.entries(), max(sizes, default=0)):
            tree.append(leaf_hash(entry))
            if tree.size in sizes:
                found[tree.size] = tree.root()
        return found

    def arriving(self, tile: Tile) -> bytes:
        """A whole bundle that a pull brought which was broken off; empty where none did."""
        path = self.path / _ARRIVING / tile.path
        return read_regular(path, MOST_TILE_BYTES) if path.is_file() else b""

    def arrive(self, tile: Tile, content: bytes) -> None:
        """Let a bundle wait until it is known to continue the log.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        write_atomic(self.path / _ARRIVING / tile.path, content)

    def leave_out(self) -> None:
        """Throw away what waits.

        Raises:
            StorageError: the disk is read-only, or refuses.
        """
        folder = self.path / _ARRIVING
        with storage_errors(folder):
            if folder.is_dir():
                shutil.rmtree(folder)

    def keep(self, tiles: Collection[Tile], tree: CompactRange, note: Note, etag: str) -> None:
        """Go on by what continues the log; the head last, so that a crash leaves the mirror as it was.

        Args:
            tiles: bundles that wait.
            tree: over all entries, with theirs.
            note: the head.
            etag: by which the peer knows it.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        folders = set[Path]()
        for tile in tiles:
            place = self.path / tile.path
            with storage_errors(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                (self.path / _ARRIVING / tile.path).replace(place)
            folders.add(place.parent)
        for folder in folders:
            sync_folder(folder)
        write_atomic(self.path / _PEAKS, b"".join(tree.peaks))
        write_atomic(self.path / _HEAD, note.content)
        write_atomic(self.path / _TAG, etag.encode())
        remove_superseded(self.path, tiles)
        self.leave_out()

    def convict(self, evidence: bytes) -> None:
        """Keep the proof that the peer told two histories; it is marked for ever."""
        write_atomic(self.path / EVIDENCE, evidence)

    def convict_by(self, newest: Note, head: Note, root: bytes) -> Equivocation:
        """Keep the proof that the log has signed a head that is not of the history that is here.

        Args:
            newest: the head that is here.
            head: the other one, of no more entries.
            root: that as many entries have here.

        Returns:
            The proof.
        """
        evidence = Equivocation(self.key, newest, head)
        if newest.checkpoint.size > head.checkpoint.size:
            leaves = [leaf_hash(one) for one in self.entries()]
            proof = tuple(consistency_proof(head.checkpoint.size, leaves))
            evidence = Equivocation(self.key, head, newest, root, proof)
        check_equivocation(evidence)
        self.convict(evidence.content)
        return evidence


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
