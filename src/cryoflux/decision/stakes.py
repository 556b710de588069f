"""``evidence/v3``: what a look at a holdout may err is staked, and comes back where the update is kept.

A holdout begins with the error budget b₁ = α. Before look k a share f of what is left of it is staked, and
the candidate is tested at the level f·bₖ. Kept: what was staked is the next budget, bₖ₊₁ = f·bₖ. Not kept:
it is gone, bₖ₊₁ = (1 − f)·bₖ. So a series of acceptances costs little: only what was *not* staked is lost
with each of them. It is the idea of alpha-investing (Foster and Stine 2008) and of recycling error between
hypotheses (Burman, Sonesson and Guilbaud 2009), here for the chance of *any* false acceptance.

**Claim.** The probability that the holdout *ever* admits an update that is no improvement in Δ is at most α.

**Filtration.** Stakes and candidates may depend on seeds, on training and screening examples, on the log and
on all earlier verdicts of the holdout, and on nothing else of the holdout: no loss, no Δ, no interval, no
number of examples read. (What else would leak is said in `cryoflux.decision.budget`; it holds here too.) So:

- *Chains.* What a chain trains next may depend on the bit alone. Missed, undecided and hopeless are the same
  bit: whichever it was, the attempt is carried, and no scheduler is told which.
- *Early stops* can only make "not kept" of "kept": the passing candidates are a subset of the proof's. But
  how far was read is no bit of the tree, and the joules that a stop saved are spent by later attempts: **the
  claim takes it that this tells training nothing**. No run makes sure of it.
- *Aborts.* A reading that is aborted gives no verdict and costs no error budget. Where that has nothing to do
  with losses (a power cut), the claim holds: with the aborts settled beforehand, the tree without their nodes
  is as good. It stops for energy or a signal, never for losses; yet a candidate that is not hopeless reads on
  longer, so that an abort is likelier. That too is taken to tell nothing: no loss and no count is kept of it.
  A charge would not prove more: an abort that hangs on losses is a third branch, and f·b + 2·T((1 − f)·b) may
  exceed b. The same candidate shown again is the same test; the next verdict is paid for as any other.
- *The screen* also fits the temperature and chooses among averages. That makes it a poorer forecast, not an
  unlawful one: it is no part of the holdout. Copies of holdout texts among its examples would make it one.
- *Rotation.* The next holdout's tree hangs on the bits of those before it, which are settled before it is
  drawn. Each has its own α: the first m of them err at most m·α in all.
- *Forks.* Each goes on with what was left at its root, and no error budget is shared among them: n forks of
  one head err at most n times that.
- *Attempts at once.* Their looks are ordered by their verdicts. Where that order hangs on how long a reading
  took, the same is taken as of early stops.

**Proof.** With the seeds fixed, candidate and stake of look k follow from the k − 1 bits before it. All that
can ever be judged is then one binary tree, settled before the holdout is drawn; each node is one test of a
fixed candidate at a fixed level. Call a node null if its candidate is no improvement. A *first* false
acceptance is an acceptance at a null node that no accepted null node precedes. Cut off what lies below the
"kept" branch of null nodes: in the tree that is left, the probability of a first false acceptance is
at most the sum of the levels of its null nodes, by the union bound. Let T(b) be the largest such sum of all
trees of depth n whose root has the budget b. Then T(b) ≤ b, by induction over n:

- depth 0: no node, and 0 ≤ b;
- the root is null: f·b for itself, and below it only "not kept", so f·b + T((1 − f)·b) ≤ f·b + (1 − f)·b = b;
- the root is an improvement: nothing for itself, and T(f·b) + T((1 − f)·b) ≤ f·b + (1 − f)·b = b.

With b = α, and as it holds for every n, it holds for every stopping time. ∎ Rounding levels and budgets down
only makes the sums smaller.

**The single test.** With S = Σδᵢ and V = Σδᵢ², and fair signs given the sizes |δᵢ|, S/√V is a weighted sum of
fair coins whose squared weights sum to 1, so

    P(S ≥ x·√V) ≤ c·P(N ≥ x),  c = 1 / (4·P(N ≥ √2)) = 3.178…,  N standard normal

(Bentkus and Dzindzalieta 2015, *Bernoulli* 21(2), Theorem 1.1; the constant is the best possible). The update
passes if S > 0 and S²/V > x², with x such that the right side is the level: 7.6 at a level of 0.0095, where
2·ln(1/level), the bar of ``evidence/v2`` for one half, is 9.3. In which senses of "no improvement" the bound
is exact, and that it is asymptotic where δᵢ is skewed, is said in `cryoflux.decision.budget`.

**Few examples.** Where δᵢ is negatively skewed, a bar is passed the oftener, against its level, the smaller
the level and the fewer the examples. So small holdouts stake no small shares (`least_stake`), and one of
fewer than `ENOUGH` examples is tested at count/`ENOUGH` of what it stakes. The proof holds, as levels only
shrink. Where the limits lie was measured at skewness −2 and α = 0.01: the worst series of stakes then errs in
at most 9.4 of 1,000 lives, from 30 examples on (`benchmarks/worst_series.py`). At other skewness or a smaller
α it may err more than it promises: at α = 0.001 up to 1.9 of 1,000, with 1,024 examples 1.3.

Each look tests one hypothesis, that of Δ: no accuracy half, so that no level is spent on it.

**Which share is staked.** The largest f of `STAKES` with which the screen predicts an acceptance with a
probability of at least f (`chosen_stake`); where there is none, the holdout is not looked at. It is a pure
function of the screen's sums, so a verifier derives it again: it cannot be chosen after the fact.
"""

