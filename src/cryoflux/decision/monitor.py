"""``monitor/v1``: whether a head is worse than a version before it, asked again and again at one price.

Both are evaluated on examples that no decision on updates reads. The paired difference of an example's
losses is dᵢ = headᵢ − referenceᵢ, cut off at −c and c; it is positive where the head does worse. The evidence
against "in the mean, the head does no worse" is

    E = 1/K · Σₖ Πᵢ (1 + λₖ·dᵢ/c),   for the K bets λₖ of `BETS`, each between 0 and 1.

**Claim.** Where the head does no worse, the probability that E *ever* reaches x is at most 1/x, however often
one looks and however many examples have come in by then.

**Proof.** A factor is positive, because λ < 1 and |dᵢ/c| ≤ 1. Given the examples before it, its mean is
1 + λ·E[dᵢ]/c ≤ 1. So each product, begun at 1, is a nonnegative supermartingale, and so is their mean;
Ville's inequality (1939) bounds the probability that it ever reaches x by 1/x. ∎ Nothing is asked of the
distribution, neither symmetry nor a variance. What is tested is the mean of the differences as they are cut
off: an example that gets worse by more than c counts as c, and so does one that gets better. Betting on
bounded means: Waudby-Smith and Ramdas 2024, *J. R. Statist. Soc. B* 86(1), here with bets that are settled
beforehand, so that the order of the examples does not matter.

**The examples** have to be drawn as those that the versions will meet, without regard to what the head makes
of them; whoever feeds a file chooses what is a degradation. A sealed slice is looked at by each new head, and
of it no more than whether one went back reaches what is trained next.

**All heads together.** The k-th head of a task has α/(k·(k + 1)) of the error budget α, and these sum to α,
for however many heads. The log says which m versions it is compared with, each at m times the price, also
where files of some were freed: the probability of *ever*
going back without a reason is at most α, over the life of the log. How often a head is looked at costs
nothing more. Which head is the k-th follows from the log, so nobody can forget what was spent.
"""

from __future__ import annotations

__all__ = [
    "ALPHA_PPM",
    "BETS",
    "MONITOR",
    "Degradation",
    "HeldAgainst",
    "cap_of",
    "cut_mean_nano",
    "evidence_milli",
    "find_degradation",
    "needed_milli",
]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryoflux.quantities import MICRO, NANO, NATS

MONITOR = "monitor/v1"
ALPHA_PPM = 10_000
"""most probability of ever going back without a reason, parts per million, where nobody says another"""
BETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 0.95)
"""small ones find what is small, after many examples; large ones what is large, after few"""
_CAP_NATS = 4
"""a difference of so many nats is a probability that falls to a fiftieth: more than that is as bad"""
_CAP = 1
"""of losses in other units, which do not exceed it"""
_MILLI = 1000


def cap_of(unit: str) -> int:
    """Where a difference of two losses is cut off, billionths of their unit."""
    return (_CAP_NATS if unit == NATS else _CAP) * NANO


def needed_milli(alpha_ppm: int, head_number: int, compared: int) -> int:
    """Natural logarithm of the evidence that is needed against one of several versions, thousandths.

    Args:
        alpha_ppm: the error budget of the log, parts per million.
        head_number: which head of its task it is, from 1.
        compared: versions that it is compared with.

    Raises:
        ValueError: one of them is not positive.
    """
    if min(alpha_ppm, head_number, compared) < 1:
        raise ValueError("an error budget, a head and what it is compared with are positive numbers")
    price = compared * head_number * (head_number + 1) * MICRO
    return math.ceil(_MILLI * (math.log(price) - math.log(alpha_ppm)))


def evidence_milli(head: Sequence[int], reference: Sequence[int], cap_nano: int) -> int:
    """Natural logarithm of the evidence that a head does worse than a version, thousandths, rounded down.

    Args:
        head: its loss on each example, billionths of the metric's unit.
        reference: of the other version on the same examples.
        cap_nano: where a difference is cut off, billionths.

    Raises:
        ValueError: the two are not as many.
    """
    shares = [worse / cap_nano for worse in _cut(head, reference, cap_nano)]
    # fsum rounds the sum once, so the order of the examples does not show.
    logs = [math.fsum(math.log1p(bet * share) for share in shares) for bet in BETS]
    largest = max(logs)
    return math.floor(
        _MILLI * (largest + math.log(math.fsum(math.exp(one - largest) for one in logs) / len(logs)))
    )


def cut_mean_nano(head: Sequence[int], reference: Sequence[int], cap_nano: int) -> int:
    """By how much a head does worse in the mean, differences cut off, billionths; 0 of no examples.

    Raises:
        ValueError: the two are not as many.
    """
    return sum(_cut(head, reference, cap_nano)) // max(1, len(head))


def _cut(head: Sequence[int], reference: Sequence[int], cap_nano: int) -> list[int]:
    if len(head) != len(reference):
        raise ValueError("both versions have a loss on each example")
    # Python's own numbers: whoever verifies needs no library for this.
    return [max(-cap_nano, min(a - b, cap_nano)) for a, b in zip(head, reference, strict=True)]


@dataclass(frozen=True, slots=True)
class HeldAgainst:
    """A head against one version that it could go back to."""

    version: str
    """its digest"""
    evidence_milli: int
    worse_nano: int
    """by how much the head does worse in the mean, differences cut off"""


@dataclass(frozen=True, slots=True)
class Degradation:
    """What comparing a head with versions before it has found."""

    compared: tuple[HeldAgainst, ...]
    needed_milli: int
    back_to: HeldAgainst | None
    """the one to go back to: of those that it is worse than, the one that does best; none where it is not"""

    @property
    def strongest(self) -> HeldAgainst | None:
        """What there is the most evidence against the head in favour of; none where nothing was compared."""
        return max(self.compared, key=lambda one: (one.evidence_milli, one.version), default=None)


def find_degradation(
    head: Sequence[int],
    references: Mapping[str, Sequence[int]],
    *,
    cap_nano: int,
    alpha_ppm: int,
    head_number: int,
    among: int = 0,
) -> Degradation:
    """Compare a head with versions before it.

    Args:
        head: its losses, example by example, billionths of the metric's unit.
        references: digest of a version → its losses on the same examples.
        cap_nano: where differences are cut off.
        alpha_ppm: the error budget of the log, parts per million.
        head_number: which head of its task it is, from 1.
        among: versions that the log would compare it with, where some are not here any more: each keeps its
            price, so that freeing one does not make the others cheaper. As many as there are where it is 0.
    """
    compared = tuple(
        HeldAgainst(version, evidence_milli(head, losses, cap_nano), cut_mean_nano(head, losses, cap_nano))
        for version, losses in references.items()
    )
    needed = needed_milli(alpha_ppm, head_number, max(1, among, len(compared)))
    worse_than = [one for one in compared if one.evidence_milli >= needed]
    back_to = max(worse_than, key=lambda one: (one.worse_nano, one.version), default=None)
    return Degradation(compared, needed, back_to)
