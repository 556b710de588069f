"""Versions that are freed, moved or named: what an owner could hide behind that, and who is not accused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cryoflux.config import Settings
from cryoflux.errors import StateError, StateTamperedError, UsageError
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Base, Measurement, Move
from cryoflux.registry.aliases import read_aliases, set_alias
from cryoflux.runs.by_hand import VersionsByHand, versions_by_hand
from cryoflux.runs.catalogue import read_catalogue
from cryoflux.runs.pruning import plan_prune
from cryoflux.runs.version_names import find_version
from cryoflux.state import StateFolder
from cryoflux.verification.result import Check, Status
from plain_log import KEY, model, plain_log
from shell_bundles import bare_tools, bundle_of, needs_tools, run_shell, run_verify
from synthetic_parts import digest_of, tiny_safetensors
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    """Version 0 and four that were kept."""
    state = open_state(tmp_path / "state")
    for _ in range(4):
        state.attempt(0.05)
    return state


def results(made: SyntheticState) -> list[Base]:
    return [entry.receipt.result for entry in made.entries if entry.receipt is not None]


def prune(made: SyntheticState, *freed: Base, delete: bool = True, **changes: object) -> Entry:
    """A prune as its owner writes it; ``changes`` forge fields of it."""
    fields = {"move": Move.PRUNE, "pruned": list(freed), **changes}
    entry = made.move(changes.pop("result", made.head), **fields)
    for one in freed if delete else ():
        shutil.rmtree(made.path / "models" / one.digest, ignore_errors=True)
    return entry


def wrong(made: SyntheticState) -> list[Check]:
    """Everything that is not well."""
    return [c for c in verify_target(made.finish()).checks if c.status in {Status.FAIL, Status.UNKNOWN}]


def found(made: SyntheticState) -> tuple[int, Status, str]:
    (check,) = [c for c in wrong(made) if c.status is Status.FAIL]
    return check.number, check.status, check.detail


# What a prune may say


def test_a_version_that_an_entry_freed_is_no_damage(made: SyntheticState) -> None:
    first, second, *_ = results(made)
    entry = prune(made, first, second)
    made.attempt(0.05)
    report = verify_target(made.finish())
    assert [c for c in report.checks if c.status in {Status.FAIL, Status.UNKNOWN}] == []
    (said,) = [c.detail for c in report.checks if c.number == 9 and "pruned" in c.detail]
    assert f"2 older versions pruned on 2026-11-23, by entry {entry.index}" in said
    (line,) = [c.detail for c in report.checks if c.number == 8]
    assert "2 freed" in line
    assert "moved" not in line, "a prune moves no head"


def test_a_version_that_is_lost_is_no_version_that_was_freed(made: SyntheticState) -> None:
    first, second, *_ = results(made)
    prune(made, first)
    shutil.rmtree(made.path / "models" / second.digest)
    (asked,) = wrong(made)
    assert (asked.number, asked.status, asked.subject) == (9, Status.UNKNOWN, f"models/{second.digest}")


def test_the_head_cannot_be_freed(made: SyntheticState) -> None:
    prune(made, made.head, delete=False)
    assert found(made) == (8, Status.FAIL, "frees the version that is the head")


@pytest.mark.parametrize("which", ["nothing", "other files"])
def test_nobody_frees_what_the_log_has_not_made(made: SyntheticState, which: str) -> None:
    """Else an entry would stand ready to excuse what is yet to be hidden."""
    strange = Base(digest=digest_of("strange"), files=digest_of("files of it"))
    if which == "other files":
        strange = results(made)[0].but(files=digest_of("others"))
    prune(made, strange, delete=False)
    number, _, detail = found(made)
    assert (number, "which this log has not made" in detail) == (8, True)


def test_a_version_cannot_be_freed_before_it_is_made(made: SyntheticState, tmp_path: Path) -> None:
    later = open_state(tmp_path / "later")
    for _ in range(4):
        later.attempt(0.05)
    later.session()  # takes the place of the prune
    later.attempt(0.05)
    ahead = results(later)[-1]
    later.finish()
    prune(made, ahead, delete=False)
    made.attempt(0.05)
    assert made.head == ahead
    shutil.rmtree(made.path / "models" / ahead.digest)
    fails = [c for c in wrong(made) if c.status is Status.FAIL]
    assert {c.number for c in fails} == {8, 9}, "and the head that is missing is missing"


def test_what_is_freed_and_made_again_has_to_be_there_again(made: SyntheticState) -> None:
    first = results(made)[0]
    prune(made, first)
    index, leaf, _ = made.made[first.digest]
    made.move(first, made_at=index, made_by=leaf)
    made.attempt(0.05)
    assert any(c.subject == f"models/{first.digest}" for c in wrong(made)), "a head once more, and not here"


@pytest.mark.parametrize(
    ("forge", "detail"),
    [
        (prune, "frees versions, and names none"),
        (
            lambda made: prune(made, results(made)[0], result=results(made)[1], delete=False),
            "frees versions, and moves the head by the way",
        ),
        (
            lambda made: made.move(results(made)[1], pruned=[results(made)[0]]),
            "moves a head and frees versions in one",
        ),
        (lambda made: prune(made, *2 * [results(made)[0]], delete=False), "frees a version twice"),
        (
            lambda made: prune(made, results(made)[0], evidence=[measured(made)], delete=False),
            "frees versions, and shows losses as if it had judged them",
        ),
    ],
)
def test_a_prune_does_nothing_else(
    made: SyntheticState, forge: Callable[[SyntheticState], object], detail: str
) -> None:
    forge(made)
    assert (8, detail) in [(c.number, c.detail) for c in wrong(made) if c.status is Status.FAIL]


def test_what_others_begin_at_is_not_freed_without_a_question(made: SyntheticState) -> None:
    """A freed version can be made again from its genesis and the updates: as long as that is there."""
    first = made.memory.tasks[made.task].first
    prune(made, first)
    (asked,) = wrong(made)
    assert (asked.number, asked.status) == (8, Status.UNKNOWN)
    assert "which others begin at" in asked.detail


def measured(made: SyntheticState) -> Measurement:
    receipt = made.entries[1].receipt
    assert receipt is not None
    assert receipt.evaluation is not None
    said = receipt.evaluation
    return Measurement(
        profile=said.profile,
        metric=said.metric,
        sha256=receipt.holdout.sha256,
        count=said.read,
        base_loss_sum=said.base_loss_sum,
        new_loss_sum=said.new_loss_sum,
        delta_squared_sum=said.delta_squared_sum,
        per_example=said.per_example,
    )


def test_a_version_that_was_freed_and_is_here_is_still_held_to_its_digest(made: SyntheticState) -> None:
    """A crash may leave its files; somebody may put others in their place."""
    first = results(made)[0]
    prune(made, first, delete=False)
    assert [c for c in verify_target(made.path).checks if c.status is Status.FAIL] == []
    weights = made.path / "models" / first.digest / "model.safetensors"
    weights.write_bytes(tiny_safetensors([9.0, 9.0, 9.0]))
    assert found(made)[0] == 9


@needs_tools
@pytest.mark.parametrize(
    "lie", ["", "the head", "not made", "moves", "names none", "a rollback frees", "twice"]
)
def test_stock_tools_hold_a_prune_to_the_same(tmp_path: Path, lie: str) -> None:
    log = plain_log()
    task = "lora_delta"
    made = log.conclude(log.announce()).receipt
    assert made is not None
    freed, forged = [made.result], {}
    last = log.entries[-1]
    other = log.conclude(log.announce())
    if lie == "the head":
        freed = [log.head(task)]
    elif lie == "not made":
        freed = [model("strange")]
    elif lie == "names none":
        freed = []
    elif lie == "twice":
        freed = [made.result, made.result]
    elif lie == "a rollback frees":
        forged = {"move": Move.ROLLBACK}
    to, by = (made.result, last) if lie in {"moves", "a rollback frees"} else (log.head(task), other)
    freed = [model(f"first {task}")] if lie in {"moves", "a rollback frees"} else freed
    log.move(task, to, by, **{"move": Move.PRUNE, "pruned": freed, **forged})
    entries = [entry.envelope for entry in log.entries]
    shell = run_shell(
        bundle_of(tmp_path / "bundle", entries, KEY.public_key()), bare_tools(make(tmp_path / "tools"))
    )
    verify = run_verify(tmp_path / "log.jsonl", entries, KEY.public_key())
    assert (shell.holds, verify.holds) == (not lie, not lie), (shell.said, verify.said)
    assert min(shell.entries, default=-1) == min(verify.entries, default=-1)


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


# What a head may not do without an entry


def test_a_head_that_was_moved_without_an_entry_is_found(made: SyntheticState) -> None:
    first = results(made)[0]
    (made.path / "base_model").unlink()
    (made.path / "base_model").symlink_to(f"models/{first.digest}")
    made.session()
    number, _, detail = found(made)
    assert (number, "does not point at the head model" in detail) == (9, True)


def test_one_that_was_moved_by_hand_is_followed(made: SyntheticState) -> None:
    made.finish()
    with by_hand(made) as opened:
        to = find_version(opened.catalogue, "head~2")
        opened.move(to, "taken-back", "the labels were wrong.")
        opened.move(find_version(opened.catalogue, "champion"), "promoted", "they were right after all.")
    report = verify_target(made.path)
    assert [c for c in report.checks if c.status in {Status.FAIL, Status.UNKNOWN}] == []
    assert any("moved 2 times besides" in c.detail for c in report.checks)


def by_hand(made: SyntheticState):
    return versions_by_hand(made.path, Settings(), "a test")


def test_weights_that_were_altered_do_not_become_the_head(made: SyntheticState) -> None:
    first = results(made)[0]
    made.finish()
    (made.path / "models" / first.digest / "model.safetensors").write_bytes(tiny_safetensors([9.0, 9.0, 9.0]))
    with by_hand(made) as opened, pytest.raises(StateTamperedError, match="is not the file that was kept"):
        opened.move(find_version(opened.catalogue, first.digest), "promoted", "it looks fine.")
    assert len(list(read_catalogue(StateFolder(made.path)).versions())) == 5
    assert (made.path / "base_model").readlink().name == made.head.digest


def test_a_model_that_somebody_put_there_does_not_become_the_head(made: SyntheticState) -> None:
    strange = made.path / "models" / digest_of("strange")
    shutil.copytree(made.path / "models" / made.head.digest, strange)
    made.finish()
    with by_hand(made) as opened, pytest.raises(UsageError, match="No entry of this log made"):
        opened.move(find_version(opened.catalogue, strange.name), "promoted", "it is better.")


def test_nothing_moves_while_an_attempt_is_open(made: SyntheticState) -> None:
    made.announce()
    made.finish()
    with by_hand(made) as opened:
        to = find_version(opened.catalogue, "head~1")
        for change in (lambda: opened.move(to, "promoted", "now."), lambda: free(opened)):
            with pytest.raises(StateError, match="has no receipt yet"):
                change()


def free(opened: VersionsByHand) -> None:
    opened.prune(plan_prune(opened.catalogue, 1))


# What an alias may lead to


@pytest.mark.parametrize("target", ["/etc", "../models", "../../elsewhere", f"../models/{'a' * 63}", "x"])
def test_an_alias_that_leads_elsewhere_names_nothing(made: SyntheticState, target: str) -> None:
    made.finish()
    folder = made.path / "aliases"
    folder.mkdir()
    (folder / "production").symlink_to(target)
    assert read_aliases(StateFolder(made.path)) == {}
    with by_hand(made) as opened:
        assert len(plan_prune(opened.catalogue, 1).going) == 3


def test_a_folder_of_aliases_that_is_a_link_is_neither_read_nor_written(
    made: SyntheticState, tmp_path: Path
) -> None:
    made.finish()
    (tmp_path / "elsewhere").mkdir()
    (made.path / "aliases").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="is a link"):
        set_alias(StateFolder(made.path), "production", made.head.digest)
    assert [*(tmp_path / "elsewhere").iterdir()] == []
    assert read_aliases(StateFolder(made.path)) == {}


@pytest.mark.parametrize(
    "name", ["head", "champion", "../up", ".draft-1", "a/b", "beef", "", "a b", "x" * 65]
)
def test_an_alias_cannot_be_taken_for_something_else(made: SyntheticState, name: str) -> None:
    made.finish()
    with pytest.raises(UsageError):
        set_alias(StateFolder(made.path), name, made.head.digest)
    assert not (made.path / "aliases").exists()


def test_what_has_an_alias_or_a_use_is_never_freed(made: SyntheticState) -> None:
    """Nor is a version whose files somebody else shares by links counted as freed."""
    first, second, third, head = results(made)
    made.finish()
    with by_hand(made) as opened:
        opened.alias("production", find_version(opened.catalogue, first.digest))
    with by_hand(made) as opened:
        plan = plan_prune(opened.catalogue, 1)
        assert {one.digest for one in plan.going} == {second.digest, third.digest}
        shared = made.path / "models" / second.digest / "model.safetensors"
        os.link(shared, made.path.parent / "elsewhere.safetensors")
        less = plan_prune(opened.catalogue, 1)
        assert plan.size - less.size == shared.stat().st_size
        opened.prune(less)
    left = {path.name for path in (made.path / "models").iterdir()}
    begun = made.entries[0].intent
    assert begun is not None
    assert left == {begun.base.digest, first.digest, head.digest}
    assert wrong_of(made) == []


def wrong_of(made: SyntheticState) -> list[Check]:
    return [c for c in verify_target(made.path).checks if c.status in {Status.FAIL, Status.UNKNOWN}]
