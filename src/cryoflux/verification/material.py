"""What there is to verify: a state directory or an exported file, read once and never changed.

A live run may append while we read. Head link, checkpoint, tiles, database and account are therefore
read as one snapshot, in that order: if the checkpoint has moved meanwhile, all is read again.
"""

from __future__ import annotations

__all__ = ["ACCOUNT", "HEAD_LINK", "Material", "StoredTiles", "read_lazily", "read_material"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.energy.account.audit import read_settlements
from cryoflux.errors import CryoFluxError, UsageError
from cryoflux.receipts.log import CHECKPOINT, LOG_FOLDER
from cryoflux.receipts.store import DATABASE, Row, StoredRows, read_rows
from cryoflux.signing.keys import KEYS_FOLDER, LOG_KEY, METER_KEY, RECEIPT_KEY, load_public_key

HEAD_LINK = "base_model"
ACCOUNT = "account.db"
_MAX_TILE_BYTES = 256 * 65_537
_MAX_NOTE_BYTES = 65_536
_ATTEMPTS = 20
_Reader = Callable[[Path], Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that the steps look at, except artefacts."""

    target: Path
    rows: Sequence[Row]
    state: Path | None
    """the state directory; none for an exported file"""
    key: Ed25519PublicKey | None
    """that receipts should be signed by"""
    pinned: bool = False
    """whether ``key`` came from the one who verifies"""
    log_key: Ed25519PublicKey | None = None
    meter_key: Ed25519PublicKey | None = None
    """that metered joules should be signed by"""
    checkpoint: bytes | None = None
    tiles: Mapping[str, bytes] | None = None
    """path under ``log/`` → content"""
    head_link: Path | None = None
    """where ``base_model`` points; none where it is no link"""
    settlements: dict[str, int | None] | None = None
    """of the joule account: request id → µJ that its reservation was settled at, none while it is open;
    none at all where there is no account"""
    account_problem: str = ""
    """why the account could not be read"""
    problem: str = ""
    """why the rows could not be read, or not all of them"""


def _bytes_or_none(path: Path, limit: int) -> bytes | None:
    if not path.is_file():  # a pipe would be waited on for ever
        return None
    try:
        with path.open("rb") as stream:
            return stream.read(limit)
    except OSError:
        return None


def _tile_files(log: Path) -> Iterator[Path]:
    for path in sorted((log / "tile").rglob("*")):
        # A name with a leading dot is a write that a crash cut short; no reader of the log asks for it.
        if path.is_file() and not path.name.startswith("."):
            yield path


def _read_tiles(log: Path) -> dict[str, bytes]:
    tiles: dict[str, bytes] = {}
    for path in _tile_files(log):
        content = _bytes_or_none(path, _MAX_TILE_BYTES)
        if content is not None:
            tiles[path.relative_to(log).as_posix()] = content
    return tiles


class StoredTiles(Mapping[str, bytes]):
    """The tiles of a log, by their path under ``log/``, read when they are asked for.

    Partial ones are read at once: a run that goes on replaces them. A full one stays as it is for ever.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._held: dict[str, bytes | None] = {}
        for path in _tile_files(log):
            partial = path.parent.name.endswith(".p")
            held = _bytes_or_none(path, _MAX_TILE_BYTES) if partial else None
            if not partial or held is not None:
                self._held[path.relative_to(log).as_posix()] = held

    def __getitem__(self, path: str) -> bytes:
        held = self._held[path]
        return held if held is not None else _bytes_or_none(self._log / path, _MAX_TILE_BYTES) or b""

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def _public_key(state: Path, name: str) -> Ed25519PublicKey | None:
    path = state / KEYS_FOLDER / f"{name}.pub"
    try:
        return load_public_key(path) if path.is_file() else None
    except UsageError:
        return None


def _link_target(link: Path) -> Path | None:
    return link.readlink() if link.is_symlink() else None


def _read_account(path: Path) -> tuple[dict[str, int | None] | None, str]:
    # After the rows: what is settled by then has its receipt, or its intent is the last entry.
    if not path.exists():
        return None, ""
    if not path.is_file():
        return None, "is not a file"
    try:
        return read_settlements(path), ""
    except CryoFluxError as error:
        return None, error.what


def _all_rows(path: Path) -> Sequence[Row]:
    return tuple(read_rows(path))


def _snapshot(
    state: Path,
    key: Ed25519PublicKey | None,
    meter_key: Ed25519PublicKey | None,
    *,
    pinned: bool,
    read: _Reader = _all_rows,
) -> Material:
    link, problem = _link_target(state / HEAD_LINK), ""
    rows: Sequence[Row] = ()
    checkpoint = _bytes_or_none(state / LOG_FOLDER / CHECKPOINT, _MAX_NOTE_BYTES)
    tiles = _read_tiles(state / LOG_FOLDER) if read is _all_rows else StoredTiles(state / LOG_FOLDER)
    try:
        rows = read(state / DATABASE)
    except CryoFluxError as error:
        missing = f"{DATABASE} is missing, but {LOG_FOLDER}/{CHECKPOINT} says that there was one"
        problem = error.what if (state / DATABASE).exists() else missing
    settlements, account_problem = _read_account(state / ACCOUNT)
    return Material(
        target=state,
        rows=rows,
        state=state,
        key=key,
        pinned=pinned,
        log_key=_public_key(state, LOG_KEY),
        meter_key=meter_key or _public_key(state, METER_KEY),
        checkpoint=checkpoint,
        tiles=tiles,
        head_link=link,
        settlements=settlements,
        account_problem=account_problem,
        problem=problem,
    )


def _read_state(
    state: Path,
    pinned: Ed25519PublicKey | None,
    meter_key: Ed25519PublicKey | None,
    read: _Reader = _all_rows,
) -> Material:
    # A log without its database is one that lost its entries, and not a folder that never had any.
    if not (state / DATABASE).is_file() and not (state / LOG_FOLDER / CHECKPOINT).exists():
        raise UsageError(
            f"{state} holds no receipts.",
            why="A state directory has a receipts.db.",
            hint="Name another one with --state DIR, or make one with cryoflux run.",
        )
    key = pinned or _public_key(state, RECEIPT_KEY)
    for _ in range(_ATTEMPTS):
        found = _snapshot(state, key, meter_key, pinned=pinned is not None, read=read)
        if found.checkpoint == _bytes_or_none(state / LOG_FOLDER / CHECKPOINT, _MAX_NOTE_BYTES):
            break
    return found


def read_lazily(
    state: Path, key: Ed25519PublicKey | None = None, meter_key: Ed25519PublicKey | None = None
) -> Material:
    """`read_material` of a state, with rows and tiles that are read when they are asked for.

    The rows are those of this moment, in a database that stays open until they are closed.

    Raises:
        UsageError: the state holds no log.
    """
    opened: list[StoredRows] = []

    def read(path: Path) -> Sequence[Row]:
        while opened:
            opened.pop().close()
        opened.append(StoredRows(path))
        return opened[0]

    return _read_state(state, key, meter_key, read)


def _read_file(path: Path, pinned: Ed25519PublicKey | None, meter_key: Ed25519PublicKey | None) -> Material:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", hint="Name a state directory or an exported file."
        ) from error
    *lines, rest = content.split(b"\n")
    problem = "its last line does not end, so part of it may be missing" if rest else ""
    return Material(
        target=path,
        rows=tuple(Row(index, None, None, line) for index, line in enumerate(lines)),
        state=None,
        key=pinned,
        pinned=pinned is not None,
        meter_key=meter_key,
        problem=problem if content else "holds no entries",
    )


def read_material(
    target: Path, key: Ed25519PublicKey | None = None, meter_key: Ed25519PublicKey | None = None
) -> Material:
    """Read what there is to verify.

    Args:
        target: a state directory, or a file of envelopes, one a line.
        key: that the receipts have to be signed by; a state brings its own otherwise.
        meter_key: that metered joules have to be signed by; the same.

    Raises:
        UsageError: there is no such target.
    """
    if not target.exists():
        raise UsageError(
            f"{target} does not exist.",
            why="There is nothing to verify.",
            hint="Name a state directory, or a file made by cryoflux receipts export.",
        )
    read = _read_state if target.is_dir() else _read_file
    return read(target, key, meter_key)
