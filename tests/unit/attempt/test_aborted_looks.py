"""A reading that is broken off gives no verdict, costs no budget, and leaves nothing of the losses it saw.

That is all that the claim of ``evidence/v3`` asks of the program (`cryoflux.decision.stakes`, *Aborts*).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cryoflux.attempt.watch import Observer
from cryoflux.decision.stakes import STAKED
from cryoflux.receipts.statement import Cause, Outcome
from small_context import BETTER, COUNT, RULE, Killed, Made, SmallRun
from verifying import verify_target

RULE_V3 = RULE.but(name=STAKED)
READ = [0, 32, 64]
"""examples of the candidate that were read before the end; it is not hopeless, so all would be"""


class Breaks(Observer):
    """Breaks off when so many examples of the candidate are read; the base is left alone."""

    def __init__(self, run: SmallRun, after: int, how: Callable[[SmallRun], object]) -> None:
        self.run, self.after, self.how = run, after, how

    def evaluated(self, done: int, count: int) -> None:
        if self.run.task.orders and done >= self.after:
            self.how(self.run)


def ask(run: SmallRun) -> None:
    run.asked = True


def starve(run: SmallRun) -> None:
    run.machine.spend(30)


def kill(run: SmallRun) -> None:
    raise Killed


WAYS = {Cause.INTERRUPTED: ask, Cause.EXHAUSTED: starve, Cause.CRASHED: kill}


def broken_off(run: SmallRun, cause: Cause, after: int) -> None:
    """One attempt whose reading is broken off, and the next run."""
    run.change(observer=Breaks(run, after, WAYS[cause]))
    if cause is Cause.CRASHED:
        with pytest.raises(Killed):
            run.attempt(BETTER)
        (receipt,) = run.reopen()
    else:
        receipt = run.attempt(BETTER).receipt
        run.asked = False
        run.reopen()
    assert (receipt.outcome, receipt.cause) == (Outcome.ABORTED, cause)
    assert (receipt.training, receipt.evaluation, receipt.decision) == (None, None, None)


@pytest.mark.parametrize("after", READ)
@pytest.mark.parametrize("cause", WAYS)
def test_it_gives_no_verdict_and_nothing_of_the_losses_stays(small, cause: Cause, after: int) -> None:
    run = small(rule=RULE_V3)
    fresh = run.context.bar(run.opened)
    broken_off(run, cause, after)
    tally = run.opened.known().tally(run.opened.holdout)
    assert (tally.uses, tally.looks, tally.kept, tally.left) == (1, 0, 0, None)
    assert run.context.bar(run.opened) == fresh
    assert not [*run.state.path.glob("evidence/*")]
    assert len([*run.state.cache.rglob("losses/*.json")]) == 1, "of the base"
    assert len(run.context.versions.kept()) == 1

    assert run.attempt(BETTER).receipt.outcome is Outcome.ACCEPTED
    assert run.receipts()[-1].decision.bar.looks == 0
    bad = [check for check in verify_target(run.state.path).checks if check.status == "fail"]
    assert {check.number for check in bad} <= {9}, "the toy data hold no examples; all else is in order"


@pytest.mark.parametrize("cause", WAYS)
def test_what_is_trained_next_is_told_the_same_however_far_was_read(cause: Cause, tmp_path: Path) -> None:
    told = []
    for after in READ:
        run = SmallRun(tmp_path / str(after), rule=RULE_V3)
        broken_off(run, cause, after)
        run.attempt(BETTER)
        (order,) = run.task.orders
        told.append(order)
        run.close()
    assert told[1:] == told[:-1]


def test_the_same_candidate_again_is_the_same_test(tmp_path: Path) -> None:
    """However often it is broken off, what is shown at last is judged at the bar of a first look."""
    run, candidate = SmallRun(tmp_path / "again", rule=RULE_V3), Made(970_000_000)
    once = SmallRun(tmp_path / "once", rule=RULE_V3).attempt(candidate).receipt
    for after in READ:
        broken_off(run, Cause.CRASHED, after)
    again = run.attempt(candidate).receipt
    assert (again.outcome, again.decision.bar) == (once.outcome, once.decision.bar)
    assert again.evaluation.read == COUNT
