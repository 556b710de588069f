from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.database import SharedTransactions, connect, read_only, reading, transaction
from cryoflux.errors import CryoFluxError, ExitCode, StateError, StateTamperedError, StorageError
from waiting import until

SCHEMA = """
CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE parts (thing INTEGER REFERENCES things (id), content BLOB) STRICT;
"""
VERSION = 3
# Dies with committed rows that are only in the write-ahead log, and one that is not committed.
DIES = f"""
import os, signal, sys
from pathlib import Path
from cryoflux.database import connect, transaction

path = Path(sys.argv[1])
connection = connect(path, {SCHEMA!r}, {VERSION})
with transaction(connection, path):
    connection.execute("INSERT INTO things (name) VALUES ('committed')")
with transaction(connection, path):
    connection.execute("INSERT INTO things (name) VALUES ('begun')")
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Stop(Exception):  # noqa: N818 - what a caller may raise
    """Something that a caller raises."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "things.db"


def make(path: Path, *names: str) -> Path:
    with closing(connect(path, SCHEMA, VERSION)) as connection:
        add(connection, path, *names)
    return path


def add(connection: sqlite3.Connection, path: Path, *names: str) -> None:
    with transaction(connection, path):
        connection.executemany("INSERT INTO things (name) VALUES (?)", [(name,) for name in names])


def add_and_raise(connection: sqlite3.Connection, path: Path, error: BaseException) -> None:
    with transaction(connection, path):
        connection.execute("INSERT INTO things (name) VALUES ('never')")
        raise error


def add_parts(connection: sqlite3.Connection, path: Path, contents: list[bytes]) -> None:
    with transaction(connection, path):
        for content in contents:
            connection.execute("INSERT INTO parts (content) VALUES (?)", (content,))


