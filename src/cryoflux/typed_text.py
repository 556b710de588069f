"""Text as somebody has typed it, before anything is made of it."""

from __future__ import annotations

__all__ = ["is_unicode"]


def is_unicode(text: str) -> bool:
    """Whether text is Unicode: what a person types may have bytes in it that are none."""
    return text.encode(errors="replace").decode() == text
