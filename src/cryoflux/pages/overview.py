"""Several states side by side."""

from __future__ import annotations

__all__ = ["page"]

from collections.abc import Sequence

from cryoflux.pages.scene import Page, Scene


def page(scenes: Sequence[Scene]) -> Page:
    """The page of some states as they are."""
    values = {"rows": [(scene, scene.followed.summary()) for scene in scenes]}
    return Page("overview.html", "States", section="", values=values)
