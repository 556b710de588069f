"""A fork is no way to a fresh error budget: guest holdouts of its parent judge nothing in it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from test_forked_states import NOW, parent_of

from cryoflux.log_state import LogState
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.runs.fork import fork_state
from cryoflux.verification.result import Status
from node_log import GUESTS, NodeLog
from plain_log import StoredLog
from verifying import verify_target


def node_parent(folder: Path) -> Path:
    """A state whose log holds a guest holdout that has given a verdict, too."""
    state = parent_of(folder).finish()
    with closing(StoredLog(state)) as log:
        node = NodeLog(log)
        node.introduce()
        node.enter()
        record = node.record(node.announce([node.candidate()]), gain=-1_000_000).round
    assert record is not None
    assert record.members[0].verdict is MemberVerdict.NOT_CHOSEN
    return state


def failures(state: Path, parent: Path | None = None) -> list[str]:
    checks = verify_target(state, parent=str(parent) if parent is not None else None).checks
    return [f"{c.number} {c.detail}" for c in checks if c.status is Status.FAIL]


def enter_again(fork: Path) -> None:
    with closing(StoredLog(fork)) as log:
        node = NodeLog(log)
        node.introduce()
        node.enter()
        assert log.state.nodes["lora_delta"].guest is not None


def test_a_fork_of_a_node_names_the_guest_holdouts_that_stay_behind(tmp_path: Path) -> None:
    parent, fork = node_parent(tmp_path), tmp_path / "fork"
    assert fork_state(parent, fork, NOW).guests == 1
    assert failures(fork, parent) == []
    with closing(StoredLog(fork)) as log:
        assert log.state.nodes == {}, "what makes the parent a node stays with it"
        assert len(log.state.guests_handed_on()) == 1


def test_a_guest_holdout_of_the_parent_that_is_entered_again_is_found_without_the_parent(
    tmp_path: Path,
) -> None:
    parent, fork = node_parent(tmp_path), tmp_path / "fork"
    fork_state(parent, fork, NOW)
    enter_again(fork)
    (found,) = failures(fork)
    assert found.startswith("17 enters a guest holdout again")


def test_a_fork_of_a_fork_may_not_enter_it_either(tmp_path: Path) -> None:
    parent, fork, again = node_parent(tmp_path), tmp_path / "fork", tmp_path / "again"
    fork_state(parent, fork, NOW)
    fork_state(fork, again, NOW)
    enter_again(again)
    assert any("enters a guest holdout again" in line for line in failures(again))


def test_a_fork_that_leaves_them_out_is_found_by_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, fork = node_parent(tmp_path), tmp_path / "fork"
    with monkeypatch.context() as patched:
        patched.setattr(LogState, "guests_handed_on", lambda _: [])
        fork_state(parent, fork, NOW)
    enter_again(fork)
    assert failures(fork) == [], "whoever does not have the parent cannot know"
    (found,) = failures(fork, parent)
    assert "says of 0 guest holdouts that they stay behind; its parent has 1" in found


def test_a_fork_may_enter_one_of_its_own(tmp_path: Path) -> None:
    parent, fork = node_parent(tmp_path), tmp_path / "fork"
    fork_state(parent, fork, NOW)
    with closing(StoredLog(fork)) as log:
        node = NodeLog(log)
        node.introduce()
        node.enter(bytes(reversed(range(32))))
        assert node.announce([node.candidate()]).round_intent is not None
    assert len(GUESTS) == 512
    assert [line for line in failures(fork) if line.startswith("17 ")] == []
