"""Two states side by side: what each gained and cost, what of that compares, and by how much they differ.

Where both have losses of their heads on the same examples, the heads are compared example by example: that
interval is far narrower than what two intervals side by side can tell. Where they have not, it is said why.
"""

from __future__ import annotations

__all__ = ["Comparison", "Difference", "HeadToHead", "TaskPair", "compare"]

from collections.abc import Iterator
from dataclasses import dataclass

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.interval import fixed_interval
from cryoflux.energy.derived import Rates
from cryoflux.evaluation.losses import Losses
from cryoflux.log_view import Log
from cryoflux.quantities import worst_tier
from cryoflux.queries.read_losses import ReadLosses
from cryoflux.queries.results import Results, TaskResults, audit_losses, results_of
from cryoflux.state import StateFolder


@dataclass(frozen=True, slots=True)
class HeadToHead:
    """How much lower the losses of the second state's head are than those of the first's, on one set."""

    part: str
    """``audit`` or ``holdout``"""
    count: int
    """examples, the same for both"""
    delta: float
    """mean, in the unit of the task; above zero where the second is better"""
    lo_95: float
    """lower end of its paired 95 % interval, for one look"""
    hi_95: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Something in which both differ, so that a number of one says little beside the same of the other."""

    code: str
    """a word that programs compare: ``holdout``"""
    said: str
    spoils: str
    """what cannot be compared for it: ``delta``, ``joules``, or nothing of both"""


@dataclass(frozen=True, slots=True)
class TaskPair:
    """One task of two states."""

    name: str
    first: TaskResults
    second: TaskResults
    differences: tuple[Difference, ...]
    head_to_head: tuple[HeadToHead, ...]
    """the audit set first; nothing where sets differ, or losses by example are not here"""

    @property
    def comparable(self) -> bool:
        """Whether Δ of one can be held against Δ of the other."""
        return not any(one.spoils == "delta" for one in self.differences)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two states side by side."""

    first: Results
    second: Results
    tasks: tuple[TaskPair, ...]
    """those that both have"""
    differences: tuple[Difference, ...]
    """between the states as a whole"""

    @property
    def comparable(self) -> bool:
        """Whether there is anything whose Δ can be compared."""
        return any(task.comparable for task in self.tasks)

    @property
    def joules_comparable(self) -> bool:
        """Whether joules of one can be held against joules of the other."""
        return not any(one.spoils == "joules" for one in self.differences)

    @property
    def joules_told_apart(self) -> bool | None:
        """Whether the ranges of what both cost have nothing in common; none where joules do not compare."""
        ours, theirs = self.first.spent.known, self.second.spent.known
        if not self.joules_comparable or ours is None or theirs is None:
            return None
        return ours.hi_uj < theirs.lo_uj or theirs.hi_uj < ours.lo_uj


def compare(first: Log, second: Log, rates: Rates) -> Comparison:
    """Two logs side by side.

    Args:
        first: the one.
        second: the other; differences are its own less those of the first.
        rates: what a kilowatt-hour emits and costs, as it is set.
    """
    ours, theirs = results_of(first, rates), results_of(second, rates)
    others = {task.name: task for task in theirs.tasks}
    known = tuple((log, _read(log)) for log in (first, second))
    pairs = [(task, others[task.name]) for task in ours.tasks if task.name in others]
    return Comparison(
        ours,
        theirs,
        tuple(
            TaskPair(a.name, a, b, tuple(_of_task(a, b)), tuple(_head_to_head(known, a, b))) for a, b in pairs
        ),
        tuple(_of_states(ours, theirs)),
    )


def _read(log: Log) -> ReadLosses:
    read = ReadLosses()
    for entry in log.entries():
        read.take(entry)
    return read


def _of_task(first: TaskResults, second: TaskResults) -> Iterator[Difference]:
    if first.unit != second.unit or first.metric != second.metric:
        said = f"Losses are {first.metric} in {first.unit}, and {second.metric} in {second.unit}."
        yield Difference("unit", said, "delta")
    if first.data_hash != second.data_hash:
        said = f"The data sets differ: {first.data_name} and {second.data_name}, by their digests."
        # One that has grown is another one, and judges by the same examples.
        yield Difference("data", said, "delta" if first.holdout.sha256 != second.holdout.sha256 else "")
    if first.holdout.sha256 != second.holdout.sha256:
        yield Difference("holdout", "Δ was measured on different holdouts.", "delta")
    if first.first != second.first:
        said = "They began with different versions: losses compare, and how far each has come does not."
        yield Difference("first", said, "")
    if first.cut != second.cut:
        yield Difference("reading", "They read different parts of long texts.", "")


def _of_states(first: Results, second: Results) -> Iterator[Difference]:
    names = [{task.name for task in one.tasks} for one in (first, second)]
    if not names[0] & names[1]:
        yield Difference("task", "They have no task in common.", "delta")
    elif names[0] != names[1]:
        said = "One has tasks that the other has not, and what they cost is in its joules."
        yield Difference("tasks", said, "joules")
    tiers = [worst_tier(a.tier for a in one.attempts) if one.attempts else None for one in (first, second)]
    if None not in tiers and tiers[0] is not tiers[1]:
        said = f"Joules are {tiers[0]} in the one and {tiers[1]} in the other: they do not compare."
        yield Difference("tier", said, "joules")
    if first.parent != second.parent:
        said = "One goes on from another log, whose joules for what it took over are not in its own."
        yield Difference("fork", said, "joules")
    missing = [str(one.state) for one in (first, second) if one.spent.all_in is None]
    if missing:
        said = f"What it cost all-in is not on the log of {' and '.join(missing)}."
        yield Difference("all-in", said, "joules" if len(missing) == 1 else "")


def _head_to_head(
    known: tuple[tuple[Log, ReadLosses], ...], first: TaskResults, second: TaskResults
) -> Iterator[HeadToHead]:
    if first.unit != second.unit or first.metric != second.metric:
        return
    if first.audit.sha256 == second.audit.sha256:
        both = [
            audit_losses(log, task, task.head) for (log, _), task in zip(known, (first, second), strict=True)
        ]
        yield from _paired("audit", *both)
    if first.holdout.sha256 == second.holdout.sha256:
        both = [
            read.of(StateFolder(log.state), task.name, task.holdout.sha256, task.head)
            for (log, read), task in zip(known, (first, second), strict=True)
        ]
        yield from _paired("holdout", *both)


def _paired(part: str, first: Losses | None, second: Losses | None) -> Iterator[HeadToHead]:
    if first is None or second is None or len(first.nano_nats) != len(second.nano_nats):
        return
    found = pair_losses(first.nano_nats, second.nano_nats)
    yield HeadToHead(part, found.count, found.delta_mean, *fixed_interval(found))
