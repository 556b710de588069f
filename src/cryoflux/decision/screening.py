"""The screen: an update that training-side examples do not bear out is not shown to the holdout.

The screening examples are set aside from the training examples and never trained on. Looking at them
costs the holdout's error budget nothing, whereas each look at the holdout raises the bar for all that
follow. So the screen asks whether the look would be worth it: whether its own evidence, scaled to the size of
the holdout, comes within 1.28 standard errors of the holdout's bar. An update that falls short of that passes
the holdout less than one time in five. The screen can only reject, so no bound on false acceptance
can suffer from it.
"""

from __future__ import annotations

__all__ = ["SCREEN", "screened_out"]

import math

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.rules import Thresholds, in_numbers
from cryoflux.quantities import NANO

SCREEN = "screen/v1"
_LEAST_Z_MILLI = 1645
"""one-sided 5 %: asked for whatever the holdout asks"""
_SHORT_MILLI = 1282
"""standard errors, thousandths, that the screen may fall short of the holdout's bar"""


def screened_out(evidence: Evidence, thresholds: Thresholds, holdout_count: int) -> str | None:
    """Why the holdout need not be read, in one sentence; none where the update passes.

    Args:
        evidence: of the screening examples.
        thresholds: of the acceptance rule, for the next look.
        holdout_count: examples of the holdout.
    """
    if evidence.delta < thresholds.min_delta * evidence.count:
        smallest = f"{thresholds.min_delta / NANO:g}"
        return f"Rejected by the screen: {in_numbers(evidence)}; Δ is below {smallest}."
    z_milli = _needed_z_milli(thresholds.needed_milli, evidence.count, holdout_count)
    if not evidence.delta_exceeds(z_milli):
        shown = f"z = {evidence.z:.2f}, needed > {z_milli / 1000:.2f}"
        return f"Rejected by the screen: {in_numbers(evidence)}; a look is not worth it ({shown})."
    return None


def _needed_z_milli(needed_milli: int, screened: int, held: int) -> int:
    # x = √needed standard errors on the holdout are x √(screened / held) on the screen
    bar = math.isqrt(needed_milli * 1000) - _SHORT_MILLI
    return max(_LEAST_Z_MILLI, math.isqrt(max(0, bar) ** 2 * screened // held))
