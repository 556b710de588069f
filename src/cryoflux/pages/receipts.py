"""The page ``/receipts``: the log, and whether it holds."""

from __future__ import annotations

__all__ = ["page"]

from cryoflux.pages.look import Look, Page

_MOST = 40


def page(look: Look) -> Page:
    """The page of a state as it is."""
    rows = look.followed.rows[: -_MOST - 1 : -1]
    return Page("receipts.html", "Receipts", section="receipts", values={"rows": rows})
