"""Whether an offer and the receipt that it names belong together: whoever has both can see that."""

from __future__ import annotations

__all__ = ["offer_complaints"]

from collections.abc import Iterator

from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import UpdateOffer


def offer_complaints(said: UpdateOffer, entry: Entry | None) -> Iterator[str]:
    """What is wrong with an offer: a receipt made it, of the version that it says it was trained on.

    Args:
        said: the offer.
        entry: of its log, at the position that it names; none where there is no such entry.
    """
    receipt = entry.receipt if entry is not None else None
    if entry is None or receipt is None or entry.leaf_hash != said.receipt or receipt.training is None:
        yield f"offers what entry {said.receipt_at} did not make"
        return
    subjects = [one.digest.sha256 for one in entry.statement.subject]
    if subjects != [said.update.adapter, said.config] or receipt.task.name != said.task:
        yield f"offers another update than entry {said.receipt_at} made"
    fields, update = receipt.training.section.fields, said.update
    composed = (update.genesis, update.made.digest)
    if (fields.get("genesis"), fields.get("list")) != composed:
        yield "says that its update was trained on another version than its receipt does"
