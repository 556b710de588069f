"""What evaluating and merging an update should cost, learned from what they did cost.

Products are counted, and what one costs is measured; before that it is a guess. All is modelled, µJ.
"""

from __future__ import annotations

__all__ = ["F64_FACTOR", "UJ_PER_GFLOP", "Prices"]

UJ_PER_GFLOP = 50_000
"""a guess for a busy CPU core; the scheduler corrects it by what attempts were charged"""
F64_FACTOR = 4.0
"""how much dearer a float64 product is than one of training"""
_FORGET = 0.8
"""a dear evaluation is remembered for some attempts: a busy machine is often still busy"""
_TELLING = 0.3
"""share of a whole evaluation's products above which one tells what products cost"""
_FIRST_UJ = 200_000.0
"""µJ a GFLOP in float64, before any evaluation was measured: a guess for a busy CPU core"""
_EVALUATING = 0.5
"""share of a reservation that evaluating an update may take"""
_FIRST_MERGE = 0.06
"""share of the reservation kept for merging before it was measured"""


class Prices:
    """What a product in float64 costs here."""

    def __init__(self) -> None:
        self._uj_per_gflop: float | None = None

    def learn(self, uj: int, gflop: float, whole_gflop: float) -> None:
        """An evaluation has cost so much; a small one says little of what a whole one does.

        Args:
            uj: what it cost, µJ.
            gflop: its products.
            whole_gflop: those of evaluating all layers on the whole set.
        """
        if gflop > _TELLING * whole_gflop:
            self._uj_per_gflop = max(uj / gflop, _FORGET * (self._uj_per_gflop or 0.0))

    def least_reserve_uj(self, gflop: float, merging_uj: int) -> int:
        """What an attempt has to reserve so that it can finish, µJ; 0 where nothing was measured yet.

        Args:
            gflop: products of evaluating its update.
            merging_uj: what merging it costs.
        """
        return round(((self._uj_per_gflop or 0.0) * gflop + merging_uj) / _EVALUATING)

    def aside_uj(self, gflop: float, merging_uj: int, reserve_uj: int) -> int:
        """What is set aside of a reservation for evaluating and merging, µJ.

        Args:
            gflop: products of evaluating the update.
            merging_uj: what merging it costs; 0 where that was not measured.
            reserve_uj: the reservation.
        """
        per_gflop = _FIRST_UJ if self._uj_per_gflop is None else self._uj_per_gflop
        return round(per_gflop * gflop) + (merging_uj or round(reserve_uj * _FIRST_MERGE))

    def evaluation_uj(self, gflop: float) -> int:
        """What evaluating a set should cost, µJ."""
        per_gflop = self._uj_per_gflop if self._uj_per_gflop is not None else UJ_PER_GFLOP
        return round(per_gflop * gflop)
