"""Per-example losses that strangers reproduce to the last digit: profile ``f64-nanonat/v1``.

The saved float32 weights are widened to float64, each example's cross-entropy is computed there, and
rounded once to integer nano-nats. float64 noise is five orders of magnitude below that unit, so batch
size, padding, thread count and instruction set do not change the integers, and sums are exact.
"""

from __future__ import annotations

__all__ = [
    "LARGEST_NANO_NAT",
    "PROFILE",
    "EvaluationFailedError",
    "Losses",
    "to_nano_nats",
    "write_evidence",
]

import struct
from dataclasses import dataclass

from cryoflux.errors import EvaluationFailedError
from cryoflux.quantities import NANO
from cryoflux.receipts.profiles import PROFILE

LARGEST_NANO_NAT = 10**12
"""1,000 nats an example: beyond it a model is broken rather than wrong"""


@dataclass(frozen=True, slots=True)
class Losses:
    """What a model scores on a set of examples, in the set's order."""

    nano_nats: tuple[int, ...]
    correct: tuple[bool, ...]

    @property
    def mean(self) -> float:
        """Mean loss, nats, for display."""
        return sum(self.nano_nats) / len(self.nano_nats) / NANO

    @property
    def accuracy(self) -> float:
        """Share of examples classified correctly, for display."""
        return sum(self.correct) / len(self.correct)


def to_nano_nats(loss: float) -> int:
    """One loss in nats, rounded once.

    Raises:
        EvaluationFailedError: it is not finite, or absurdly large.
    """
    if not 0 <= loss * NANO <= LARGEST_NANO_NAT:
        raise EvaluationFailedError(
            f"A holdout loss is {loss}.",
            why="A model with such a loss cannot be compared with another.",
            hint="Lower the learning rate: --learning-rate 1e-4.",
        )
    return round(loss * NANO)


def write_evidence(base: Losses, new: Losses) -> bytes:
    """The evidence file: int64 LE base losses, int64 LE new losses, u8 base and u8 new correct."""
    count = len(base.nano_nats)
    return struct.pack(
        f"<{count}q{count}q{count}?{count}?", *base.nano_nats, *new.nano_nats, *base.correct, *new.correct
    )
