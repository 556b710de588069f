"""A verifier that holds proof of two histories is shown one of them again; and a memory that is half spoilt.

The proof convicts whoever holds the key, or somebody who copied the state: it is a question, and never gone.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cryoflux.claims.check import check_claim
from cryoflux.claims.making import ClaimScope, make_claim
from cryoflux.receipts.checkpoint import origin_of
from cryoflux.signing.keys import load_public_key
from cryoflux.verification.remembered import remembered_logs
from cryoflux.verification.result import Report, Status
from cryoflux.witness.evidence import Equivocation
from running import exit_code_of as run
from signed_log import SignedLog
from synthetic_state import open_state
from verifying import verify_target

Stories = tuple[Path, Path]


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    return tmp_path / "heads"


@pytest.fixture
def stories(tmp_path: Path) -> Stories:
    """Two histories of one log, of the same size."""
    made = open_state(tmp_path / "one")
    made.attempt(0.05)
    twin = made.fork(tmp_path / "two")
    made.attempt(0.02)
    twin.attempt(0.03)
    return made.finish(), twin.finish()


def shown(state: Path, heads: Path) -> Report:
    return verify_target(state, key=load_public_key(state / "keys" / "receipt.pub"), heads=heads)


def asked(report: Report) -> list[str]:
    return [c.detail for c in report.checks if c.number == 13 and c.status is Status.UNKNOWN]


def test_the_first_story_shown_again_is_not_verified_without_a_word(stories: Stories, heads: Path) -> None:
    first, second = stories
    assert asked(shown(first, heads)) == []
    assert not shown(second, heads).ok
    report = shown(first, heads)
    (question,) = asked(report)
    (proof,) = heads.glob("*.equivocation")
    assert "signed another history beside this one: a copied state does that" in question
    assert str(proof) in question
    assert report.ok  # it convicts nobody who only copied a state
    assert "what was seen before (log key signed another history beside this one)" in report.exceptions


def test_nor_is_the_second_once_the_first_was_forgotten(
    stories: Stories, heads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = stories
    shown(first, heads)
    shown(second, heads)
    name = origin_of(load_public_key(first / "keys" / "receipt.pub"))
    assert run(monkeypatch, "memory", "forget", name, "--heads", heads, "--yes") == 0
    for _ in range(2):
        assert len(asked(shown(second, heads))) == 1


def test_a_claim_about_either_says_so_too(stories: Stories, heads: Path) -> None:
    first, second = stories
    shown(first, heads)
    shown(second, heads)
    key = load_public_key(first / "keys" / "receipt.pub")
    for scope in (ClaimScope(), ClaimScope(last=1)):
        content = make_claim(first, "delta >= 0.001", scope).content
        report = check_claim(content, Path("claim.json"), key=key, heads=heads).report
        assert any("signed another history" in detail for detail in asked(report))
        assert report.ok


def test_what_shows_nothing_is_held_against_nobody(stories: Stories, tmp_path: Path, heads: Path) -> None:
    first, _ = stories
    shown(first, heads)
    another = open_state(tmp_path / "another")
    another.attempt(0.05)
    other = another.finish()
    log, fork = SignedLog(), SignedLog("b", forked_at=2)
    of_another_log = Equivocation(log.vkey, log.head(5), fork.head(5))
    same_head_twice = Equivocation(log.vkey, log.head(5), log.head(5))
    for number, found in enumerate((of_another_log, same_head_twice)):
        (heads / f"{number}.equivocation").write_bytes(found.content)
    (heads / "2.equivocation").write_bytes(b"nonsense")
    for state in (first, other):
        report = shown(state, heads)
        assert report.ok
        assert asked(report) == []


def test_one_file_that_cannot_be_read_does_not_hide_the_other_logs(
    stories: Stories, heads: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = stories
    shown(first, heads)
    name = origin_of(load_public_key(first / "keys" / "receipt.pub"))
    damaged = heads / ("0" * 32)
    damaged.write_bytes(b"cryoflux.dev/remembered@v1\n")
    os.mkfifo(heads / "pipe.equivocation")
    os.mkfifo(heads / ("1" * 32))
    os.mkfifo(heads / "pipe.verified")
    (heads / ("2" * 32)).symlink_to("/dev/zero")
    assert run(monkeypatch, "memory", "list", "--heads", heads, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [log["origin"] for log in document["logs"]] == [name]
    assert len(document["unreadable"]) == 4
    assert run(monkeypatch, "memory", "list", "--heads", heads) == 0
    assert f"{damaged} cannot be read" in capsys.readouterr().out
    assert shown(first, heads).ok
    assert run(monkeypatch, "memory", "forget", name, "--heads", heads, "--yes") == 0
    assert remembered_logs(heads) == []


def test_a_head_that_is_a_pipe_is_named_and_can_be_forgotten(
    stories: Stories, heads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = stories
    shown(first, heads)
    (file,) = (path for path in heads.iterdir() if not path.suffix)
    file.unlink()
    os.mkfifo(file)
    bad = [check.detail for check in shown(first, heads).checks if check.status is Status.FAIL]
    assert len(bad) == 1
    assert "cryoflux memory forget" in bad[0]
    name = origin_of(load_public_key(first / "keys" / "receipt.pub"))
    assert run(monkeypatch, "memory", "forget", name, "--heads", heads, "--yes") == 0
    assert shown(first, heads).ok


def test_a_file_is_no_folder_of_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    assert run(monkeypatch, "memory", "list", "--heads", file) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert run(monkeypatch, "memory", "list", "--heads", tmp_path / "nothing") == 0
