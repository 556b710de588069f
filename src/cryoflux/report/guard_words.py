"""What a leak guard left out: the same words in a plan and in a run."""

from __future__ import annotations

__all__ = ["guard_document", "guard_lines"]

from collections.abc import Mapping
from typing import Any


def guard_lines(rule: Mapping[str, Any] | None, similar: Mapping[str, int]) -> list[str]:
    """What a leak guard left out of training; nothing where there is none.

    Args:
        rule: as the rules of a data set name it.
        similar: set that judges → training texts that are like one of its texts.
    """
    if not rule:
        return []
    near = f"a cosine of {rule['least_milli'] / 1000:g} or more with a text that judges"
    if not similar:
        return [f"leak guard: no training text has {near}"]
    parts = ", ".join(f"{count} of {name}" for name, count in similar.items())
    return [f"leak guard: training texts left out for {near}: {sum(similar.values())} ({parts})"]


def guard_document(rule: Mapping[str, Any] | None, similar: Mapping[str, int]) -> dict[str, Any]:
    """The same for a program."""
    least = rule["least_milli"] / 1000 if rule else None
    return {"leak_guard": least, "similar_dropped": dict(similar)}
