from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from cryoflux.errors import StateError, StateTamperedError
from cryoflux.receipts.checkpoint import cosigned_at, parse_note
from cryoflux.receipts.log import ReceiptLog
from cryoflux.witness.cosigned import WITNESSED, keep_cosigned, log_key_of
from cryoflux.witness.policy import Policy, parse_policy
from cryoflux.witness.service import WitnessReply
from cryoflux.witness.witnessing import Mode, Witnessing, open_witnessing
from signed_log import OpenWitness, SignedLog, answer_of, policy_text, serving
from synthetic_state import SyntheticState, open_state
from verifying import verify_target
from waiting import CEILING_S

LOG = SignedLog()


def cosigned(watched: OpenWitness, old: int, new: int) -> bytes:
    return LOG.note(new) + watched.add(LOG.submission(old, new)).body


@pytest.fixture
def watched(tmp_path: Path) -> OpenWitness:
    return OpenWitness(tmp_path / "a")


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    return open_state(tmp_path / "state")


def watch(made: SyntheticState, watched: OpenWitness) -> None:
    watched.logs = [log_key_of(made.path)]
    watched.reopen()


def witnessing(made: SyntheticState, policy: Policy, mode: Mode, timeout_s: float = CEILING_S) -> Witnessing:
    return open_witnessing(made.path, policy, mode, timeout_s=timeout_s)


def size_of(path: Path) -> int:
    return parse_note(path.read_bytes()).checkpoint.size


def test_cosignatures_of_the_newest_head_go_to_the_checkpoint_too(
    tmp_path: Path, watched: OpenWitness
) -> None:
    (tmp_path / "checkpoint").write_bytes(LOG.note(5))
    keep_cosigned(tmp_path, cosigned(watched, 0, 5))
    for name in ("checkpoint", WITNESSED):
        assert cosigned_at(parse_note((tmp_path / name).read_bytes()), watched.vkey)


def test_cosignatures_of_an_older_head_leave_the_checkpoint_alone(
    tmp_path: Path, watched: OpenWitness
) -> None:
    (tmp_path / "checkpoint").write_bytes(LOG.note(9))
    keep_cosigned(tmp_path, cosigned(watched, 0, 5))
    assert (tmp_path / "checkpoint").read_bytes() == LOG.note(9)
    assert size_of(tmp_path / WITNESSED) == 5


def test_witnesses_that_answer_later_are_added(tmp_path: Path, watched: OpenWitness) -> None:
    second = OpenWitness(tmp_path / "b")
    (tmp_path / "checkpoint").write_bytes(LOG.note(5))
    for one in (watched, second):
        keep_cosigned(tmp_path, cosigned(one, 0, 5))
    note = parse_note((tmp_path / "checkpoint").read_bytes())
    assert cosigned_at(note, watched.vkey)
    assert cosigned_at(note, second.vkey)


def test_an_older_head_never_takes_the_place_of_a_newer_one(tmp_path: Path, watched: OpenWitness) -> None:
    older = cosigned(watched, 0, 5)
    keep_cosigned(tmp_path, cosigned(watched, 5, 9))
    keep_cosigned(tmp_path, older)
    assert size_of(tmp_path / WITNESSED) == 9
    assert not (tmp_path / "checkpoint").exists()


def test_a_spoilt_file_is_replaced(tmp_path: Path, watched: OpenWitness) -> None:
    (tmp_path / WITNESSED).write_bytes(b"\xff" * 100_000)
    keep_cosigned(tmp_path, cosigned(watched, 0, 5))
    assert size_of(tmp_path / WITNESSED) == 5


