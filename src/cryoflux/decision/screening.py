"""The screen: an update that training-side examples do not bear out is not shown to the holdout.

The screening examples are set aside from the training examples and never trained on. Looking at them
costs the holdout's error budget nothing, whereas each look at the holdout raises the bar for all that
follow. So the screen asks whether the look would be worth it: whether its own evidence, scaled to the size of
the holdout, comes within 1.28 standard errors of the holdout's bar. An update that falls short of that passes
the holdout less than one time in five. The screen can only reject, so no bound on false acceptance
can suffer from it.
"""

from __future__ import annotations

__all__ = ["SCREEN", "needed_evidence", "screened_out"]

import math

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.reason import Reason, evidence_numbers
from cryoflux.decision.rules import Thresholds
from cryoflux.quantities import NATS

SCREEN = "screen/v1"
_LEAST_Z_MILLI = 1645
"""one-sided 5 %: asked for whatever the holdout asks"""
_SURE = 1.5
"""times the evidence that the holdout asks for: what screening examples show at it, a holdout mostly does"""
_SHORT_MILLI = 1282
"""standard errors, thousandths, that the screen may fall short of the holdout's bar"""


def screened_out(evidence: Evidence, thresholds: Thresholds, holdout_count: int) -> Reason | None:
    """Why the holdout need not be read; none where the update passes.

    Args:
        evidence: of the screening examples.
        thresholds: of the acceptance rule, for the next look.
        holdout_count: examples of the holdout.
    """
    unit: dict[str, int | str] = {} if thresholds.unit == NATS else {"unit": thresholds.unit}
    numbers = {**evidence_numbers(evidence), **unit}
    if evidence.delta < thresholds.min_delta * evidence.count:
        return Reason(code="screen.below-smallest", numbers={**numbers, "min_delta": thresholds.min_delta})
    z_milli = _needed_z_milli(thresholds.needed_milli, evidence.count, holdout_count)
    if not evidence.delta_exceeds(z_milli):
        return Reason(code="screen.not-worth-a-look", numbers={**numbers, "z_milli": z_milli})
    return None


def _needed_z_milli(needed_milli: int, screened: int, held: int) -> int:
    # x = √needed standard errors on the holdout are x √(screened / held) on the screen
    bar = math.isqrt(needed_milli * 1000) - _SHORT_MILLI
    return max(_LEAST_Z_MILLI, math.isqrt(max(0, bar) ** 2 * screened // held))


def needed_evidence(needed_milli: int, count: int) -> float:
    """(Σδ)²/Σδ² that each screening example has to contribute before a larger scale is preferred.

    Args:
        needed_milli: the rule's bar on the holdout, thousandths.
        count: examples of the holdout.
    """
    return _SURE * needed_milli / 1000 / count
