"""Whether a window of a contract keeps a clause: in integers, the same for everyone.

With δᵢ what the loss of example i fell by and c the mean Δ that the clause asks for, it is kept where

    Σ(δᵢ − c) > 0   and   (Σ(δᵢ − c))² · 1000 > needed_milli · Σ(δᵢ − c)²,

with c = θ · J for a clause on η, J the upper joules, both rounded up, and a bar of 2 ln(m/α) for m windows.
S²/V falls as c rises while S > 0 (`cryoflux.decision.levels`): so what is kept at some joules is kept at
fewer, and what is broken is broken at more.

α is the error over all windows of somebody who offers what does not depend on the bits before. Who goes by
the bits chooses one of at most b^k updates at window k, with b the outcomes of a look: `adapted_alpha` is
what the union over all of these leaves.
"""

from __future__ import annotations

__all__ = ["adapted_alpha", "asked_delta", "keeps", "needed_of_windows", "promised"]

import math
from fractions import Fraction

from cryoflux.decision.budget import bar_of
from cryoflux.decision.evidence import Evidence
from cryoflux.expression import Clause, Quantity

_WHOLE_PPM = 1_000_000


def needed_of_windows(alpha_ppm: int, windows: int) -> int:
    """What S²/V must exceed in each of some windows, thousandths: 2000 · ln(windows/α), rounded up."""
    return bar_of(Fraction(alpha_ppm, _WHOLE_PPM * windows))


def asked_delta(clause: Clause, upper_uj: int) -> int:
    """The mean Δ that a clause asks for, nano-nats, rounded up.

    Args:
        clause: on Δ or η.
        upper_uj: upper joules that the Δ was paid with, µJ.
    """
    assert isinstance(clause.bound, Fraction)  # noqa: S101 - a tier is no clause of a contract
    return math.ceil(clause.bound * upper_uj if clause.quantity is Quantity.ETA else clause.bound)


def keeps(clause: Clause, evidence: Evidence, needed_milli: int, upper_uj: int) -> bool:
    """Whether an evaluation keeps a clause.

    Args:
        clause: on Δ or η.
        evidence: of the result against the base, on the whole guest holdout.
        needed_milli: what S²/V must exceed, thousandths.
        upper_uj: upper joules that the Δ was paid with, µJ.
    """
    return evidence.shifted(-asked_delta(clause, upper_uj)).delta_passes(needed_milli)


def promised(clause: Clause, evidence: Evidence, needed_milli: int, upper_uj: int | None) -> bool:
    """The bit that a look publishes of a clause: one on η whose joules are not known is not kept.

    Args:
        clause: on Δ or η.
        evidence: of the result against the base, on the whole guest holdout.
        needed_milli: what S²/V must exceed, thousandths.
        upper_uj: upper joules that the Δ was paid with, µJ; none where they are not known.
    """
    if upper_uj is None and clause.quantity is Quantity.ETA:
        return False
    return keeps(clause, evidence, needed_milli, upper_uj or 0)


def adapted_alpha(alpha_ppm: int, windows: int, outcomes: int) -> float:
    """Most probability that a window is called kept which is not, where offers go by the bits before.

    Args:
        alpha_ppm: error over all windows where they do not.
        windows: how many looks there are.
        outcomes: that a look can have.
    """
    nodes = sum(outcomes**window for window in range(windows))
    return float(min(Fraction(1), Fraction(alpha_ppm * nodes, _WHOLE_PPM * windows)))
