"""Attempts as somebody asks for them: which, in which order, and a page of so many.

A page is found by the attempt that it follows, not by its place, so that it stays the same page while new
attempts come in.
"""

from __future__ import annotations

__all__ = ["SORTS", "AskedList", "AttemptPage", "Choices", "chosen", "in_order", "page_of"]

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cryoflux.receipts.attempts import Attempt

_MOST_NAME = 200
"""characters of a name that is asked for"""


def _delta(attempt: Attempt) -> float | None:
    return attempt.delta


def _energy(attempt: Attempt) -> float | None:
    return attempt.joules


def _eta(attempt: Attempt) -> float | None:
    return attempt.eta_per_kj


SORTS: Mapping[str, Callable[[Attempt], float | None]] = {
    "number": lambda attempt: attempt.number,
    "delta": _delta,
    "energy": _energy,
    "eta": _eta,
}
"""by what attempts can be sorted; what has none of it comes last"""


@dataclass(frozen=True, slots=True)
class AskedList:
    """What somebody asks to see."""

    sort: str = "number"
    rising: bool = False
    outcome: str = ""
    """as `kind_of` names it; empty for all"""
    task: str = ""
    recipe: str = ""
    after: int = 0
    """the attempt that the page follows, in this order; 0 for the first page"""
    until: int = 0
    """the attempt that it goes before; 0 where ``after`` says it"""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> AskedList:
        """What an address asks for; what it says wrongly is as if it were not there."""
        sort = query.get("sort", "number")
        sort = sort if sort in SORTS else "number"
        return cls(
            sort=sort,
            rising=query.get("order") == "rising",
            outcome=query.get("outcome", "")[:_MOST_NAME],
            task=query.get("task", "")[:_MOST_NAME],
            recipe=query.get("recipe", "")[:_MOST_NAME],
            after=_number(query.get("after", "")),
            until=_number(query.get("until", "")),
        )

    @property
    def filters(self) -> dict[str, str]:
        """Which attempts, for an address."""
        named = {"outcome": self.outcome, "task": self.task, "recipe": self.recipe}
        return {name: value for name, value in named.items() if value}

    @property
    def query(self) -> dict[str, str]:
        """All of it as an address has it; what is the default is left out."""
        said = {} if self.sort == "number" else {"sort": self.sort}
        said |= {"order": "rising"} if self.rising else {}
        return {**self.filters, **said}

    def with_outcome(self, outcome: str) -> AskedList:
        """The same list of one outcome, or of all; from its beginning."""
        return replace(self, outcome=outcome, after=0, until=0)

    def sorted_by(self, sort: str) -> AskedList:
        """The same list by another column, or the other way round where it is by that one."""
        rising = not self.rising if sort == self.sort else False
        return replace(self, sort=sort, rising=rising, after=0, until=0)


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to choose from: each name with how many attempts have it."""

    outcomes: tuple[tuple[str, int], ...]
    tasks: tuple[tuple[str, int], ...]
    recipes: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class AttemptPage:
    """A part of a list."""

    rows: tuple[Attempt, ...]
    first: int
    """place of the first row among those that were asked for, from 1; 0 where there are none"""
    found: int
    """attempts that were asked for, on all pages"""
    total: int
    """attempts there are"""
    before: int
    """the attempt that the page before this one ends before; 0 where this is the first"""
    after: int
    """the attempt that the next page follows; 0 where this is the last"""
    choices: Choices


def page_of(
    attempts: Sequence[Attempt], asked: AskedList, kind_of: Callable[[Attempt], str], *, most: int = 25
) -> AttemptPage:
    """What was asked for.

    Args:
        attempts: of a log, oldest first.
        asked: which of them.
        kind_of: the name of an attempt's outcome.
        most: rows.
    """
    found = in_order(attempts, asked, kind_of)
    begin = _begin(found, asked, most)
    rows = tuple(found[begin : begin + most])
    return AttemptPage(
        rows=rows,
        first=begin + 1 if rows else 0,
        found=len(found),
        total=len(attempts),
        before=rows[0].number if rows and begin > 0 else 0,
        after=rows[-1].number if begin + most < len(found) else 0,
        choices=_choices(attempts, kind_of),
    )


def in_order(
    attempts: Sequence[Attempt], asked: AskedList, kind_of: Callable[[Attempt], str]
) -> list[Attempt]:
    """All parts of a list, one after the other; as `page_of`."""
    return _sorted(chosen(attempts, asked, kind_of), asked)


def chosen(attempts: Sequence[Attempt], asked: AskedList, kind_of: Callable[[Attempt], str]) -> list[Attempt]:
    """Those of some attempts that are asked for, in the order that they come in; as `page_of`."""
    if not asked.filters:
        return list(attempts)
    return [
        attempt
        for attempt in attempts
        if (not asked.task or attempt.task == asked.task)
        and (not asked.recipe or attempt.arm == asked.recipe)
        and (not asked.outcome or kind_of(attempt) == asked.outcome)
    ]


def _sorted(attempts: Sequence[Attempt], asked: AskedList) -> list[Attempt]:
    if asked.sort == "number":
        return list(attempts) if asked.rising else list(reversed(attempts))
    value_of = SORTS[asked.sort]
    with_value = [(value, one.number, one) for one in attempts if (value := value_of(one)) is not None]
    without = [one for one in reversed(attempts) if value_of(one) is None]
    with_value.sort(key=lambda row: row[:2], reverse=not asked.rising)
    return [one for _, _, one in with_value] + without


def _begin(found: Sequence[Attempt], asked: AskedList, most: int) -> int:
    wanted = asked.after or asked.until
    place = next((at for at, one in enumerate(found) if one.number == wanted), -1) if wanted else -1
    if place < 0:
        return 0
    return place + 1 if asked.after else max(0, place - most)


def _choices(attempts: Sequence[Attempt], kind_of: Callable[[Attempt], str]) -> Choices:
    counted = (
        Counter(kind_of(attempt) for attempt in attempts),
        Counter(attempt.task for attempt in attempts),
        Counter(attempt.arm for attempt in attempts),
    )
    return Choices(*(tuple(found.items()) for found in counted))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0
