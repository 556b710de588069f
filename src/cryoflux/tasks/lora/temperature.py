"""One number by which a classifier's scores are multiplied, so that it is as sure as it is right.

Fitted on examples that nothing was trained on and that no verdict reads: it minimises their mean
cross-entropy, which is convex in it (temperature scaling, Guo et al. 2017, arXiv 1706.04599; here the
inverse of theirs). Folded into the last layer it costs nothing and changes no class.
"""

from __future__ import annotations

__all__ = ["FIT", "LEAST", "MOST", "cross_entropies", "fitted", "losses_and_hits"]

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoflux.evaluation.scoring import LossesAndHits
from cryoflux.quantities import NANO

FIT = "temperature/v1"
LEAST, MOST = 200, 2000
"""bounds, thousandths"""
_STEPS = 60
_WORST_NANO = 1000 * NANO

F64 = NDArray[np.float64]


def cross_entropies(scores: F64, classes: NDArray[np.int64]) -> F64:
    """The loss of each example, nats.

    Args:
        scores: (examples, classes).
        classes: the right one of each example.
    """
    shifted = scores - scores.max(axis=1, keepdims=True)
    found: Any = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(classes)), classes]
    return found  # type: ignore[no-any-return]


def losses_and_hits(scores: F64, classes: NDArray[np.int64]) -> LossesAndHits:
    """What the screen shows of scores: losses in nano-nats, at most 1,000 nats each, and what is right.

    Args:
        scores: (examples, classes); finite.
        classes: the right one of each example.
    """
    nano = np.rint(cross_entropies(scores, classes) * NANO)
    return [min(int(value), _WORST_NANO) for value in nano], (scores.argmax(axis=1) == classes).tolist()


def fitted(scores: F64, classes: NDArray[np.int64]) -> int:
    """What the scores are best multiplied by, thousandths, between `LEAST` and `MOST`.

    By halving where the derivative changes its sign: it is the mean of what the scores are expected to be,
    less what they are for the right class, and grows with the factor.
    """
    low, high = LEAST, MOST
    for _ in range(_STEPS):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        if _slope(scores, classes, middle / 1000) > 0:
            high = middle
        else:
            low = middle
    losses = [float(cross_entropies(scores * (one / 1000), classes).mean()) for one in (low, high)]
    return low if losses[0] <= losses[1] else high


def _slope(scores: F64, classes: NDArray[np.int64], factor: float) -> float:
    scaled = scores * factor
    scaled -= scaled.max(axis=1, keepdims=True)
    chances = np.exp(scaled)
    chances /= chances.sum(axis=1, keepdims=True)
    expected = (chances * scores).sum(axis=1)
    return float((expected - scores[np.arange(len(classes)), classes]).mean())
