"""Where values lie on an axis."""

from __future__ import annotations

__all__ = ["share_within"]

from cryoflux.report.scales import Ends


def share_within(ends: Ends, value: float) -> float:
    """Where a value lies on an axis, 0 at the low end and 1 at the high one; ends hold what lies beyond."""
    return 0.0 if value <= ends.low else min(1.0, ends.share(value))
