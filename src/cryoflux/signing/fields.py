"""What signed documents are made of: strict parts, and fields that each have one spelling."""

from __future__ import annotations

__all__ = [
    "END_OF_TEXT",
    "MOST_TEXT",
    "SAFE",
    "BigInteger",
    "Code",
    "Count",
    "Document",
    "FieldName",
    "Keyid",
    "NumberName",
    "OptionalSha256",
    "Positive",
    "RawKey",
    "Sha256",
    "Share",
    "Signed",
    "TaskName",
    "Text",
    "Timestamp",
    "at_most",
]

from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta, Struct

SAFE = 2**53 - 1
"""the largest integer that every JSON reader holds exactly"""
END_OF_TEXT = r"$(?!\n)"
"""the end of a text: to Python ``$`` alone is also the place before a last line feed"""
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}" + END_OF_TEXT)]
OptionalSha256 = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?" + END_OF_TEXT)]
"""A digest, or nothing."""
Keyid = Sha256
"""SHA-256 of a public key's SubjectPublicKeyInfo (DER)."""
Count = Annotated[int, Meta(ge=0, le=SAFE)]
Positive = Annotated[int, Meta(ge=1, le=SAFE)]
Signed = Annotated[int, Meta(ge=-SAFE, le=SAFE)]
Share = Annotated[int, Meta(ge=0, le=1_000_000)]
"""A part of a whole, parts per million."""
BigInteger = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,77})" + END_OF_TEXT)]
"""A non-negative integer beyond 2^53, as decimal text."""
Timestamp = Annotated[
    str,
    Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z" + END_OF_TEXT),
]
"""UTC wall time; a label, never used in arithmetic."""
MOST_TEXT = 2000
"""characters of a `Text`"""
Text = Annotated[str, Meta(max_length=MOST_TEXT)]
"""Any text: what was signed once is read for ever. Whoever prints one escapes what a terminal would obey."""
TaskName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,63}" + END_OF_TEXT)]
"""Whose head, data and losses something is about; part of a path, so it is made of few characters."""
FieldName = Annotated[str, Meta(pattern=r"^[a-z][a-zA-Z0-9]{0,63}" + END_OF_TEXT)]
Code = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9.-]{0,63}" + END_OF_TEXT)]
NumberName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}" + END_OF_TEXT)]
RawKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43}=" + END_OF_TEXT)]
"""32 bytes, base64."""


class Document(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename="camel",
    gc=False,
):
    """A part of a signed document: known fields, exact types, camel-case names.

    A field with a default came later, or says nothing most of the time: it is left out where it says nothing,
    so that older documents keep their spelling. It is a frozen tree, so no cycle of it has to be collected.
    """

    def but(self, **changes: Any) -> Self:
        """The same with other values in some fields; nothing is checked before it is signed."""
        return msgspec.structs.replace(self, **changes)

    def plain(self) -> dict[str, Any]:
        """The document in the types of JSON, by the names on the wire."""
        found: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        return found


def at_most(items: int, *, least: int = 0) -> Meta:
    """The bound of a list that has between ``least`` and ``items`` items."""
    return Meta(min_length=least, max_length=items)
