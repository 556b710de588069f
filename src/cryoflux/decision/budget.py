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

__all__ = ["ErrorBudget"]

from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from math import comb

_WORN = 4
_DIGITS = Context(prec=40)
"""decimal rounds ln the same way on every machine, which libm does not promise"""


@dataclass(frozen=True, slots=True)
class ErrorBudget:
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
        level = self.level
        log = _DIGITS.subtract(_DIGITS.ln(Decimal(level.denominator)), _DIGITS.ln(Decimal(level.numerator)))
        return int(_DIGITS.multiply(log, Decimal(2000)).to_integral_value(ROUND_CEILING))

    @property
    def exhausted(self) -> bool:
        """Whether the holdout should be replaced by a fresh one.

        True once the bar is four times that of a fresh holdout: an improvement must then be twice
        as large, or four times as many examples be read, for the same chance of being found. The claim holds
        beyond that; looking merely stops being worth its joules.
        """
        return self.needed_milli >= _WORN * ErrorBudget(self.alpha_ppm).needed_milli

    def after(self, *, accepted: bool) -> ErrorBudget:
        """The budget of the look that follows a verdict."""
        return ErrorBudget(self.alpha_ppm, self.looks + 1, self.kept + accepted)
