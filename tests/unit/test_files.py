from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cryoflux.errors import ExitCode, StateLockedError, StorageError
from cryoflux.files import lock_exclusively, replace_symlink, storage_errors, sync_folder, write_atomic

OLD, NEW = b"old" * 200_000, b"new" * 300_000
AS_ROOT = os.geteuid() == 0

# Dies for good at the moment that it is told: nothing is flushed, closed or cleaned up.
DIES = """
import os, signal, sys
from pathlib import Path
from cryoflux import files

moment, path = sys.argv[1], Path(sys.argv[2])
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def after(step):
    return lambda *arguments: (step(*arguments), die())
changes = {
    "before the bytes are flushed": lambda: setattr(os, "fsync", die),
    "after the bytes are flushed": lambda: setattr(os, "fsync", after(os.fsync)),
    "before it gets its name": lambda: setattr(Path, "replace", die),
    "after it got its name": lambda: setattr(Path, "replace", after(Path.replace)),
    "before the folder is flushed": lambda: setattr(files, "sync_folder", die),
}
changes[moment]()
if sys.argv[3] == "file":
    files.write_atomic(path, b"new" * 300_000)
else:
    files.replace_symlink(path, "new")
"""
WRITES = """
import sys
from pathlib import Path
from cryoflux.files import write_atomic

contents = b"old" * 200_000, b"new" * 300_000
print("writing", flush=True)
while True:
    for content in contents:
        write_atomic(Path(sys.argv[1]), content)
"""
TOO_LARGE = """
import resource, sys
from pathlib import Path
from cryoflux.errors import StorageError
from cryoflux.files import write_atomic

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_atomic(Path(sys.argv[1]), b"new" * 300_000)
except StorageError as error:
    print(*error.lines(), sep="\\n")
"""
HOLDS = """
import sys, time
from pathlib import Path
from cryoflux.files import lock_exclusively

with lock_exclusively(Path(sys.argv[1]), holder="cryoflux run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def python(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


# The old file or the new one


@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("before the bytes are flushed", OLD),
        ("after the bytes are flushed", OLD),
        ("before it gets its name", OLD),
        ("after it got its name", NEW),
        ("before the folder is flushed", NEW),
    ],
)
def test_a_writer_that_is_killed_leaves_the_old_file_or_the_new_one(
    moment: str, left: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    assert python(DIES, moment, path, "file").returncode == -signal.SIGKILL
    assert path.read_bytes() == left
    write_atomic(path, NEW)  # what was left behind is in nobody's way
    assert path.read_bytes() == NEW


def test_a_first_write_that_is_killed_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert python(DIES, "before it gets its name", path, "file").returncode == -signal.SIGKILL
    assert not path.exists()


def test_a_writer_that_is_killed_at_any_time_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    for _ in range(4):
        writer = start(WRITES, path)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        seen = {path.read_bytes() for _ in range(40)}  # a reader meanwhile never sees a part either
        end(writer)
        assert {*seen, path.read_bytes()} <= {OLD, NEW}


@pytest.mark.parametrize(
    ("moment", "target"), [("before it gets its name", "old"), ("after it got its name", "new")]
)
def test_a_link_that_is_moved_by_a_killed_process_points_somewhere(
    moment: str, target: str, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to("old")
    assert python(DIES, moment, link, "link").returncode == -signal.SIGKILL
    assert str(link.readlink()) == target


def test_what_is_written_is_all_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    for content in (b"", b"one", b"three"):
        write_atomic(path, content)
        assert path.read_bytes() == content
        assert [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_the_mode_is_that_which_was_asked_for(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o666)
    mask = os.umask(0)
    try:
        write_atomic(path, b"new", mode=mode)
        write_atomic(tmp_path / "usual", b"new")
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o7777 == mode
    assert (tmp_path / "usual").stat().st_mode & 0o7777 == 0o644


def test_a_link_to_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"kept")
    (tmp_path / "link").symlink_to("elsewhere")
    write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "elsewhere").read_bytes() == b"kept"
    assert not (tmp_path / "link").is_symlink()


def test_a_file_that_grows_too_large_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    done = python(TOO_LARGE, path)
    assert done.stdout.startswith(f"{path} could not be written: File too large.\n"), done.stderr
    assert path.read_bytes() == OLD
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_link_is_replaced_whatever_it_pointed_at(tmp_path: Path) -> None:
    link = tmp_path / "link"
    for target in ("nowhere", "models/a", "models/b", "models/b"):
        replace_symlink(link, target)
        assert str(link.readlink()) == target
        assert [p.name for p in tmp_path.iterdir()] == ["link"]
    link.unlink()
    link.write_bytes(b"a file in the place of the link")
    replace_symlink(link, "models/c")
    assert str(link.readlink()) == "models/c"


def test_a_folder_in_the_way_is_kept_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "name"
    folder.mkdir()
    (folder / "file").write_bytes(b"kept")
    for write in (lambda: replace_symlink(folder, "target"), lambda: write_atomic(folder, b"new")):
        with pytest.raises(StorageError, match="Is a directory"):
            write()
        assert [p.name for p in tmp_path.iterdir()] == ["name"]
    assert (folder / "file").read_bytes() == b"kept"


# What the operating system refuses


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only: choose another folder with --state DIR"),
        (errno.EACCES, "choose another folder with --state DIR"),
        (errno.EPERM, "choose another folder with --state DIR"),
        (errno.ENOTDIR, "choose another folder with --state DIR"),
        (errno.EIO, "Check the disk"),
    ],
)
def test_a_refusal_says_what_to_do_about_it(number: int, words: str) -> None:
    with pytest.raises(StorageError) as caught, storage_errors(Path("state/file")):
        raise OSError(number, os.strerror(number))
    assert caught.value.what == f"state/file could not be written: {os.strerror(number)}."
    assert words in caught.value.hint
    assert caught.value.why
    assert caught.value.exit_code is ExitCode.CANNOT_STORE
    assert isinstance(caught.value.__cause__, OSError)


def test_a_refusal_without_a_number_is_told_in_its_own_words() -> None:
    with (
        pytest.raises(StorageError, match=r"could not be written: the tape is torn\."),
        storage_errors(Path()),
    ):
        raise OSError("the tape is torn")


def test_a_refusal_is_explained_once_and_other_errors_not_at_all() -> None:
    first = StorageError("the first", hint="its hint")
    for error in (first, ValueError("a mistake of ours"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, storage_errors(Path("outer")):
            raise error
        assert caught.value is error


@pytest.mark.parametrize("operation", ["write", "link", "lock"])
def test_a_file_in_the_place_of_a_folder(operation: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "below" / "name"
    with pytest.raises(StorageError) as caught:
        attempt(operation, path)
    assert str(path) in caught.value.what
    assert caught.value.hint == "A part of that path is a file: choose another folder with --state DIR."


@pytest.mark.skipif(AS_ROOT, reason="root may write anywhere")
@pytest.mark.parametrize("operation", ["write", "link", "lock"])
def test_a_folder_that_may_not_be_written_to(operation: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError) as caught:
            attempt(operation, tmp_path / "name")
    finally:
        tmp_path.chmod(0o700)
    assert caught.value.hint == "You may not write there: choose another folder with --state DIR."
    assert not list(tmp_path.iterdir())


def attempt(operation: str, path: Path) -> None:
    if operation == "write":
        write_atomic(path, b"content")
    elif operation == "link":
        replace_symlink(path, "target")
    else:
        with lock_exclusively(path, holder="test"):
            pass


def test_only_a_folder_is_flushed_as_one(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")


# Who holds it


def test_a_live_process_keeps_its_lock_and_a_killed_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    holder = start(HOLDS, path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    for _ in range(2):
        with pytest.raises(StateLockedError) as caught, lock_exclusively(path, holder="second"):
            pytest.fail("two hold one lock")
        assert caught.value.what == f"{path.parent} is in use by cryoflux run (process {holder.pid})."
        assert "--state DIR" in caught.value.hint
    end(holder)  # kill -9: it releases nothing itself
    with lock_exclusively(path, holder="second"):
        assert path.read_text() == f"second (process {os.getpid()})\n"


def test_a_lock_ends_with_its_block_however_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyboardInterrupt), lock_exclusively(path, holder="a rather long name"):
        raise KeyboardInterrupt
    with lock_exclusively(path, holder="b"):
        assert path.read_text() == f"b (process {os.getpid()})\n"
        with pytest.raises(StateLockedError, match="in use by b "), lock_exclusively(path, holder="c"):
            pytest.fail("two hold one lock")
    assert path.exists()
    assert path.stat().st_mode & 0o077 == 0


def test_errors_within_a_lock_are_not_those_of_the_lock(tmp_path: Path) -> None:
    mistake = OSError(errno.ENOSPC, "of the block")
    with pytest.raises(OSError, match="of the block") as caught, lock_exclusively(tmp_path / "l", holder="a"):
        raise mistake
    assert caught.value is mistake


def test_a_lock_that_cannot_be_marked_is_a_storage_error_and_not_held(tmp_path: Path) -> None:
    # The device accepts a lock and refuses the holder's name, as a full disk does.
    (tmp_path / "lock").symlink_to("/dev/full")
    for _ in range(2):
        with pytest.raises(StorageError, match="could not be written"):
            attempt("lock", tmp_path / "lock")


def test_a_file_system_without_locks_is_not_taken_for_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(StorageError, match="No locks available"):
        attempt("lock", tmp_path / "lock")
