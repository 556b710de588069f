"""The log in a node's public tree: tiles, the newest head, and all heads that witnesses cosigned.

A head is shown only if it continues the one that was shown before, by the hashes of the log itself: a node
whose state was restored from an old copy, or is another one, would convict itself of two histories.
"""

from __future__ import annotations

__all__ = ["ShownLog", "publish_log", "require_log"]

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryoflux.errors import StateTamperedError, UsageError, VerificationError
from cryoflux.files import read_regular, storage_errors
from cryoflux.network.public_tree import PublicTree
from cryoflux.network.pulling import unbundled
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Checkpoint, Note, parse_checkpoint, parse_note
from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.receipts.tile_reader import TileReader
from cryoflux.receipts.tiles import MOST_TILE_BYTES, TILE_WIDTH, Tile, bundle, tiles_of
from cryoflux.signing.keys import LOG_KEY, load_public_key
from cryoflux.state import StateFolder
from cryoflux.witness.cosigned import MOST_HEADS_BYTES, parse_heads, with_head

_HEAD, _HEADS = "log/checkpoint", "log/heads"
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class ShownLog:
    """A log as others see it."""

    note: Note
    """its newest head"""
    heads: tuple[Note, ...]
    """those that witnesses cosigned, oldest first"""
    reader: TileReader

    @property
    def head(self) -> Checkpoint:
        """The newest head without its signatures."""
        return self.note.checkpoint

    def newest_first(self) -> Iterator[Note]:
        """The heads that witnesses cosigned, newest first: those that are heads of this log."""
        for note in reversed(self.heads):
            point = note.checkpoint
            if point.origin == self.head.origin and self.reader.root(0, point.size) == point.root:
                yield note

    def covering(self, index: int) -> Note:
        """The first head that witnesses cosigned and that covers an entry; without one, the newest head."""
        at = bisect_right(self.heads, index, key=lambda note: note.checkpoint.size)
        return self.heads[at] if at < len(self.heads) else self.note


def publish_log(state: StateFolder, tree: PublicTree) -> ShownLog:
    """Show a state's log.

    Raises:
        UsageError: there is none.
        StateTamperedError: it is damaged, or does not continue what was shown before.
        StorageError: the disk is full, read-only, or refuses.
    """
    # Heads that were cosigned are read first: the newest head covers them all, also while the log grows.
    cosigned = _read(state.cosigned, MOST_HEADS_BYTES)
    note = _newest(state)
    head = note.checkpoint
    reader = TileReader(state.log, head.size)
    shown = _shown_before(tree)
    _require_continued(reader, head, shown)
    for tile in tiles_of(head.size):
        if not tree.has(f"log/{tile.path}"):
            _show_tile(state.log, reader, tree, tile)
    tree.put(_HEAD, note.content)
    heads = _merged(tree.read(_HEADS, MOST_HEADS_BYTES), cosigned)
    if heads:
        tree.put(_HEADS, heads)
    _remove_narrower(tree, shown.size if shown is not None else 0, head.size)
    return ShownLog(note, parse_heads(heads), reader)


def require_log(state: StateFolder) -> None:
    """Refuse a state without a log, before anything is made in it.

    Raises:
        UsageError: it has none.
    """
    if not state.checkpoint.is_file():
        raise UsageError(
            f"{state.path} holds no signed head of a log.",
            why="What a node shows begins with its log.",
            hint="Name a state directory with --state DIR, or make one with cryoflux run.",
        )


def _newest(state: StateFolder) -> Note:
    require_log(state)
    content = _read(state.checkpoint, MAX_NOTE_BYTES)
    try:
        parse_checkpoint(content, load_public_key(state.keys / f"{LOG_KEY}.pub"))
        return parse_note(content)
    except VerificationError as error:
        raise _not_shown(f"{state.checkpoint}: {error.what}") from error


def _shown_before(tree: PublicTree) -> Checkpoint | None:
    content = tree.read(_HEAD, MAX_NOTE_BYTES)
    return parse_note(content).checkpoint if content else None


def _require_continued(reader: TileReader, head: Checkpoint, shown: Checkpoint | None) -> None:
    if reader.root() != head.root:
        raise _not_shown("The tiles of the log do not have the root that its head signs.")
    if shown is None:
        return
    if shown.origin != head.origin:
        raise _not_shown(f"The log is called {head.origin}, and this node has shown {shown.origin}.")
    if shown.size > head.size:
        raise _not_shown(f"The log has {head.size} entries, and this node has shown {shown.size}.")
    if reader.root(0, shown.size) != shown.root:
        raise _not_shown(f"The first {shown.size} entries of the log are not those that this node has shown.")


def _not_shown(what: str) -> StateTamperedError:
    return StateTamperedError(
        what,
        why="Shown to others, it would prove that this node tells two histories.",
        hint="Go on with the newest copy of this state, or make it a log of its own: cryoflux fork STATE "
        "NEW.",
    )


def _show_tile(log: Path, reader: TileReader, tree: PublicTree, tile: Tile) -> None:
    content = _content(log, tile)
    if tile.level is None:
        start = tile.index * TILE_WIDTH
        leaves = map(leaf_hash, unbundled(content, tile))
        if root_hash(leaves) != reader.root(start, start + tile.width):
            raise _not_shown(f"log/{tile.path} has other entries than the tree of the log.")
    if tile.width < TILE_WIDTH or not tree.share(f"log/{tile.path}", log / tile.path):
        tree.put(f"log/{tile.path}", content)


def _content(log: Path, tile: Tile) -> bytes:
    """What a tile holds; of a log that has grown meanwhile, the beginning of a wider one."""
    for width in range(tile.width, TILE_WIDTH + 1):
        wider = Tile(tile.level, tile.index, width)
        try:
            content = read_regular(log / wider.path, MOST_TILE_BYTES)
        except FileNotFoundError:
            continue
        if tile.level is None:
            return bundle(tile.index, unbundled(content, wider)[: tile.width])[1]
        return content[: tile.width * _HASH_BYTES]
    raise _not_shown(f"log/{tile.path} is missing.")


def _merged(shown: bytes, cosigned: bytes) -> bytes:
    """The heads that were shown, and those that have come since."""
    if cosigned.startswith(shown):
        return cosigned
    last = parse_heads(shown)[-1].checkpoint.size
    for note in parse_heads(cosigned):
        if note.checkpoint.size >= last:
            shown = with_head(shown, note)
    return shown


def _remove_narrower(tree: PublicTree, before: int, now: int) -> None:
    """Let partial tiles go that wider ones replace, but for those of the head that was shown before.

    Whoever has read that head a moment ago still finds what it covers.
    """
    kept = {
        f"log/{tile.path}" for size in (before, now) for tile in tiles_of(size) if tile.width < TILE_WIDTH
    }
    edges = [tile for size in (before, now) for tile in tiles_of(size) if tile.width < TILE_WIDTH]
    for edge in edges:
        for index in {edge.index, max(0, edge.index - 1)}:
            place = f"log/{Tile(edge.level, index, TILE_WIDTH).path}.p"
            for path in (tree.root / place).glob("*"):
                if f"{place}/{path.name}" not in kept:
                    tree.remove(f"{place}/{path.name}")


def _read(path: Path, most: int) -> bytes:
    with storage_errors(path):
        return read_regular(path, most) if path.is_file() else b""
