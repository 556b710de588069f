"""The books of a network: what anybody can compute of its logs, the same integers for everyone.

Pure functions of logs and of a policy, which names the verifiers that its reader believes. A sybil counts
nowhere, because nobody names it. Bounds, never "always": of 59 that held of 59 follows that 95 % hold.

- ``proposer/v1``: how many of a node's updates verifiers confirmed, and the share that holds, at 95 %.
- ``eta/v1``: certified Δ over the upper joules of *all* that was announced, aborted or not.
- ``verifier/v1``: how many of a node's verdicts were reproduced when its guest holdouts were opened. That it
  agrees with others counts nothing: who copies verdicts agrees with everybody.

An update is *confirmed* by a verifier that adopted it in a round of its own (one candidate) on a guest
holdout that was entered before the update was committed, and *refuted* by one that tried it alone and did not
take it. A member of a larger round is used, and no more is known of it alone. Times are those of witnesses.
"""

from __future__ import annotations

__all__ = [
    "SHARES",
    "CapsuleStanding",
    "CapsuleTold",
    "LogTold",
    "NodeBook",
    "RoundTold",
    "Standing",
    "books_of",
    "share_that_holds",
]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from math import comb

from cryoflux.receipts.network_parts import MemberVerdict

SHARES = (Fraction(1, 2), Fraction(4, 5), Fraction(9, 10), Fraction(19, 20), Fraction(99, 100))
_CHANCE = Fraction(1, 20)
_WINDOW_S = 30 * 86_400
_MOST_COUNTED = 10_000
"""decided updates of a proposer, the newest: a bound on more than these says nothing new"""
_DECIDED = frozenset({MemberVerdict.ADOPTED, MemberVerdict.NOT_CHOSEN, MemberVerdict.SCREENED})


@dataclass(frozen=True, slots=True)
class CapsuleTold:
    """An update that a log offers."""

    capsule: str
    committed_s: int
    """when a quorum of witnesses had seen its receipt, Unix seconds"""


@dataclass(frozen=True, slots=True)
class RoundTold:
    """A round that a log records."""

    root: str
    """of the guest holdout that it named"""
    entered_s: int
    """when a quorum of witnesses had seen that holdout's root"""
    recorded_s: int
    """when it had seen the round"""
    members: Mapping[str, MemberVerdict]
    """capsule → what became of it"""
    level: int
    """mean Δ that was certified, nano-nats; 0 where nothing was accepted"""


@dataclass(frozen=True, slots=True)
class LogTold:
    """What one log says, as far as books need it."""

    origin: str
    offers: tuple[CapsuleTold, ...] = ()
    rounds: tuple[RoundTold, ...] = ()
    upper_uj: int = 0
    """upper ends of what all its attempts and rounds were charged, µJ"""
    unrecorded: int = 0
    """attempts and rounds that were announced and have no record"""
    opened: Mapping[str, bool] = field(default_factory=dict)
    """root of a guest holdout that was opened → whether all its verdicts were reproduced"""
    convicted: bool = False
    """whether it told two histories: its verdicts are void"""