from __future__ import annotations

__all__ = [
    "ENOUGH",
    "MOST_NEEDED",
    "STAKED",
    "STAKES",
    "WHOLE",
    "StakedBudget",
    "chosen_stake",
    "least_stake",
    "left_of_counted",
    "needed_at",
    "odds_at",
]

from decimal import Context, Decimal, localcontext
from functools import lru_cache
from math import comb

from msgspec import Struct

from cryoflux.decision.evidence import Evidence

STAKED = "evidence/v3"
"""the rule whose bar comes from a stake of the holdout's error budget"""
WHOLE = 10**15
"""error budgets and levels are counted in units of 1/WHOLE"""
STAKES = (950, 900, 800, 650, 500, 350, 200)
"""shares of an error budget that may be staked, thousandths, largest first"""
ENOUGH = 256
"""examples of a holdout from which on a look is tested at all that it stakes"""
_LEAST = ((1000, 200), (500, 350), (0, 800))
"""examples from which on → the smallest share that is worth a look, thousandths (`least_stake`)"""
_QUANTILES = dict(
    zip(STAKES, ("-1.6449", "-1.2816", "-0.8416", "-0.3853", "0", "0.3853", "0.8416"), strict=True)
)
"""share → what a standard normal exceeds with that probability, rounded to four places"""
_SHRUNK = Decimal("0.9")
"""of what the screen shows, the holdout is expected to show: the screen chose among several averages"""
_WORN = 4
_MILLI = 1000
_MICRO_UNITS = WHOLE // 1_000_000
_DIGITS = Context(prec=80)
"""a tail of 10⁻²³ is one minus a sum of 57 digits that all count"""
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
MOST_NEEDED = 100_000
"""beyond x² = 100 the tail is below one unit of the error budget: a bar that stands for none"""


