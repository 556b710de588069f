"""Lies about where a log goes on from, by an owner who has every key of both logs, or of the fork alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux import judge_losses
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import Checkpoint, sign_checkpoint
from cryoflux.receipts.fork_parts import ForkedTask
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Outcome
from cryoflux.runs import fork as forking
from cryoflux.runs.fork import fork_state
from cryoflux.runs.fork_source import ForkSource
from cryoflux.signing.keys import load_key
from cryoflux.verification import lineage
from cryoflux.verification.result import Status
from cryoflux.verification.verified import Trust
from judged_losses import base_losses, better_by
from synthetic_parts import make_model
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

NOW = datetime(2026, 11, 24, tzinfo=UTC)
Findings = list[tuple[int, str]]


def parent_of(folder: Path) -> SyntheticState:
    """Kept, and rejected after a look."""
    made = open_state(folder / "parent")
    made.policy = "uniform/v1"
    made.write_origin()
    made.attempt(0.05)
    made.attempt(0.0001)
    return made


def forked(parent: SyntheticState, path: Path) -> SyntheticState:
    """A fork of it that can be gone on with."""
    fork_state(parent.path, path, NOW)
    return gone_on(parent, path)


def gone_on(parent: SyntheticState, path: Path) -> SyntheticState:
    log = ReceiptLog.open(path)
    made = SyntheticState(
        parent.data, parent.head, path=path, log=log, gain=parent.gain, entries=list(log.entries())
    )
    for entry in made.entries:
        made.memory.take(entry)
    made.policy = "uniform/v1"
    known = made.memory.tasks[made.task]
    made.head, made.uses = known.head, known.tally(known.holdout).uses
    made.account.grant(10**9, request_id="run")
    return made


def found(state: Path, parent: Path | str | None = None, **options: Any) -> Findings:
    place = str(parent) if parent is not None else None
    checks = verify_target(state, parent=place, **options).checks
    return [(check.number, check.detail) for check in checks if check.status is Status.FAIL]


@contextmanager
def lying(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, lie: object) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, lie)
        yield


def saying(change: Callable[[ForkedTask], ForkedTask]) -> Callable[[LogState], list[ForkedTask]]:
    honest = LogState.handed_on
    return lambda memory: [change(said) for said in honest(memory)]


def unlooked(said: ForkedTask) -> ForkedTask:
    return said.but(holdouts=[used.but(looks=0, kept=0) for used in said.holdouts])


def test_an_honest_fork_of_an_honest_log_is_found_to_be_one(tmp_path: Path) -> None:
    parent = parent_of(tmp_path)
    fork = forked(parent, tmp_path / "fork")
    assert fork.attempt(0.05).receipt.outcome is Outcome.ACCEPTED
    for place in (parent.path, parent.path / "log"):
        assert found(fork.finish(), place) == []
    parent.finish()


def test_looks_that_are_understated_are_found_by_the_parent_and_pass_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = parent_of(tmp_path)
    with lying(monkeypatch, LogState, "handed_on", saying(unlooked)):
        fork = forked(parent, tmp_path / "fork")
    assert fork.memory.bar(fork.task, fork.data.holdout.sha256, fork.rule).looks == 0
    fork.attempt(0.05)
    state = fork.finish()
    assert found(state) == [], "whoever does not have the parent cannot know"
    assert 16 in {c.number for c in verify_target(state).checks if c.status is Status.UNKNOWN}
    ((number, detail),) = found(state, parent.path)
    assert number == 16
    assert "gave 0 verdicts, 0 of them acceptances; by its parent's log it gave 2, 1" in detail


def test_a_run_that_forgets_the_looks_of_the_parent_is_found_without_it(tmp_path: Path) -> None:
    parent = parent_of(tmp_path)
    fork = forked(parent, tmp_path / "fork")
    fork.uses = 0
    fork.announce(bar=LogState().bar(fork.task, fork.data.holdout.sha256, fork.rule))
    steps = {number for number, _ in found(fork.finish())}
    assert steps == {7, 8}


@pytest.mark.parametrize(
    ("size", "words"), [(4, "it never had this head"), (9, "which it does not have"), (2, "it never had")]
)
def test_a_head_that_the_parent_never_had_is_found_by_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, words: str
) -> None:
    parent = parent_of(tmp_path)
    honest = forking.read_source

    def read(path: Path) -> ForkSource:
        source = honest(path)
        point = Checkpoint(source.point.origin, size, b"\7" * 32)
        note = sign_checkpoint(point, load_key(path / "keys", "log", create=False))
        return replace(source, point=point, note=note)

    with lying(monkeypatch, forking, "read_source", read):
        state = fork_state(parent.path, tmp_path / "fork", NOW).path
    assert found(state) == []
    ((number, detail),) = found(state, parent.path)
    assert number == 16
    assert words in detail


def test_a_better_model_out_of_nowhere_is_found_by_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = parent_of(tmp_path)
    stranger = make_model(parent.path, [7.0, 7.0, 7.0])
    with lying(monkeypatch, LogState, "handed_on", saying(lambda said: said.but(head=stranger))):
        state = fork_state(parent.path, tmp_path / "fork", NOW).path
    shutil.copytree(parent.path / "models" / stranger.digest, state / "models" / stranger.digest)
    (state / "base_model").unlink()
    (state / "base_model").symlink_to(f"models/{stranger.digest}")
    assert found(state) == []
    ((number, detail),) = found(state, parent.path)
    assert (number, "but the head was" in detail) == (16, True)


def test_a_model_that_is_not_the_one_that_the_fork_names_is_found_without_the_parent(tmp_path: Path) -> None:
    parent = parent_of(tmp_path)
    state = fork_state(parent.path, tmp_path / "fork", NOW).path
    weights = next((state / "base_model").glob("*.safetensors"))
    content = weights.read_bytes()
    weights.unlink()  # the parent's file is the same one
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert {number for number, _ in found(state)} == {9}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"log_key": "A" * 43 + "="}, "signed head"),
        ({"checkpoint": "cryoflux.dev/0\n4\n" + "A" * 43 + "=\n\n— nobody AAAAAAAA\n"}, "no signed head"),
        ({"voucher": "{}"}, "voucher cannot be read"),
    ],
)
def test_a_parent_that_nobody_signed_is_found_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], words: str
) -> None:
    parent = parent_of(tmp_path)
    honest = forking._parent
    with lying(monkeypatch, forking, "_parent", lambda *args: honest(*args).but(**changes)):
        state = fork_state(parent.path, tmp_path / "fork", NOW).path
    ((number, detail),) = found(state)
    assert number == 8
    assert words in detail
    with lying(monkeypatch, lineage, "fork_complaints", lambda *_: ()):
        assert 8 not in {number for number, _ in found(state)}


def test_the_voucher_of_one_fork_does_not_vouch_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = parent_of(tmp_path)
    mine = forked(parent, tmp_path / "mine")
    voucher = mine.entries[0].fork.parent.voucher
    honest = forking._parent
    with lying(monkeypatch, forking, "_parent", lambda *args: honest(*args).but(voucher=voucher)):
        state = fork_state(parent.path, tmp_path / "theirs", NOW).path
    assert found(state) == [(8, "its voucher is for another head, or for another log")]


def test_a_stranger_who_vouches_in_the_name_of_the_parent_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = parent_of(tmp_path)
    honest, stranger = forking.read_source, Ed25519PrivateKey.generate()

    def read(path: Path) -> ForkSource:
        source = honest(path)
        point = Checkpoint(source.point.origin, source.point.size, b"\7" * 32)
        key = stranger.public_key()
        note = sign_checkpoint(point, stranger)
        return replace(source, point=point, note=note, log_key=key, receipt_key=key, signer=stranger)

    with lying(monkeypatch, forking, "read_source", read):
        state = fork_state(parent.path, tmp_path / "fork", NOW).path
    asked = [check.detail for check in verify_target(state).checks if check.status is Status.UNKNOWN]
    assert any("not the one that this log is named after" in detail for detail in asked)
    assert [number for number, _ in found(state, parent.path)] == [16]


def test_a_log_that_says_so_in_the_middle_goes_on_from_nowhere(tmp_path: Path) -> None:
    parent = parent_of(tmp_path)
    fork = forked(parent, tmp_path / "fork")
    said = fork.entries[0].statement
    fork.attempt(0.05)
    said = said.but(subject=said.subject[:1])
    fork._append(lambda sequence, prev: said.but(predicate=said.predicate.but(sequence=sequence, prev=prev)))
    details = [detail for number, detail in found(fork.finish()) if number == 8]
    assert details == ["says that the log goes on from another one, which only its first entry can"]


def test_more_verdicts_than_attempts_are_found_without_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = parent_of(tmp_path)

    def change(said: ForkedTask) -> ForkedTask:
        return said.but(holdouts=[used.but(kept=used.uses + 1) for used in said.holdouts])

    with lying(monkeypatch, LogState, "handed_on", saying(change)):
        state = fork_state(parent.path, tmp_path / "fork", NOW).path
    assert 8 in {number for number, _ in found(state)}


def test_a_log_that_is_no_fork_has_no_parent(tmp_path: Path) -> None:
    parent = parent_of(tmp_path)
    ((number, detail),) = found(parent.finish(), parent.path)
    assert (number, "is no fork" in detail) == (16, True)


def test_the_parent_is_compared_too_where_the_fork_was_verified_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = parent_of(tmp_path)
    with lying(monkeypatch, LogState, "handed_on", saying(unlooked)):
        fork = forked(parent, tmp_path / "fork")
    state, heads = fork.finish(), tmp_path / "heads"
    assert found(state, heads=heads) == []
    for trust in (Trust.JUDGED, Trust.READ):
        assert [number for number, _ in found(state, parent.path, heads=heads, trust=trust)] == [16]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/log"
        finally:
            server.shutdown()
            thread.join()


def test_a_parent_that_is_only_published_is_compared_and_one_that_is_gone_is_said(tmp_path: Path) -> None:
    parent = parent_of(tmp_path)
    fork = forked(parent, tmp_path / "fork")
    parent.attempt(0.0001)
    state = fork.finish()
    with served(parent.finish()) as url:
        assert found(state, url) == []
        tile = next((parent.path / "log" / "tile" / "entries").rglob("*.p/*"))
        tile.write_bytes(tile.read_bytes()[:-9])
        assert [number for number, _ in found(state, url)] == [16]
    ((number, detail),) = found(state, url)
    assert (number, "cannot be read" in detail) == (16, True)


def judged_parent(folder: Path) -> SyntheticState:
    """One whose log holds three verdicts on what others made, too."""
    made = parent_of(folder)
    made.finish()
    for seed in range(3):
        judge_losses(base_losses(), better_by(base_losses(), 0.0, seed), state=made.path)
    return made


def test_a_fork_goes_on_with_the_looks_at_what_judged_others(tmp_path: Path) -> None:
    parent = judged_parent(tmp_path)
    fork = tmp_path / "fork"
    fork_state(parent.path, fork, NOW)
    judged = judge_losses(base_losses(), better_by(base_losses(), 0.0, 9), state=fork)
    assert judged.look == 4
    assert verify_target(fork, parent=str(parent.path)).ok


def test_a_fork_that_forgets_them_is_found_by_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = judged_parent(tmp_path)
    fork = tmp_path / "fork"
    with monkeypatch.context() as patched:
        patched.setattr(LogState, "judged_handed_on", lambda _: [])
        fork_state(parent.path, fork, NOW)
    judged = judge_losses(base_losses(), better_by(base_losses(), 0.0, 9), state=fork)
    assert judged.look == 1, "the lie"
    checks = verify_target(fork, parent=str(parent.path)).checks
    assert any("by its parent's log there were 3" in check.detail for check in checks)
