"""How often each class is, and what knowing no more than that is worth.

A model that says of every text how often its class is in the training set has learned nothing of any text. So
a head that is new begins with it: what it gains from there on is no class frequency.
"""

from __future__ import annotations

__all__ = ["constant_loss", "log_frequencies"]

import math
from collections import Counter
from collections.abc import Iterable, Mapping


def log_frequencies(classes: Iterable[str]) -> dict[str, float]:
    """Class → natural logarithm of its share of the examples.

    Args:
        classes: of the examples, one each.
    """
    counts = Counter(classes)
    total = counts.total()
    return {name: math.log(counts[name] / total) for name in sorted(counts)}


def constant_loss(logs: Mapping[str, float], classes: Iterable[str]) -> float:
    """Mean cross-entropy of saying the same of every example, nats.

    Args:
        logs: of the shares that are said; of a class that is none of them, the smallest is taken.
        classes: of the examples.

    Raises:
        ValueError: there is no class, or no example.
    """
    least = min(logs.values())
    counts = Counter(classes)
    return -sum(count * logs.get(name, least) for name, count in counts.items()) / counts.total()