class StakedBudget(Struct, frozen=True):
    """What one holdout may still err.

    Raises:
        ValueError: there is more or less of it than there can be.
    """

    left: int
    """units of 1/`WHOLE`"""

    def __post_init__(self) -> None:
        if not 0 <= self.left <= WHOLE:
            raise ValueError(f"an error budget is 0 to {WHOLE}, not {self.left}")

    @classmethod
    def fresh(cls, alpha_ppm: int) -> StakedBudget:
        """The error budget of a holdout that was never looked at.

        Args:
            alpha_ppm: error over its whole life, parts per million.
        """
        return cls(alpha_ppm * _MICRO_UNITS)

    def level(self, stake_milli: int, holdout_count: int = ENOUGH) -> int:
        """What the next look may err with a stake, units of 1/`WHOLE`, rounded down.

        On fewer than `ENOUGH` examples that is only their share of what is staked (why: above).
        """
        return self.left * stake_milli * min(holdout_count, ENOUGH) // (_MILLI * ENOUGH)

    def needed_milli(self, stake_milli: int, holdout_count: int = ENOUGH) -> int:
        """What S²/V must exceed with a stake, thousandths, rounded up.

        Raises:
            ValueError: the error budget is too small for any look.
        """
        return needed_at(self.level(stake_milli, holdout_count))

    def after(self, stake_milli: int, *, accepted: bool) -> StakedBudget:
        """The error budget of the look that follows a verdict."""
        share = stake_milli if accepted else _MILLI - stake_milli
        return StakedBudget(self.left * share // _MILLI)

    def exhausted(self, alpha_ppm: int) -> bool:
        """Whether the holdout should be replaced by a fresh one.

        True once the bar with the largest stake is four times that of a fresh holdout. The claim holds beyond
        that; looking merely stops being worth its joules.
        """
        most = STAKES[0]
        if not self.level(most):
            return True
        return self.needed_milli(most) >= _WORN * StakedBudget.fresh(alpha_ppm).needed_milli(most)


def least_stake(holdout_count: int) -> int:
    """The smallest share that a holdout of so many examples is looked at with, thousandths.

    A small stake makes a small level, and small levels are where skewed δᵢ pass more often than they may; the
    more so, the fewer they are (why: above).
    """
    return next(stake for count, stake in _LEAST if holdout_count >= count)


def left_of_counted(alpha_ppm: int, looks: int, kept: int) -> StakedBudget:
    """What is left to stake of a holdout that ``evidence/v2`` has looked at before.

    In its tree, the levels of both halves below a node with ``kept`` ones among ``looks`` bits sum to
    α · w / (looks + 1), w = 1 / ((looks + 1) · C(looks, kept)) (`cryoflux.decision.budget`). A tree of this
    rule that takes the place of that part of the other errs no more, so that the union bound still holds.
    """
    share = (looks + 1) ** 2 * comb(looks, kept)
    return StakedBudget(StakedBudget.fresh(alpha_ppm).left // share)


@lru_cache(maxsize=4096)
def needed_at(level: int) -> int:
    """The smallest x², thousandths, with c·P(N ≥ x) at or below a level; found in decimals, by halving.

    Args:
        level: units of 1/`WHOLE`, at least one.

    Raises:
        ValueError: the level is none.
    """
    if level < 1:
        raise ValueError("a look needs a level above zero")
    wanted = Decimal(level) / WHOLE
    low, high = 0, MOST_NEEDED  # at or below `low` the bound is above the level, at `high` it is not
    if _bound(low) <= wanted:
        return low
    while high - low > 1:
        middle = (low + high) // 2
        if _bound(middle) <= wanted:
            high = middle
        else:
            low = middle
    return high


def odds_at(needed_milli: int) -> int:
    """1/level of a bar, rounded down: an update that is no improvement passes it at most once in so many."""
    return int(1 / _bound(needed_milli))


@lru_cache(maxsize=65_536)
def _bound(square_milli: int) -> Decimal:
    """c·P(N ≥ x) for x² in thousandths, off by less than 10⁻⁵⁰ of itself."""
    with localcontext(_DIGITS):
        return _tail(Decimal(square_milli) / _MILLI) / (4 * _tail(Decimal(2)))


def _tail(square: Decimal) -> Decimal:
    """P(N ≥ x) for x²: 1/2 − x·φ(x)·Σ x²ⁿ / (1·3·5·…·(2n + 1)), all of whose terms are positive."""
    term = total = Decimal(1)
    n = 0
    while term > total.scaleb(-78):
        n += 1
        term = term * square / (2 * n + 1)
        total += term
    density = (-square / 2).exp() / (2 * _PI).sqrt()
    return Decimal("0.5") - square.sqrt() * density * total


def chosen_stake(budget: StakedBudget, screened: Evidence, holdout_count: int, min_delta: int) -> int:
    """The share of the error budget that the next look stakes, thousandths; 0 where it is not worth a look.

    The evidence x of the holdout is predicted from the screen's z: its mean is 0.9·z·√r and its variance
    1 + 0.81·r, with r holdout examples for each that was screened. In decimals, whose roots every machine
    rounds alike.

    Args:
        budget: what is left.
        screened: of the screening examples.
        holdout_count: examples of the holdout.
        min_delta: smallest mean Δ that the rule keeps, billionths of its unit.
    """
    count, delta = screened.count, screened.delta
    scatter = count * screened.delta_squared - delta**2
    if count < 2 or delta <= 0 or delta < min_delta * count:
        return 0
    with localcontext(_DIGITS):
        ratio = Decimal(holdout_count) / count
        spread = (1 + _SHRUNK**2 * ratio).sqrt()
        if scatter <= 0:  # every example gained the same
            return next((stake for stake in STAKES if budget.level(stake, holdout_count)), 0)
        z = (Decimal(delta) ** 2 * (count - 1) / scatter).sqrt()
        mean = _SHRUNK * z * ratio.sqrt()
        for stake in STAKES:
            if not budget.level(stake, holdout_count):
                continue
            bar = (Decimal(budget.needed_milli(stake, holdout_count)) / _MILLI).sqrt()
            if bar - mean <= Decimal(_QUANTILES[stake]) * spread:
                return stake
    return 0
