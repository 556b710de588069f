"""Batches of texts that are about equally long, so that little is computed on padding."""

from __future__ import annotations

__all__ = ["bucketed", "padded"]

from collections.abc import Sequence


def bucketed(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Indices of all texts in batches, shortest first; equal lengths keep their order."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def padded(texts: Sequence[Sequence[int]], pad: int) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids and attention mask of one batch, both (batch, longest text)."""
    longest = max(map(len, texts))
    ids = [[*text, *[pad] * (longest - len(text))] for text in texts]
    mask = [[1] * len(text) + [0] * (longest - len(text)) for text in texts]
    return ids, mask
