"""What an update cost with all that went before it: the joules that its Δ is counted against."""

from __future__ import annotations

__all__ = ["Paid"]

from dataclasses import dataclass
from typing import Self

from cryoflux.receipts.statement import Receipt


@dataclass(frozen=True, slots=True)
class Paid:
    """What paid for the Δ of an attempt: itself, and the attempts of its chain that it goes on from."""

    attempts: int
    microjoules: int
    lo_microjoules: int
    hi_microjoules: int

    @classmethod
    def alone(cls, receipt: Receipt) -> Self:
        """An attempt that goes on from none."""
        figure = receipt.energy
        return cls(1, figure.microjoules, figure.lo_microjoules, figure.hi_microjoules)
