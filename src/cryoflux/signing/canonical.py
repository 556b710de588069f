"""The bytes that are signed, and the only way back from bytes to a document.

A document is written as RFC 8785 (JCS) bytes. It is read back strictly: known fields only, no floats,
and it has to be, byte for byte, what writing it again gives. That one comparison refuses duplicate keys,
another key order, white space, a field by its Python name and every other second spelling.
"""

from __future__ import annotations

__all__ = ["MAX_ENTRY_BYTES", "canonical_bytes", "parse_strictly"]

from typing import TypeVar

import rfc8785
from pydantic import BaseModel, TypeAdapter, ValidationError

from cryoflux.errors import VerificationError

Document = TypeVar("Document", bound=BaseModel)

MAX_ENTRY_BYTES = 60_000
"""Largest envelope; the entry bundles of C2SP tlog-tiles hold up to 65,535 bytes an entry."""


def canonical_bytes(document: BaseModel) -> bytes:
    """The RFC 8785 bytes of a document.

    Raises:
        VerificationError: it holds what a receipt cannot hold exactly (an integer beyond 2^53, text
            that is not Unicode).
    """
    try:
        return rfc8785.dumps(document.model_dump(mode="json", by_alias=True))
    except (rfc8785.CanonicalizationError, ValueError) as error:
        raise VerificationError(
            f"A receipt cannot hold this exactly: {error}.",
            why="Two machines could read two different numbers or texts out of it.",
        ) from error


def _complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"] if "://" not in str(part))[:200]
    message = first["msg"][:200]
    return f"{where}: {message}" if where else message


def parse_strictly(adapter: TypeAdapter[Document], content: bytes, what: str) -> Document:
    """Read a document of a known shape from its canonical bytes.

    Raises:
        VerificationError: the bytes are anything else.
    """
    if len(content) > MAX_ENTRY_BYTES:
        raise VerificationError(
            f"{what} has {len(content)} bytes; at most {MAX_ENTRY_BYTES} are allowed.",
            why="A log entry has to fit into its tile.",
        )
    try:
        document = adapter.validate_json(content, strict=True)
    except ValidationError as error:
        raise VerificationError(
            f"{what} is malformed: {_complaint(error)}.",
            why="Only known fields with exact types are evidence.",
        ) from error
    if canonical_bytes(document) != content:
        raise VerificationError(
            f"{what} is not in canonical form (RFC 8785).",
            why="A key given twice or another spelling could be read differently by another program.",
        )
    return document
