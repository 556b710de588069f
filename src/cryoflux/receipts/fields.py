"""The kinds of fields that a statement is made of, each with the one spelling that it allows."""

from __future__ import annotations

__all__ = [
    "SAFE",
    "BigInteger",
    "Count",
    "Sha256",
    "Signed",
    "StrictModel",
    "Text",
    "Timestamp",
    "empty",
]

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

SAFE = 2**53 - 1
"""the largest integer that every JSON reader holds exactly"""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=SAFE)]
Signed = Annotated[int, Field(ge=-SAFE, le=SAFE)]
BigInteger = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,77})$")]
"""A non-negative integer beyond 2^53, as decimal text."""
Timestamp = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$")
]
"""UTC wall time; a label, never used in arithmetic."""
Text = Annotated[str, StringConstraints(max_length=2000)]


def empty(value: object) -> bool:
    """Whether a field that came later says nothing: it is left out, so older entries keep their spelling."""
    return not value


class StrictModel(BaseModel):
    """A part of a statement: known fields, exact types, camel-case names."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,  # the published schema explains each field
    )
