"""SQLite, opened in the one way that this project trusts.

Write-ahead log, ``synchronous=FULL`` (a commit is on the disk when it returns), foreign keys on, a
busy time-out, explicit transactions. The standard library's driver is used on purpose: the tables
are two small append-only ones, and whoever verifies must be able to read them with nothing installed
(docs/adr/0002).
"""

from __future__ import annotations

__all__ = ["connect", "read_only", "transaction"]

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cryoflux.errors import StateError, StateTamperedError, StorageError

_BUSY_SECONDS = 10.0


# A damaged file can make SQLite quote bytes in its complaint that are no text.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)


def _explain(path: Path, error: Exception) -> Exception:
    text = str(error)
    if "full" in text:
        hint = "Free some space, then run the same command again."
    elif "readonly" in text or "unable to open" in text or "disk I/O" in text:
        hint = "Check the disk and its permissions, or choose another folder with --state DIR."
    elif "locked" in text:
        hint = "Wait for the other process to end, then run the same command again."
    else:
        return StateTamperedError(
            f"{path} cannot be read as the database that it was: {text}.",
            why="Somebody or something changed it, so what it says is not evidence any more.",
            hint="Restore it from a backup, or start afresh with --state DIR.",
        )
    return StorageError(f"{path}: {text}.", why="The last entry was not recorded.", hint=hint)


def connect(path: Path, schema: str, version: int) -> sqlite3.Connection:
    """Open ``path`` for reading and writing, making its tables if it is new.

    Args:
        path: the database file; its folder is made if needed.
        schema: the statements that make the tables of ``version``.
        version: kept in ``PRAGMA user_version``; another one is refused.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
        StateError: the database was written by another version of CryoFlux.
        StateTamperedError: the file is not such a database.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        with _closed_on_error(connection):
            _prepare(connection, path, schema, version)
    except _ERRORS as error:
        raise _explain(path, error) from error
    except OSError as error:
        raise StorageError(
            f"{path} could not be made: {error.strerror}.",
            why="Nothing can be recorded there.",
            hint="Choose another folder with --state DIR.",
        ) from error
    return connection


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _prepare(connection: sqlite3.Connection, path: Path, schema: str, version: int) -> None:
    # The version is looked at before anything is set: another version's file stays as it is.
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found not in (0, version):
        raise StateError(
            f"{path} has format {found}; this CryoFlux reads format {version}.",
            why="Guessing at another format could lose entries.",
            hint="Use the CryoFlux version that wrote it, or start afresh with --state DIR.",
        )
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}")
    if found == 0:
        connection.executescript(f"BEGIN IMMEDIATE;\n{schema}\nPRAGMA user_version={version};\nCOMMIT;")


def _open_to_read(path: Path, options: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)
    with _closed_on_error(connection):
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return connection


def read_only(path: Path) -> sqlite3.Connection:
    """Open ``path`` without changing it or putting a file beside it.

    Raises:
        StateTamperedError: the file is not a database.
        StorageError: it cannot be opened.
    """
    log, index = (path.with_name(f"{path.name}-{part}") for part in ("wal", "shm"))
    try:
        # Even a reader makes -wal and -shm files, unless it is told that the file is complete as it lies.
        if not log.exists() or not log.stat().st_size:
            return _open_to_read(path, "&immutable=1")
        if index.exists():
            return _open_to_read(path, "")
        # A copy of a state that was in use. SQLite needs the -shm file only while it has it open.
        with TemporaryDirectory(prefix="cryoflux-") as folder:
            for part in (path, log):
                shutil.copyfile(part, Path(folder, part.name))
            return _open_to_read(Path(folder, path.name), "")
    except _ERRORS as error:
        raise _explain(path, error) from error
    except OSError as error:
        raise StorageError(f"{path} could not be read: {error.strerror}.") from error


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """One write transaction: everything in it is on the disk afterwards, or nothing is.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
        StateTamperedError: the database is damaged, or refuses the change.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            if connection.in_transaction:  # on a full disk SQLite has rolled back by itself
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except _ERRORS as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise _explain(path, error) from error
