"""From the bytes of a log entry's payload to the statement that it is.

A predicate type ends in its version. A version that was ever published is read for ever; one that is not
known yet was written by a newer CryoFlux, which is another thing than a malformed entry and is said so.
"""

from __future__ import annotations

__all__ = ["NewerFormatError", "parse_any_statement", "parse_statement", "predicate_type_of"]

import json
import re
from typing import Annotated

from pydantic import Discriminator, Tag, TypeAdapter

from cryoflux.errors import VerificationError
from cryoflux.receipts.key_statement import (
    REVOCATION_TYPE,
    ROOT_TYPE,
    ROTATION_TYPE,
    KeyRevocationStatement,
    KeyRootStatement,
    KeyRotationStatement,
    KeyStatement,
)
from cryoflux.receipts.statement import (
    INTENT_TYPE,
    RECEIPT_TYPE,
    IntentStatement,
    ReceiptStatement,
    Statement,
)
from cryoflux.signing.canonical import MAX_ENTRY_BYTES, parse_strictly

_OURS = re.compile(r"https://cryoflux\.dev/[a-z][a-z-]{0,63}/v[1-9][0-9]{0,5}")
_KEY_TYPES = {ROOT_TYPE, ROTATION_TYPE, REVOCATION_TYPE}
_KNOWN = {INTENT_TYPE, RECEIPT_TYPE, *_KEY_TYPES}


class NewerFormatError(VerificationError):
    """An entry follows a format that this version does not know yet."""


def _kind(document: object) -> str:
    found = document.get("predicateType") if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""


_STATEMENT: TypeAdapter[Statement] = TypeAdapter(
    Annotated[
        Annotated[IntentStatement, Tag(INTENT_TYPE)] | Annotated[ReceiptStatement, Tag(RECEIPT_TYPE)],
        Discriminator(_kind),
    ]
)
_KEY_STATEMENT: TypeAdapter[KeyStatement] = TypeAdapter(
    Annotated[
        Annotated[KeyRootStatement, Tag(ROOT_TYPE)]
        | Annotated[KeyRotationStatement, Tag(ROTATION_TYPE)]
        | Annotated[KeyRevocationStatement, Tag(REVOCATION_TYPE)],
        Discriminator(_kind),
    ]
)


def predicate_type_of(payload: bytes) -> str:
    """The predicate type that a payload claims, without any trust in it; empty where there is none."""
    if len(payload) > MAX_ENTRY_BYTES:
        return ""
    try:
        return _kind(json.loads(payload))
    except (ValueError, RecursionError):
        return ""


def _explained(payload: bytes, error: VerificationError) -> VerificationError:
    """The better error, where the payload is of a type that came after this version."""
    claimed = predicate_type_of(payload)
    if claimed in _KNOWN or _OURS.fullmatch(claimed) is None:
        return error
    return NewerFormatError(
        f"The statement is a {claimed}, written by a newer CryoFlux.",
        why="This version cannot tell what it says, so it can neither confirm nor refute it.",
        hint="Install the newest cryoflux, then verify again.",
    )


def parse_statement(payload: bytes) -> Statement:
    """Read an intent or a receipt from its canonical bytes.

    Raises:
        NewerFormatError: a newer version wrote it.
        VerificationError: the bytes are anything else.
    """
    try:
        return parse_strictly(_STATEMENT, payload, "The statement")
    except VerificationError as error:
        raise _explained(payload, error) from error


def parse_any_statement(payload: bytes) -> Statement | KeyStatement:
    """Read an intent, a receipt or a key statement from its canonical bytes.

    Raises:
        NewerFormatError: a newer version wrote it.
        VerificationError: the bytes are anything else.
    """
    try:
        return parse_statement(payload)
    except VerificationError:
        if predicate_type_of(payload) not in _KEY_TYPES:
            raise
    return parse_strictly(_KEY_STATEMENT, payload, "The key statement")
