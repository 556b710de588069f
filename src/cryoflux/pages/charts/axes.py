"""Scales and round values of axes."""

from __future__ import annotations

__all__ = ["share_within", "short_number"]

from cryoflux.report.scales import Ends


def share_within(ends: Ends, value: float) -> float:
    """Where a value lies on an axis, 0 at the low end and 1 at the high one; ends hold what lies beyond."""
    return 0.0 if value <= ends.low else min(1.0, ends.share(value))


def short_number(value: float) -> str:
    """A round value as an axis shows it: ``0.05``, ``20``, ``5k``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:.12g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.0e}"
