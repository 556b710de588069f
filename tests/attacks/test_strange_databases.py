"""Databases with files beside them that SQLite would wait for, follow, or write into.

The innocent twins are a run that is at work, one that was killed, and copies of both.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import cryoflux.database
from bounded import bounded, failures
from cryoflux.database import read_only
from cryoflux.verification.result import Status
from verifying import verify_target

NAMES = ("receipts.db", "account.db")
AT_WORK = """
import sqlite3, sys
connections = [sqlite3.connect(path, isolation_level=None) for path in sys.argv[1:]]
for connection in connections:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE more (x)")
    connection.execute("DROP TABLE more")
print("ready", flush=True)
sys.stdin.read()
"""


def seen(state: Path) -> dict[str, tuple[object, ...]]:
    """Everything that there is, with its kind, its time and its bytes."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(state.rglob("*")):
        said = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(state))] = (said.st_mode, said.st_size, said.st_mtime_ns, content)
    return found


def beside(state: Path, name: str, part: str) -> Path:
    return state / f"{name}-{part}"


def no_log_mode(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def noise(state: Path, name: str) -> None:
    beside(state, name, "wal").write_bytes(os.urandom(5000))


def pipe_as_journal(state: Path, name: str) -> None:
    no_log_mode(state / name)
    noise(state, name)
    beside(state, name, "shm").write_bytes(bytes(40_000))
    os.mkfifo(beside(state, name, "journal"))


def pipe_as_index(state: Path, name: str) -> None:
    noise(state, name)
    os.mkfifo(beside(state, name, "shm"))


def pipe_as_log(state: Path, name: str) -> None:
    os.mkfifo(beside(state, name, "wal"))


def empty_index(state: Path, name: str) -> None:
    noise(state, name)
    beside(state, name, "shm").touch()


def noise_as_index(state: Path, name: str) -> None:
    noise(state, name)
    beside(state, name, "shm").write_bytes(os.urandom(40_000))


def link_as_index(state: Path, name: str) -> None:
    noise(state, name)
    (state.parent / "precious").write_bytes(b"precious")
    beside(state, name, "shm").symlink_to(state.parent / "precious")


def link_as_log(state: Path, name: str) -> None:
    beside(state, name, "wal").symlink_to("/dev/zero")
    beside(state, name, "shm").touch()


def nothing_with_a_log(state: Path, name: str) -> None:
    noise(state, name)
    beside(state, name, "shm").touch()
    (state / name).write_bytes(b"")


STRANGE = [
    pipe_as_journal,
    pipe_as_index,
    pipe_as_log,
    empty_index,
    noise_as_index,
    link_as_index,
    link_as_log,
    nothing_with_a_log,
]


@pytest.mark.parametrize("make", STRANGE)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_beside_a_database_is_waited_for_or_changed(state: Path, name: str, make: object) -> None:
    make(state, name)
    before = seen(state)
    wrong = failures(state, cpu_s=20, wall_s=60)
    assert seen(state) == before
    # what is not read as a part of the database does not make it another one
    assert bool(wrong) == (make in {pipe_as_log, link_as_log, nothing_with_a_log}), wrong
    if make is link_as_index:
        assert (state.parent / "precious").read_bytes() == b"precious"


def test_a_log_that_is_hardly_there_is_not_copied(state: Path) -> None:
    beside(state, "receipts.db", "wal").touch()
    os.truncate(beside(state, "receipts.db", "wal"), 2**42)
    assert "receipts.db" in " ".join(failures(state, cpu_s=20, wall_s=60).values())


# Innocent twins


@pytest.fixture
def worker(state: Path):
    """A process that has both databases of the state open, with commits that are only in their logs."""
    command = [sys.executable, "-c", AT_WORK, *(str(state / name) for name in NAMES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert all(beside(state, name, "wal").stat().st_size for name in NAMES)
        yield process
        process.kill()


def healthy(state: Path) -> bool:
    before = seen(state)
    good = not [check for check in verify_target(state).checks if check.status is Status.FAIL]
    assert seen(state) == before, "not even the time of a file"
    return good


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How SQLite is told to open what is only read."""
    found: list[str] = []
    real = cryoflux.database._open_to_read

    def opened(path: Path, options: str) -> sqlite3.Connection:
        found.append(options)
        return real(path, options)

    monkeypatch.setattr(cryoflux.database, "_open_to_read", opened)
    return found


def test_a_state_at_work_is_verified_where_it_lies(
    state: Path, worker: subprocess.Popen[str], ways: list[str]
) -> None:
    assert worker.poll() is None
    assert healthy(state)
    assert set(ways) == {"&readonly_shm=1"}


def test_a_state_whose_run_was_killed_is_verified(
    state: Path, worker: subprocess.Popen[str], tmp_path: Path
) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert healthy(state)
    for name in NAMES:
        beside(state, name, "shm").write_bytes(b"")
    assert healthy(state)
    for name in NAMES:
        beside(state, name, "shm").unlink()
    assert healthy(state)
    copied = tmp_path / "elsewhere"
    shutil.copytree(state, copied, symlinks=True)
    for name in NAMES:
        shutil.move(copied / name, tmp_path / name)
        shutil.move(beside(copied, name, "wal"), tmp_path / f"{name}-wal")
        (copied / name).symlink_to(tmp_path / name)
    assert healthy(copied), "a link to a database whose log lies beside it"


def test_what_is_only_in_a_log_is_read(state: Path, worker: subprocess.Popen[str]) -> None:
    with closing(sqlite3.connect(state / "receipts.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE found (x)")
        other.execute("INSERT INTO found VALUES (7)")
    assert worker.poll() is None
    for damage in (None, b"", b"x" * 32_768):
        if damage is not None:
            worker.kill()
            worker.wait()
            beside(state, "receipts.db", "shm").write_bytes(damage)
        with closing(read_only(state / "receipts.db")) as connection:
            assert connection.execute("SELECT x FROM found").fetchall() == [(7,)]


def test_a_log_that_is_begun_anew_while_it_is_copied_is_copied_again(
    state: Path, worker: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.kill()
    worker.wait()
    log = beside(state, "receipts.db", "wal")
    beside(state, "receipts.db", "shm").unlink()
    real, copies = cryoflux.database.copy_regular, []

    def copy(source: Path, target: Path) -> None:
        real(source, target)
        copies.append(source.name)
        if len(copies) == 1:
            content = bytearray(log.read_bytes())
            content[20] ^= 1
            log.write_bytes(content)

    monkeypatch.setattr(cryoflux.database, "copy_regular", copy)
    read_only(state / "receipts.db").close()
    assert copies == ["receipts.db", "receipts.db-wal"] * 2


def test_reading_ends_no_lock_of_the_process_that_reads(state: Path) -> None:
    code = """
import sqlite3, subprocess
from cryoflux.database import read_only
path = Path(sys.argv[3])
mine = sqlite3.connect(path, isolation_level=None)
mine.execute("CREATE TABLE mine (x)")
read_only(path).close()
other = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM mine'); c.close()"
subprocess.run([sys.executable, "-c", other, str(path)], check=True)
mine.execute("INSERT INTO mine VALUES (1)")
again = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT x FROM mine').fetchall())"
subprocess.run([sys.executable, "-c", again, str(path)], check=True)
"""
    assert bounded(code, state / "receipts.db", mib=2048).split() == ["[(1,)]"]
