"""The frozen context: what it says follows from the log alone, and from no attempt's memory."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from cryoflux.attempt.context import Opened
from cryoflux.attempt.moving import move_head
from cryoflux.attempt.watch import Observer, Phases, Step
from cryoflux.data.examples import Example
from cryoflux.data.growing import grow
from cryoflux.decision.reason import Reason
from cryoflux.log_state import LogState
from cryoflux.receipts.statement import Bar, Move
from small_context import BETTER, RULE, WORSE, SmallRun, ToyTask

QUICKLY_SPENT = RULE.but(alpha_ppm=1_000_000)
"""under this budget a holdout is spent after four rejections"""


@pytest.fixture
def worn(small) -> SmallRun:
    """A run whose first holdout has no budget left."""
    run = small(rule=QUICKLY_SPENT)
    for _ in range(4):
        assert run.opened.part == "holdout"
        run.attempt(WORSE)
    return run


def test_nothing_of_it_can_be_changed(run) -> None:
    for thing in (run.context, run.opened, run.context.terms):
        name = next(iter(thing.__slots__))
        with pytest.raises(FrozenInstanceError):
            setattr(thing, name, None)
        with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
            thing.something_new = 1


def test_an_entry_is_remembered_as_it_is_written(run) -> None:
    for made in (WORSE, BETTER, WORSE):
        run.attempt(made)
        again = LogState()
        for entry in run.context.log.entries():
            again.take(entry)
        for name in ("size", "last", "attempts", "tasks", "open"):
            assert getattr(run.context.memory, name) == getattr(again, name), name
        assert list(run.context.memory.lessons) == list(again.lessons)


def test_a_bar_rises_with_each_look_and_starts_anew_for_another_holdout(worn) -> None:
    bars = [receipt.decision.bar for receipt in worn.receipts()]
    assert [bar.looks for bar in bars] == [0, 1, 2, 3]
    assert [bar.kept for bar in bars] == [0] * 4
    assert sorted({bar.needed_milli for bar in bars}) == [bar.needed_milli for bar in bars]
    assert worn.context.bar(worn.opened) == Bar(looks=0, kept=0, needed_milli=bars[0].needed_milli)


def test_the_next_holdout_takes_over_where_the_budget_is_spent_and_stays(worn) -> None:
    assert (worn.opened.used, worn.opened.part) == ("holdout", "holdout-2")
    assert worn.opened.next_use().use_index == 1
    for _ in range(2):
        worn.attempt(BETTER)
        assert worn.receipts()[-1].holdout.sha256 == worn.opened.data.file_digests["holdout-2"]
        assert worn.opened.used == worn.opened.part == "holdout-2"
    assert [r.holdout.use_index for r in worn.receipts()] == [1, 2, 3, 4, 1, 2]
    assert worn.reopen() == []
    assert worn.opened.part == "holdout-2"


def test_the_last_holdout_goes_on_being_used(small) -> None:
    class NoSpare(ToyTask):
        spares = 0

    run = small(NoSpare, rule=QUICKLY_SPENT)
    for _ in range(6):
        run.attempt(WORSE)
        assert run.opened.part == "holdout"
    assert run.intents()[-1].bar.looks == 5


def test_the_base_is_measured_on_the_new_holdout_too(worn) -> None:
    worn.task.scored = []
    worn.attempt(BETTER)
    assert [part for _, part, _ in worn.task.scored][:1] == ["holdout-2"]
    assert worn.task.scored[0][0] == worn.receipts()[0].base.digest


def test_a_rule_without_a_budget_stays_with_its_holdout_and_has_no_bar(small) -> None:
    run = small(rule=RULE.but(name="evidence/v1", alpha_ppm=0))
    for _ in range(5):
        run.attempt(WORSE)
    assert run.opened.part == "holdout"
    assert {r.decision.bar for r in run.receipts()} == {Bar(looks=0, kept=0, needed_milli=0)}


def test_before_the_first_attempt_nothing_is_known(run) -> None:
    opened = run.opened
    assert opened.known() is None
    assert (opened.drawn, opened.used, opened.next_use().use_index) == (0, "holdout", 1)
    assert opened.base.digest == run.task.head.digest


def test_thresholds_speak_of_the_tasks_own_unit(run) -> None:
    bar = run.context.bar(run.opened)
    assert run.opened.thresholds(bar).unit == "steps"
    assert run.opened.thresholds(bar).needed_milli == bar.needed_milli > 0
    assert run.attempt(WORSE).receipt.reason.numbers["unit"] == "steps"


def test_a_timestamp_is_one_that_a_receipt_takes(run) -> None:
    assert run.context.timestamp() == "2026-01-02T03:04:05.000000Z"


def test_a_step_that_fails_has_begun_and_not_ended(run) -> None:
    seen = []

    class Noting(Observer):
        def step(self, step, moment) -> None:
            seen.append(moment)

    context, phases = replace(run.context, observer=Noting()), Phases()
    with pytest.raises(OSError), context.step(Step.TRAIN, phases):
        raise OSError
    assert seen == ["begin"]
    assert list(phases.seconds) == ["train"]


def joined(run: SmallRun, text: str) -> Opened:
    """The task with one more training example."""
    opened = replace(run.opened, data=grow(run.opened.data, [Example(text, "a")]))
    run.change(tasks={opened.task.name: opened})
    return opened


def leave(run: SmallRun, move: Move) -> None:
    """The head goes to the version that the log began with."""
    known = run.opened.known()
    assert known is not None
    made = known.makers[known.start.digest]
    to = run.context.versions.open(made.version.digest)
    why = Reason(code="said", numbers={"sentence": "Elsewhere."})
    move_head(run.context, run.opened, move, to, made, why)


def test_after_going_back_it_waits_for_other_examples_than_those_that_have_joined(run: SmallRun) -> None:
    before = run.opened
    joined(run, "a first one")
    run.attempt(BETTER)
    assert not run.opened.waits
    leave(run, Move.ROLLBACK)
    assert run.opened.waits, "these examples, the joined one included, led to the head that was left"
    assert not replace(run.opened, data=before.data).waits
    joined(run, "a second one")
    assert not run.opened.waits, "others have come since"
    run.attempt(WORSE)
    assert not run.opened.waits
    run.attempt(BETTER)
    leave(run, Move.ROLLBACK)
    assert run.opened.waits
    run.reopen()
    assert run.opened.known().gone_back == run.opened.known().latest.train, "the next run knows it, too"


def test_what_somebody_chose_waits_for_nothing(run: SmallRun) -> None:
    joined(run, "a first one")
    run.attempt(BETTER)
    leave(run, Move.PROMOTION)
    assert not run.opened.waits
