"""SQLite, opened in the one way that this project trusts.

Write-ahead log (where one file has to hold everything: none), ``synchronous=FULL`` (a commit is on the disk
when it returns), foreign keys on, a busy time-out, explicit transactions. The standard library's driver is
used on purpose: the tables are two small append-only ones, and whoever verifies must be able to read them
with nothing installed (docs/adr/0002).
"""

from __future__ import annotations

__all__ = ["SharedTransactions", "connect", "read_only", "reading", "transaction"]

import os
import shutil
import sqlite3
import stat
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from cryoflux.errors import CryoFluxError, StateError, StateTamperedError, StorageError
from cryoflux.files import copy_regular, read_beginning, require_regular

T = TypeVar("T")

_BUSY_SECONDS = 10.0
_LOGGED = ("journal_mode=WAL", "synchronous=FULL")
_LEAST_ROOM = 65_536
"""bytes: the index beside a log begins with half of that"""
_LONGEST_VALUE = 4_000_000
"""bytes of one value of a database that is only read; no entry has as many"""
_ATTEMPTS = 3
_LOG_HEADER = 32
"""bytes at the beginning of a log that are others whenever it is begun anew"""
_LOG_MAGIC = (0x377F0682, 0x377F0683)
_PAGES = tuple(2**n for n in range(9, 17))
"""sizes of a page, bytes"""


# A damaged file can make SQLite quote bytes in its complaint that are no text.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)


def _explain(path: Path, error: Exception) -> Exception:
    text = str(error)
    refused = "unable to open" in text or "disk I/O" in text
    if refused and _is_full(path):
        text = "the disk is full"
    if "full" in text:
        hint = "Free some space (cryoflux state clean frees a cache), then run the same command again."
    elif "readonly" in text or refused:
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


def _is_full(path: Path) -> bool:
    """Whether there is no room beside a file: SQLite takes it for a failing disk where it maps its index."""
    try:
        return shutil.disk_usage(path.parent).free < _LEAST_ROOM
    except OSError:
        return False