class Standing(StrEnum):
    """What verifiers found of an update."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class CapsuleStanding:
    """An update, as verifiers see it."""

    capsule: str
    standing: Standing
    confirmed_by: int
    refuted_by: int
    used_by: int
    """nodes that adopted it, alone or with others, verifiers or not"""


@dataclass(frozen=True, slots=True)
class NodeBook:
    """What there is to say of one node."""

    origin: str
    capsules: tuple[CapsuleStanding, ...]
    decided: int
    """of its updates in the last 30 days, those that verifiers confirmed or refuted"""
    confirmed: int
    holds_ppm: int
    """the largest share of `SHARES` of which one can be sure, 95 %, that its updates hold; 0 where of none"""
    certified_nano: int
    """Σ of the mean Δ that its own rounds certified, nano-nats"""
    upper_uj: int | None
    """Σ of the upper joules of all that it announced, µJ; none where a record is missing: η is not known"""
    opened: int
    """guest holdouts that it opened"""
    reproduced: int
    """of these, those whose verdicts were all reproduced"""
    void: bool
    """whether it told two histories, or a verdict was contradicted: what it says of others counts nothing"""


def share_that_holds(decided: int, confirmed: int) -> int:
    """The largest p of `SHARES` with P(X ≥ confirmed | decided, p) ≤ 1/20, parts per million; 0 for none.

    Exact, in integers: nobody's logarithm decides. With 59 of 59 it is 95 %, with one miss 93 are needed.
    """
    found = 0
    for share in SHARES:
        if _tail(decided, decided - confirmed, share) <= _CHANCE:
            found = int(share * 1_000_000)
    return found


def _tail(count: int, missed: int, share: Fraction) -> Fraction:
    """The probability that at most so many of some miss, each of which holds with a probability."""
    hold, fail, whole = share.numerator, share.denominator - share.numerator, share.denominator
    total = sum(comb(count, miss) * fail**miss * hold ** (count - miss) for miss in range(missed + 1))
    return Fraction(total, whole**count)


def books_of(
    logs: Iterable[LogTold], verifiers: Iterable[str], quorum: int, now_s: int
) -> dict[str, NodeBook]:
    """The books of a network.

    Args:
        logs: what was pulled; the order does not matter.
        verifiers: origins of the logs that the reader's policy names.
        quorum: how many of them have to say the same.
        now_s: end of the window of 30 days, Unix seconds by witnesses.

    Returns:
        origin → its book.
    """
    told = {log.origin: log for log in logs}
    found = _Found.of(told.values(), set(verifiers))
    return {origin: _book(log, found, quorum, now_s) for origin, log in sorted(told.items())}


def _void(log: LogTold) -> bool:
    return log.convicted or not all(log.opened.values())


@dataclass(frozen=True, slots=True)
class _Found:
    """What all rounds of a network say of each update."""

    alone: Mapping[str, list[tuple[str, RoundTold]]]
    """capsule → verifiers that tried it alone, and how, the earliest first"""
    users: Mapping[str, set[str]]
    """capsule → nodes that adopted it"""

    @classmethod
    def of(cls, logs: Iterable[LogTold], verifiers: set[str]) -> _Found:
        alone: dict[str, list[tuple[str, RoundTold]]] = {}
        users: dict[str, set[str]] = {}
        for log in logs:
            believed = log.origin in verifiers and not _void(log)
            for one in sorted(log.rounds, key=lambda found: (found.recorded_s, found.root)):
                for capsule, verdict in one.members.items():
                    if verdict is MemberVerdict.ADOPTED:
                        users.setdefault(capsule, set()).add(log.origin)
                    if believed and len(one.members) == 1:
                        alone.setdefault(capsule, []).append((log.origin, one))
        return cls(alone, users)

    def standing(self, offer: CapsuleTold, owner: LogTold, quorum: int) -> CapsuleStanding:
        """What verifiers found of an update; the first word of each counts."""
        said: dict[str, bool] = {}
        for verifier, one in self.alone.get(offer.capsule, ()):
            verdict = one.members[offer.capsule]
            in_time = one.entered_s < offer.committed_s <= one.recorded_s
            if in_time and verifier != owner.origin and verdict in _DECIDED:
                said.setdefault(verifier, verdict is MemberVerdict.ADOPTED)
        confirmed = sum(said.values())
        refuted = len(said) - confirmed
        standing = Standing.REFUTED if refuted >= quorum else Standing.OPEN
        if confirmed >= quorum and not owner.convicted:
            standing = Standing.CONFIRMED
        used = len(self.users.get(offer.capsule, set()) - {owner.origin})
        return CapsuleStanding(offer.capsule, standing, confirmed, refuted, used)


def _book(log: LogTold, found: _Found, quorum: int, now_s: int) -> NodeBook:
    offers = sorted(log.offers, key=lambda one: (one.committed_s, one.capsule))
    standings = tuple(found.standing(offer, log, quorum) for offer in offers)
    counted = [
        standing
        for offer, standing in zip(offers, standings, strict=True)
        if now_s - _WINDOW_S < offer.committed_s <= now_s and standing.standing is not Standing.OPEN
    ][-_MOST_COUNTED:]
    confirmed = sum(one.standing is Standing.CONFIRMED for one in counted)
    return NodeBook(
        origin=log.origin,
        capsules=standings,
        decided=len(counted),
        confirmed=confirmed,
        holds_ppm=share_that_holds(len(counted), confirmed),
        certified_nano=sum(one.level for one in log.rounds),
        upper_uj=None if log.unrecorded else log.upper_uj,
        opened=len(log.opened),
        reproduced=sum(log.opened.values()),
        void=_void(log),
    )
