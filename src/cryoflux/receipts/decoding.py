"""From the bytes of a log entry's payload to the statement that it is."""

from __future__ import annotations

__all__ = ["parse_statement"]

from typing import Annotated

from pydantic import Discriminator, Tag, TypeAdapter

from cryoflux.receipts.statement import (
    INTENT_TYPE,
    RECEIPT_TYPE,
    IntentStatement,
    ReceiptStatement,
    Statement,
)
from cryoflux.signing.canonical import parse_strictly


def _kind(document: object) -> str:
    found = document.get("predicateType") if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""


_STATEMENT: TypeAdapter[Statement] = TypeAdapter(
    Annotated[
        Annotated[IntentStatement, Tag(INTENT_TYPE)] | Annotated[ReceiptStatement, Tag(RECEIPT_TYPE)],
        Discriminator(_kind),
    ]
)


def parse_statement(payload: bytes) -> Statement:
    """Read a statement from its canonical bytes.

    Raises:
        VerificationError: the bytes are anything else.
    """
    return parse_strictly(_STATEMENT, payload, "The statement")
