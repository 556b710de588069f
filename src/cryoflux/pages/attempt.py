"""The page ``/attempts/N``: one attempt, why it ended as it did, what it cost, and how to check that."""

from __future__ import annotations

__all__ = ["page"]

from cryoflux.errors import UsageError
from cryoflux.pages.look import Look, Page
from cryoflux.report.picture import drawn_as

_MOST_DIGITS = 9


def page(look: Look, named: str) -> Page:
    """The page of an attempt.

    Raises:
        UsageError: there is no such attempt.
    """
    number = int(named) if named.isascii() and named.isdecimal() and len(named) <= _MOST_DIGITS else 0
    found = look.followed.attempt(number)
    if found is None:
        raise UsageError(f"There is no finished attempt #{number}.", hint="Choose one under Attempts.")
    values = {"attempt": found, "kind": drawn_as(found)}
    return Page("attempt.html", f"Attempt #{number}", section="attempts", values=values)
