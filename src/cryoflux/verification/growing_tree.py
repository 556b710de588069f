"""Step 4: the tree, grown entry by entry, and each tile compared when it is complete.

It holds no more than the right edge of the tree, and the roots at the few sizes that somebody asks for.
"""

from __future__ import annotations

__all__ = ["TREE", "GrowingTree", "is_replaced"]

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from msgspec import field

from cryoflux.errors import VerificationError
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import Checkpoint, origin_of, parse_checkpoint
from cryoflux.receipts.log_key import log_key_complaint, vouched_log_key
from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.receipts.store import Row
from cryoflux.receipts.tiles import TILE_WIDTH, Edge, Tile, is_bundle, parse_tile_path, tiles_of
from cryoflux.verification.binding import Binding, LogKey
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, Finding, NumberedStep, Status, failed, unknown
from cryoflux.verification.walk import Fold, Seen, Tally

TREE = NumberedStep(4, "log tree and checkpoint")
_HASH_BYTES = 32


class _Grown(Tally):
    edge: Edge = field(default_factory=Edge)
    roots: dict[int, bytes] = field(default_factory=dict)
    """size → root, for the sizes that were asked for and reached"""
    vouched: str = ""
    """id of the log key that the first entry vouches for; empty where it names none"""


class GrowingTree(Fold):
    """Step 4: stored hashes, checkpoint and tiles are those of the entries; the head's key is the log's.

    Args:
        material: what there is to verify.
        sizes: of the log, at which its root is asked for.
    """

    step: ClassVar = TREE
    tally: _Grown

    def __init__(self, material: Material, sizes: Iterable[int] = ()) -> None:
        super().__init__()
        self._material = material
        self.tally = _Grown()
        self._recent: list[bytes] = []
        self._wrong: set[str] = set()
        self._tiles: Mapping[str, bytes] = material.tiles or {}
        self._places: dict[tuple[int | None, int], list[tuple[Tile, str]]] = defaultdict(list)
        for path in self._tiles:
            if (tile := parse_tile_path(path)) is None:
                self._wrong.add(path)
            else:
                self._places[tile.level, tile.index].append((tile, path))
        self._checkpoint: Checkpoint | VerificationError = self._signed()
        wanted = {self._checkpoint.size} if isinstance(self._checkpoint, Checkpoint) else set()
        self._wanted = wanted | set(sizes)
        self._before = 0
        """entries that were judged before and are not read again"""
        self._compared: set[str] = set()
        """paths of tiles that were compared before"""
        self._note_root()

    @property
    def roots(self) -> Mapping[int, bytes]:
        """Size → root, for the sizes that were asked for and reached."""
        return self.tally.roots

    @property
    def size(self) -> int:
        """Entries so far."""
        return self.tally.edge.size

    @property
    def root(self) -> bytes:
        """The root over them."""
        return self.tally.edge.root()

    @property
    def log_key(self) -> LogKey:
        """The key that has to have signed the head, and what vouches for it."""
        material = self._material
        return LogKey(material.log_key, material.log_key_named, self.tally.vouched)

    @property
    def reached(self) -> bool:
        """Whether the root at each size so far that was asked for is known."""
        return all(size in self.tally.roots for size in self._wanted if size <= self.size)

    def regrow(self, stored: Iterable[tuple[int, str, bytes]]) -> None:
        """Begin again with rows that were judged before: the index, leaf hash and envelope of each.

        Raises:
            LookupError: one of them is missing.
        """
        self.tally = _Grown(vouched=self.tally.vouched)
        for index, (place, said, envelope) in enumerate(stored):
            if place != index:
                raise LookupError(index)
            self._add(index, said, envelope, leaf_hash(envelope))

    def go_on(self, recent: Sequence[Row]) -> None:
        """Go on from the tally; tiles that were full are not compared again.

        Args:
            recent: the rows that fill no tile yet.

        Raises:
            LookupError: they are not those that the tally knows.
        """
        if [leaf_hash(row.envelope) for row in recent] != self.tally.edge.rows[0]:
            raise LookupError(self.size)
        self._recent, self._before = [row.envelope for row in recent], self.size
        for tile in tiles_of(self.size):
            if tile.width == TILE_WIDTH:
                self._compared.add(tile.path)
                place = tile.level, tile.index
                # A full tile has replaced its partial forms; one that is back follows from nothing read here.
                self._places[place] = [item for item in self._places[place] if item[1] != tile.path]
        self._note_root()

    def knows(self, index: int, leaf: str) -> bool:
        """Whether an entry that is looked up is the one that was judged, by the tiles above it.

        Args:
            index: its place.
            leaf: its leaf hash.
        """
        if index >= self._before:
            return True
        edge, found, level = self.tally.edge, bytes.fromhex(leaf), 0
        while (place := index // TILE_WIDTH) < edge.full[level]:
            content = self._tiles.get(Tile(level, place, TILE_WIDTH).path, b"")
            hashes = [content[at : at + _HASH_BYTES] for at in range(0, len(content), _HASH_BYTES)]
            if len(content) != TILE_WIDTH * _HASH_BYTES or hashes[index % TILE_WIDTH] != found:
                return False
            index, found, level = place, root_hash(hashes), level + 1
        return edge.rows[level][index % TILE_WIDTH] == found

    def _signed(self) -> Checkpoint | VerificationError:
        try:
            return _signed_checkpoint(self._material)
        except VerificationError as error:
            return error

    def take(self, seen: Seen, memory: LogState) -> None:  # noqa: ARG002
        """Add the next entry, whose leaf hash was computed here."""
        if seen.entry is not None:
            if complaint := log_key_complaint(seen.entry):
                self.findings.add(failed(seen.name, complaint))
            self.tally.vouched = self.tally.vouched or vouched_log_key(seen.entry)
        self._add(seen.index, seen.row.leaf, seen.row.envelope, bytes.fromhex(seen.leaf))

    def _add(self, index: int, said: str | None, envelope: bytes, leaf: bytes) -> None:
        if said is not None and said != leaf.hex():
            detail = "its bytes do not have the leaf hash that was stored with it"
            self.findings.add(failed(f"entry {index}", detail))
        completed = self.tally.edge.append(leaf)
        if self._tiles:
            self._recent.append(envelope)
            if completed:
                self._compare_bundle(self.size // TILE_WIDTH - 1)
                for tile, content in completed:
                    self._compare_hashes(tile, content)
        self._note_root()

    def _note_root(self) -> None:
        if (size := self.tally.edge.size) in self._wanted:
            self.tally.roots[size] = self.root

    def _compare_bundle(self, index: int) -> None:
        recent, self._recent = self._recent, []
        for tile, path in self._places.pop((None, index), []):
            part = recent[: tile.width]
            if len(part) < tile.width or not is_bundle(self._tiles[path], part):
                self._wrong.add(path)

    def _compare_hashes(self, tile: Tile, content: bytes) -> None:
        for found, path in self._places.pop((tile.level, tile.index), []):
            end = found.width * _HASH_BYTES
            if end > len(content) or content[:end] != self._tiles[path]:
                self._wrong.add(path)

    def _compare_rest(self) -> None:
        for tile, content in self.tally.edge.partial():
            self._compare_hashes(tile, content)
        if self._recent:
            self._compare_bundle(self.size // TILE_WIDTH)
        self._wrong.update(path for found in self._places.values() for _, path in found)

    def conclude(self, memory: LogState) -> list[Check]:  # noqa: ARG002
        """The lines of the step."""
        if self._material.state is None and self._material.checkpoint is None:
            return self._without_head()
        self._compare_rest()
        size, summary = 0, ""
        try:
            found = self._matched()
            size = found.size
            summary = f"root {found.root.hex()[:16]}… over {size} entries is the signed one"
            if size < self.size:
                detail = f"{self.size - size} newer entries are not covered yet"
                self.findings.add(unknown("log/checkpoint", detail))
        except VerificationError as error:
            self.findings.add(failed("log/checkpoint", error.what))
        self.findings.extend(self._wrong_tiles(size))
        if self.size:
            self.findings.extend(self.log_key.findings(first_is_here=True))
        nothing = "" if size else "the signed head is one of no entries"
        return self.findings.conclude(TREE, summary, nothing=nothing)

    def _without_head(self) -> list[Check]:
        found, key = self._material.log_key, self.log_key
        reason = "an exported file has no checkpoint, so entries may be missing at its end"
        if found is not None and key.binding is not Binding.ENTRY:
            reason += ", and nothing that the log key that you named could have signed"
        self.findings.add(unknown("checkpoint", reason))
        self.findings.extend(
            finding for finding in key.findings(first_is_here=True) if finding.status is Status.FAIL
        )
        return self.findings.conclude(TREE, "")

    def _matched(self) -> Checkpoint:
        """The checkpoint, once it is known to be of these entries.

        Raises:
            VerificationError: it is not.
        """
        found = self._checkpoint
        if isinstance(found, VerificationError):
            raise found
        if found.size > self.size:
            missing = f"entries {self.size} to {found.size - 1} are missing"
            raise VerificationError(f"covers {found.size} entries, but there are {self.size}: {missing}")
        if found.root != self.roots[found.size]:
            raise VerificationError("its root is not the root of the entries: some were changed or moved")
        return found

    def _wrong_tiles(self, size: int) -> Iterator[Finding]:
        if self._material.tiles is None:  # a mirror has made its entries out of the bundles that came
            return
        for tile in tiles_of(size):
            if tile.path in self._compared:
                continue
            if tile.path not in self._tiles and not is_replaced(tile.path, self._tiles):
                yield failed(f"log/{tile.path}", "is missing")
        for path in self._tiles:
            if path in self._wrong:
                yield failed(f"log/{path}", "does not follow from the entries")


def _signed_checkpoint(material: Material) -> Checkpoint:
    """The checkpoint of a state, signed by its log key and of its log; whether it is of its entries is open.

    Raises:
        VerificationError: it is anything else.
    """
    if material.checkpoint is None:
        raise VerificationError("is missing, so entries may be missing at the end")
    if material.log_key is None:
        lost = "cannot be checked: keys/log.pub is missing or not a public key"
        raise VerificationError(f"{lost}; name the log's key with --log-key FILE")
    found = parse_checkpoint(material.checkpoint, material.log_key)
    if material.key is not None and found.origin != origin_of(material.key):
        raise VerificationError(f"is of the log {found.origin}, not of {origin_of(material.key)}")
    return found


def is_replaced(path: str, present: Collection[str]) -> bool:
    """Whether a partial tile that is missing has made way for a wider one."""
    # A crash between tiles and checkpoint leaves wider tiles than the checkpoint asks for.
    place, partial, width = path.partition(".p/")
    wider = (found for found in present if found == place or found.startswith(f"{place}.p/"))
    return bool(partial) and any(
        found == place or int(found.rpartition("/")[2]) > int(width)
        for found in wider
        if found == place or found.rpartition("/")[2].isdecimal()
    )
