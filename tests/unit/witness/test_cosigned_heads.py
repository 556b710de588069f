"""``log/heads`` keeps every head that a quorum cosigned: none goes, and only the last one changes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import Note, NoteSignature, cosigned_at
from cryoflux.witness.commitment import quorum_time
from cryoflux.witness.cosigned import HEADS, WITNESSED, keep_cosigned, newest_alone, parse_heads, with_head
from cryoflux.witness.policy import parse_policy
from running import python
from signed_log import OpenWitness, SignedLog

LOG = SignedLog()
TESTS = Path(__file__).parents[2]


@pytest.fixture
def watched(tmp_path: Path) -> OpenWitness:
    return OpenWitness(tmp_path / "a")


def cosigned(watched: OpenWitness, old: int, new: int) -> bytes:
    return LOG.note(new) + watched.add(LOG.submission(old, new)).body


def kept(folder: Path) -> list[int]:
    return [note.checkpoint.size for note in parse_heads((folder / HEADS).read_bytes())]


def signed_by(size: int, *names: str) -> Note:
    """A head with lines that look like cosignatures."""
    lines = tuple(NoteSignature(name, name.encode().ljust(4, b".")[:4], b"x" * 72) for name in names)
    return Note(LOG.head(size).checkpoint, (*LOG.head(size).signatures, *lines))


def test_every_cosigned_head_stays(tmp_path: Path, watched: OpenWitness) -> None:
    before = b""
    for old, new in [(0, 2), (2, 5), (5, 9)]:
        keep_cosigned(tmp_path, cosigned(watched, old, new))
        content = (tmp_path / HEADS).read_bytes()
        assert content.startswith(before)
        before = content
    assert kept(tmp_path) == [2, 5, 9]
    assert b"\n\n\n" not in before


def test_of_the_last_one_further_signatures_are_kept(tmp_path: Path, watched: OpenWitness) -> None:
    keep_cosigned(tmp_path, cosigned(watched, 0, 2))
    keep_cosigned(tmp_path, cosigned(watched, 2, 5))
    first = (tmp_path / HEADS).read_bytes()
    second = OpenWitness(tmp_path / "b")
    keep_cosigned(tmp_path, cosigned(second, 0, 5))
    assert (tmp_path / HEADS).read_bytes().startswith(first)
    last = parse_heads((tmp_path / HEADS).read_bytes())[-1]
    assert kept(tmp_path) == [2, 5]
    assert cosigned_at(last, watched.vkey)
    assert cosigned_at(last, second.vkey)


def test_a_head_that_is_cosigned_again_is_not_committed_later(tmp_path: Path, watched: OpenWitness) -> None:
    keep_cosigned(tmp_path, cosigned(watched, 0, 5))
    first_s, sizes = watched.clock.now_s, set[int]()
    policy = parse_policy(f"witness w {watched.vkey}\nquorum w\n".encode())
    for _ in range(3):
        watched.clock.now_s += 3600
        keep_cosigned(tmp_path, cosigned(watched, 5, 5))
        (head,) = parse_heads((tmp_path / HEADS).read_bytes())
        assert quorum_time(head, policy) == (True, first_s)
        assert cosigned_at(head, watched.vkey) == watched.clock.now_s, "and it is told that it had no more"
        assert newest_alone(head).content == (tmp_path / WITNESSED).read_bytes()
        sizes.add(len(head.content))
    assert len(sizes) == 1, "however often it is cosigned"


def test_an_older_head_that_comes_late_changes_nothing(tmp_path: Path, watched: OpenWitness) -> None:
    older = cosigned(watched, 0, 5)
    keep_cosigned(tmp_path, cosigned(watched, 5, 9))
    keep_cosigned(tmp_path, older)
    assert kept(tmp_path) == [9]


def test_a_state_that_had_only_its_last_head_goes_on(tmp_path: Path, watched: OpenWitness) -> None:
    (tmp_path / WITNESSED).write_bytes(cosigned(watched, 0, 5))
    keep_cosigned(tmp_path, cosigned(watched, 5, 9))
    assert kept(tmp_path) == [5, 9]


def test_a_spoilt_file_is_put_aside(tmp_path: Path, watched: OpenWitness) -> None:
    (tmp_path / HEADS).write_bytes(b"\xff" * 1000)
    keep_cosigned(tmp_path, cosigned(watched, 0, 5))
    assert kept(tmp_path) == [5]
    assert (tmp_path / f"{HEADS}.damaged").read_bytes() == b"\xff" * 1000


@given(st.lists(st.tuples(st.integers(1, 9), st.sets(st.sampled_from("abc"), min_size=1)), max_size=12))
def test_what_is_kept_only_ever_grows(told: list[tuple[int, set[str]]]) -> None:
    content, notes = b"", tuple[Note, ...]()
    for size, names in told:
        content = with_head(content, signed_by(size, *sorted(names)))
        before, notes = notes, parse_heads(content)
        assert [note.checkpoint for note in notes[: len(before)]] == [note.checkpoint for note in before]
        assert notes[: len(before) - 1] == before[:-1]
        assert all(
            set(one.signatures) <= set(two.signatures) for one, two in zip(before, notes, strict=False)
        )
    largest = max((size for size, _ in told), default=0)
    assert not told or notes[-1].checkpoint.size == largest


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n",
        LOG.note(5)[:-1],
        LOG.note(5) + LOG.note(9),
        LOG.note(9) + b"\n" + LOG.note(5),
        LOG.note(5) + b"\n" + LOG.note(5),
        LOG.note(5) + b"\n" + SignedLog(origin="log.example/2").note(9),
        LOG.note(5) + b"\n\n" + LOG.note(9),
        LOG.note(5) + b"\n",
        b"\n" + LOG.note(5),
        b"\xff" + LOG.note(5),
    ],
)
def test_what_is_no_list_of_heads_is_refused(content: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_heads(content)


def test_no_heads_are_no_bytes() -> None:
    assert parse_heads(b"") == ()


KILLED = """
import sys
from pathlib import Path
from cryoflux.witness.cosigned import keep_cosigned
from dying import die_at
die_at(int(sys.argv[1]), "open", "fsync", "write", "replace")
keep_cosigned(Path(sys.argv[2]), Path(sys.argv[3]).read_bytes())
"""


def test_a_crash_leaves_the_heads_of_before_or_of_after(tmp_path: Path, watched: OpenWitness) -> None:
    note = tmp_path / "note"
    first = cosigned(watched, 0, 5)
    note.write_bytes(cosigned(watched, 5, 9))
    died = 0
    while True:
        folder = tmp_path / f"log-{died}"
        keep_cosigned(folder, first)
        process = python("-c", KILLED, died + 1, folder, note, light=True, cwd=TESTS)
        process.communicate()
        assert kept(folder) in ([5], [5, 9])
        if process.returncode != -signal.SIGKILL:
            break
        keep_cosigned(folder, note.read_bytes())
        assert kept(folder) == [5, 9]
        died += 1
    assert process.returncode == os.EX_OK
    assert kept(folder) == [5, 9]
    assert died > 5
