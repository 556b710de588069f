"""How much evidence the k-th look at one holdout has to show, for as many looks as one likes.

Look k, after ``looks`` = k − 1 verdicts of which ``kept`` were acceptances, is tested at the level

    α_k = α / (2 · k² · (k + 1) · C(k − 1, kept)).

**Claim.** The probability that the holdout *ever* admits an update that is no improvement in what the
half that admitted it measures (Δ, or accuracy) is at most α.

**Proof.** Let the holdout reach the outside only through its verdicts. With all seeds fixed, which
candidate is judged at look k follows from the k − 1 bits before it. All candidates that can ever be judged
therefore form a binary tree that is settled before the holdout is drawn, and each node is a single
test of a fixed candidate. A node at depth n = k − 1 with ``kept`` ones on its path gets the share

- w = kept! (n − kept)! / (n + 1)! = 1 / ((n + 1) · C(n, kept)), Laplace's rule of succession. C(n, kept)
  nodes of a depth share 1/(n + 1), and kept runs over n + 1 values: each depth sums to 1;
- of 1/(k (k + 1)), which sums to 1 over all depths;
- of 1/2, one for each half of the rule (Δ, accuracy).

So the levels of all nodes sum to at most α, and the union bound does the rest. It holds for every stopping
time: no number of looks is fixed beforehand. ∎ (The description-length argument of Dwork et al. 2015,
*Generalization in Adaptive Data Analysis and Holdout Reuse*; Blum & Hardt 2015, *The Ladder*.)

**The single test.** With S = Σδᵢ and V = Σδᵢ², P(S ≥ x √V) ≤ exp(−x²/2) (Efron 1969; de la Peña 1999). So
S²/V > 2 ln(1/α_k) has at most probability α_k. The δᵢ of different examples are taken as independent.
Then the bound is exact at every n if there is no improvement in one of these senses:

- each δᵢ is symmetric about zero: given their sizes the signs are fair coins (Hoeffding 1963);
- given its size, each δᵢ is positive with probability at most 1/2, as when it is symmetric and unimodal
  about a centre of its own, zero or below: fewer fair coins show heads;
- all are symmetric about one common m ≤ 0. With u = S and the scatter R = V − S²/n, which no shift
  changes, S²/V = u²/(R + u²/n) grows with u > 0, so shifting by −m only helps the candidate.

Where δᵢ has mean ≤ 0 but is skewed, it holds asymptotically (Shao 1999: finite third moment and
x = o(n^{1/6})), not at every n: a rare, large harm that the holdout happens not to contain can pass.
For accuracy the δᵢ are the signs of the discordant pairs, S = gained − lost, V = gained + lost, and the
bound is exact without more (Hoeffding 1963) if a discordant example is won with probability at most 1/2.

**What else would leak.** Only the bit may steer what is trained next. Δ, its interval, "undecided", the
number of examples read, or the joules and seconds that reading them took are measured on the holdout too.
A scheduler that ranks by any of them, a person who picks settings by them, or a training time that
depends on what evaluation cost, learns more than the tree allows for, and the claim no longer covers it.
Nor does it cover training examples that are also in the holdout.
"""

from __future__ import annotations

__all__ = ["ErrorBudget", "bar_of"]

import math
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from math import comb

from msgspec import Struct

_WORN = 4
_SERIES_FROM = 2_000
"""from this number on a factorial is taken by its series"""
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640629")
_BERNOULLI = {
    2: (1, 6),
    4: (-1, 30),
    6: (1, 42),
    8: (-1, 30),
    10: (5, 66),
    12: (-691, 2730),
    14: (7, 6),
    16: (-3617, 510),
    18: (43867, 798),
}
"""the Bernoulli numbers of the series: index → numerator and denominator"""
_DIGITS = Context(prec=60)
"""decimal rounds ln the same way on every machine, which libm does not promise"""