def test_a_run_never_waits_for_a_witness_and_takes_its_word_later(
    made: SyntheticState, watched: OpenWitness
) -> None:
    watch(made, watched)
    release, asked = threading.Event(), threading.Event()

    def slow(path: str, body: bytes) -> WitnessReply:
        asked.set()
        release.wait()
        return answer_of(watched)(path, body)

    with serving(slow) as url:
        run = witnessing(made, parse_policy(policy_text("all", ("a", watched.vkey, url))), "async")
        for _ in range(3):
            made.attempt(0.05)
            assert run.published() is None  # nothing has come, and nothing was waited for
        asked.wait()
        assert not (made.path / "log" / WITNESSED).exists()
        release.set()
        found = run.finish()
    assert found is not None
    assert found.reached
    assert size_of(made.path / "log" / WITNESSED) == made.log.size == 6
    assert cosigned_at(parse_note((made.path / "log" / "checkpoint").read_bytes()), watched.vkey)
    assert verify_target(made.finish()).ok


def test_the_next_opening_of_the_log_keeps_what_witnesses_added(
    made: SyntheticState, watched: OpenWitness
) -> None:
    watch(made, watched)
    made.attempt(0.05)
    with serving(answer_of(watched)) as url:
        policy = parse_policy(policy_text("all", ("a", watched.vkey, url)))
        assert witnessing(made, policy, "required").published() is not None
        before = (made.path / "log" / "checkpoint").read_bytes()
        made.log.close()
        made.log = ReceiptLog.open(made.path)
        assert (made.path / "log" / "checkpoint").read_bytes() == before
        made.attempt(0.01)
        assert size_of(made.path / "log" / "checkpoint") == 4
        assert size_of(made.path / "log" / WITNESSED) == 2
        assert witnessing(made, policy, "required").require().reached
    assert size_of(made.path / "log" / WITNESSED) == 4


def test_a_run_that_needs_witnesses_does_not_go_on_without_them(
    made: SyntheticState, watched: OpenWitness
) -> None:
    made.attempt(0.05)
    with serving(lambda *_: WitnessReply(503, b"")) as url:
        run = witnessing(made, parse_policy(policy_text("all", ("a", watched.vkey, url))), "required")
        with pytest.raises(StateError, match="is not witnessed; needed: 1 of 1") as refused:
            run.published()
    assert "a: refuses with status 503" in refused.value.why
    assert not (made.path / "log" / WITNESSED).exists()


def test_a_state_that_was_cut_back_is_told_from_one_that_nobody_has_seen(
    made: SyntheticState, watched: OpenWitness, tmp_path: Path
) -> None:
    watch(made, watched)
    made.attempt(0.05)
    short = shutil.copytree(made.path, tmp_path / "short", symlinks=True)
    made.attempt(0.02)
    with serving(answer_of(watched)) as url:
        policy = parse_policy(policy_text("all", ("a", watched.vkey, url)))
        assert witnessing(made, policy, "required").require().reached
        run = open_witnessing(short, policy, "required", timeout_s=CEILING_S)
        with pytest.raises(StateTamperedError, match="knows another history") as refused:
            run.require()
    assert "a: has cosigned 4 entries of this log, which has 2 here" in refused.value.why
    made.finish()


def test_only_what_binds_is_waited_for(made: SyntheticState, watched: OpenWitness) -> None:
    watch(made, watched)
    release, calls = threading.Event(), []

    def slow(path: str, body: bytes) -> WitnessReply:
        calls.append(body)
        release.wait()
        return answer_of(watched)(path, body)

    with serving(slow) as url:
        run = witnessing(made, parse_policy(policy_text("all", ("a", watched.vkey, url))), "required")
        made.attempt(0.0005)
        assert run.published(binding=False) is None
        made.attempt(0.05)
        release.set()
        found = run.published()
    # The older head was on its way; the newer one waits for it, so that it does not look like a cut log.
    assert found is not None
    assert found.reached
    assert not found.disputed
    assert size_of(made.path / "log" / WITNESSED) == 4
    made.finish()


def test_a_run_whose_witnesses_are_all_dead_ends_all_the_same(
    made: SyntheticState, watched: OpenWitness
) -> None:
    made.attempt(0.05)
    policy = parse_policy(policy_text("all", ("a", watched.vkey, "http://127.0.0.1:1")))
    run = witnessing(made, policy, "async")
    run.published()
    found = run.finish()
    assert found is not None
    assert not found.reached
    assert verify_target(made.finish()).ok
