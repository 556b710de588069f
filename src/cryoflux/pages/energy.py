"""The page ``/energy``: whether the joules are real, and where they went."""

from __future__ import annotations

__all__ = ["page"]

from cryoflux.pages.look import Look, Page


def page(look: Look) -> Page:
    """The page of a state as it is."""
    return Page("energy.html", "Energy", section="energy", values={"summary": look.followed.summary()})
