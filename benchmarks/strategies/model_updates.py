"""Layer S3, *models*: what a cheat makes of updates, as weights."""

from __future__ import annotations

__all__ = ["like_noise", "norms_of", "nothing", "times", "together", "within"]

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from copy_roc import Update
from strategies.world import Array


def times(update: Update, factor: float) -> Update:
    """An update, longer or shorter, or turned round."""
    lora = {name: (a, factor * b) for name, (a, b) in update.lora.items()}
    return replace(update, lora=lora, head={name: factor * moved for name, moved in update.head.items()})


def together(updates: Sequence[Update], weights: Sequence[float]) -> Update:
    """The sum of some updates with weights, as one."""
    lora = {
        name: (
            np.concatenate([one.lora[name][0] for one in updates]),
            np.concatenate(
                [weight * one.lora[name][1] for one, weight in zip(updates, weights, strict=True)], axis=1
            ),
        )
        for name in updates[0].lora
    }
    head = {
        name: np.sum([weight * one.head[name] for one, weight in zip(updates, weights, strict=True)], axis=0)
        for name in updates[0].head
    }
    return replace(updates[0], lora=lora, head=head)


def like_noise(update: Update, size: float, rng: np.random.Generator, rank: int = 8) -> Update:
    """Random numbers of so many times the norm of each tensor that an update moves."""
    lora = {}
    for name, (a, b) in update.lora.items():
        left, right = rng.normal(size=(rank, a.shape[1])), rng.normal(size=(len(b), rank))
        lora[name] = left, right * (size * update.norm(name) / float(np.linalg.norm(right @ left)))
    head = {name: _noise(moved, size, rng) for name, moved in update.head.items()}
    return replace(update, lora=lora, head=head)


def _noise(moved: Array, size: float, rng: np.random.Generator) -> Array:
    drawn = np.asarray(rng.normal(size=moved.shape))
    return drawn * float(size * np.linalg.norm(moved) / np.linalg.norm(drawn))


def nothing(update: Update) -> Update:
    """An update that moves nothing."""
    return times(update, 0.0)


def norms_of(update: Update) -> dict[str, float]:
    """How far an update moves each tensor."""
    products = {name: update.scale * update.norm(name) for name in update.lora}
    return products | {name: float(np.linalg.norm(moved)) for name, moved in update.head.items()}


def within(update: Update, most: Mapping[str, float]) -> Update:
    """An update, each tensor of it shortened to a norm at most."""
    shares = {name: min(1.0, most[name] / max(norm, 1e-12)) for name, norm in norms_of(update).items()}
    lora = {name: (a, shares[name] * b) for name, (a, b) in update.lora.items()}
    return replace(
        update, lora=lora, head={name: shares[name] * moved for name, moved in update.head.items()}
    )