class ErrorBudget(Struct, frozen=True):
    """What one holdout may still spend on its next look.

    Raises:
        ValueError: a number is out of range.
    """

    alpha_ppm: int
    """error over the whole life of the holdout, parts per million"""
    looks: int = 0
    """verdicts that the holdout has given before"""
    kept: int = 0
    """how many of them were acceptances"""

    def __post_init__(self) -> None:
        if not 1 <= self.alpha_ppm <= 1_000_000:
            raise ValueError(f"alpha_ppm must lie in 1 to 1,000,000, not {self.alpha_ppm}")
        if not 0 <= self.kept <= self.looks:
            raise ValueError(f"of {self.looks} looks, {self.kept} cannot have been acceptances")

    @property
    def level(self) -> Fraction:
        """The error that each half of the rule may make at the next look, exactly."""
        k = self.looks + 1
        return Fraction(self.alpha_ppm, 1_000_000 * 2 * k * k * (k + 1) * comb(self.looks, self.kept))

    @property
    def needed_milli(self) -> int:
        """What S²/V must exceed at the next look, thousandths: 2000 · ln(1/level), rounded up.

        Up, so that the bar is never below the one of the proof.
        """
        return _needed_milli(self.alpha_ppm, self.looks, self.kept)

    @property
    def exhausted(self) -> bool:
        """Whether the holdout should be replaced by a fresh one.

        True once the bar is four times that of a fresh holdout: an improvement must then be twice
        as large, or four times as many examples be read, for the same chance of being found. The claim holds
        beyond that; looking merely stops being worth its joules.
        """
        return self.needed_milli >= _WORN * ErrorBudget(self.alpha_ppm).needed_milli

    def after(self, *, accepted: bool) -> ErrorBudget:
        """The error budget of the look that follows a verdict."""
        return ErrorBudget(self.alpha_ppm, self.looks + 1, self.kept + accepted)


def bar_of(level: Fraction) -> int:
    """What S²/V must exceed so that a single test errs at most at a level: 2000 · ln(1/level), rounded up.

    Args:
        level: above 0, at most 1.
    """
    with localcontext(_DIGITS):
        log = Decimal(level.denominator).ln() - Decimal(level.numerator).ln()
        return int((log * 2000).to_integral_value(ROUND_CEILING))


@lru_cache(maxsize=1024)
def _needed_milli(alpha_ppm: int, looks: int, kept: int) -> int:
    # A float is right about nearly every whole number; which ones it may be wrong about is known.
    about, error = _about(alpha_ppm, looks, kept)
    least, most = math.ceil(about - error), math.ceil(about + error)
    return least if least == most else _exactly(alpha_ppm, looks, kept)


def _about(alpha_ppm: int, looks: int, kept: int) -> tuple[float, float]:
    """2000 · ln(1/level) in floats, and by how much it is off at most.

    ln C(n, k) = ln n! − ln k! − ln (n − k)!, by Stirling's series. Its remainder is below the first term that
    is left out, 1/(1680 n⁷): less than 3·10⁻¹⁰ from n = 8 on. Each of the some forty operations rounds by
    half a unit in the last place, 2⁻⁵³ of its result, and no result is larger than the sum of the terms. A
    logarithm is taken to be off by four times that, which every libm in use keeps to. All that is less than
    64 · 2⁻⁵² of the sum.
    """
    k = looks + 1
    terms = (
        math.log(2_000_000 * k * k * (k + 1)),
        -math.log(alpha_ppm),
        _log_factorial(looks),
        -_log_factorial(kept),
        -_log_factorial(looks - kept),
    )
    size = sum(map(abs, terms)) + looks
    return 2000 * sum(terms), 2000 * (64 * 2.0**-52 * size + 1e-9)


def _log_factorial(n: int) -> float:
    if n < 8:
        return math.log(math.factorial(n))
    series = 1 / (12 * n) - 1 / (360 * n**3) + 1 / (1260 * n**5)
    return (n + 0.5) * math.log(n) - n + 0.5 * math.log(2 * math.pi) + series


def _exactly(alpha_ppm: int, looks: int, kept: int) -> int:
    k = looks + 1
    with localcontext(_DIGITS):
        log = Decimal(2_000_000 * k * k * (k + 1)).ln() - Decimal(alpha_ppm).ln()
        log += _ln_factorial(looks) - _ln_factorial(kept) - _ln_factorial(looks - kept)
        return int((log * 2000).to_integral_value(ROUND_CEILING))


def _ln_factorial(n: int) -> Decimal:
    """The logarithm of n!, off by less than 10⁻⁵⁰: by its series where n is large."""
    if n < _SERIES_FROM:
        return Decimal(math.factorial(n)).ln()
    series = sum(
        (Decimal(b) / (d * j * (j - 1) * Decimal(n) ** (j - 1)) for j, (b, d) in _BERNOULLI.items()),
        Decimal(0),
    )
    return (n + Decimal("0.5")) * Decimal(n).ln() - n + (2 * _PI).ln() / 2 + series
