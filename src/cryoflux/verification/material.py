"""What there is to verify: a state directory or an exported file, read once and never changed.

A live run may append while we read. Head link, checkpoint, tiles, database and account are therefore
read as one snapshot, in that order: if the checkpoint has moved meanwhile, all is read again.
"""

from __future__ import annotations

__all__ = ["ACCOUNT", "Material", "NamedKeys", "StoredTiles", "read_material", "signer_of"]

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.energy.account.audit import AuditedAccount, Compared, open_audited
from cryoflux.errors import CryoFluxError, UsageError
from cryoflux.files import read_beginning, read_lines
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES
from cryoflux.receipts.log import CHECKPOINT, LOG_FOLDER
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.store import DATABASE, Row, StoredRows
from cryoflux.receipts.tiles import MOST_TILE_BYTES
from cryoflux.signing.canonical import MAX_ENTRY_BYTES
from cryoflux.signing.keys import KEYS_FOLDER, LOG_KEY, METER_KEY, RECEIPT_KEY, load_public_key
from cryoflux.state import StateFolder

ACCOUNT = "account.db"
_DEEPEST_TILE = 12
"""folders within each other; no index of a tile has more parts"""
_MOST_HELD_BYTES = 4 * MOST_TILE_BYTES
_SHORTEST_ENTRY = 200
"""bytes of an envelope; a shorter line is none"""
_MOST_METERS = 10_000
"""of workers that a state may know"""
_MOST_SHORT = 64
"""short lines of an exported file that are looked at, before the rest of it is left"""
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class NamedKeys:
    """The keys that the one who verifies names; none where the target is to bring its own."""

    key: Ed25519PublicKey | None = None
    """that receipts have to be signed by"""
    meters: tuple[Ed25519PublicKey, ...] = ()
    """of which one has to have signed each charge"""
    log_key: Ed25519PublicKey | None = None
    """that the head has to be signed by"""


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that the steps look at, except artefacts."""

    target: Path
    rows: Sequence[Row]
    state: Path | None
    """the state directory; none for an exported file, and for a mirror of somebody's log"""
    key: Ed25519PublicKey | None
    """that receipts should be signed by"""
    pinned: bool = False
    """whether ``key`` came from the one who verifies"""
    log_key: Ed25519PublicKey | None = None
    """that the head should be signed by"""
    log_key_named: bool = False
    """whether ``log_key`` came from the one who verifies"""
    meter_key: Ed25519PublicKey | None = None
    """of the state's own meter, as the state says"""
    worker_meters: tuple[Ed25519PublicKey, ...] = ()
    """of the meters of its workers, the same way"""
    pinned_meters: tuple[Ed25519PublicKey, ...] = ()
    """of the meters that the one who verifies named: every charge has to be signed by one of them"""
    checkpoint: bytes | None = None
    tiles: Mapping[str, bytes] | None = None
    """path under ``log/`` → content; none where there are none to compare"""
    links: Mapping[str, str] = field(default_factory=dict)
    """link to a head, by its path in the state → digest of the version that it points at"""
    account: AuditedAccount | None = None
    """what the joule account was charged; none where there is no account"""
    account_problem: str = ""
    """why the account could not be read"""
    problem: str = ""
    """why the rows could not be read, or not all of them"""

    def close(self) -> None:
        """Let go of database and account; rows that were read stay."""
        if self.account is not None:
            self.account.close()
        if isinstance(self.rows, StoredRows):
            self.rows.close()

    def leaves(self) -> list[bytes]:
        """Leaf hash of every row, computed now: for the few questions that need all of them."""
        return [leaf_hash(row.envelope) for row in self.rows]


def _bytes_or_none(path: Path, limit: int) -> bytes | None:
    try:
        return read_beginning(path, limit)
    except OSError:
        return None


def _tile_files(log: str) -> Iterator[str]:
    """Their paths under ``log/``; a log of a million has thousands, so they are plain texts."""
    places = [f"{log}/tile"]
    while places:
        folder = places.pop()
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if folder.count("/") - log.count("/") < _DEEPEST_TILE:
                        places.append(entry.path)
                # A leading dot is that of a write which a crash cut short; no reader of the log asks for it.
                elif entry.is_file() and not entry.name.startswith("."):
                    yield entry.path[len(log) + 1 :]


