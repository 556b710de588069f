"""Reading a holdout in looks, and putting it down once a candidate is hopeless.

Examples are read in one random order, the same for every attempt. At a few scheduled looks the reading
stops if the candidate has practically no chance of being kept. Stopping can only reject: a candidate is
kept after the whole holdout and nowhere else. What is kept with stopping is thus a subset of what is kept
without, whatever the stopping rule, and no bound on false acceptance can suffer. The price is power:
``benchmarks/false_accepts.py`` measures it.

A candidate is hopeless if, on an optimistic view of the rest, the conditional probability of being kept is
below 2 %: 1 % for each half of the rule (``evidence/v3`` has the Δ half alone). The optimistic view: every
unread example is as good as the upper end of the one-sided 90 % interval for the mean of those read, and
varies as they do. (Stochastic curtailment, Lan, Simon & Halperin 1982; there the drift is that of the
planned alternative.)
"""

from __future__ import annotations

__all__ = ["decide_partial", "hopeless", "looks", "reading_order"]

import math
import random

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.reason import Reason, evidence_numbers
from cryoflux.decision.rules import BUDGETED, WITH_BUDGET, Thresholds, Verdict
from cryoflux.quantities import NATS

_STEP = 32
"""looks fall on whole batches of so many examples"""
_UPPER_MILLI = 1282
"""90 % of a normal distribution lie below so many thousandths of a standard deviation"""
_CHANCE_MILLI = 2326
"""and 1 % lie above so many"""
_UNSEEN = 3
"""added to the flips seen: where none of n examples flipped, the rate may still be 2.3/n (90 %)"""
_SCALE = 1000
"""counts are small numbers; without it their integer square roots would lose what matters"""


def reading_order(count: int, holdout_sha256: str) -> list[int]:
    """A permutation of ``range(count)`` that follows from the holdout's digest.

    Only ``Random.random`` is used, the one method whose sequence Python promises to keep.
    """
    draw = random.Random(holdout_sha256)  # noqa: S311 - an order that anyone can repeat, not a secret
    keys = [draw.random() for _ in range(count)]
    return sorted(range(count), key=lambda index: (keys[index], index))


def looks(count: int) -> list[int]:
    """After how many examples to look: from a sixteenth, growing by 1.4, to all ``count``.

    At most ten, at least one batch apart; only the end for fewer than 64 examples.
    """
    found = []
    step = max(1, -(-count // (16 * _STEP))) * _STEP
    while step <= count - _STEP:
        found.append(step)
        step = -(-step * 7 // (5 * _STEP)) * _STEP
    return [*found, count]


def hopeless(evidence_so_far: Evidence, total: int, thresholds: Thresholds, rule: str) -> bool:
    """Whether the chance of being kept after all ``total`` examples is below 2 %.

    False for rules without an error budget, which never stop early, and once everything is read.

    Raises:
        ValueError: more has been read than there is.
    """
    read = evidence_so_far.count
    if read > total:
        raise ValueError(f"{read} examples were read of {total}")
    if rule not in WITH_BUDGET or read == total:
        return False
    if not _delta_hopeless(evidence_so_far, total, thresholds):
        return False
    return rule != BUDGETED or _accuracy_hopeless(evidence_so_far, total, thresholds)


def _out_of_reach(sum_so_far: int, squares: int, read: int, total: int, bar: int) -> bool:
    """Whether the final sum exceeds ``bar`` with a probability below 1 %.

    Args:
        sum_so_far: Σ over the examples read.
        squares: Σ of squares over them; their mean stands for the variance, which it is never below.
        read: examples read.
        total: examples in all.
        bar: what the final sum has to reach, rounded down.
    """
    rest = total - read
    # upper end of the mean, times the examples left: rest · (S + 1.282 √V) / read
    drift = rest * (1000 * sum_so_far + math.isqrt(_UPPER_MILLI**2 * squares)) // (1000 * read)
    noise = math.isqrt(_CHANCE_MILLI**2 * squares * rest // (1_000_000 * read))
    return bar - sum_so_far - drift > noise + 1


def _delta_hopeless(e: Evidence, total: int, t: Thresholds) -> bool:
    # V is taken to keep growing as it did: V_total = V · total / read
    evident = math.isqrt(t.needed_milli * e.delta_squared * total // (1000 * e.count))
    return _out_of_reach(e.delta, e.delta_squared, e.count, total, max(evident, t.min_delta * total))


def _accuracy_hopeless(e: Evidence, total: int, t: Thresholds) -> bool:
    if not e.hits or _out_of_reach(e.delta, e.delta_squared, e.count, total, 0):
        return True
    discordant = e.gained + e.lost
    evident = math.isqrt(t.needed_milli * discordant * total // (1000 * e.count))
    # gain² > needed · discordant and discordant ≥ gain: the gain itself must exceed what is needed
    least = max(t.needed_milli // 1000, t.min_accuracy_gain_ppm * total // 1_000_000)
    return _out_of_reach(
        (e.gained - e.lost) * _SCALE,
        (discordant + _UNSEEN) * _SCALE**2,
        e.count,
        total,
        max(evident, least) * _SCALE,
    )


def decide_partial(rule: str, evidence: Evidence, total: int, thresholds: Thresholds) -> Verdict:
    """The rejection of a candidate that was found hopeless before the end.

    Raises:
        ValueError: the rule never stops early, no look is scheduled there, or it was not hopeless.
    """
    if rule not in WITH_BUDGET:
        raise ValueError(f"{rule} judges the whole holdout only")
    if evidence.count not in looks(total)[:-1]:
        raise ValueError(f"no look is scheduled after {evidence.count} of {total} examples")
    if not hopeless(evidence, total, thresholds, rule):
        raise ValueError(f"after {evidence.count} of {total} examples the candidate could still be kept")
    unit: dict[str, int | str] = {} if thresholds.unit == NATS else {"unit": thresholds.unit}
    numbers = {**evidence_numbers(evidence), "total": total, **unit}
    return Verdict(False, Reason(code="hopeless", numbers=numbers))
