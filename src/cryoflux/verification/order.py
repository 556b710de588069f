"""Steps 1, 3 and 4: bytes, order, and the tree with its signed head; step 2 is `authority`."""

from __future__ import annotations

__all__ = [
    "CHAIN",
    "FORM",
    "SIGNATURES",
    "TREE",
    "check_chain",
    "check_form",
    "check_signatures",
    "check_tree",
    "is_replaced",
    "match_checkpoint",
    "name_of",
    "signed_checkpoint",
    "wrong_column",
    "wrong_link",
]

from collections.abc import Collection, Iterable, Iterator

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import Checkpoint, origin_of, parse_checkpoint
from cryoflux.receipts.entry import Entry, KeyEntry
from cryoflux.receipts.statement import ZERO_HASH
from cryoflux.receipts.store import Row, columns_of
from cryoflux.receipts.tiles import TileTree, parse_tile_path
from cryoflux.verification.authority import SIGNATURES, check_signatures, key_entries
from cryoflux.verification.history import History, said_by
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, Finding, Step, conclude, failed, unknown

FORM = Step(1, "entries are well formed")
CHAIN = Step(3, "order without gaps")
TREE = Step(4, "log tree and checkpoint")


def check_form(history: History) -> list[Check]:
    """Step 1: the source is readable and every envelope is strict and canonical."""
    material = history.material
    findings = [failed(str(material.target), material.problem)] if material.problem else []
    keys = key_entries(history)
    wrong = {index: what for index, what in history.malformed.items() if index not in keys}
    findings += [failed(f"entry {index}", what) for index, what in wrong.items()]
    entries: list[Entry | KeyEntry] = [*history.entries, *keys.values()]
    findings += _wrong_columns(history, entries)
    return conclude(FORM, findings, f"{len(entries)} envelopes and statements are strict and canonical")


def name_of(entry: Entry | KeyEntry) -> str:
    """How a check names an entry of either kind."""
    return said_by(entry) if isinstance(entry, Entry) else f"entry {entry.index} (key)"


def _wrong_columns(history: History, entries: Iterable[Entry | KeyEntry]) -> Iterator[Finding]:
    for entry in entries:
        yield from wrong_column(history.material.rows[entry.index], entry)


def wrong_column(row: Row, entry: Entry | KeyEntry) -> Iterator[Finding]:
    """What is wrong with the index columns of an entry."""
    if row.columns is not None and row.columns != columns_of(entry.statement):
        yield failed(name_of(entry), "the database's index columns say something else than the entry")


def check_chain(history: History) -> list[Check]:
    """Step 3: sequence numbers count from 0 and each entry names the hash of the one before."""
    findings = [
        failed(f"entry {position}", f"lies at index {row.index}: entries before it are missing")
        for position, row in enumerate(history.material.rows)
        if row.index != position
    ]
    entries: list[Entry | KeyEntry] = [*history.entries, *key_entries(history).values()]
    for entry in entries:
        before = history.leaves[entry.index - 1].hex() if entry.index else ZERO_HASH
        findings += wrong_link(entry, before)
    head = history.leaves[-1].hex() if history.leaves else ZERO_HASH
    return conclude(CHAIN, findings, f"{len(history.leaves)} entries, head {head[:16]}…")


def wrong_link(entry: Entry | KeyEntry, before: str) -> Iterator[Finding]:
    """What is wrong with the place of an entry, after the one whose leaf hash is ``before``."""
    said = entry.statement.predicate
    if said.sequence != entry.index:
        yield failed(name_of(entry), f"says that it is number {said.sequence}")
    if said.prev != before:
        yield failed(name_of(entry), "does not name the hash of the entry before it")


def check_tree(history: History) -> list[Check]:
    """Step 4: stored hashes, checkpoint and tiles are those of the entries."""
    material = history.material
    if material.state is None:
        reason = "an exported file has no checkpoint, so entries may be missing at its end"
        return conclude(TREE, [unknown("checkpoint", reason)], "")
    findings = [
        failed(f"entry {position}", "its bytes do not have the leaf hash that was stored with it")
        for position, (row, leaf) in enumerate(zip(material.rows, history.leaves, strict=True))
        if row.leaf != leaf.hex()
    ]
    tree = TileTree(row.envelope for row in material.rows)
    size, summary = 0, ""
    try:
        checkpoint = _checkpoint(history, tree)
        size = checkpoint.size
        summary = f"root {checkpoint.root.hex()[:16]}… over {size} entries is the signed one"
        if size < tree.size:
            findings.append(
                unknown("log/checkpoint", f"{tree.size - size} newer entries are not covered yet")
            )
    except VerificationError as error:
        findings.append(failed("log/checkpoint", error.what))
    findings += _wrong_tiles(history, tree, size)
    return conclude(TREE, findings, summary)


def signed_checkpoint(material: Material) -> Checkpoint:
    """The checkpoint of a state, signed by its log key and of its log; whether it is of its entries is open.

    Raises:
        VerificationError: it is anything else.
    """
    if material.checkpoint is None:
        raise VerificationError("is missing, so entries may be missing at the end")
    if material.log_key is None:
        raise VerificationError("cannot be checked: keys/log.pub is missing or not a public key")
    found = parse_checkpoint(material.checkpoint, material.log_key)
    if material.key is not None and found.origin != origin_of(material.key):
        raise VerificationError(f"is of the log {found.origin}, not of {origin_of(material.key)}")
    return found


def match_checkpoint(found: Checkpoint, size: int, root: bytes) -> None:
    """Compare a checkpoint with ``size`` entries, whose root where it ends is ``root``.

    Raises:
        VerificationError: it is not of these entries.
    """
    if found.size > size:
        missing = f"entries {size} to {found.size - 1} are missing"
        raise VerificationError(f"covers {found.size} entries, but there are {size}: {missing}")
    if found.root != root:
        raise VerificationError("its root is not the root of the entries: some were changed or moved")


def _checkpoint(history: History, tree: TileTree) -> Checkpoint:
    found = signed_checkpoint(history.material)
    match_checkpoint(found, tree.size, tree.root(found.size))
    return found


def _wrong_tiles(history: History, tree: TileTree, size: int) -> Iterator[Finding]:
    present = history.material.tiles or {}
    for tile in tree.tiles(size):
        if tile.path not in present and not is_replaced(tile.path, present):
            yield failed(f"log/{tile.path}", "is missing")
    for path, content in present.items():
        found = parse_tile_path(path)
        if found is None or tree.content(found) != content:
            yield failed(f"log/{path}", "does not follow from the entries")


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