def names_in(path: Path) -> list[str]:
    with closing(read_only(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM things ORDER BY id")]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def killed(path: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.with_name(f"{path.name}-wal").stat().st_size
    return path


def open_here(path: Path) -> list[str]:
    """Open files of this process that are this database."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except FileNotFoundError:  # the listing's own descriptor
            continue
    return [link for link in links if path.name in link]


# Opening


def test_it_is_opened_in_the_one_way_that_is_trusted(path: Path) -> None:
    with closing(connect(path, SCHEMA, VERSION)) as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "user_version")
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
        assert found == ["wal", 2, 1, 0, VERSION]
        with pytest.raises(StateTamperedError, match="FOREIGN KEY"), transaction(connection, path):
            connection.execute("INSERT INTO parts (thing) VALUES (9)")


def test_what_was_written_is_there_when_it_is_opened_again(path: Path) -> None:
    make(path, "a")
    make(path, "b")
    assert names_in(path) == ["a", "b"]


@pytest.mark.parametrize("version", [1, VERSION - 1, VERSION + 1, -1, 2**31 - 1])
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_another_version_is_refused_and_left_as_it_is(version: int, journal: str, path: Path) -> None:
    make(path, "a")
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA journal_mode={journal}")
        other.execute(f"PRAGMA user_version={version}")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(StateError) as caught:
        connect(path, SCHEMA, VERSION)
    assert f"has format {version}; this CryoFlux reads format {VERSION}." in caught.value.what
    assert not isinstance(caught.value, StateTamperedError)
    assert caught.value.exit_code is ExitCode.USAGE
    assert not open_here(path)
    assert path.read_bytes() == before


def test_tables_without_their_version_are_not_trusted(path: Path) -> None:
    make(path, "a")
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version=0")
    with pytest.raises(StateTamperedError, match="already exists"):
        connect(path, SCHEMA, VERSION)
    assert not open_here(path)
    assert names_in(path) == ["a"]


def test_a_schema_that_fails_leaves_no_table_and_no_version(path: Path) -> None:
    with pytest.raises(StateTamperedError):
        connect(path, f"{SCHEMA} CREATE TABLE things (id);", VERSION)
    make(path, "a")
    assert names_in(path) == ["a"]


NEXT = VERSION + 1
BETTER = {VERSION: ("ALTER TABLE things ADD COLUMN kind TEXT", "UPDATE things SET kind = 'old'")}


def test_an_older_version_is_made_the_newer_one_once(path: Path) -> None:
    make(path, "a")
    for _ in range(2):
        connect(path, SCHEMA, NEXT, BETTER).close()
    with closing(read_only(path)) as connection:
        assert connection.execute("SELECT name, kind FROM things").fetchall() == [("a", "old")]
        assert connection.execute("PRAGMA user_version").fetchone() == (NEXT,)
    with pytest.raises(StateError, match=f"format {NEXT}; this CryoFlux reads format {VERSION}"):
        connect(path, SCHEMA, VERSION)


def test_an_upgrade_that_fails_leaves_the_older_version(path: Path) -> None:
    make(path, "a")
    with pytest.raises(StateTamperedError):
        connect(path, SCHEMA, NEXT, {VERSION: (*BETTER[VERSION], "UPDATE absent SET kind = 1")})
    assert not open_here(path)
    with closing(connect(path, SCHEMA, VERSION)) as connection:
        assert connection.execute("SELECT * FROM things").fetchall() == [(1, "a")]


def test_two_that_upgrade_at_once_do_it_once(path: Path) -> None:
    make(path, "a")
    gate = threading.Barrier(4)
    failed: list[Exception] = []

    def upgrade() -> None:
        gate.wait()
        try:
            connect(path, SCHEMA, NEXT, BETTER).close()
        except CryoFluxError as error:
            failed.append(error)

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with closing(connect(path, SCHEMA, NEXT, BETTER)) as connection:
        assert connection.execute("SELECT kind FROM things").fetchall() == [("old",)]


@pytest.mark.parametrize("damage", ["no database", "header", "first page", "cut"])
def test_a_tampered_file_is_refused(damage: str, path: Path) -> None:
    make(path, *(f"{number:0>200}" for number in range(200)))
    content = path.read_bytes()
    path.write_bytes(
        {
            "no database": b"minutes of the meeting\n" * 500,
            "header": b"SQLite format 4\x00" + content[16:],
            "first page": content[:100] + bytes(3996) + content[4096:],
            "cut": content[:2000],
        }[damage]
    )
    for use in (lambda: connect(path, SCHEMA, VERSION), lambda: read_only(path)):
        with pytest.raises(StateTamperedError) as caught:
            use()
        assert str(path) in caught.value.what
        assert caught.value.exit_code is ExitCode.NEGATIVE_VERDICT
        assert not open_here(path)


@given(st.data())
def test_no_damage_raises_anything_but_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(make(folder / "things.db", "a", "b").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "things.db").write_bytes(content)
    for opened in (lambda: read_only(folder / "things.db"), lambda: connect(folder / "things.db", SCHEMA, 3)):
        try:
            opened().close()
        except CryoFluxError as error:
            assert isinstance(error, StateError | StorageError)  # noqa: PT017 - either way is right
    shutil.rmtree(folder)


def test_what_cannot_be_opened_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file" / "things.db"):
        with pytest.raises(StorageError) as caught:
            connect(path, SCHEMA, VERSION)
        assert "--state DIR" in caught.value.hint
    for path in (tmp_path, tmp_path / "missing.db", tmp_path / "file" / "things.db"):
        with pytest.raises(StorageError):
            read_only(path)
    assert not (tmp_path / "missing.db").exists()


# Transactions


@pytest.mark.parametrize(
    "error", [Stop("enough"), KeyboardInterrupt(), StorageError("full"), GeneratorExit()]
)
def test_an_exception_takes_everything_back(error: BaseException, path: Path) -> None:
    with closing(connect(path, SCHEMA, VERSION)) as connection:
        add(connection, path, "before")
        with pytest.raises(type(error)) as caught:
            add_and_raise(connection, path, error)
        assert caught.value is error
        assert not connection.in_transaction
        add(connection, path, "after")
    assert names_in(path) == ["before", "after"]


def test_half_of_a_transaction_is_never_kept(path: Path) -> None:
    with closing(connect(path, SCHEMA, VERSION)) as connection:
        add(connection, path, "a")
        with pytest.raises(StateTamperedError, match="UNIQUE"):
            add(connection, path, "b", "c", "a")
        assert not connection.in_transaction
    assert names_in(path) == ["a"]


def test_others_see_a_transaction_only_when_it_is_done(path: Path) -> None:
    make(path, "a")
    with closing(connect(path, SCHEMA, VERSION)) as connection:
        with transaction(connection, path):
            connection.execute("INSERT INTO things (name) VALUES ('b')")
            assert names_in(path) == ["a"]
        assert names_in(path) == ["a", "b"]


def test_a_killed_writer_keeps_what_it_committed_and_nothing_else(path: Path) -> None:
    killed(path)
    assert names_in(path) == ["committed"]
    make(path, "after")
    assert names_in(path) == ["committed", "after"]


@pytest.mark.parametrize("size", [10, 3_000, 100_000])
def test_a_full_disk_is_called_one_and_takes_everything_back(size: int, path: Path) -> None:
    with closing(connect(path, SCHEMA, VERSION)) as connection:
        add(connection, path, "before")
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(StorageError, match="full") as caught:
            add_parts(connection, path, [bytes(size)] * (100_000 // size + 2))
        assert "Free some space" in caught.value.hint
        assert caught.value.exit_code is ExitCode.CANNOT_STORE
        assert not connection.in_transaction
        assert connection.execute("SELECT count(*) FROM parts").fetchone() == (0,)
        add(connection, path, "after")
    assert names_in(path) == ["before", "after"]


@pytest.mark.parametrize(("free", "said"), [(0, "the disk is full"), (10**9, "disk I/O error")])
def test_a_disk_without_room_for_the_index_of_a_log_is_called_full(
    free: int, said: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(connect(path, SCHEMA, VERSION)) as connection:
        usage = shutil.disk_usage(path.parent)._replace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
        with pytest.raises(StorageError, match=said) as caught, transaction(connection, path):
            raise sqlite3.OperationalError("disk I/O error")  # what SQLite says where it maps the index
        assert ("Free some space" in caught.value.hint) == (free == 0)


def test_a_second_writer_is_told_to_wait(path: Path) -> None:
    make(path)
    with closing(connect(path, SCHEMA, VERSION)) as first, closing(connect(path, SCHEMA, VERSION)) as second:
        second.execute("PRAGMA busy_timeout=1")
        with transaction(first, path):
            first.execute("INSERT INTO things (name) VALUES ('first')")
            with pytest.raises(StorageError, match="locked") as caught:
                add(second, path, "second")
        assert "Wait for the other process" in caught.value.hint
        add(second, path, "second")
    assert names_in(path) == ["first", "second"]


def test_a_view_is_one_view_whoever_writes_meanwhile_and_nobody_waits_for_it(path: Path) -> None:
    make(path, "a")
    with closing(connect(path, SCHEMA, VERSION)) as viewer, closing(connect(path, SCHEMA, VERSION)) as writer:
        with reading(viewer, path) as view:
            assert view.execute("SELECT count(*) FROM things").fetchone() == (1,)
            add(writer, path, "b")
            assert view.execute("SELECT count(*) FROM things").fetchone() == (1,)
        with reading(viewer, path) as view:
            assert view.execute("SELECT count(*) FROM things").fetchone() == (2,)
        with pytest.raises(StateTamperedError, match="no such table"), reading(viewer, path):
            viewer.execute("SELECT * FROM absent")
        assert not viewer.in_transaction


# Shared transactions


def together(path: Path, *wanted: Callable[[sqlite3.Connection], object]) -> tuple[list[object], int]:
    """What each is told that wants something while another one commits, and how many commits there were."""
    told: list[object] = []
    commits = []
    lock, busy, go = threading.RLock(), threading.Event(), threading.Event()
    with closing(connect(path, SCHEMA, VERSION)) as connection:
        shared = SharedTransactions(lock, lambda: transaction(connection, path))

        def first() -> None:
            busy.set()
            go.wait()

        def want(do: Callable[[sqlite3.Connection], object]) -> None:
            try:
                told.append(shared.run(lambda: do(connection)))
            except CryoFluxError as error:
                told.append(type(error))

        threads = [threading.Thread(target=shared.run, args=(first,))]
        threads[0].start()
        busy.wait()
        threads += [threading.Thread(target=want, args=(do,)) for do in wanted]
        for thread in threads[1:]:
            thread.start()
        until(lambda: len(shared._queue) == len(wanted), "all that want something")
        connection.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
        go.set()
        for thread in threads:
            thread.join()
    return told, len(commits)


def insert(name: str, error: Exception | None = None) -> Callable[[sqlite3.Connection], str]:
    def do(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO things (name) VALUES (?)", (name,))
        if error:
            raise error
        return name

    return do


def test_threads_that_wait_are_committed_together_and_each_is_told_its_own(path: Path) -> None:
    told, commits = together(path, *(insert(name) for name in "abcdef"))
    assert sorted(map(str, told)) == list("abcdef")
    assert commits == 2  # of the one that was under way, and of all others
    assert sorted(names_in(path)) == list("abcdef")


def test_one_that_fails_takes_back_its_own_changes_and_no_others(path: Path) -> None:
    told, commits = together(path, insert("a"), insert("b", StateError("no")), insert("c"))
    assert sorted(map(str, told)) == sorted(["a", "c", str(StateError)])
    assert commits == 2
    assert sorted(names_in(path)) == ["a", "c"]


def test_a_commit_that_fails_fails_for_all_who_shared_it(path: Path) -> None:
    make(path, "a")
    told, _ = together(path, insert("b"), insert("a"), insert("c"))
    assert told == [StateTamperedError] * 3
    assert names_in(path) == ["a"]


# Reading only


def test_a_reader_changes_nothing(path: Path) -> None:
    make(path, "a")
    before = snapshot(path.parent)
    assert list(before) == [path.name]
    with closing(read_only(path)) as connection:
        assert connection.execute("SELECT name FROM things").fetchall() == [("a",)]
        for change in ("DELETE FROM things", "CREATE TABLE more (id)", "PRAGMA user_version=9"):
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                connection.execute(change)
        assert snapshot(path.parent) == before
    assert snapshot(path.parent) == before


@pytest.mark.parametrize("name", ["a b?c#d.db", "100%25.db", "ü\u2028.db", "mode=rwc&x.db"])
def test_any_file_name_is_read(name: str, tmp_path: Path) -> None:
    make(tmp_path / name, "a")
    assert names_in(tmp_path / name) == ["a"]
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - bare names


def test_a_state_in_use_is_read_with_what_is_only_in_its_log(path: Path) -> None:
    make(path, "a")
    with closing(connect(path, SCHEMA, VERSION)) as writer:
        add(writer, path, "b")
        before = set(snapshot(path.parent))
        assert names_in(path) == ["a", "b"]
        assert set(snapshot(path.parent)) == before


def test_a_copy_of_a_state_in_use_is_read_and_nothing_is_put_beside_it(path: Path, tmp_path: Path) -> None:
    killed(path)
    copied = tmp_path / "copied" / path.name
    copied.parent.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        shutil.copyfile(path.with_name(name), copied.with_name(name))
    before = snapshot(copied.parent)
    with closing(read_only(copied)) as connection:
        assert connection.execute("SELECT name FROM things").fetchall() == [("committed",)]
        assert snapshot(copied.parent) == before
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM things")
    assert snapshot(copied.parent) == before
