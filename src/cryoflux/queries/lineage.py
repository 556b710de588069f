"""How the heads of a log came about: what followed what, what was left behind and why, and what Σ Δ cost."""

from __future__ import annotations

__all__ = ["HeadMoved", "HeadStep", "TaskLine", "task_lines"]

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryoflux.queries.followed import Followed
from cryoflux.receipts.entry import Kind
from cryoflux.receipts.statement import HeadMove, Move
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion, TaskVersions
from cryoflux.sentences import say

_MOST_MOVES = 200
"""the newest ones; of older ones only what they led to is shown"""


@dataclass(frozen=True, slots=True)
class HeadMoved:
    """An entry by which a head went to a version that was there before."""

    entry: int
    leaf_hash: str
    at: str
    task: str
    move: Move
    base: str
    """digest of the head before"""
    result: str
    why: str


@dataclass(frozen=True, slots=True)
class HeadStep:
    """A place where the head of a task changed."""

    joules: float
    """charged to the attempts of the task until then"""
    total_delta: float
    """Σ Δ of the head from here on"""
    digest: str
    attempt: int | None
    """that made it; none where a round or a recall did, or a head was moved by hand or by a monitor"""
    moved: HeadMoved | None = None
    made_from: str = ""
    """of what others offered a round or a recall made it, in words"""


@dataclass(slots=True)
class TaskLine:
    """The heads of a task, one after another."""

    task: str
    of: TaskVersions
    moves: list[HeadMoved] = field(default_factory=list)
    """oldest first; what only freed files is not among them"""
    left: dict[str, HeadMoved] = field(default_factory=dict)
    """digest of a version that the head does not rest on any more → the move that left it behind"""
    steps: list[HeadStep] = field(default_factory=list)
    joules: float = 0.0
    """charged to all of its attempts; rounds are told apart"""
    modelled: bool = False

    @property
    def head(self) -> CataloguedVersion:
        """The version that is the head."""
        return self.of.versions[self.of.head]

    @property
    def first(self) -> CataloguedVersion:
        """The version that it began with."""
        return next(iter(self.of.versions.values()))

    @property
    def unit(self) -> str:
        """Of Δ; empty before the first attempt."""
        return next((one.unit for one in self.of.versions.values() if one.unit), "")

    @property
    def on_line(self) -> frozenset[str]:
        """Digests of the versions that the head rests on, itself among them."""
        return frozenset(one.digest for one in self.of.line(self.of.head))


def task_lines(followed: Followed, catalogue: Catalogue) -> dict[str, TaskLine]:
    """The heads of each task, in the order in which tasks began."""
    lines = {name: TaskLine(name, of) for name, of in catalogue.tasks.items() if of.head in of.versions}
    moves = _moves(followed)
    every = (one for of in catalogue.tasks.values() for one in of.versions.values())
    of_others = {one.made_at: one for one in every if one.made_from and one.made_at is not None}
    for line in lines.values():
        line.steps.append(HeadStep(0.0, 0.0, line.first.digest, None))
    for row in followed.rows:
        if row.kind is Kind.RECEIPT and row.number is not None:
            _attempted(followed, lines, row.number)
        elif (moved := moves.get(row.index)) is not None and moved.task in lines:
            _moved(lines[moved.task], moved)
        elif (made := of_others.get(row.index)) is not None and made.task in lines:
            line = lines[made.task]
            step = HeadStep(line.joules, made.total_delta, made.digest, None, made_from=made.made_from)
            line.steps.append(step)
    return lines


def _moves(followed: Followed) -> Mapping[int, HeadMoved]:
    newest = [(place, said) for place, said in followed.moves.items() if said.move is not Move.PRUNE]
    return {place: _moved_by(followed, place, said) for place, said in newest[-_MOST_MOVES:]}


def _moved_by(followed: Followed, place: int, said: HeadMove) -> HeadMoved:
    return HeadMoved(
        entry=place,
        leaf_hash=followed.rows[place].leaf_hash,
        at=said.moved_at,
        task=said.task,
        move=said.move,
        base=said.base.digest,
        result=said.result.digest,
        why=say(said.reason),
    )


def _attempted(followed: Followed, lines: Mapping[str, TaskLine], number: int) -> None:
    attempt = followed.attempt(number)
    if attempt is None or (line := lines.get(attempt.task)) is None:
        return
    line.joules += attempt.joules
    line.modelled |= attempt.tier.value == "modelled"
    if attempt.kept and attempt.result in line.of.versions:
        delta = line.of.versions[attempt.result].total_delta
        line.steps.append(HeadStep(line.joules, delta, attempt.result, number))


def _moved(line: TaskLine, moved: HeadMoved) -> None:
    line.moves.append(moved)
    before = {one.digest for one in line.of.line(moved.base)}
    after = {one.digest for one in line.of.line(moved.result)}
    for digest in before - after:
        line.left[digest] = moved
    for digest in after:
        line.left.pop(digest, None)
    known = line.of.versions.get(moved.result)
    delta = known.total_delta if known is not None else 0.0
    line.steps.append(HeadStep(line.joules, delta, moved.result, None, moved))
