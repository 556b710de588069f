"""The page ``/attempts``: every attempt, as the project's picture and as a table."""

from __future__ import annotations

__all__ = ["AttemptRow", "page", "rows_of", "signature"]

from collections.abc import Sequence
from dataclasses import dataclass

from cryoflux.pages.charts.scatter import Scatter, mark_of, scatter
from cryoflux.pages.look import Look, Page
from cryoflux.receipts.attempts import Attempt
from cryoflux.report.picture import DrawnAs, drawn_as

_MOST = 40
"""rows of a page"""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt in one line."""

    attempt: Attempt
    kind: DrawnAs
    href: str
    why: str
    """its reason, without what stands in the other columns"""


def page(look: Look) -> Page:
    """The page of a state as it is."""
    attempts = look.followed.attempts
    values = {
        "pictures": signature(look, attempts),
        "rows": rows_of(look, attempts[: -_MOST - 1 : -1]),
        "count": len(attempts),
    }
    return Page("attempts.html", "Attempts", section="attempts", values=values)


def rows_of(look: Look, attempts: Sequence[Attempt]) -> list[AttemptRow]:
    """Attempts as lines of a table, in the order that they come in."""
    return [
        AttemptRow(one, drawn_as(one), look.link(f"/attempts/{one.number}"), one.brief or one.reason)
        for one in attempts
    ]


def signature(look: Look, attempts: Sequence[Attempt]) -> list[tuple[str, Scatter]]:
    """The project's picture of each task, since each has its own unit."""
    found = []
    for task in dict.fromkeys(one.task for one in attempts):
        marks = [mark_of(one) for one in attempts if one.task == task]
        title = f"{task}: energy against improvement, {len(marks)} attempts"
        drawn = scatter(marks, lambda number: look.link(f"/attempts/{number}"), title)
        if drawn is not None:
            found.append((task, drawn))
    return found
