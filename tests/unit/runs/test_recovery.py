"""What the next run does about one that died; a death at each step is in attempt/test_orchestrator."""

from __future__ import annotations

import pytest

from cryoflux.attempt.watch import Step
from cryoflux.errors import StateError
from cryoflux.quantities import MICRO
from cryoflux.receipts.statement import Cause, Outcome
from cryoflux.registry.versions import FIRST_TASK, Version
from cryoflux.runs.inputs import begin, stored_origins
from cryoflux.runs.recovery import read_log, recover
from small_context import BETTER, WORSE, Deadly, Killed, Made, OtherTask, SmallRun, ToyTask


class FirstTask(ToyTask):
    """Stands in for the task whose head is the link that the whitepaper names."""

    name = FIRST_TASK


def die_at(run: SmallRun, step: Step, moment: str = "begin") -> None:
    run.change(observer=Deadly(step, moment))
    with pytest.raises(Killed):
        run.attempt()


def test_a_log_names_every_version_that_was_ever_a_head_or_was_judged(run) -> None:
    kept = run.attempt(BETTER).receipt
    refused = run.attempt(WORSE).receipt
    run.attempt(Made(800_000_000))
    memory, named = read_log(run.context.log)
    assert named == {kept.base.digest, kept.result.digest, run.task.head.digest}
    assert refused.evaluation.candidate.digest not in named
    assert (memory.size, memory.last) == (6, run.context.log.head_hash)


def test_an_old_head_is_kept_and_a_version_that_nothing_names_is_not(run) -> None:
    first = run.task.head.digest
    run.attempt(BETTER)
    stray = run.context.versions.keep(
        run.context.versions.draft(lambda folder: (folder / "losses.json").write_text("{}"))
    )
    assert stray.digest in run.context.versions.kept()
    assert run.reopen() == []
    assert set(run.context.versions.kept()) == {first, run.task.head.digest}


def test_drafts_of_versions_and_capsules_are_thrown_away(run) -> None:
    for parent in (run.state.models, run.state.capsules):
        (parent / ".draft-0123").mkdir(parents=True)
        (parent / ".draft-0123" / "half").write_text("x")
    run.reopen()
    assert not [*run.state.models.glob(".*"), *run.state.capsules.glob(".*")]


def test_a_head_link_follows_the_log_however_it_came_to_point_elsewhere(run) -> None:
    first = run.task.head.digest
    kept = run.attempt(BETTER).receipt.result.digest
    run.context.versions.point_head(first, "toy")
    run.reopen()
    assert run.context.versions.head_digest("toy") == kept == run.task.head.digest
    (run.state.head("toy")).unlink()
    run.reopen()
    assert run.context.versions.head_digest("toy") == kept


def test_a_dead_attempt_teaches_the_scheduler_nothing(run) -> None:
    die_at(run, Step.EVALUATE)
    (receipt,) = run.reopen()
    assert (receipt.outcome, receipt.cause) == (Outcome.ABORTED, Cause.CRASHED)
    assert receipt.reason.code == "crashed"
    assert receipt.started_at == run.intents()[0].announced_at
    assert len(run.context.memory.lessons) == 0
    assert run.context.memory.tasks["toy"].drawn == 0
    assert run.context.memory.tasks["toy"].tally(receipt.holdout.sha256).looks == 0


def test_what_may_have_been_spent_since_the_last_note_is_within_the_interval(run) -> None:
    die_at(run, Step.EVALUATE)
    (receipt,) = run.reopen()
    assert "recovered" in receipt.energy.flags
    assert receipt.energy.microjoules == 2 * MICRO
    assert receipt.energy.hi_microjoules >= 2 * MICRO + 100 * MICRO, "a second at the most that can flow"


def test_the_holdout_was_used_by_an_attempt_that_died_on_it(run) -> None:
    die_at(run, Step.TRAIN)
    run.reopen()
    run.attempt(BETTER)
    assert [intent.data.holdout.use_index for intent in run.intents()] == [1, 2]


def test_an_attempt_of_a_task_that_is_not_at_work_is_left_to_that_one(small) -> None:
    run = small(ToyTask)
    die_at(run, Step.EVALUATE)
    size = run.context.log.size
    with pytest.raises(StateError, match="task toy has no receipt") as refused:
        run.reopen([OtherTask])
    assert "--task toy" in refused.value.hint
    assert run.context.log.size == size
    assert len(run.reopen([OtherTask, ToyTask])) == 1


def test_heads_of_tasks_that_are_not_at_work_are_kept(small) -> None:
    run = small(ToyTask, OtherTask)
    for _ in range(4):
        run.attempt()
    heads = {name: opened.task.head.digest for name, opened in run.context.tasks.items()}
    before = set(run.context.versions.kept())
    for kinds in ([ToyTask], [OtherTask]):
        assert run.reopen(kinds) == []
        assert set(run.context.versions.kept()) == before
        assert {name: run.context.versions.head_digest(name) for name in heads} == heads


@pytest.mark.parametrize("kind", [OtherTask, FirstTask], ids=["heads", "base_model"])
def test_what_a_task_was_begun_with_is_kept_though_the_log_does_not_know_it_yet(run, kind) -> None:
    task = kind()
    origin = begin(run.state, task.name, task.beginning(lambda *_: None), stored_origins(run.state))
    assert run.reopen([ToyTask]) == []
    assert run.context.versions.head_digest(task.name) == origin.version
    assert isinstance(run.context.versions.open(origin.version), Version)


def test_a_head_in_memory_is_kept_though_the_log_is_empty(run) -> None:
    assert recover(run.context, set()) == []
    assert run.context.versions.kept() == [run.task.head.digest]
