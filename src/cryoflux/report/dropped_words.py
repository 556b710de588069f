"""What of the files that were given is in no set."""

from __future__ import annotations

__all__ = ["dropped_words"]

from collections.abc import Mapping


def dropped_words(dropped: Mapping[str, int]) -> str:
    """How many examples were dropped as duplicates, and how many for other reasons.

    Args:
        dropped: set → its duplicates; ``conflicting`` are some of these, ``unsaid`` and ``near`` are others,
            and ``unsearched`` are none, but may have to be.
    """
    names = ("conflicting", "unsaid", "near", "unsearched")
    conflicting, unsaid, near, unsearched = (dropped.get(name, 0) for name in names)
    said = f"{sum(dropped.values()) - conflicting - unsaid - near - unsearched} duplicates dropped"
    said += f"; {unsaid} documents of which nothing is left to say once cut" if unsaid else ""
    said += f"; {near} training documents left out that answer as one that judges" if near else ""
    limit = "could not be held against all that judge (too long, or too many alike)"
    said += f"; {unsearched} training documents {limit}" if unsearched else ""
    return f"{said}, {conflicting} of them with another label" if conflicting else said
