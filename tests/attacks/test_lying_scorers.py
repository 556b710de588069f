"""A task of somebody's own whose losses do not repeat, or that changes what judges it, gets no verdict."""

from __future__ import annotations

import pytest

from cryoflux.attempt import repeats
from cryoflux.attempt.watch import AttemptStopped
from cryoflux.receipts.profiles import F32
from small_context import BETTER, SmallRun, ToyTask


class Honest(ToyTask):
    """What a stranger writes: its losses are read again."""

    read_again = 16


class Flattering(Honest):
    """Its candidates look better once: when they are first asked for, all at a time."""

    def scorer(self, version, part):
        found = super().scorer(version, part)
        return found if version is self.head else FirstLook(found, self.asked)

    def open(self, place, head):
        super().open(place, head)
        self.asked: set[int] = set()


class FirstLook:
    def __init__(self, inner, asked):
        self.inner, self.asked = inner, asked

    def score(self, indices, between):
        losses, right = self.inner.score(indices, between)
        flattered = [loss if i in self.asked else loss - 1 for i, loss in zip(indices, losses, strict=True)]
        self.asked.update(indices)
        return flattered, right


class Batched(Honest):
    """A loss depends, in its last digit, on how many are asked for together."""

    def scorer(self, version, part):
        inner = super().scorer(version, part)

        class Company:
            def score(self, indices, between):
                losses, right = inner.score(indices, between)
                return [loss + len(indices) for loss in losses], right

        return Company()


class Rewriting(Honest):
    """Makes its holdout easier on the disk while it is judged."""

    def scorer(self, version, part):
        path = self.place.data.folder / f"{part}.jsonl"
        path.write_bytes(path.read_bytes().replace(b"1", b"2") + b"{}\n")
        return super().scorer(version, part)


class Swapping(Honest):
    """Puts other examples into the set in memory."""

    def scorer(self, version, part):
        self.place.data.sets[part] = (b"{}",) * len(self.place.data.sets[part])
        return super().scorer(version, part)


def last(tmp_path, kind):
    run = SmallRun(tmp_path, kind)
    run.attempt(BETTER)
    return run, run.receipts()[-1]


def test_an_honest_task_is_kept_and_pays_for_the_second_reading(tmp_path):
    run, receipt = last(tmp_path, Honest)
    assert receipt.outcome.word == "kept"
    asked_again = [digest for digest, _, count in run.task.scored if count == 16]
    assert asked_again == [receipt.base.digest, receipt.result.digest], "of the base, and of the candidate"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Flattering, "when it was read again"),
        (Batched, "when it was read again"),
        (Rewriting, "not those that were announced"),
        (Swapping, "not those that were announced"),
    ],
)
def test_a_task_that_lies_gets_no_verdict_and_is_charged(tmp_path, kind, said):
    run, receipt = last(tmp_path, kind)
    assert receipt.outcome.word == "aborted"
    assert receipt.cause.value == "failed"
    assert said in receipt.reason.numbers["what"]
    assert run.task.head.digest == receipt.base.digest
    assert receipt.energy.reserved_microjoules > 0
    assert [one.name for one in receipt.energy.phases][-1] == "settle"


class Narrow(Batched):
    """The same, in float32, whose losses are equal within a tolerance, as its receipts say."""

    def profile(self, part):
        return F32


def test_losses_that_promise_a_tolerance_alone_need_not_repeat(tmp_path):
    _, receipt = last(tmp_path, Narrow)
    assert receipt.outcome.word == "kept"


def test_which_examples_are_read_again_is_not_to_be_foretold(monkeypatch):
    drawn = []
    for _ in range(8):
        repeats.require_repeats(
            lambda some: drawn.append(tuple(some)) or ([0] * len(some), [False] * len(some)),
            range(10_000),
            ([0] * 10_000, [False] * 10_000),
            most=16,
            unit="nats",
        )
    assert len(set(drawn)) == 8
    assert all(len(set(one)) == 16 for one in drawn)


def test_a_hit_that_does_not_repeat_is_one_too_many():
    with pytest.raises(AttemptStopped):
        repeats.require_repeats(
            lambda some: ([0] * len(some), [True] * len(some)),
            range(4),
            ([0] * 4, [False] * 4),
            most=16,
            unit="nats",
        )
