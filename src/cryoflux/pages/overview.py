"""Several states side by side."""

from __future__ import annotations

__all__ = ["page"]

from collections.abc import Sequence

from cryoflux.pages.look import Look, Page


def page(looks: Sequence[Look]) -> Page:
    """The page of some states as they are."""
    values = {"rows": [(look, look.followed.summary()) for look in looks]}
    return Page("overview.html", "States", section="", values=values)
