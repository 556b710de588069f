"""What a run frees after its merges, and what the champion is after the head was found to be worse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cryoflux.energy.started import Started
from cryoflux.receipts.statement import Move
from cryoflux.registry.aliases import set_alias
from cryoflux.registry.composition import Composition
from cryoflux.runs.catalogue import read_catalogue
from cryoflux.runs.fork import fork_state
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.open_session import OpenSession
from cryoflux.runs.pruning import AfterMerges, plan_prune, protected_versions
from cryoflux.runs.spending import spend
from cryoflux.runs.watch import RunObserver
from cryoflux.state import StateFolder
from cryoflux.verification.result import Status
from small_context import Made, SmallRun
from synthetic_state import open_state
from verifying import verify_target

MERGES = 14
BETTER_AND_BETTER = [Made(1_000_000_000 - 20_000_000 * n) for n in range(1, MERGES + 1)]


class Freed(RunObserver):
    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def freed(self, versions: int, size_bytes: int) -> None:
        self.told.append((versions, size_bytes))


def made_by(run: SmallRun, keep: int) -> Freed:
    watch = Freed()
    run.change(terms=replace(run.terms, keep=keep))
    run.task.plans = list(BETTER_AND_BETTER)
    session = OpenSession(run.context, 10**9, Started.now())
    summary = spend(run.context, RunLimits(attempts=MERGES), watch, 0.0, session)
    assert summary.kept == MERGES
    return watch


def test_a_run_frees_nothing_unless_it_is_told_to(run: SmallRun) -> None:
    watch = made_by(run, 0)
    assert watch.told == []
    assert len(run.context.versions.kept()) == MERGES + 1


def test_a_run_that_is_told_to_leaves_the_newest_and_what_it_needs(run: SmallRun) -> None:
    watch = made_by(run, 3)
    freed = sum(count for count, _ in watch.told)
    assert freed >= MERGES - 3 - 8, "it waits until it pays, and no longer"
    assert all(size > 0 for _, size in watch.told)
    catalogue = read_catalogue(run.state)
    versions = [*catalogue.tasks["toy"].versions.values()]
    pruned = [one.digest for one in versions if one.pruned is not None]
    assert len(pruned) == freed
    assert {one.digest for one in versions} - set(pruned) == catalogue.present
    assert {versions[0].digest, *(one.digest for one in versions[-3:])} <= catalogue.present
    prunes = [e.move for e in run.context.log.entries() if e.move is not None and e.move.move is Move.PRUNE]
    assert [len(move.pruned) for move in prunes] == [count for count, _ in watch.told]
    of_versions = [check for check in verify_target(run.state.path).checks if check.number == 8]
    assert [(check.status, f"{freed} freed" in check.detail) for check in of_versions] == [(Status.OK, True)]


def test_the_next_run_finishes_what_was_said_and_takes_no_version_with_a_name(run: SmallRun) -> None:
    made_by(run, 0)
    catalogue = read_catalogue(run.state)
    plan = plan_prune(catalogue, 1)
    set_alias(run.state, "mine", plan.going[0].digest)
    freeing = AfterMerges(run.context, 1)
    run.context.versions.free = lambda _digest: None  # type: ignore[method-assign]
    assert freeing.merged() is not None
    run.reopen()
    left = set(run.context.versions.kept())
    assert plan.going[0].digest in left, "an alias was there before the entry"
    assert not {one.digest for one in plan.going[1:]} & left


def test_a_version_that_a_chain_or_a_list_needs_stays(small: Callable[..., SmallRun]) -> None:
    run = small()
    made_by(run, 0)
    known = run.context.memory.tasks["toy"]
    stays = protected_versions(read_catalogue(run.state), 1)
    assert {known.first.digest, known.head.digest, known.composition.genesis} <= stays


def embedded_by(state: StateFolder, index: str, version: str) -> None:
    """Let a version be an index that another one embedded."""
    said = json.dumps({"format": "index/v1", "version": version})
    (state.model(index) / "index.json").write_text(said)


def test_what_embedded_an_index_stays_after_merges_and_by_hand(run: SmallRun) -> None:
    made_by(run, 0)
    kept = [*read_catalogue(run.state).tasks["toy"].versions]
    embedded_by(run.state, kept[-1], kept[3])
    embedded_by(run.state, kept[1], kept[4])
    plan = plan_prune(read_catalogue(run.state), 1)
    assert [one.digest for one in plan.embedders] == [kept[3]], "the other index goes itself"
    set_alias(run.state, "old", kept[1])
    assert AfterMerges(run.context, 1).merged() is not None
    assert set(run.context.versions.kept()) == {kept[0], kept[1], kept[3], kept[4], kept[-1]}


def test_an_index_that_cannot_be_read_keeps_nothing(run: SmallRun) -> None:
    made_by(run, 0)
    kept = [*read_catalogue(run.state).tasks["toy"].versions]
    (run.state.model(kept[-1]) / "index.json").write_text("[")
    assert plan_prune(read_catalogue(run.state), 1).embedders == ()


def test_what_a_rollback_left_behind_is_no_champion(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    for _ in range(4):
        made.attempt(0.05)
    results = [entry.receipt.result for entry in made.entries if entry.receipt is not None]
    state = StateFolder(made.path)
    assert read_catalogue(state).champion("lora_delta") == results[3].digest
    made.move(results[1], move=Move.PROMOTION)
    assert read_catalogue(state).champion("lora_delta") == results[3].digest, "nobody measured"
    made.move(results[3], move=Move.PROMOTION)
    made.move(results[1], move=Move.ROLLBACK)
    catalogue = read_catalogue(state)
    assert catalogue.champion("lora_delta") == results[1].digest
    worse = [one.digest for one in catalogue.tasks["lora_delta"].versions.values() if one.worse]
    assert worse == [results[2].digest, results[3].digest], "what it rested on since, too"
    assert catalogue.names(results[1].digest) == ["head", "champion"]
    made.finish()


def test_the_champion_of_a_fork_is_what_it_goes_on_from(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.write_origin()
    for _ in range(3):
        made.attempt(0.05)
    parent = made.finish()
    fork_state(parent, tmp_path / "new", datetime(2026, 11, 24, tzinfo=UTC))
    catalogue = read_catalogue(StateFolder(tmp_path / "new"))
    assert catalogue.champion("lora_delta") == made.head.digest
    assert plan_prune(catalogue, 1).going == ()


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_no_plan_takes_the_head_version_0_or_the_newest(tmp_path: Path, keep: int) -> None:
    made = open_state(tmp_path / "state")
    for _ in range(6):
        made.attempt(0.05)
    made.finish()
    catalogue = read_catalogue(StateFolder(made.path))
    kept = [*catalogue.tasks["lora_delta"].versions]
    going = {one.digest for one in plan_prune(catalogue, keep).going}
    assert going == set(kept[1:-keep])


def test_what_a_run_still_needs_keeps_the_genesis_of_its_list(run: SmallRun) -> None:
    """A version that an open attempt goes on from is composed, and its list begins at another one."""
    made_by(run, 0)
    catalogue = read_catalogue(run.state)
    of = catalogue.tasks[run.task.name].versions
    genesis, needed = list(of)[2], list(of)[4]
    assert {genesis, needed} <= {one.digest for one in plan_prune(catalogue, 1).going}
    composed = Composition(genesis=genesis)
    of[needed] = replace(of[needed], composed=composed)
    going = {one.digest for one in plan_prune(catalogue, 1, besides={needed}).going}
    assert going
    assert not {genesis, needed} & going
