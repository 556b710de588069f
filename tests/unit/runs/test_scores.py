"""Before and after: from what attempts measured, and from a set that no decision looks at."""

from __future__ import annotations

import pytest

from cryoflux.runs.scores import Scores, audit_scores, holdout_scores
from small_context import BETTER, RULE, WORSE, SmallRun, ToyTask


def quietly(*_: object) -> None:
    pass


@pytest.fixture
def improved(run) -> tuple[SmallRun, object]:
    """A run that kept something, and the head that it began with."""
    first = run.task.head
    run.attempt(BETTER)
    run.task.scored = []
    return run, first


def test_the_holdout_is_never_read_for_show(improved) -> None:
    run, first = improved
    assert holdout_scores(run.context, run.opened, first) == (Scores(1.0, None), Scores(0.9, None))
    assert run.task.scored == []


def test_what_no_attempt_measured_is_unknown(run) -> None:
    assert holdout_scores(run.context, run.opened, run.task.head) == (None, None)
    assert audit_scores(run.context, run.opened, run.task.head, quietly, quick=True) == (None, None)
    assert run.task.scored == []


def test_the_audit_set_is_read_once_a_version(improved) -> None:
    run, first = improved
    told = []

    def progress(what, done, count) -> None:
        told.append((what, done, count))

    expected = (Scores(1.0, None), Scores(0.9, None))
    assert audit_scores(run.context, run.opened, first, progress, quick=False) == expected
    both = [(first.digest, "audit", 32), (run.task.head.digest, "audit", 32)]
    assert run.task.scored == both
    assert told == [("evaluating the audit set", 0, 32)] * 2
    assert audit_scores(run.context, run.opened, first, progress, quick=False) == expected
    assert run.task.scored == both
    run.reopen()
    assert audit_scores(run.context, run.opened, first, quietly, quick=True) == expected


def test_a_head_that_did_not_change_is_read_once(run) -> None:
    audit_scores(run.context, run.opened, run.task.head, quietly, quick=False)
    assert run.task.scored == [(run.task.head.digest, "audit", 32)]


def test_reading_the_audit_set_leaves_no_trace_in_log_and_account(improved) -> None:
    run, first = improved
    size, held_uj = run.context.log.size, run.agent.bucket_uj()
    audit_scores(run.context, run.opened, first, quietly, quick=False)
    assert (run.context.log.size, run.agent.bucket_uj()) == (size, held_uj)


def test_accuracy_is_told_where_there_is_right_and_wrong(small) -> None:
    class Hitting(ToyTask):
        hits = True

    run = small(Hitting)
    first = run.task.head
    run.attempt(WORSE)
    before, after = holdout_scores(run.context, run.opened, first)
    assert before == after == Scores(1.0, 0.0)


def test_both_ends_are_on_the_holdout_that_was_used_last(small) -> None:
    run = small(rule=RULE.but(alpha_ppm=1_000_000))
    first = run.task.head
    for _ in range(4):
        run.attempt(WORSE)
    assert run.opened.part == "holdout-2"
    assert holdout_scores(run.context, run.opened, first)[0] == Scores(1.0, None), "as yet the first one"
    run.attempt(BETTER)
    assert holdout_scores(run.context, run.opened, first) == (Scores(1.0, None), Scores(0.9, None))
