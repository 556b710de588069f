"""How evident an update has to be on the screening examples before a larger scale is preferred."""

from __future__ import annotations

__all__ = ["needed_evidence"]

_SURE = 1.5
"""times the evidence that the holdout asks for: what screening examples show at it, a holdout mostly does"""


def needed_evidence(needed_milli: int, count: int) -> float:
    """(Σδ)²/Σδ² that each screening example has to contribute.

    Args:
        needed_milli: the rule's bar on the holdout, thousandths.
        count: examples of the holdout.
    """
    return _SURE * needed_milli / 1000 / count
