"""Proposers that learn the guest holdout from what its verdicts show.

All of them probe flat axes, along which the true Δ is zero and the holdout has luck of its own, and then
propose all axes at once, each in the direction that their source calls lucky. A probe along a flat axis alone
says nothing by its bit: it is never accepted. So the strong ones buy acceptances: to each probe they add as
much true gain as makes its verdict a coin flip that the luck of the axis decides.
"""

from __future__ import annotations

__all__ = [
    "boosting_from_bits",
    "boosting_from_delta",
    "joules",
    "levels",
    "openings_of_others",
    "pooled_sybils",
    "timing",
]

from collections.abc import Callable

import numpy as np

from strategies.looks import Seat, Told
from strategies.world import GOALS, SIGMA, SLOPE, Array, unit

_SIZE = 0.3
"""of a probe"""


def _probe(seat: Seat, number: int) -> Array:
    axes = np.zeros((seat.world.lives, seat.world.flat))
    axes[:, number % seat.world.flat] = _SIZE
    return seat.world.in_flat(axes)


def _bought(seat: Seat, probe: Array, over: float = 0.0) -> Array:
    """The probe, and as much true gain as lets its verdict (or that of a level) hang on the probe's luck."""
    count = seat.protocol.count
    bar = np.minimum(seat.needed, 0.9 * count)
    gain = over + SIGMA * _SIZE * np.sqrt(bar / (count - bar))
    moves = probe.copy()
    moves[:, GOALS] = gain / SLOPE
    return moves


def _lucky(seat: Seat, lean: Callable[[Told], Array], first: int, last: int) -> Array:
    """All probed axes at once, each the way that its verdict leaned; another length each time."""
    leaning = np.stack([lean(told) for told in seat.told[first:last]], axis=1)
    axes = np.zeros((seat.world.lives, seat.world.flat))
    axes[:, : leaning.shape[1]] = leaning[:, : seat.world.flat]
    return seat.world.in_flat(seat.rng.uniform(0.3, 1.5, (len(axes), 1)) * unit(axes + 1e-12))


def _by_bit(told: Told) -> Array:
    return np.where(told.accepted, 1.0, -1.0)


def _probing(
    seat: Seat, probes: int, lean: Callable[[Told], Array], *, buys: bool, over: float = 0.0
) -> Array:
    if seat.look < probes:
        probe = _probe(seat, seat.look)
        return _bought(seat, probe, over) if buys else probe
    return _lucky(seat, lean, 0, probes)


def boosting_from_bits(seat: Seat) -> Array:
    """Buys coin flips, and adds up what won."""
    return _probing(seat, 8, _by_bit, buys=True)


def boosting_from_delta(seat: Seat, probes: int = 100) -> Array:
    """Adds up null updates by the sign of the Δ that is published of each; of the bit, where Δ is not."""

    def lean(told: Told) -> Array:
        return np.sign(told.delta) if told.delta is not None else _by_bit(told)

    return _probing(seat, probes, lean, buys=False)


def levels(seat: Seat) -> Array:
    """Buys acceptances whose level hangs on luck: 0.05 nats certified or not."""

    def lean(told: Told) -> Array:
        return np.where(told.level >= 50_000_000, 1.0, -1.0)

    return _probing(seat, 6, lean, buys=True, over=0.05)


def joules(seat: Seat) -> Array:
    """Leans on what a look cost: one that stopped early would have looked bad from the start."""
    return _probing(seat, 150, lambda told: _longer(told.joules), buys=False)


def timing(seat: Seat) -> Array:
    """Leans on how long a look took."""
    return _probing(seat, 150, lambda told: _longer(told.seconds), buys=False)


def _longer(values: Array) -> Array:
    """Whether all examples were read: what that costs is known."""
    return np.where(values >= values.max(), 1.0, -1.0)


def pooled_sybils(seat: Seat) -> Array:
    """Ten keys that share what each was told; they begin where one alone would have stopped."""
    return _probing(seat, 10, _by_bit, buys=True) if seat.look < 60 else _fresh_null(seat)


def _fresh_null(seat: Seat) -> Array:
    return seat.world.in_flat(_SIZE * unit(seat.rng.normal(size=(seat.world.lives, seat.world.flat))))


def openings_of_others(seat: Seat) -> Array:
    """Trains on guest holdouts that others have opened; one stands for all, as large as this one."""
    known = seat.leaked or seat.public
    fits = SIGMA * known.sums[:, GOALS + 1 :] / known.count
    part = seat.rng.random(fits.shape) < 0.7
    return seat.world.in_flat(seat.rng.uniform(0.3, 1.5, (len(fits), 1)) * unit(fits * part + 1e-9))
