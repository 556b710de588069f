"""How far an update moves each tensor, and how far those moved that were adopted."""

from __future__ import annotations

__all__ = ["NormBounds", "norm_bounds", "update_norms"]

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from cryoflux.registry.compose import F32, Adapter, LowRank
from cryoflux.registry.composition import cannot_compose

_FAR = 3
"""times as far as hardly any that was adopted"""
_HARDLY = 0.99
_SEVERAL = 8
"""updates of which a bound can be said"""


@dataclass(frozen=True, slots=True)
class NormBounds:
    """How far an update may move a tensor; no bound where nothing was adopted."""

    by_name: Mapping[str, float] = field(default_factory=dict)
    any_other: float = math.inf
    """of tensors that nothing that was adopted moves"""

    def of(self, name: str) -> float:
        """The bound of a tensor."""
        return self.by_name.get(name, self.any_other)


def norm_bounds(adopted: Iterable[Mapping[str, float]]) -> NormBounds:
    """Three times the 99 % quantile of what was adopted: of each tensor, and for all others of all together.

    A few say nothing of how far others may go: an honest update moved a tensor 3.2 times as far as the one
    that was there. So there is no bound before eight.

    Args:
        adopted: of each update that was adopted, how far it moves each tensor.
    """
    every, found = list(adopted), dict[str, list[float]]()
    if len(every) < _SEVERAL:
        return NormBounds()
    for norms in every:
        for name, norm in norms.items():
            found.setdefault(name, []).append(norm)
    together = [norm for norms in found.values() for norm in norms]
    if not together:
        return NormBounds()
    by_name = {name: _FAR * _quantile(norms) for name, norms in found.items() if len(norms) >= _SEVERAL}
    return NormBounds(by_name, _FAR * _quantile(together))


def _quantile(norms: list[float]) -> float:
    """The smallest of some norms that at least 99 % of them do not exceed."""
    return sorted(norms)[math.ceil(_HARDLY * len(norms)) - 1]


def update_norms(adapter: Adapter, parent: Callable[[str], F32] | None = None) -> dict[str, float]:
    """‖D‖ (Frobenius) of each tensor that an update moves.

    Args:
        adapter: the update.
        parent: tensors of the version that it was trained on, by name; without it, only products are told.

    Raises:
        ModelError: a tensor has another shape than its parent's.
    """
    norms = {name: _product_norm(one) for name, one in adapter.low_rank.items()}
    if parent is not None:
        norms |= {name: _difference(name, values, parent(name)) for name, values in adapter.whole.items()}
    return norms


def _product_norm(update: LowRank) -> float:
    """‖b·a‖ = √tr((bᵀb)(a·aᵀ)), in O(rank² · width): the product is never made."""
    a, b = update.a.astype(np.float64), update.b.astype(np.float64)
    return abs(update.scale) * math.sqrt(max(0.0, float(((b.T @ b) * (a @ a.T)).sum())))


def _difference(name: str, values: F32, before: F32) -> float:
    if values.shape != before.shape:
        raise cannot_compose(f"{name} has the shape {before.shape}, its update {values.shape}.")
    return float(np.linalg.norm(values.astype(np.float64) - before.astype(np.float64)))
