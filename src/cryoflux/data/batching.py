"""Batches of texts that are about equally long, so that little is computed on padding."""

from __future__ import annotations

__all__ = ["bucketed", "mixed_buckets", "padded"]

import random
from collections.abc import Iterator, Sequence

_RUN = 8
"""batches that are sorted by length together"""


def bucketed(lengths: Sequence[int], batch_size: int, most_tokens: int | None = None) -> list[list[int]]:
    """Indices of all texts in batches, shortest first; equal lengths keep their order.

    Args:
        lengths: tokens of each text.
        batch_size: texts in a batch.
        most_tokens: of a batch, padding included, so that long texts do not fill the memory; a batch that has
            more is cut up. One text may have more.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if most_tokens is None:
        return batches
    return [part for batch in batches for part in _cut_up(batch, most_tokens // max(1, lengths[batch[-1]]))]


def _cut_up(batch: list[int], rows: int) -> list[list[int]]:
    return [batch[start : start + max(1, rows)] for start in range(0, len(batch), max(1, rows))]


def padded(texts: Sequence[Sequence[int]], pad: int) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids and attention mask of one batch, both (batch, longest text)."""
    longest = max(map(len, texts))
    ids = [[*text, *[pad] * (longest - len(text))] for text in texts]
    mask = [[1] * len(text) + [0] * (longest - len(text)) for text in texts]
    return ids, mask


def mixed_buckets(
    lengths: Sequence[int],
    batch_size: int,
    rng: random.Random,
    *,
    first_as_given: bool = False,
    first_passes: int = 1,
) -> Iterator[list[int]]:
    """Batches without end: in random order, yet of texts about equally long.

    Each pass is shuffled, cut into runs of a few batches, and only within a run sorted by length; so
    the composition of a batch changes from pass to pass. A pass that is smaller than one batch is one;
    a rest of at most half a batch is left out by lot, and not for its length.

    Args:
        lengths: tokens of each text.
        batch_size: texts in a batch.
        rng: decides the order.
        first_as_given: the first pass takes the runs in the order of the texts, which somebody else shuffled.
        first_passes: how often the first run is gone through before the next one comes.
    """
    order = list(range(len(lengths)))
    size = min(batch_size, len(order))
    run = size * _RUN
    rest = len(order) % size
    kept = len(order) - (rest if rest <= size // 2 else 0)
    if not first_as_given:
        rng.shuffle(order)
    repeated = first_passes
    while True:
        for start in range(0, kept, run):
            mixed = sorted(order[start : min(start + run, kept)], key=lengths.__getitem__)
            batches = [mixed[at : at + size] for at in range(0, len(mixed), size)]
            for _ in range(repeated):
                rng.shuffle(batches)
                yield from batches
            repeated = 1
        rng.shuffle(order)
