from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cryoflux.errors import VerificationError
from cryoflux.verification.binding import Binding
from cryoflux.verification.remembered import (
    RememberedHead,
    format_remembered,
    parse_remembered,
    recall,
    remember,
)
from cryoflux.verification.result import Knowledge, Report, Status
from cryoflux.witness.evidence import check_equivocation, parse_equivocation
from signed_log import SignedLog
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

NOW = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)


def said(report: Report) -> list[tuple[Status, str, str]]:
    return [(c.status, c.subject, c.detail) for c in report.checks if c.number == 13]


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    return made


def copy(made: SyntheticState, place: Path) -> Path:
    return shutil.copytree(made.path, place, symlinks=True)


def fork_of(made: SyntheticState, place: Path) -> SyntheticState:
    """A copy that goes on by itself, with the same keys."""
    return made.fork(place)


def test_the_first_time_is_remembered_and_the_second_compared(state: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads"
    assert said(verify_target(state, heads=heads)) == []
    (status, _, detail) = said(verify_target(state, heads=heads))[0]
    assert (status, detail) == (Status.OK, "begins with the 8 entries that were seen before")
    assert verify_target(state, heads=heads).checks[-1].knowledge is Knowledge.PROVEN


def test_without_a_memory_nothing_is_compared(state: Path) -> None:
    assert said(verify_target(state)) == []


def test_a_log_that_grew_continues(made: SyntheticState, tmp_path: Path) -> None:
    verify_target(made.path, heads=tmp_path / "heads")
    made.attempt(0.02)
    made.finish()
    assert "begins with the 2 entries" in said(verify_target(made.path, heads=tmp_path / "heads"))[0][2]
    assert "begins with the 4 entries" in said(verify_target(made.path, heads=tmp_path / "heads"))[0][2]


def test_an_older_copy_is_a_rollback(made: SyntheticState, tmp_path: Path) -> None:
    backup = copy(made, tmp_path / "backup")
    made.attempt(0.02)
    made.finish()
    assert verify_target(backup).ok
    assert verify_target(made.path, heads=tmp_path / "heads").ok
    report = verify_target(backup, heads=tmp_path / "heads")
    assert not report.ok
    assert "4 entries were seen before, now there are 2" in said(report)[0][2]
    assert verify_target(made.path, heads=tmp_path / "heads").ok  # the memory did not go back with it


def test_another_history_is_proven_to_everybody(made: SyntheticState, tmp_path: Path) -> None:
    other = fork_of(made, tmp_path / "fork")
    made.attempt(0.02)
    made.finish()
    other.attempt(0.03)
    other.finish()
    assert verify_target(other.path).ok
    heads = tmp_path / "heads"
    verify_target(made.path, heads=heads)
    report = verify_target(other.path, heads=heads)
    (_, _, detail), (status, file, _) = said(report)
    assert "another history" in detail
    assert status is Status.FAIL
    assert "signed two heads of 4 entries" in check_equivocation(parse_equivocation(Path(file).read_bytes()))


def test_a_longer_fork_is_proven_too(made: SyntheticState, tmp_path: Path) -> None:
    other = fork_of(made, tmp_path / "fork")
    made.attempt(0.02)
    made.finish()
    for gain in (0.03, 0.03):
        other.attempt(gain)
    other.finish()
    verify_target(made.path, heads=tmp_path / "heads")
    (_, (_, file, _)) = said(verify_target(other.path, heads=tmp_path / "heads"))
    assert "whose first 4 have root" in check_equivocation(parse_equivocation(Path(file).read_bytes()))


def test_a_log_that_does_not_verify_is_not_remembered(state: Path, tmp_path: Path) -> None:
    (state / "log" / "tile" / "0" / "000.p" / "8").write_bytes(b"spoilt")
    assert not verify_target(state, heads=tmp_path / "heads").ok
    assert not (tmp_path / "heads").exists()


def test_a_spoilt_memory_is_a_failed_check(state: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads"
    verify_target(state, heads=heads)
    (file,) = (path for path in heads.iterdir() if path.suffix != ".verified")
    file.write_bytes(b"spoilt")
    assert said(verify_target(state, heads=heads))[0][0] is Status.FAIL
    file.unlink()
    file.mkdir()
    assert said(verify_target(state, heads=heads))[0][0] is Status.FAIL


def test_a_memory_that_cannot_be_written_is_said_and_fails_nothing(state: Path, tmp_path: Path) -> None:
    (tmp_path / "heads").write_text("in the way")
    report = verify_target(state, heads=tmp_path / "heads" / "deeper")
    assert [status for status, _, _ in said(report)] == [Status.UNKNOWN]
    assert report.ok


def test_a_smaller_head_never_takes_the_place_of_a_larger_one(tmp_path: Path) -> None:
    log = SignedLog()
    for size in (5, 9, 3):
        remember(tmp_path, log.note(size), log.vkey, Binding.NAMED, NOW)
    found = recall(tmp_path, log.origin)
    assert found is not None
    assert (found.point.size, found.log, found.binding) == (9, log.vkey, Binding.NAMED)
    assert found.at == "2026-11-24T01:02:03Z"
    assert recall(tmp_path, "another") is None
    with pytest.raises(VerificationError):
        remember(tmp_path, b"nonsense", log.vkey, Binding.NAMED, NOW)


def test_a_head_whose_key_nothing_vouches_for_is_never_written(tmp_path: Path) -> None:
    log = SignedLog()
    with pytest.raises(ValueError, match="nothing vouches"):
        remember(tmp_path, log.note(5), log.vkey, Binding.NONE, NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_head_is_read_as_it_was_written_and_so_is_that_of_an_older_version() -> None:
    log = SignedLog()
    head = RememberedHead(log.head(5), log.vkey, Binding.ENTRY, "2026-11-24T01:02:03Z")
    assert parse_remembered(format_remembered(head)) == head
    assert parse_remembered(log.note(5)) == RememberedHead(log.head(5))
    spoilt = format_remembered(head)
    for old, new in ((b"binding", b"bound"), (b"first-entry", b"somebody"), (b"log ", b"log x")):
        with pytest.raises(VerificationError):
            parse_remembered(spoilt.replace(old, new, 1))