def connect(
    path: Path,
    schema: str,
    version: int,
    upgrades: Mapping[int, Sequence[str]] | None = None,
    *,
    one_file: bool = False,
) -> sqlite3.Connection:
    """Open ``path`` for reading and writing, making its tables if it is new.

    Args:
        path: the database file; its folder is made if needed.
        schema: the statements that make the tables of ``version``.
        version: kept in ``PRAGMA user_version``; another one is refused.
        upgrades: by an older version, the statements that make ``version`` of it; all of them or none.
        one_file: whether ``path`` alone is to hold all that was committed, without a log beside it: for what
            is written seldom, and whose copy must not be an older one.

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
            _prepare(connection, path, (schema, version), upgrades or {}, one_file=one_file)
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


def _prepare(
    connection: sqlite3.Connection,
    path: Path,
    made: tuple[str, int],
    upgrades: Mapping[int, Sequence[str]],
    *,
    one_file: bool,
) -> None:
    schema, version = made
    # The version is looked at before anything is set: another version's file stays as it is.
    found = _version_of(connection)
    if found not in (0, version, *upgrades):
        raise StateError(
            f"{path} has format {found}; this CryoFlux reads format {version}.",
            why="Guessing at another format could lose entries.",
            hint="Use the CryoFlux version that wrote it, or start afresh with --state DIR.",
        )
    # EXTRA: that the journal is gone is what commits without a log, and has to be on the disk as well.
    kept = ("journal_mode=DELETE", "synchronous=EXTRA") if one_file else _LOGGED
    for pragma in (*kept, "foreign_keys=ON", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}")
    if found == 0:
        connection.executescript(f"BEGIN IMMEDIATE;\n{schema}\nPRAGMA user_version={version};\nCOMMIT;")
    elif found != version:
        with transaction(connection, path):
            # Looked at again: two may have opened it at once.
            for statement in upgrades.get(_version_of(connection), ()):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={version}")


def _version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _open_to_read(path: Path, options: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)
    with _closed_on_error(connection):
        # A row can claim a length that its file has not: SQLite makes room for it first.
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return connection


def read_only(path: Path) -> sqlite3.Connection:
    """Open ``path`` without changing it, a file beside it, or putting one there.

    What was committed is seen, also where it is only in the log of a process that is at work, or was killed.
    SQLite opens files by their names, and waits for whoever writes into a pipe. So those that it opens where
    they lie are regular ones, and it is given copies where another one could have it write.

    Raises:
        StateTamperedError: the file is not a database.
        StorageError: it cannot be opened.
    """
    try:
        path = Path(os.path.realpath(path))  # a log lies beside the file, and not beside a link to it
        log, index, journal = (path.with_name(f"{path.name}-{part}") for part in ("wal", "shm", "journal"))
        for _ in range(_ATTEMPTS):
            require_regular(path)
            if logged := os.path.lexists(log):
                require_regular(log)
            # Even a reader makes -wal and -shm files, unless it is told that the file is complete as it lies.
            if not logged or not log.stat().st_size:
                return _open_to_read(path, "&immutable=1")
            alone = path.stat().st_size and not os.path.lexists(journal)
            if alone and _is_regular(index) and _begins_log(read_beginning(log, _LOG_HEADER)):
                with suppress(sqlite3.OperationalError):
                    # The index is what those at work share. A reader would otherwise write into it.
                    return _open_to_read(path, "&readonly_shm=1")
            if (copied := _open_copy(path, log)) is not None:
                return copied
    except _ERRORS as error:
        raise _explain(path, error) from error
    except OSError as error:
        raise StorageError(f"{path} could not be read: {error.strerror}.") from error
    raise StorageError(f"{path} was changed while it was read.", hint="Run the same command again.")


def _begins_log(header: bytes) -> bool:
    """Whether these bytes are how SQLite begins a log; for another beginning it waits ten seconds."""
    if len(header) < _LOG_HEADER:
        return False
    magic, _, page = struct.unpack(">3I", header[:12])
    if magic not in _LOG_MAGIC or page not in _PAGES:
        return False
    words = struct.unpack(">6I" if magic & 1 else "<6I", header[:24])
    one = other = 0
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + other) % 2**32
        other = (other + second + one) % 2**32
    return struct.unpack(">2I", header[24:]) == (one, other)


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _open_copy(path: Path, log: Path) -> sqlite3.Connection | None:
    """A copy of both; none where one of them was begun anew meanwhile, so that they are of two times."""
    # SQLite needs a file only while it has it open.
    with TemporaryDirectory(prefix="cryoflux-") as folder:
        try:
            before = read_beginning(log, _LOG_HEADER)
            for part in (path, log):
                copy_regular(part, Path(folder, part.name))
            if read_beginning(log, _LOG_HEADER) != before:
                return None
        except FileNotFoundError:
            return None
        return _open_to_read(Path(folder, path.name), "")


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


@contextmanager
def reading(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """One view of the database, whoever writes meanwhile; no writer waits for it.

    Raises:
        StorageError: the disk refuses.
        StateTamperedError: the database is damaged.
    """
    try:
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    except _ERRORS as error:
        raise _explain(path, error) from error


@dataclass(slots=True, eq=False)
class _Work:
    """What one thread wants done, and how it ended."""

    do: Callable[[], Any]
    done: bool = False
    result: Any = None
    error: Exception | None = None
    woken: threading.Event = field(default_factory=threading.Event)

    def attempt(self, connection: sqlite3.Connection) -> None:
        connection.execute("SAVEPOINT work")
        try:
            self.result = self.do()
        except CryoFluxError as error:
            connection.execute("ROLLBACK TO work")
            self.error = error
        connection.execute("RELEASE work")


class SharedTransactions:
    """Transactions of many threads, committed together: they wait for the disk once, not in turn.

    While one thread commits, others queue up; then the first of these does what all of them want, one after
    the other in one transaction. Each is all or nothing by itself, and returns when it is on the disk.

    Args:
        lock: held while the connection is used.
        write: one write transaction.
    """

    def __init__(
        self,
        lock: AbstractContextManager[Any],
        write: Callable[[], AbstractContextManager[sqlite3.Connection]],
    ) -> None:
        self._lock = lock
        self._write = write
        self._queue_lock = threading.Lock()
        self._queue: list[_Work] = []
        self._led = False

    def run(self, do: Callable[[], T]) -> T:
        """Do this in a transaction, and return what it returns, or raise what it raises."""
        mine = _Work(do)
        with self._queue_lock:
            self._queue.append(mine)
            leads, self._led = not self._led, True
        try:
            if not leads:
                mine.woken.wait()  # until it is done, or leads the next
            if not mine.done:
                leads = True
                self._together()
        finally:
            with self._queue_lock:
                if not mine.done and mine in self._queue:  # its thread is stopped, and waits no more
                    self._queue.remove(mine)
                if leads or (mine.woken.is_set() and not mine.done):
                    self._led = bool(self._queue)
                    if self._queue:
                        self._queue[0].woken.set()
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[no-any-return]

    def _together(self) -> None:
        with self._lock:
            with self._queue_lock:
                batch, self._queue = self._queue, []
            error: Exception | None = None
            try:
                with self._write() as connection:
                    for work in batch:
                        work.attempt(connection)
            except Exception as failure:  # noqa: BLE001 - each of them raises it
                error = failure
            except BaseException:
                # This thread is stopped; what the others want is done by the next of them.
                with self._queue_lock:
                    self._queue = batch + self._queue
                raise
        for work in batch:
            work.error = error or work.error
            work.done = True
            work.woken.set()
