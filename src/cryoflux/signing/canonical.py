"""The bytes that are signed, and the only way back from bytes to a document.

A document is written as RFC 8785 (JCS) bytes. It is read back strictly: known fields only, no floats,
and it has to be, byte for byte, what writing it again gives. That one comparison refuses duplicate keys,
another key order, white space, a field by its Python name and every other second spelling.
"""

from __future__ import annotations

__all__ = ["MAX_ENTRY_BYTES", "canonical_bytes", "parse_strictly"]

import json
from typing import TypeVar

import rfc8785
from pydantic import BaseModel, TypeAdapter, ValidationError

from cryoflux.errors import VerificationError

Document = TypeVar("Document", bound=BaseModel)

_UP_TO_BMP = bytes(range(0xF0))
"""every byte of UTF-8 but those that begin a character beyond the basic plane"""
_plain = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode

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


def _spells(document: BaseModel, content: bytes) -> bool:
    """Whether ``content`` is what writing the document again gives.

    Documents that are read have neither floats nor integers beyond 2^53, so the standard library writes the
    bytes of RFC 8785, several times as fast. Only keys beyond the basic plane would sort otherwise.
    """
    if content.translate(None, _UP_TO_BMP):
        return canonical_bytes(document) == content
    try:
        return _plain(document.model_dump(mode="json", by_alias=True)).encode() == content
    except ValueError:
        return False


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
    if not _spells(document, content):
        raise VerificationError(
            f"{what} is not in canonical form (RFC 8785).",
            why="A key given twice or another spelling could be read differently by another program.",
        )
    return document
