"""When a run ends, and what it says that it came to."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from cryoflux.energy.started import Started
from cryoflux.errors import BudgetError
from cryoflux.quantities import MICRO
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.open_session import OpenSession
from cryoflux.runs.scores import Scores
from cryoflux.runs.spending import spend
from cryoflux.runs.summary import Summary
from cryoflux.runs.watch import RunObserver
from small_context import BETTER, RULE, WORSE, Made, OtherTask, SmallRun, ToyTask


class Log(RunObserver):
    """Writes down what is worth a line."""

    def __init__(self) -> None:
        self.seen = []

    def finished(self, record) -> None:
        self.seen.append(record.receipt.outcome.value)

    def rotated(self, task, part) -> None:
        self.seen.append(f"{task}: {part}")

    def milestone(self, task, looks, holdout, audit) -> None:
        self.seen.append((looks, holdout, audit))

    def joined(self, joined) -> None:
        self.seen.append((joined.file, joined.task, joined.problem))

    def plateau(self, plateau) -> None:
        self.seen.append("plateau")


def spent(run: SmallRun, *plans: Made, observer: RunObserver | None = None, **limits) -> Summary:
    """A run of its own on the small run's state; it may spend what the bucket holds."""
    run.task.plans = list(plans)
    chosen = limits.pop("spendable_j", None)
    spendable_uj = run.agent.bucket_uj() if chosen is None else chosen * MICRO
    session = OpenSession(run.context, spendable_uj, Started.now())
    return spend(run.context, RunLimits(**limits), observer or RunObserver(), time.monotonic(), session)


def test_it_ends_after_so_many_attempts_and_adds_them_up(run) -> None:
    first, log = run.task.head, Log()
    failed = Made(900_000_000, stopped_by="interrupt")
    summary = spent(run, WORSE, BETTER, failed, Made(890_000_000), observer=log, attempts=4)
    assert (summary.ended, summary.reason) == ("attempts", "As many attempts as were asked for are made: 4.")
    assert (summary.attempts, summary.kept, summary.rejected) == (4, 2, 1)
    assert (summary.undecided, summary.aborted) == (0, 1)
    assert log.seen == ["rejected", "accepted", "aborted", "accepted"]
    assert summary.spent.uj == 8 * MICRO == sum(run.charges())
    assert summary.spendable_uj - summary.remaining_uj == 8 * MICRO
    (task,) = summary.tasks
    assert task.total_delta == pytest.approx(0.11)
    assert task.holdout == task.audit == (Scores(1.0, None), Scores(0.89, None))
    assert (task.head, task.looks, task.metric.unit) == (run.task.head.digest, 3, "steps")
    assert task.head != first.digest


def test_a_run_of_no_attempts_came_to_nothing(run) -> None:
    summary = spent(run, attempts=0)
    assert (summary.attempts, summary.spent, summary.saved_uj) == (0, None, 0)
    assert summary.tasks[0].holdout == (None, None)
    assert run.intents() == []


def test_it_ends_when_what_may_be_spent_pays_for_no_further_attempt(run) -> None:
    eight = [Made(950_000_000 - n * 10_000_000, joules=8) for n in range(9)]
    summary = spent(run, *eight, spendable_j=40)
    assert (summary.ended, summary.attempts) == ("budget", 3)
    assert summary.reason == "16.0 J are left, less than the 20.0 J that an attempt reserves."
    assert summary.remaining_uj == (1000 - 24) * MICRO, "what is not its own stays in the bucket"


def test_it_ends_when_the_bucket_pays_for_no_further_attempt(small) -> None:
    run = small(granted_j=30)
    assert spent(run, Made(900_000_000, joules=11), spendable_j=500).attempts == 1


def test_a_bucket_that_pays_for_nothing_at_all_is_an_error(small) -> None:
    run = small(granted_j=19)
    with pytest.raises(BudgetError, match=r"19\.0 J do not pay for one attempt"):
        spent(run)


def test_what_is_left_is_never_shown_as_what_is_needed(run) -> None:
    summary = spent(run, Made(990_000_000, joules=1), Made(980_000_000, joules=20.0001), spendable_j=41)
    assert summary.reason == "19.999900 J are left, less than the 20.000000 J that an attempt reserves."


def test_it_ends_when_its_time_is_up(run) -> None:
    summary = spent(run, seconds=0.0)
    assert (summary.ended, run.intents()) == ("time", [])
    assert summary.reason == "The time is up: 0 s."


def test_it_ends_when_it_is_asked_to_and_reads_nothing_more(run) -> None:
    made = Made(900_000_000, meanwhile=lambda: setattr(run, "asked", True))
    summary = spent(run, made, attempts=9)
    assert (summary.ended, summary.attempts, summary.aborted) == ("interrupted", 1, 1)
    assert summary.reason == "It was asked to stop."
    assert summary.tasks[0].audit == (None, None)
    assert "audit" not in [part for _, part, _ in run.task.scored]


