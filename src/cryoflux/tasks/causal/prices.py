"""What training and evaluating a language model should cost, by its products and what one is seen to cost.

All is modelled, µJ, until an evaluation was measured.
"""

from __future__ import annotations

__all__ = ["CausalPrices"]

from collections.abc import Sequence
from pathlib import Path

from cryoflux.digests import tensor_shapes
from cryoflux.errors import ModelError
from cryoflux.receipts.profiles import parameters_in
from cryoflux.tasks.causal.recipe import CausalRecipe
from cryoflux.tasks.causal.tokens import TokenRow
from cryoflux.tasks.lora.prices import UJ_PER_GFLOP, Prices
from cryoflux.tasks.pacing import SCREEN_MARGIN

_TRAINING = {"attention": 2.1, "all": 3.1}
"""targets → what a training step costs, in readings of the same documents (measured on two CPU cores)"""
_STEPS = 16
"""of a first attempt, as a guess"""
_LOOKED_AT = 256
"""documents whose lengths stand for those of all"""
_GIGA = 1e9


class CausalPrices:
    """Knows the size of a model, and what a product in evaluation costs here."""

    def __init__(self, folder: Path) -> None:
        shapes: dict[str, tuple[int, ...]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            shapes |= tensor_shapes(path)
        if not shapes:
            raise ModelError(f"{folder} has no safetensors weights.")
        self.parameters = parameters_in(shapes)
        self._head = max((shape[0] * shape[1] for shape in shapes.values() if len(shape) == 2), default=0)
        self._prices = Prices()

    def gflop(self, rows: Sequence[TokenRow]) -> float:
        """Products of reading documents once, the head on targets alone."""
        tokens = sum(len(ids) for ids, _ in rows)
        said = sum(len(ids) - first for ids, first in rows)
        return 2 * (self.parameters * tokens + self._head * said) / _GIGA

    def attempt_uj(
        self,
        recipe: CausalRecipe,
        train: Sequence[TokenRow],
        screen: Sequence[TokenRow],
        holdout: Sequence[TokenRow],
    ) -> int:
        """What an attempt of a recipe should cost."""
        training = _STEPS * self.step_gflop(recipe, train)
        return round(UJ_PER_GFLOP * (training + 2 * self.gflop(screen))) + self.evaluation_uj(holdout)

    def step_gflop(self, recipe: CausalRecipe, train: Sequence[TokenRow]) -> float:
        """What a step of a recipe costs, in products of reading documents."""
        few = train[:_LOOKED_AT]
        documents = min(recipe.batch_size, len(train))
        return _TRAINING[recipe.targets] * self.gflop(few) * documents / max(1, len(few))

    def learn(self, rows: Sequence[TokenRow], uj: int, share: float) -> None:
        """An evaluation of a share of some documents has cost so much."""
        gflop = self.gflop(rows)
        self._prices.learn(uj, share * gflop, gflop)

    def least_uj(
        self,
        recipe: CausalRecipe,
        train: Sequence[TokenRow],
        screen: Sequence[TokenRow],
        holdout: Sequence[TokenRow],
        merging_uj: int,
    ) -> int:
        """What an attempt reserves at least, to screen, make a step and finish; 0 before it is known."""
        finishing_uj = self._prices.least_reserve_uj(self.gflop(holdout), merging_uj)
        learning = 2 * SCREEN_MARGIN * self.gflop(screen) + self.step_gflop(recipe, train)
        return finishing_uj + self._prices.evaluation_uj(learning) if finishing_uj else 0

    def aside_uj(self, rows: Sequence[TokenRow], merging_uj: int, reserve_uj: int) -> int:
        """What is set aside of a reservation for evaluating and merging."""
        return self._prices.aside_uj(self.gflop(rows), merging_uj, reserve_uj)

    def evaluation_uj(self, rows: Sequence[TokenRow]) -> int:
        """What evaluating documents should cost."""
        return self._prices.evaluation_uj(self.gflop(rows))
