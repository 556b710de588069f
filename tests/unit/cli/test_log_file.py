"""The log of events: moved away, truncated, on a full disk, with names that are no text."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path

import pytest

from cryoflux.cli.console import as_json_line
from cryoflux.cli.log_file import LogFile
from cryoflux.errors import UsageError


def lines(path: Path) -> list[int]:
    """What was written, with -1 for what is no document."""
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line)["n"])
        except ValueError:
            found.append(-1)
    return found


def test_a_log_goes_on_after_each_way_of_rotation(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = LogFile(path)
    log.write("run/1", {"n": 1})
    path.rename(tmp_path / "moved")
    log.write("run/1", {"n": 2})
    assert (lines(tmp_path / "moved"), lines(path)) == ([1], [2])
    os.truncate(path, 0)
    log.write("run/1", {"n": 3})
    path.unlink()
    log.ask_reopen()
    log.write("run/1", {"n": 4})
    assert lines(path) == [4]


def test_a_line_that_was_cut_off_spoils_no_other_one(tmp_path: Path) -> None:
    path, told = tmp_path / "events.jsonl", list[str]()
    log = LogFile(path, told.append)
    log.write("run/1", {"n": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, before[1]))
        log.write("run/1", {"n": 2})
        log.write("run/1", {"n": 3})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    log.write("run/1", {"n": 4})
    log.write("run/1", {"n": 5})
    assert lines(path) == [1, -1, 4, 5]
    assert len(told) == 2, told
    assert "2 events are missing" in told[1]
    with path.open("a") as stream:
        stream.write('{"of a run that was kil')
    LogFile(path).write("run/1", {"n": 6})
    assert lines(path) == [1, -1, 4, 5, -1, 6]


def test_what_cannot_be_a_log_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "none" / "events", tmp_path / "pipe"):
        with pytest.raises(UsageError, match="cannot be written"):
            LogFile(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_said_once(tmp_path: Path) -> None:
    told: list[str] = []
    log = LogFile(Path("/dev/full"), told.append)
    for n in range(3):
        log.write("run/1", {"n": n})
    assert len(told) == 1
    assert os.strerror(28) in told[0]


def test_a_name_that_is_no_text_is_written_as_json_all_the_same(tmp_path: Path) -> None:
    name = os.fsdecode(b"no\xfftext \xc3\xa9")
    line = as_json_line("run/1", {"file": name, "bound": float("inf")})
    assert "é" in line
    assert json.loads(line.encode()) == {"schema": "cryoflux.run/1", "file": name, "bound": None}
    log = LogFile(tmp_path / "events.jsonl")
    log.write("run/1", {"n": 1, "file": name})
    assert lines(tmp_path / "events.jsonl") == [1]