class StoredTiles(Mapping[str, bytes]):
    """The tiles of a log, by their path under ``log/``, read when they are asked for.

    Partial ones are read at once: a run that goes on replaces them. A full one stays as it is for ever.
    More than a log has of partial ones are not held.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._held: dict[str, bytes | None] = {}
        room = _MOST_HELD_BYTES
        for path in sorted(_tile_files(str(log))):
            partial = ".p/" in path and room > 0
            held = _bytes_or_none(log / path, MOST_TILE_BYTES) if partial else None
            if not partial or held is not None:
                self._held[path] = held
                room -= len(held or b"")

    def __getitem__(self, path: str) -> bytes:
        held = self._held[path]
        return held if held is not None else _bytes_or_none(self._log / path, MOST_TILE_BYTES) or b""

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def _public_key(state: Path, name: str) -> Ed25519PublicKey | None:
    return _sound_key(state / KEYS_FOLDER / f"{name}.pub")


def _sound_key(path: Path) -> Ed25519PublicKey | None:
    try:
        return load_public_key(path) if path.is_file() else None
    except UsageError:
        return None


def _worker_meters(state: StateFolder) -> tuple[Ed25519PublicKey, ...]:
    found = (_sound_key(path) for path in islice(sorted(state.meters.glob("*.pub")), _MOST_METERS))
    return tuple(key for key in found if key is not None)


def _links(state: StateFolder) -> dict[str, str]:
    """Where the heads point; a link to anywhere else than a version of the state is none."""
    found = {}
    for link in (state.head(), *sorted(state.heads.glob("*"))):
        if link.is_symlink():
            target, above = link.readlink(), len(link.relative_to(state.path).parts) - 1
            if target.parts[:-1] == (*(".." for _ in range(above)), state.models.name):
                found[link.relative_to(state.path).as_posix()] = target.name
    return found


def _read_account(path: Path, mark: Compared | None) -> tuple[AuditedAccount | None, str]:
    # After the rows: what is settled by then has its receipt, or its intent is the last entry.
    if not path.exists():
        return None, ""
    if not path.is_file():
        return None, "is not a file"
    try:
        return open_audited(path, mark), ""
    except CryoFluxError as error:
        return None, error.what


def _snapshot(state: Path, key: Ed25519PublicKey | None, named: NamedKeys, mark: Compared | None) -> Material:
    links, problem = _links(StateFolder(state)), ""
    rows: Sequence[Row] = ()
    checkpoint = _bytes_or_none(state / LOG_FOLDER / CHECKPOINT, MAX_NOTE_BYTES + 1)
    tiles = StoredTiles(state / LOG_FOLDER)
    try:
        rows = StoredRows(state / DATABASE)
    except CryoFluxError as error:
        missing = f"{DATABASE} is missing, but {LOG_FOLDER}/{CHECKPOINT} says that there was one"
        problem = error.what if (state / DATABASE).exists() else missing
    account, account_problem = _read_account(state / ACCOUNT, mark)
    return Material(
        target=state,
        rows=rows,
        state=state,
        key=key,
        pinned=named.key is not None,
        log_key=named.log_key or _public_key(state, LOG_KEY),
        log_key_named=named.log_key is not None,
        meter_key=_public_key(state, METER_KEY),
        worker_meters=_worker_meters(StateFolder(state)),
        pinned_meters=named.meters,
        checkpoint=checkpoint,
        tiles=tiles,
        links=links,
        account=account,
        account_problem=account_problem,
        problem=problem,
    )


def _read_state(state: Path, named: NamedKeys, mark: Compared | None) -> Material:
    # A log without its database is one that lost its entries, and not a folder that never had any.
    if not (state / DATABASE).is_file() and not (state / LOG_FOLDER / CHECKPOINT).exists():
        raise UsageError(
            f"{state} holds no receipts.",
            why="A state directory has a receipts.db.",
            hint="Name another one with --state DIR, or make one with cryoflux run.",
        )
    key = signer_of(state, named.key)
    for _ in range(_ATTEMPTS):
        found = _snapshot(state, key, named, mark)
        if found.checkpoint == _bytes_or_none(state / LOG_FOLDER / CHECKPOINT, MAX_NOTE_BYTES + 1):
            break
        found.close()
    return found


def _read_file(path: Path, named: NamedKeys) -> Material:
    try:
        rows, problem = _read_lines(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", hint="Name a state directory or an exported file."
        ) from error
    return Material(
        target=path,
        rows=tuple(rows),
        state=None,
        key=named.key,
        pinned=named.key is not None,
        log_key=named.log_key,
        log_key_named=named.log_key is not None,
        pinned_meters=named.meters,
        problem=problem,
    )


def _read_lines(path: Path) -> tuple[list[Row], str]:
    """The entries of an exported file, and why some of it may be missing; each costs its own bytes."""
    rows: list[Row] = []
    short, ended = 0, True
    for line, ended in read_lines(path, MAX_ENTRY_BYTES):
        if (short := short + (len(line) < _SHORTEST_ENTRY)) > _MOST_SHORT:
            return rows, f"has more than {_MOST_SHORT} lines that are no entries; the rest was not read"
        if ended:
            rows.append(Row(len(rows), None, None, line))
    if not ended:
        return rows, "its last line does not end, so part of it may be missing"
    return rows, "" if rows else "holds no entries"


def signer_of(target: Path, pinned: Ed25519PublicKey | None = None) -> Ed25519PublicKey | None:
    """The key that the receipts have to be signed by: the pinned one, or the one that a state brings."""
    return pinned or _public_key(target, RECEIPT_KEY)


def read_material(
    target: Path,
    key: Ed25519PublicKey | None = None,
    meters: Sequence[Ed25519PublicKey] = (),
    log_key: Ed25519PublicKey | None = None,
    *,
    mark: Compared | None = None,
) -> Material:
    """Read what there is to verify; rows and tiles of a state are read when they are asked for.

    Args:
        target: a state directory, or a file of envelopes, one a line.
        key: that the receipts have to be signed by; a state brings its own otherwise.
        meters: keys of the meters that joules have to be signed by; none where any will do.
        log_key: that the head has to be signed by; a state brings its own otherwise.
        mark: up to where the account was compared before, and is not again.

    Raises:
        UsageError: there is no such target.
    """
    if not target.exists():
        raise UsageError(
            f"{target} does not exist.",
            why="There is nothing to verify.",
            hint="Name a state directory, or a file made by cryoflux receipts export or cryoflux claim.",
        )
    named = NamedKeys(key, tuple(meters), log_key)
    return _read_state(target, named, mark) if target.is_dir() else _read_file(target, named)
