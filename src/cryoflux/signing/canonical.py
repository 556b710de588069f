"""The bytes that are signed, and the only way back from bytes to a document.

A document is written as RFC 8785 (JCS) bytes. It is read back strictly: known fields only, no floats,
and it has to be, byte for byte, what writing it again gives. That one comparison refuses duplicate keys,
another key order, white space, a number with a point and every other second spelling.
"""

from __future__ import annotations

__all__ = ["MAX_ENTRY_BYTES", "canonical_bytes", "parse_strictly"]

import re
from typing import TypeVar

import msgspec
import rfc8785

from cryoflux.errors import UsageError, VerificationError
from cryoflux.signing.fields import Document

Read = TypeVar("Read", bound=Document)

MAX_ENTRY_BYTES = 60_000
"""Largest envelope; the entry bundles of C2SP tlog-tiles hold up to 65,535 bytes an entry."""
_UP_TO_BMP = bytes(range(0xF0))
"""every byte of UTF-8 but those that begin a character beyond the basic plane"""
_PATTERN = re.compile(r"matching regex '.*'(?= - at |$)", re.DOTALL)
"""what a reader tells of a field's form, which says nothing to who typed it"""
_write = msgspec.json.Encoder(order="sorted").encode
"""writes the bytes of RFC 8785: the same escapes, and keys by code point, which is RFC 8785's order but for
keys beyond the basic plane"""


def canonical_bytes(document: Document) -> bytes:
    """The RFC 8785 bytes of a document.

    Raises:
        UsageError: it holds what its own kind cannot hold, or cannot hold exactly (an integer beyond 2^53,
            text that is not Unicode): what is to be signed is what somebody here has said.
    """
    try:
        content = _spelt(document)
        msgspec.json.decode(content, type=type(document))
    except (msgspec.ValidationError, rfc8785.CanonicalizationError, ValueError) as error:
        raise UsageError(
            f"A receipt cannot hold this exactly: {_PATTERN.sub('of another form', str(error))}.",
            why="Two machines could read two different numbers or texts out of it.",
            hint="Nothing was signed: say it in another way, where it was typed.",
        ) from error
    return content


def _spelt(document: Document) -> bytes:
    content = _write(document)
    beyond = not content.isascii() and content.translate(None, _UP_TO_BMP)
    return rfc8785.dumps(document.plain()) if beyond else content


def parse_strictly(
    decoder: msgspec.json.Decoder[Read], content: bytes, what: str, *, most: int = MAX_ENTRY_BYTES
) -> Read:
    """Read a document of a known kind from its canonical bytes.

    Args:
        decoder: of the kinds that are allowed.
        content: the bytes.
        what: how a complaint begins: ``The statement``.
        most: bytes that it may have.

    Raises:
        VerificationError: the bytes are anything else.
    """
    if len(content) > most:
        raise VerificationError(
            f"{what} has {len(content)} bytes; at most {most} are allowed.",
            why="A log entry has to fit into its tile.",
        )
    try:
        document = decoder.decode(content)
        again = _spelt(document)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise VerificationError(
            f"{what} is malformed: {str(error)[:300]}.",
            why="Only known fields with exact types are evidence.",
        ) from error
    if again != content:
        raise VerificationError(
            f"{what} is not in canonical form (RFC 8785).",
            why="A key given twice or another spelling could be read differently by another program.",
        )
    return document
