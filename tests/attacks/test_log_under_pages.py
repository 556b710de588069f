"""A log that is locked, cut, replaced or taken away while its pages are served."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from html import unescape
from pathlib import Path

import httpx2
import pytest

from browser import Dashboard, dashboard
from cryoflux.errors import StateTamperedError
from cryoflux.queries.followed import Followed
from synthetic_state import make_state, open_state
from waiting import until

PAGES = ("/", "/attempts", "/attempts.csv", "/attempts/1", "/models", "/energy", "/receipts", "/receipts/1")
TOLD_ALL_THE_SAME = {"/", "/receipts"}
"""pages that are there also where the log cannot be read, and say so"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return make_state(tmp_path / "state").path


@pytest.fixture
def served(state: Path) -> Iterator[Dashboard]:
    with dashboard(state) as running:
        yield running


def text_of(answer: httpx2.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def connected(state: Path, *statements: str) -> sqlite3.Connection:
    connection = sqlite3.connect(state / "receipts.db", isolation_level=None)
    for statement in statements:
        connection.execute(statement).fetchall()
    return connection


@pytest.mark.parametrize(
    "statements",
    [
        ("BEGIN EXCLUSIVE",),
        ("PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE"),
        ("PRAGMA journal_mode=DELETE", "BEGIN EXCLUSIVE"),
    ],
)
def test_who_locks_the_log_holds_up_no_page(
    state: Path, served: Dashboard, statements: tuple[str, ...]
) -> None:
    with closing(connected(state, *statements)):
        for path in PAGES:
            assert served.get(path).status_code == 200, path


def cut(log: Path) -> None:
    os.truncate(log, log.stat().st_size // 2)


def remove(log: Path) -> None:
    log.unlink()


def make_folder(log: Path) -> None:
    log.unlink()
    log.mkdir()


def make_pipe(log: Path) -> None:
    log.unlink()
    os.mkfifo(log)


def overwrite(log: Path) -> None:
    log.write_bytes(os.urandom(50_000))


def empty(log: Path) -> None:
    os.truncate(log, 0)


HARMS: dict[Callable[[Path], None], str] = {
    cut: "malformed",
    empty: "the table entries is not as it was made",
    overwrite: "file is not a database",
    remove: "receipts.db is gone.",
    make_folder: "receipts.db is no file.",
    make_pipe: "receipts.db is no file.",
}


def says_so_everywhere(served: Dashboard, name: str, says: str) -> None:
    for path in PAGES:
        answer = served.get(f"/s/{name}{path}")
        assert answer.status_code == (200 if path in TOLD_ALL_THE_SAME else 409), (name, path)
        said = text_of(answer)
        assert says in said, (name, path)
        for wrong in ("mistake of ours", "Traceback", "Nothing judged yet", "No attempt has ended"):
            assert wrong not in said, (name, path)


def says_so_no_more(served: Dashboard, name: str, says: str) -> None:
    for path in PAGES:
        answer = served.get(f"/s/{name}{path}")
        assert answer.status_code == 200, (name, path)
        assert path == "/receipts" or says not in text_of(answer), (name, path)


def test_pages_say_what_happened_to_the_log_and_go_on_once_it_is_back(state: Path, tmp_path: Path) -> None:
    """Each harm to a state that was looked at before and to one that was not, all of them served at once."""
    harms = {f"{harm.__name__}-{seen}": harm for harm in HARMS for seen in ("seen", "never")}
    for name in harms:
        shutil.copytree(state, tmp_path / name, symlinks=True)
    with dashboard(*(tmp_path / name for name in harms)) as served:
        for name, harm in harms.items():
            if name.endswith("-seen"):
                served.get(f"/s/{name}/attempts")
            harm(tmp_path / name / "receipts.db")
            says_so_everywhere(served, name, HARMS[harm])
        for name in harms:
            log = tmp_path / name / "receipts.db"
            log.rmdir() if log.is_dir() else log.unlink(missing_ok=True)
            shutil.copy(state / "receipts.db", log)
        for name, harm in harms.items():
            says_so_no_more(served, name, HARMS[harm])
        for name, harm in harms.items():  # what was verified stands there until it is verified again
            page, says = f"/s/{name}/receipts", HARMS[harm]
            until(lambda page=page, says=says: says not in text_of(served.get(page)), f"{name} is verified")


def test_another_log_in_its_place_is_shown_whole_and_nothing_of_the_one_before(
    state: Path, served: Dashboard, tmp_path: Path
) -> None:
    assert "#3" in served.get("/attempts").text
    other = open_state(tmp_path / "other")
    other.conclude_attempt(other.announce(arm="of-another-log"), 0.05)
    other.finish()
    for path in tuple(state.iterdir()):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    emptied = text_of(served.get("/"))
    assert "log of 0 entries" in emptied
    assert "cannot be read" not in emptied, "a folder that was emptied is a new state"
    shutil.copytree(other.path, state, symlinks=True, dirs_exist_ok=True)
    for path in PAGES:
        answer = served.get(path)
        assert answer.status_code == 200
        assert "#3" not in text_of(answer), path
    assert "of-another-log" in served.get("/attempts").text


def test_an_entry_of_another_log_is_not_shown_on_a_page_of_this_one(state: Path, tmp_path: Path) -> None:
    """Exchanged between the look at the log and the page that is made from it."""
    followed = Followed(state)
    followed.refresh()
    other = open_state(tmp_path / "other")
    other.conclude_attempt(other.announce(arm="of-another-log"), 0.01)
    other.finish()
    shutil.copy(other.path / "receipts.db", state / "receipts.db")
    with pytest.raises(StateTamperedError, match="not the one that was read before"):
        followed.entry(0)
    followed.refresh()
    assert [one.arm for one in followed.attempts] == ["of-another-log"]
