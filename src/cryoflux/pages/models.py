"""The page ``/models``: what is there to use, how it came about, and how to go back."""

from __future__ import annotations

__all__ = ["page"]

from cryoflux.pages.look import Look, Page


def page(look: Look) -> Page:
    """The page of a state as it is."""
    return Page("models.html", "Models", section="models", values={"catalogue": look.followed.catalogue()})
