"""Δ for each token that a model has to say, where an example is a document: what people compare.

Losses and Δ are per document, since documents are judged. A receipt of such a task says beside them how many
target tokens the whole holdout has. By that a document has so many on average, the same that its rule's
smallest Δ was asked for by.
"""

from __future__ import annotations

__all__ = ["TARGET_TOKENS", "per_token_text", "tokens_per_example"]

from cryoflux.receipts.statement import Receipt

TARGET_TOKENS = "holdoutTargetTokens"
"""field of a section: target tokens of the whole holdout"""


def tokens_per_example(receipt: Receipt) -> float | None:
    """Target tokens that an example of the holdout has on average; none where a receipt does not say."""
    if receipt.training is None or not receipt.holdout.count:
        return None
    tokens = receipt.training.section.fields.get(TARGET_TOKENS)
    return tokens / receipt.holdout.count if isinstance(tokens, int) and tokens > 0 else None


def per_token_text(delta: float | None, unit: str | None, tokens: float | None) -> str:
    """A Δ of documents for each of their target tokens: ``+0.24 nats a target token``.

    Args:
        delta: of a document, in the mean; none where nothing was measured.
        unit: of Δ.
        tokens: that a document has on average; none where examples have none.

    Returns:
        Nothing where there is nothing to say.
    """
    if delta is None or tokens is None:
        return ""
    return f"{delta / tokens:+.3g} {unit or ''}".rstrip() + " a target token"
