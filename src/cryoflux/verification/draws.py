r"""Which examples a seed draws, and what a draw can miss.

Half of the draws are evenly among all examples, without replacement. The other half are in proportion to
the gains that the receipt records, with replacement; the gain of an example is base - new, or 0 where that
is negative. Draw ``k`` (from 0) is ``SHA-256(seed ‖ leaf hash of the receipt ‖ kind ‖ uint64 BE k)``,
big-endian; kind is one byte. Evenly (0), it is taken modulo the number of examples that were read; by gain
(1), modulo the sum of the gains, and draws the first example up to which they add up to more than that.

Whoever forges losses knows both rules and chooses which. Of ``n`` examples, ``m`` forged ones are missed by
``U`` even draws with a chance of C(n-m, U) / C(n, U). If their recorded gains are a share ``g`` of all
recorded gains, ``W`` draws by gain miss them with a chance of (1-g)^W. The draws are independent, so both
have to happen. That bounds the number of forged examples by the one half, and by the other how much of Δ is
recorded for them, whichever they are. What the candidate truly *loses* on such examples is recorded nowhere,
and only the first half bounds it, by their number: it may be more than what is recorded.

Where a profile tolerates that predictions differ, a forged one that is drawn is no proof. Of ``m`` of them no
more than ``k`` are drawn evenly with a chance of Σ C(m, i) C(n-m, U-i) / C(n, U), i from 0 to ``k``.
"""

from __future__ import annotations

__all__ = ["CHANCES", "Draw", "Missed", "draw", "escapes_by_gain", "escapes_evenly"]

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import comb, floor

CHANCES = (Fraction(1, 20), Fraction(1, 100))
"""for which it is said what a draw misses that often"""
_EVENLY, _BY_GAIN = b"\x00", b"\x01"


@dataclass(frozen=True, slots=True)
class Missed:
    """The most that a forgery can be which a draw misses with a chance or a greater one."""

    chance: Fraction
    examples: int
    """that were forged"""
    gain: int
    """sum of what is recorded as gained on them, in billionths of the unit"""
    predictions: int
    """examples on which a prediction was forged, right for wrong; more than ``examples`` where some of those
    that are drawn may differ"""


@dataclass(frozen=True, slots=True)
class Draw:
    """Examples of one receipt, by their position among those that were read."""

    positions: tuple[int, ...]
    gains: tuple[int, ...]
    """recorded for each example that was read, in billionths of its unit; none is negative"""
    evenly: int
    """even draws, at least"""
    by_gain: int
    """draws in proportion to gains; what they draw twice counts once among the positions"""

    @property
    def count(self) -> int:
        """Examples that were read."""
        return len(self.gains)

    @property
    def all(self) -> bool:
        """Whether nothing was left out."""
        return len(self.positions) == self.count

    def missed(self, chance: Fraction, tolerated: int = 0) -> Missed:
        """What a forgery is at most which this draw misses with ``chance``, or a greater one.

        Args:
            chance: how often.
            tolerated: of the drawn examples, those whose predictions may differ.
        """
        if self.all:
            return Missed(chance, 0, 0, tolerated)
        most = self._most(chance, 0)
        gain = sum(sorted(self.gains, reverse=True)[:most])
        if self.by_gain:
            share = 1 - float(chance) ** (1 / self.by_gain)
            gain = min(gain, floor(sum(self.gains) * Fraction(share)) + 1)  # rounded against the verifier
        return Missed(chance, most, gain, self._most(chance, tolerated) if tolerated else most)

    def _most(self, chance: Fraction, shown: int) -> int:
        """The most forged examples of which even draws show no more than ``shown`` so often."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high + 1) // 2
            enough = escapes_evenly(self.count, middle, self.evenly, shown) >= chance
            low, high = (middle, high) if enough else (low, middle - 1)
        return low


def draw(seed: bytes, leaf: bytes, gains: Sequence[int], wanted: int) -> Draw:
    """Draw ``wanted`` different examples.

    Args:
        seed: of the challenge.
        leaf: leaf hash of the receipt.
        gains: base - new of each example that was read, as recorded.
        wanted: how many to draw; all of them where it is more.
    """
    positive = tuple(max(0, gain) for gain in gains)
    count, sums = len(positive), list(accumulate(positive))
    if wanted >= count:
        return Draw(tuple(range(count)), positive, count, 0)
    by_gain = wanted // 2 if sums[-1] else 0
    found: dict[int, None] = {}
    for number in range(by_gain):
        found.setdefault(bisect_right(sums, _number(seed, leaf, _BY_GAIN, number) % sums[-1]))
    number = 0
    while len(found) < wanted:  # whatever was drawn by gain before may be drawn evenly once more
        found.setdefault(_number(seed, leaf, _EVENLY, number) % count)
        number += 1
    return Draw(tuple(found), positive, wanted - by_gain, by_gain)


def _number(seed: bytes, leaf: bytes, kind: bytes, number: int) -> int:
    return int.from_bytes(hashlib.sha256(seed + leaf + kind + number.to_bytes(8, "big")).digest(), "big")


def escapes_evenly(count: int, forged: int, draws: int, shown: int = 0) -> Fraction:
    """With which chance even draws without replacement show at most some of ``forged`` out of ``count``."""
    ways = (comb(forged, one) * comb(count - forged, draws - one) for one in range(min(shown, draws) + 1))
    return Fraction(sum(ways), comb(count, draws))


def escapes_by_gain(share: float, draws: int) -> float:
    """With which chance draws by gain miss examples that have a share of all recorded gains."""
    return float((1 - share) ** draws)
