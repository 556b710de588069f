"""Losses of an update on screening examples, in training arithmetic: one loop for both trainers."""

from __future__ import annotations

__all__ = ["screen_losses"]

from collections.abc import Callable, Sequence
from typing import Any

from cryoflux.data.batching import bucketed
from cryoflux.quantities import NANO

_WORST_NATS = 1000.0


def screen_losses(
    lengths: Sequence[int],
    batch_size: int,
    score: Callable[[list[int]], tuple[Any, Any]],
    between: Callable[[], None] = lambda: None,
) -> tuple[list[int], list[bool]]:
    """Losses, nano-nats, and hits of some examples.

    Args:
        lengths: tokens of each example.
        batch_size: examples at once; they are taken by length.
        score: rows → float32 scores (batch, classes) and classes (batch,), on one device.
        between: called before each batch; may raise.
    """
    import torch

    losses, right = [0] * len(lengths), [False] * len(lengths)
    with torch.no_grad():
        for rows in bucketed(lengths, batch_size):
            between()
            logits, wanted = score(rows)
            found = torch.nn.functional.cross_entropy(logits, wanted, reduction="none").tolist()
            hits = (logits.argmax(-1) == wanted).tolist()
            for row, value, hit in zip(rows, found, hits, strict=True):
                losses[row], right[row] = round(min(value, _WORST_NATS) * NANO), hit
    return losses, right
