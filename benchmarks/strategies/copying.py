"""Copies of an update that was adopted already, shown to the holdout as if the copy screen had missed them.

Each strategy first has an honest update adopted, then proposes copies of it. In losses a turned or permuted
copy is the same move; what tells them apart is the copy screen, in `strategies.rounds`.
"""

from __future__ import annotations

__all__ = ["COPIERS", "front_run"]

from collections.abc import Callable

import numpy as np

from strategies.looks import Seat, Strategy
from strategies.world import GOALS, Array, unit

_STEP = 0.9
"""of the way that is left: an original that leaves little to gain by the same once more"""


def _original(seat: Seat) -> Array:
    moves = _STEP * seat.world.wanted
    moves[:, :GOALS] += 0.05 * seat.rng.normal(size=(seat.world.lives, GOALS))
    return moves


def _copier(variant: Callable[[Seat, Array], Array]) -> Strategy:
    """Propose the original until it is in, and variants of it ever after."""

    def moves(seat: Seat) -> Array:
        memory = seat.memory
        if seat.look == 0:
            memory["original"] = _original(seat)
            memory["in"] = np.zeros(seat.world.lives, bool)
            memory["offered_copy"] = np.zeros(seat.world.lives, bool)
            return memory["original"]
        memory["in"] |= seat.told[-1].accepted & ~memory["offered_copy"]
        memory["offered_copy"] = memory["in"].copy()
        return np.where(memory["in"][:, None], variant(seat, memory["original"]), memory["original"])

    return moves


def _scale(seat: Seat, original: Array) -> Array:
    return seat.rng.uniform(0.1, 1.5, (len(original), 1)) * original


def _noise(seat: Seat, original: Array) -> Array:
    size = np.linalg.norm(original, axis=1, keepdims=True)
    return original + size * unit(seat.rng.normal(size=original.shape))


def _unseen(seat: Seat, original: Array) -> Array:
    """Ten times its norm where a loss hardly sees it: along flat axes, a tenth of it reaches the losses."""
    size = np.linalg.norm(original, axis=1, keepdims=True)
    return original + seat.world.in_flat(size * unit(seat.rng.normal(size=(len(original), seat.world.flat))))


def _trained_on(seat: Seat, original: Array) -> Array:
    return original + 0.2 * seat.rng.random((len(original), 1)) * (seat.world.wanted - original)


def _mixed(seat: Seat, original: Array) -> Array:
    """Half of it, and half of another's that is not in yet."""
    other = seat.rng.uniform(0.5, 1, (len(original), 1)) * seat.world.wanted
    return 0.5 * original + 0.5 * other


def _same(_seat: Seat, original: Array) -> Array:
    return original


COPIERS: dict[str, Strategy] = {
    name: _copier(variant)
    for name, variant in {
        "bytes": _same,
        "gauge": _same,
        "scale": _scale,
        "noise": _noise,
        "null-space": _unseen,
        "permuted": _same,
        "trained on": _trained_on,
        "two-way mix": _mixed,
    }.items()
}


def front_run(seat: Seat) -> Array:
    """Announces what another has announced, and offers the other's update as soon as it can be read.

    It comes after the original, as its receipt does; before that it can only offer work of its own, which is
    little here.
    """
    if seat.look % 2 == 0:
        return 0.02 * seat.world.wanted
    seat.memory.setdefault("original", _original(seat))
    return seat.memory["original"]
