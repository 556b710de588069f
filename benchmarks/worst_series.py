"""The worst that any series of stakes under ``evidence/v3`` can do to a holdout whose losses are skewed.

    OMP_NUM_THREADS=1 python benchmarks/worst_series.py [--draws N] [--alpha-ppm N] [--json]

How often an update of true Δ zero passes each bar is measured on draws with skewness −2 (a small gain often,
a large harm rarely). Then, going backwards over 40 looks, every look stakes what adds most: no screen,
however it lies, no chain and no order of candidates does worse. A true acceptance between them only makes
the budget smaller. Lives are simulated in `holdout_lives`; this bounds them all.
"""

from __future__ import annotations

import argparse
import json
import math
from functools import cache
from typing import Any

import numpy as np

from cryoflux.decision.stakes import STAKES, WHOLE, StakedBudget, least_stake
from holdout_lives import LEAST, LOOKS, SPREAD, needed_of

Array = np.ndarray[Any, Any]
COUNTS = (30, 64, 128, 192, 256, 499, 500, 512, 999, 1000, 1024)
_AT_ONCE = 4_000_000
_STEPS = 200
"""budgets are rounded to so many a factor of ten"""
_NOTHING = 1_000_000
"""units of 1/`WHOLE`: a budget below that adds less than a thousandth of one in 1,000"""


def passes(seed: int, count: int, draws: int) -> Array:
    """Of each bar, thousandths, from 0 to 100,000: the share of draws that pass it."""
    rng, found, done = np.random.default_rng(seed), np.zeros(100_002, dtype=np.int64), 0
    each = max(1, _AT_ONCE // count)
    while done < draws:
        deltas = 1 - rng.standard_exponential((each, count))
        sums, squares = deltas.sum(1), np.einsum("ij,ij->i", deltas, deltas)
        large = sums * SPREAD >= LEAST * count
        evidence = np.ceil(sums[large] ** 2 * 1000 / squares[large])  # passes all bars below it
        found += np.bincount(np.minimum(evidence, 100_001).astype(int), minlength=len(found))
        done += each
    return np.cumsum(found[::-1])[::-1][1:] / done


def worst(rates: Array, count: int, least: int, alpha_ppm: int) -> float:
    """The largest probability of a false acceptance in 40 looks, by the rates at which bars are passed."""
    stakes = [stake for stake in STAKES if stake >= least]

    @cache
    def passed(place: int, stake: int) -> float:
        level = StakedBudget(_left(place)).level(stake, count)
        return float(rates[int(needed_of(np.array([level]))[0])]) if level else 0.0

    @cache
    def most(looks: int, place: int) -> float:
        if not looks or _left(place) < _NOTHING:
            return 0.0
        return max(passed(place, stake) + most(looks - 1, place + _lost(stake)) for stake in stakes)

    return most(LOOKS, _place(StakedBudget.fresh(alpha_ppm).left))


def _place(left: float) -> int:
    return round(math.log10(left) * _STEPS)


def _left(place: int) -> int:
    return min(WHOLE, round(10 ** (place / _STEPS)))


def _lost(stake: int) -> int:
    """By how many places a miss takes a budget down."""
    return round(math.log10(1 - stake / 1000) * _STEPS)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--draws", type=int, default=1_000_000, help="updates of each size of holdout (1000000)"
    )
    parser.add_argument("--alpha-ppm", type=int, default=10_000, help="the error budget (10000)")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    given = parser.parse_args()
    found: dict[int, dict[int, float]] = {}
    for count in COUNTS:
        rates = passes(40, count, given.draws)
        found[count] = {least: 1000 * worst(rates, count, least, given.alpha_ppm) for least in STAKES[::-1]}
    if given.json:
        print(json.dumps({"alpha_ppm": given.alpha_ppm, "worst_per_thousand": found}))
        return
    print("| examples | " + " | ".join(f"{least / 10:g} %" for least in STAKES[::-1]) + " |")
    print("|---:|" + "---:|" * len(STAKES))
    for count, row in found.items():
        cells = [f"**{x:.1f}**" if least == least_stake(count) else f"{x:.1f}" for least, x in row.items()]
        print(f"| {count:,} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
