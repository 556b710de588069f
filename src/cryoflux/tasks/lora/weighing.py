"""How much each class counts while an update learns; what judges an update counts every example once."""

from __future__ import annotations

__all__ = ["class_weights", "training_loss"]

import torch
from torch.nn.functional import cross_entropy

from cryoflux.tasks.lora.recipe import WEIGHTINGS


def class_weights(how: str, classes: torch.Tensor, count: int) -> torch.Tensor | None:
    """The weight of each class, (count,) float32, of mean 1 over the examples; none where all are equal.

    Args:
        how: one of `WEIGHTINGS`: a class counts by its frequency to the power of 0, −½ or −1.
        classes: of the training examples that the state began with, int64. Those that join later change no
            weight: a chain that was begun before goes on as it was.
        count: how many classes there are.
    """
    if not (power := WEIGHTINGS[how]):
        return None
    there = torch.bincount(classes.cpu(), minlength=count).double()
    raw = torch.where(there > 0, there, torch.inf) ** -power
    return (raw * there.sum() / (raw * there).sum()).float()


def training_loss(logits: torch.Tensor, classes: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Mean cross-entropy of a batch, nats, each example as heavy as its class.

    The sum of weighted losses is divided by the number of examples, not by the sum of their weights: a batch
    that lacks the rare class would else count as much as one that has it.

    Args:
        logits: scores of the classes, (batch, classes).
        classes: class of each example, (batch,).
        weights: of the classes; none for all equal.
    """
    if weights is None:
        return cross_entropy(logits, classes)
    weight = weights.to(logits.device)
    return cross_entropy(logits, classes, weight=weight, reduction="sum") / len(classes)
