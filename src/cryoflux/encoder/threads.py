"""How many CPU threads take the fewest joules for the same work: found by trying."""

from __future__ import annotations

__all__ = ["frugal_threads"]

import os
import time
from collections.abc import Callable

import torch

_TRIAL_S = 0.15
_MOST = 8
_WORTHWHILE = 0.95
"""what a trial so short must show before more threads are believed to be cheaper"""
_SHAPE = (512, 384, 1536)


def frugal_threads(own_uj: Callable[[], int | None]) -> int:
    """The number of threads, a power of two, whose matrix products cost this process the fewest joules.

    One where nobody can tell this process's joules, or where a second thread saves none of them: on most
    machines more threads finish sooner and cost more.

    Args:
        own_uj: cumulative energy of this process, µJ; none where it is not known.
    """
    most = min(_MOST, len(os.sched_getaffinity(0)))
    rows, inner, outer = _SHAPE
    a, b = torch.randn(rows, inner), torch.randn(inner, outer)
    costs: dict[int, float] = {}
    count = 1
    while count <= most:
        torch.set_num_threads(count)
        before, products = own_uj(), 0
        until = time.monotonic() + _TRIAL_S
        while time.monotonic() < until:
            torch.mm(a, b)
            products += 1
        after = own_uj()
        if before is None or after is None or after <= before:
            return 1
        costs[count] = (after - before) / products
        count *= 2
    best = min(costs, key=costs.__getitem__)
    return best if costs[best] < _WORTHWHILE * costs[1] else 1
