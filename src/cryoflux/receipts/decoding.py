"""From the bytes of a log entry's payload to the statement that it is.

A predicate type ends in its version. A version that was ever published is read for ever; one that is not
known yet was written by a newer CryoFlux, which is another thing than a malformed entry and is said so.
"""

from __future__ import annotations

__all__ = ["NewerFormatError", "parse_statement", "predicate_type_of"]

import json
import re

import msgspec

from cryoflux.errors import VerificationError
from cryoflux.receipts import statement_v1 as v1
from cryoflux.receipts.contract_statement import (
    CONTRACT_ACCEPT_TYPE,
    CONTRACT_LOOK_TYPE,
    CONTRACT_RESULT_TYPE,
    CONTRACT_TYPE,
    ContractStatement,
)
from cryoflux.receipts.key_statement import (
    REVOCATION_TYPE,
    ROOT_TYPE,
    ROTATION_TYPE,
    KeyRevocationStatement,
    KeyRootStatement,
    KeyRotationStatement,
    KeyStatement,
)
from cryoflux.receipts.lifting import lifted
from cryoflux.receipts.network_statement import (
    GUEST_TYPE,
    NODE_TYPE,
    OFFER_TYPE,
    OPENING_TYPE,
    RECALL_TYPE,
    ROUND_INTENT_TYPE,
    ROUND_TYPE,
    NetworkStatement,
)
from cryoflux.receipts.session import SESSION_TYPE, SessionStatement
from cryoflux.receipts.statement import (
    FORK_TYPE,
    HEAD_TYPE,
    INTENT_TYPE,
    JUDGEMENT_TYPE,
    RECEIPT_TYPE,
    ForkStatement,
    HeadStatement,
    IntentStatement,
    JudgementStatement,
    ReceiptStatement,
    Statement,
)
from cryoflux.signing.canonical import MAX_ENTRY_BYTES, parse_strictly

_OURS = re.compile(r"https://cryoflux\.dev/[a-z][a-z-]{0,63}/v[1-9][0-9]{0,5}")
_KNOWN = {
    *(INTENT_TYPE, RECEIPT_TYPE, HEAD_TYPE, SESSION_TYPE, v1.INTENT_V1, v1.RECEIPT_V1),
    *(ROOT_TYPE, ROTATION_TYPE, REVOCATION_TYPE),
    *(FORK_TYPE, JUDGEMENT_TYPE),
    *(NODE_TYPE, GUEST_TYPE, OFFER_TYPE, ROUND_INTENT_TYPE, ROUND_TYPE, OPENING_TYPE, RECALL_TYPE),
    *(CONTRACT_TYPE, CONTRACT_ACCEPT_TYPE, CONTRACT_LOOK_TYPE, CONTRACT_RESULT_TYPE),
}
_DECODER = msgspec.json.Decoder(
    IntentStatement
    | ReceiptStatement
    | HeadStatement
    | SessionStatement
    | KeyRootStatement
    | KeyRotationStatement
    | KeyRevocationStatement
    | ForkStatement
    | JudgementStatement
    | NetworkStatement
    | ContractStatement
    | v1.IntentStatementV1
    | v1.ReceiptStatementV1
)


class NewerFormatError(VerificationError):
    """An entry follows a format that this version does not know yet."""


def predicate_type_of(payload: bytes) -> str:
    """The predicate type that a payload claims, without any trust in it; empty where there is none."""
    if len(payload) > MAX_ENTRY_BYTES:
        return ""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    found = document.get("predicateType") if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""


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


def parse_statement(
    payload: bytes,
) -> tuple[Statement | SessionStatement | KeyStatement | NetworkStatement | ContractStatement, int]:
    """Read a statement from its canonical bytes, in today's form, and the version in which it was signed.

    Raises:
        NewerFormatError: a newer version wrote it.
        VerificationError: the bytes are anything else.
    """
    try:
        found = parse_strictly(_DECODER, payload, "The statement")
    except VerificationError as error:
        raise _explained(payload, error) from error
    if isinstance(found, v1.IntentStatementV1 | v1.ReceiptStatementV1):
        return lifted(found), 1
    return found, 2 if isinstance(found, IntentStatement | ReceiptStatement) else 1
