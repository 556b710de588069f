"""What a receipt says that its candidate is composed of, held against the list of the version before it."""

from __future__ import annotations

__all__ = ["composed_by"]

from cryoflux.receipts.statement import ReceiptStatement
from cryoflux.registry.composition import COMPOSE, Composition


def composed_by(statement: ReceiptStatement, start: Composition, digest: str) -> Composition | None:
    """What the candidate of a receipt is composed of, by what the receipt says and the list of its start.

    Args:
        statement: the receipt.
        start: of what the version that its update is added to is composed: its base, or its chain's start.
        digest: of that version.

    Returns:
        None where the receipt names no list (it was merged in float32), or one that does not follow.
    """
    training = statement.predicate.training
    fields = training.section.fields if training is not None else {}
    if fields.get("merge") != COMPOSE:
        return None
    said = (fields.get("genesis"), fields.get("list"))
    return start.named(said, digest, statement.subject[0].digest.sha256)