def test_it_ends_at_a_plateau_and_says_why(small) -> None:
    run, log = small(policy="prior-eta/v1"), Log()
    summary = spent(run, *[WORSE] * 9, observer=log, attempts=9)
    assert summary.ended == "plateau"
    assert summary.reason.startswith("No arm is expected to pay")
    assert log.seen == [*["rejected"] * summary.attempts, "plateau"]


def test_a_reservation_that_never_pays_is_an_error_that_says_what_would(run) -> None:
    run.task.evaluation_j = 6
    with pytest.raises(BudgetError, match=r"2 of 2 attempts .* 20\.0 J do not pay") as refused:
        spent(run)
    assert "--reserve 72J" in refused.value.hint, "four times what one evaluation cost"
    assert len(run.receipts()) == 2


def test_a_reservation_that_does_not_pay_any_more_ends_the_run_without_an_error(run) -> None:
    dear = Made(900_000_000, joules=21)
    summary = spent(run, BETTER, dear, dear, dear)
    assert (summary.ended, summary.kept, summary.aborted) == ("budget", 1, 2)
    assert summary.reason == "Attempt after attempt ran out of joules: raise --reserve."


def test_what_an_attempt_reserves_is_said_where_that_is_more_than_was_asked_for(small) -> None:
    """No attempt ran out of joules: what is left is more than --reserve, and less than it takes to finish."""

    class Dear(ToyTask):
        def arms(self, drawn, part):
            return [replace(one, least_uj=30 * MICRO) for one in super().arms(drawn, part)]

    summary = spent(small(Dear), Made(900_000_000, joules=8), spendable_j=33)
    assert (summary.ended, summary.attempts, summary.exhausted) == ("budget", 1, 0)
    assert summary.reason == "25.0 J are left, less than the 30.0 J that an attempt reserves."


def test_what_early_ends_saved_is_added_up(run) -> None:
    run.task.evaluation_j = 1
    assert spent(run, WORSE, WORSE, BETTER, attempts=3).saved_uj == 4 * MICRO


def test_after_ten_looks_both_sets_are_compared(run) -> None:
    log = Log()
    spent(run, BETTER, *[WORSE] * 10, observer=log, attempts=11)
    both = (Scores(1.0, None), Scores(0.9, None))
    assert log.seen == ["accepted", *["rejected"] * 9, (10, both, both), "rejected"]


def test_an_aborted_attempt_is_no_look(run) -> None:
    log, nothing = Log(), Made(0, stopped_by="interrupt")
    spent(run, *[WORSE] * 10, nothing, observer=log, attempts=11)
    assert [seen[0] for seen in log.seen if isinstance(seen, tuple)] == [10]


def test_a_holdout_that_takes_over_is_told_once(small) -> None:
    run, log = small(rule=RULE.but(alpha_ppm=1_000_000)), Log()
    summary = spent(run, *[WORSE] * 5, observer=log, attempts=6)
    assert log.seen == [*["rejected"] * 4, "toy: holdout-2", "rejected", "accepted"]
    assert summary.tasks[0].looks == 2, "of the holdout that is in use"


def test_a_holdout_that_takes_over_is_told_once_though_another_task_has_its_turn_first(small) -> None:
    run, log = small(ToyTask, OtherTask, rule=RULE.but(alpha_ppm=1_000_000)), Log()
    for opened in run.context.tasks.values():
        opened.task.plans = [WORSE] * 99
    session = OpenSession(run.context, 10**9, Started.now())
    spend(run.context, RunLimits(attempts=12), log, time.monotonic(), session)
    before_the_last = [receipt.task.name for receipt in run.receipts()[:-1]]
    worn = [name for name in run.context.tasks if before_the_last.count(name) >= 4]
    assert worn
    assert sorted(seen for seen in log.seen if "holdout" in seen) == [
        f"{name}: holdout-2" for name in sorted(worn)
    ]


def test_each_task_has_a_line_of_its_own(small) -> None:
    run = small(ToyTask, OtherTask)
    summary = spent(run, attempts=6)
    receipts = run.receipts()
    for task in summary.tasks:
        mine = [r for r in receipts if r.task.name == task.name and r.outcome == "accepted"]
        assert task.total_delta == pytest.approx(sum(r.evaluation.delta_sum for r in mine) / 96 / 10**9)
        assert task.head == run.context.tasks[task.name].task.head.digest
    assert {task.metric.unit for task in summary.tasks} == {"steps", "pixels"}


def test_what_a_task_cannot_read_is_told_and_ends_nothing(run, monkeypatch) -> None:
    troubles = [[("notes/a.txt", "It is no text.")], [], [("", "There is no folder notes.")]]
    monkeypatch.setattr(run.task, "troubles", lambda: troubles.pop(0))
    log = Log()
    spent(run, BETTER, WORSE, observer=log, attempts=2)
    task = run.task.name
    assert log.seen == [
        ("notes/a.txt", task, "It is no text."),
        "accepted",
        "rejected",
        ("", task, "There is no folder notes."),
    ]
