"""Why something was decided: a code with its numbers, which programs compare and nobody has to parse.

What it says in words is made from these alone, in one place (`cryoflux.sentences`).
"""

from __future__ import annotations

__all__ = ["Reason", "evidence_numbers"]

from typing import Annotated

import msgspec
from msgspec import Meta

from cryoflux.decision.evidence import Evidence
from cryoflux.signing.fields import Code, Document, NumberName, Signed, Text


class Reason(Document, frozen=True):
    """A code, and the numbers that belong to it."""

    code: Code
    numbers: Annotated[dict[NumberName, Signed | Text], Meta(max_length=32)] = msgspec.field(
        default_factory=dict
    )
    """by name: whole numbers, and texts where there is no number"""


def evidence_numbers(e: Evidence) -> dict[str, int | str]:
    """The sums that a sentence about some evidence needs; hits only where the task has them."""
    found: dict[str, int | str] = {"count": e.count, "delta": e.delta, "squared": str(e.delta_squared)}
    if e.hits:
        found |= {"gain": e.new_correct - e.base_correct, "gained": e.gained, "lost": e.lost}
    return found
