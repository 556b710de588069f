"""All that a state knows of one attempt: its announcement, its receipt, and what followed from it."""

from __future__ import annotations

__all__ = [
    "AttemptDetail",
    "OpenAttempt",
    "RecipeRow",
    "TakenBack",
    "attempt_detail",
    "open_attempt",
    "recipe_rows",
]

from dataclasses import dataclass

from cryoflux.queries.activity import AttemptNow, read_activity
from cryoflux.queries.changes import Changes, changes_of
from cryoflux.queries.followed import Followed
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Intent, Move, Receipt
from cryoflux.state import StateFolder
from cryoflux.verification.pairing import read_losses


@dataclass(frozen=True, slots=True)
class RecipeRow:
    """A setting of a recipe, beside that of the attempt that it is compared with."""

    name: str
    value: str | int | None
    """none where this recipe has no such setting"""
    before: str | int | None
    changed: bool
    """whether both differ; not where there is nothing to compare with"""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The move that took the head off a kept update."""

    entry: int
    """its place in the log"""
    at: str
    rollback: bool
    """whether the head was found to be worse; else somebody chose another"""


@dataclass(frozen=True, slots=True)
class AttemptDetail:
    """A finished attempt."""

    attempt: Attempt
    entry: Entry
    receipt: Receipt
    intent: Intent | None
    """none where the log holds no announcement of it"""
    kept_before: Attempt | None
    """the one that made the version that this one was to improve; none where that is the first version"""
    recipe: tuple[RecipeRow, ...]
    """what differs from that one's recipe first"""
    changes: Changes | None
    no_changes: str
    """why there are none: empty where there are some, and where the holdout was not read"""
    taken_back: TakenBack | None
    previous: int
    """number of the attempt before; 0 where there is none"""
    next: int


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that was announced and has no receipt yet."""

    number: int
    intent: Intent
    alive: bool
    """whether the run that tries it goes on"""
    now: AttemptNow | None
    """how far it is, where the run says so"""
    previous: int
    next: int


def attempt_detail(followed: Followed, number: int) -> AttemptDetail | None:
    """What is known of a finished attempt; none where there is no such one.

    Raises:
        StateTamperedError: an entry is not there any more, or not well formed.
    """
    attempt, found = followed.attempt(number), followed.receipt_of(number)
    if attempt is None or found is None:
        return None
    entry, receipt = found
    intent = followed.intent_of(number)
    before = _maker(followed, attempt)
    earlier = followed.intent_of(before.number) if before is not None else None
    changes, why = _changes(followed, receipt)
    return AttemptDetail(
        attempt=attempt,
        entry=entry,
        receipt=receipt,
        intent=intent,
        kept_before=before,
        recipe=recipe_rows(intent, earlier),
        changes=changes,
        no_changes=why,
        taken_back=_taken_back(followed, entry, receipt),
        previous=_neighbour(followed, number, -1),
        next=_neighbour(followed, number, 1),
    )


def open_attempt(followed: Followed, number: int) -> OpenAttempt | None:
    """What is known of an attempt that has no receipt yet; none where there is no such one."""
    if followed.attempt(number) is not None:
        return None
    if (intent := followed.intent_of(number)) is None:
        return None
    activity = read_activity(StateFolder(followed.state))
    now = activity.attempt if activity is not None else None
    mine = now if now is not None and now.number == number and not now.finished else None
    return OpenAttempt(
        number=number,
        intent=intent,
        alive=activity is not None and activity.alive,
        now=mine,
        previous=_neighbour(followed, number, -1),
        next=_neighbour(followed, number, 1),
    )


def recipe_rows(intent: Intent | None, earlier: Intent | None) -> tuple[RecipeRow, ...]:
    """A recipe beside another one, what differs first."""
    if intent is None:
        return ()
    other = earlier.recipe if earlier is not None else {}
    names = sorted({*intent.recipe, *other})
    rows = [
        RecipeRow(
            name,
            intent.recipe.get(name),
            other.get(name),
            earlier is not None and intent.recipe.get(name) != other.get(name),
        )
        for name in names
    ]
    return tuple(sorted(rows, key=lambda row: not row.changed))


def _neighbour(followed: Followed, number: int, step: int) -> int:
    return number + step if followed.announced(number + step) else 0


def _maker(followed: Followed, attempt: Attempt) -> Attempt | None:
    """The attempt that made the version that this one was to improve."""
    for one in reversed(followed.attempts):
        if one.number < attempt.number and one.kept and one.result == attempt.base:
            return one
    return None


def _changes(followed: Followed, receipt: Receipt) -> tuple[Changes | None, str]:
    if (said := receipt.evaluation) is None:
        return None, ""
    path = StateFolder(followed.state).losses(said.per_example)
    try:
        losses = read_losses(path, said.per_example, said.read)
    except ValueError as error:
        return None, f"{error}"
    return changes_of(losses, hits=said.hits is not None), ""


def _taken_back(followed: Followed, entry: Entry, receipt: Receipt) -> TakenBack | None:
    """The last move after which the head no longer rests on what a receipt kept."""
    made, task = receipt.result.digest, receipt.task.name
    moves = [(place, move) for place, move in followed.moves.items() if place > entry.index]
    if made == receipt.base.digest or not moves:
        return None
    versions = followed.catalogue().tasks[task]
    if made in {one.digest for one in versions.line(versions.head)}:
        return None
    for place, move in reversed(moves):
        if move.task != task or move.move is Move.PRUNE:
            continue
        if made in {one.digest for one in versions.line(move.base.digest)}:
            return TakenBack(place, move.moved_at, move.move is Move.ROLLBACK)
    return None
