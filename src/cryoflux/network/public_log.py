"""The log in a node's public tree: tiles, the newest head that may be shown, and all cosigned heads up to it.

A log is shown up to the newest head that a quorum has cosigned (`revealing`). Until then an entry is known to
nobody else: nobody can have the digests in it cosigned earlier, and a node whose state was restored from an
old copy shows no second history, as no witness cosigns one.

A head is shown only if it continues the one that was shown before, by the hashes of the log itself. What was
shown once stays, also where the rule asks for more by then.
"""

from __future__ import annotations

__all__ = ["ShownLog", "publish_log", "require_log"]

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryoflux.errors import StateTamperedError, UsageError, VerificationError
from cryoflux.files import read_regular, storage_errors
from cryoflux.network.head_times import all_heads
from cryoflux.network.mirror import unbundled
from cryoflux.network.public_tree import PublicTree
from cryoflux.network.revealing import RevealRule
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Checkpoint, Note, parse_checkpoint, parse_note
from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.receipts.tile_reader import TileReader
from cryoflux.receipts.tiles import MOST_TILE_BYTES, TILE_WIDTH, Tile, bundle, tiles_of
from cryoflux.signing.keys import LOG_KEY, load_public_key
from cryoflux.state import StateFolder
from cryoflux.witness.cosigned import MOST_HEADS_BYTES, newest_alone, parse_heads, with_head

_HEAD, _HEADS = "log/checkpoint", "log/heads"
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class ShownLog:
    """A log as others see it."""

    heads: tuple[Note, ...] = ()
    """those that are shown, oldest first, with their cosignatures; the last one is its newest"""
    waiting: int = 0
    """entries behind that, which are not shown yet"""
    held_s: float = 0.0
    """how long until more of them may be, because a quorum has seen them just now, s"""

    @property
    def size(self) -> int:
        """Entries that are shown."""
        return self.heads[-1].checkpoint.size if self.heads else 0

    def covering(self, index: int) -> Note:
        """The first head that covers an entry that is shown."""
        return self.heads[bisect_right(self.heads, index, key=lambda note: note.checkpoint.size)]


def publish_log(state: StateFolder, tree: PublicTree, rule: RevealRule) -> ShownLog:
    """Show a state's log, as far as it may be shown.

    Args:
        state: whose log it is.
        tree: where it is shown.
        rule: whose cosignatures are waited for.

    Raises:
        UsageError: there is none.
        StateTamperedError: it is damaged, or does not continue what was shown before.
        StorageError: the disk is full, read-only, or refuses.
    """
    # Heads that were cosigned are read first: the newest head covers them all, also while the log grows.
    cosigned = _read(state.cosigned, MOST_HEADS_BYTES)
    newest = _newest(state)
    point = newest.checkpoint
    reader = TileReader(state.log, point.size)
    before = _shown_before(tree)
    _require_continued(reader, point, before)
    heads = parse_heads(_merged(tree.read(_HEADS, MOST_HEADS_BYTES), cosigned))
    may_be, held_s = rule.head(_of_this_log(heads, reader, point), newest)
    note = _largest(may_be, before)
    if note is None:
        return ShownLog(waiting=point.size, held_s=held_s)
    size = note.checkpoint.size
    for tile in tiles_of(size):
        if not tree.has(f"log/{tile.path}"):
            _show_tile(state.log, reader, tree, tile)
    shown = tuple(head for head in heads if head.checkpoint.size <= size)
    is_among_them = bool(shown) and shown[-1].checkpoint == note.checkpoint
    # A quiet log that witnesses cosign again has no new head, and still something to tell.
    tree.put(_HEAD, newest_alone(shown[-1] if is_among_them else note).content)
    if shown:
        tree.put(_HEADS, all_heads(shown))
    _remove_narrower(tree, before.checkpoint.size if before is not None else 0, size)
    return ShownLog(shown if is_among_them else (*shown, note), point.size - size, held_s)


def _of_this_log(heads: tuple[Note, ...], reader: TileReader, newest: Checkpoint) -> Iterator[Note]:
    """The cosigned heads that are heads of this log, newest first."""
    for note in reversed(heads):
        head = note.checkpoint
        is_within = head.origin == newest.origin and head.size <= newest.size
        if is_within and reader.root(0, head.size) == head.root:
            yield note


def _largest(may_be: Note | None, before: Note | None) -> Note | None:
    """The larger of the head that may be shown and the one that was; of equal ones, the first."""
    if may_be is None or (before is not None and before.checkpoint.size > may_be.checkpoint.size):
        return before
    return may_be


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


def _shown_before(tree: PublicTree) -> Note | None:
    content = tree.read(_HEAD, MAX_NOTE_BYTES)
    return parse_note(content) if content else None


def _require_continued(reader: TileReader, head: Checkpoint, before: Note | None) -> None:
    if reader.root() != head.root:
        raise _not_shown("The tiles of the log do not have the root that its head signs.")
    if before is None:
        return
    shown = before.checkpoint
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
