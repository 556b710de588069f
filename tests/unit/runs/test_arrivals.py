"""Which files of a watched folder are finished, whatever happens to the folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cryoflux.data.formats import read_arrived
from cryoflux.errors import DataError
from cryoflux.runs import arrivals
from cryoflux.runs.arrivals import Arrivals

SECOND = 10**9


def put(folder: Path, name: str, written_ns: int, text: str = "text,label\na,b\n") -> Path:
    path = folder / name
    path.write_text(text)
    os.utime(path, ns=(written_ns, written_ns))
    return path


def names(found: list[Path]) -> list[str]:
    return [path.name for path in found]


def test_a_file_is_given_once_nobody_writes_to_it_and_again_when_it_was_written_to(tmp_path: Path) -> None:
    now = [10 * SECOND]
    looked = Arrivals(tmp_path, lambda: now[0])
    put(tmp_path, "old.csv", 5 * SECOND)
    put(tmp_path, "fresh.csv", 10 * SECOND)
    put(tmp_path, "future.csv", 99 * SECOND)  # the clock was set back; it is not waited for
    put(tmp_path, ".hidden.csv", 5 * SECOND)
    put(tmp_path, "notes.txt", 5 * SECOND)
    assert names(looked.finished()) == ["future.csv", "old.csv"]
    now[0] += 2 * SECOND
    assert names(looked.finished()) == ["fresh.csv"]
    assert looked.finished() == []
    put(tmp_path, "old.csv", 6 * SECOND, "text,label\nc,d\n")
    assert names(looked.finished()) == ["old.csv"]


def test_what_is_no_file_is_never_given(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nothing")
    (tmp_path / "self.csv").symlink_to(tmp_path / "self.csv")
    (tmp_path / "folder.csv").mkdir()
    assert Arrivals(tmp_path).finished() == []
    for name in ("pipe.csv", "zero.csv"):  # where one takes the place of a file after the look
        with pytest.raises(DataError, match="no regular file"):
            read_arrived(tmp_path / name)


def test_a_folder_that_goes_is_named_and_nothing_is_read_twice_when_it_comes_back(tmp_path: Path) -> None:
    folder, away = tmp_path / "in", tmp_path / "away"
    folder.mkdir()
    put(folder, "one.csv", SECOND)
    looked = Arrivals(folder)
    assert names(looked.finished()) == ["one.csv"]
    folder.rename(away)
    assert looked.finished() == []
    assert "in cannot be read" in looked.problem
    away.rename(folder)
    assert looked.finished() == []
    assert looked.problem == ""
    (folder / "one.csv").unlink()
    folder.rmdir()
    folder.mkdir()
    put(folder, "two.csv", SECOND)
    assert names(looked.finished()) == ["two.csv"]


def test_more_files_than_are_looked_at_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "_MOST_FILES", 3)
    for n in range(3):
        put(tmp_path, f"{n}.csv", SECOND)
    looked = Arrivals(tmp_path)
    assert (len(looked.finished()), looked.problem) == (3, "")
    put(tmp_path, "3.csv", SECOND)
    looked.finished()
    assert "more than 3 files" in looked.problem


def test_a_file_of_any_size_is_refused_and_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.csv").open("w") as stream:
        stream.write("text,label\n")
        stream.truncate(2**36)
    with pytest.raises(DataError, match="more than are read"):
        read_arrived(tmp_path / "huge.csv")
