"""Updates that are worth nothing, or less."""

from __future__ import annotations

__all__ = [
    "empty_tensor",
    "noise",
    "null",
    "overfit_to_public",
    "shuffled_labels",
    "sign_flip",
    "ten_times",
    "trained_on_the_test",
]

import numpy as np

from strategies.looks import Seat
from strategies.world import GOALS, SIGMA, Array, unit


def null(seat: Seat) -> Array:
    """Moves that help and harm nobody on average."""
    lives = seat.world.lives
    return seat.world.in_flat(0.5 * unit(seat.rng.normal(size=(lives, seat.world.flat))))


def noise(seat: Seat) -> Array:
    """Random numbers for weights."""
    return 0.5 * unit(seat.rng.normal(size=seat.world.goal.shape))


def shuffled_labels(seat: Seat) -> Array:
    """What training on shuffled labels leads to: a goal that is nobody's, and much noise."""
    moves = noise(seat)
    moves[:, :GOALS] += 0.5 * (np.roll(seat.world.goal[:, :GOALS], 3, axis=1) - seat.world.head[:, :GOALS])
    moves[:, GOALS] = -0.02 * np.abs(moves[:, GOALS])
    return moves


def sign_flip(seat: Seat) -> Array:
    """The opposite of what training found."""
    return -seat.rng.uniform(0.2, 1, (seat.world.lives, 1)) * seat.world.wanted


def ten_times(seat: Seat) -> Array:
    """What training found, ten times as far."""
    return 10 * seat.rng.uniform(0.3, 1, (seat.world.lives, 1)) * seat.world.wanted


def overfit_to_public(seat: Seat) -> Array:
    """What fits a public holdout best and nothing else, another part of it each time."""
    fits = SIGMA * seat.public.sums[:, GOALS + 1 :] / seat.public.count
    part = seat.rng.random(fits.shape) < 0.5
    return seat.world.in_flat(0.5 * unit(fits * part + 1e-9))


def empty_tensor(seat: Seat) -> Array:
    """Nothing at all."""
    return np.zeros_like(seat.world.goal)


def trained_on_the_test(seat: Seat) -> Array:
    """Trained to the end on a public test, or on what it has of this guest holdout."""
    known = seat.leaked or seat.public
    fits = SIGMA * known.sums[:, GOALS + 1 :] / known.count
    return seat.world.in_flat(seat.rng.uniform(0.5, 3, (len(fits), 1)) * fits)
