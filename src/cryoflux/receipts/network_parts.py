"""What the entries of a node are made of: candidates and members of a round, its search, and openings."""

from __future__ import annotations

__all__ = [
    "RULES",
    "GuardResult",
    "GuestInUse",
    "Member",
    "MemberVerdict",
    "OpenedRound",
    "RoundCandidate",
    "RoundOutcome",
    "RoundRules",
    "SealedLook",
    "SealedSums",
    "Search",
]

from enum import StrEnum
from math import isqrt
from typing import Annotated

from msgspec import Meta

from cryoflux.decision.evidence import Evidence
from cryoflux.receipts.guest_tree import seal
from cryoflux.receipts.parts import Base
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.fields import (
    BigInteger,
    Count,
    Document,
    OptionalSha256,
    Positive,
    Sha256,
    Share,
    Text,
)

MOST_CANDIDATES = 48
"""of a round: with the meter's statement they have to fit into an entry"""
LogName = Annotated[str, Meta(max_length=200)]
"""origin of a log"""


class RoundOutcome(StrEnum):
    """How a round ended."""

    ACCEPTED = "accepted"
    """what was composed is the head from here on"""
    REJECTED = "rejected"
    """the guest holdout did not show that it is better"""
    UNSHOWN = "unshown"
    """nothing that was composed was worth a look"""
    ABORTED = "aborted"
    """it was stopped, or died"""


class MemberVerdict(StrEnum):
    """What became of a candidate."""

    ADOPTED = "adopted"
    """a part of what was accepted"""
    NOT_CHOSEN = "not-chosen"
    """it was tried, and others did as well without it; or what it was a part of was not accepted"""
    SCREENED = "screened"
    """it did not help on the node's own training side"""
    DUPLICATE = "duplicate"
    """a copy of one that was committed before it"""
    COPIED = "copied"
    """the head has a copy of it already, which somebody else committed later: nothing is said of its worth"""
    UNAVAILABLE = "unavailable"
    """its bytes, or those of its parents, could not be had"""
    MALFORMED = "malformed"
    """its bytes are not what an update may be; anybody who has them can see that"""
    UNSAFE = "unsafe"
    """it made a guard set worse"""
    STALE = "stale"
    """it is of another genesis, or its list cannot be composed with the head's"""
    UNREACHED = "unreached"
    """the joules ended before it was looked at"""


class RoundRules(Document, frozen=True):
    """By which rules a round goes, each by its name and version."""

    judged: Text
    """what a look needs, and certifies: ``round/v1``"""
    copies: Text
    """what is a copy: ``copy/v1``"""
    search: Text
    """what is composed of what is offered: ``sure-gain/v3``"""


RULES = RoundRules(judged="round/v1", copies="copy/v1", search="sure-gain/v3")
"""those by which this version makes a round, and reads one"""


class RoundCandidate(Document, frozen=True):
    """An update that a round considers, as its proposer offered it."""

    capsule: Sha256
    """of the adapter's file"""
    origin: LogName
    """of the proposer's log"""
    offer: Sha256
    """leaf hash of the entry there that offers it"""
    by_lottery: bool = False
    """whether that log is a stranger's: then a hundredth of the joules has to pay for it"""


class Member(Document, frozen=True):
    """What a round found of one of its candidates."""

    capsule: Sha256
    verdict: MemberVerdict
    of: OptionalSha256 = ""
    """of a duplicate: the capsule that was committed before it"""


class GuestInUse(Document, frozen=True):
    """The guest holdout that a round may look at, as far as its log has come."""

    root: Sha256
    """of its salted tree (`receipts.guest_tree`)"""
    count: Positive
    """its examples, all of which a look reads"""
    alpha_ppm: Share
    """error over its life, parts per million, as was promised when it was entered"""
    looks: Count
    """verdicts that it has given before"""
    kept: Count
    """how many of them were acceptances"""
    needed_milli: Count
    """evidence (Σδ)²/Σδ² that this look needs, thousandths; follows from the three before (``round/v1``)"""


class Search(Document, frozen=True):
    """What was found on the node's own training side, coarsely.

    Exact sums, round by round, would teach whoever offers to fit the search's examples, and so to have looks
    at guest holdouts spent on what helps nowhere else.
    """

    tried: Count
    """proposals that were looked at"""
    count: Positive
    """training-side examples, never trained on, that they were looked at with"""
    delta_nano_nat: Count
    """mean Δ of what was composed, nano-nats an example, rounded down to two binary digits"""
    spread_nano_nat: Count
    """standard deviation of Δ between examples, nano-nats, rounded up to two binary digits"""

    @classmethod
    def of(cls, found: Evidence, tried: int) -> Search:
        """What some evidence comes to.

        Args:
            found: of what was composed, against the head.
            tried: proposals that were looked at.
        """
        mean = -(-max(0, found.delta) // found.count)
        variance = max(0, found.count * found.delta_squared - found.delta**2) // found.count**2
        spread = isqrt(variance) + 1 if variance else 0
        return cls(
            tried=tried,
            count=found.count,
            delta_nano_nat=mean >> _cut(mean) << _cut(mean),
            spread_nano_nat=-(-spread >> _cut(spread)) << _cut(spread),
        )


def _cut(value: int) -> int:
    """Binary digits of a number behind its first two."""
    return max(0, value.bit_length() - 2)


class GuardResult(Document, frozen=True):
    """A set that what is composed must not make worse, whatever it does for the task."""

    name: Text
    sha256: Sha256
    """of its file"""
    count: Positive
    passed: bool


class SealedLook(Document, frozen=True):
    """A look at a guest holdout: what is published of it is one bit, and of an acceptance its level."""

    sealed: Sha256
    """of its sums, under a salt that the opening publishes"""
    losses_root: Sha256
    """of its salted losses"""
    profile: Text
    """in which arithmetic"""
    level: Count
    """of an acceptance: the mean Δ that it certifies, billionths of the unit, one of
    `cryoflux.decision.levels.LEVELS`; 0 where nothing was accepted"""


class SealedSums(Document, frozen=True):
    """What a seal is over: the sums of a look, which stay secret until the guest holdout retires."""

    base: Base
    candidate: Base
    profile: Text
    base_loss_sum: Count
    new_loss_sum: Count
    delta_squared_sum: BigInteger

    def seal(self, key: bytes, intent: str) -> str:
        """What a round publishes in their place.

        Args:
            key: of the guest holdout.
            intent: leaf hash of the announcement of the round.
        """
        return seal(canonical_bytes(self), key, intent)

    def evidence(self, count: int) -> Evidence:
        """In the form that the rule judges.

        Args:
            count: examples of the guest holdout.
        """
        sums = (self.base_loss_sum, self.new_loss_sum, int(self.delta_squared_sum))
        return Evidence(count, *sums, 0, 0, 0, 0, hits=False)


class OpenedRound(Document, frozen=True):
    """A look of a guest holdout that retired."""

    intent: Sha256
    """leaf hash of the entry that announced the round"""
    sums: SealedSums
