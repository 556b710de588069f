"""The books of a network: what anybody can compute of its logs, the same integers for everyone.

Pure functions of logs and of a policy, which names the verifiers that its reader believes. A sybil counts
nowhere, because nobody names it. Bounds, never "always": of 59 that held of 59 follows that 95 % hold.

- ``proposer/v1``: how many of a node's updates verifiers confirmed, and the share that holds, at 95 %.
- ``eta/v1``: certified Δ over the upper joules of *all* that was announced, aborted or not.
- ``verifier/v1``: how many of a node's verdicts were reproduced when its guest holdouts were opened. That it
  agrees with others counts nothing: who copies verdicts agrees with everybody.

An update is *confirmed* by a verifier that adopted it alone, on a guest holdout that was entered before the
update was committed: all steps of what the holdout was shown are of it, so that the certified level is its
own, whatever else was considered. What was adopted with others, or beside other weights of older updates, is
used, and no more is known of it alone. It is *refuted* by a verifier that showed it alone to a guest holdout
which did not accept it, or for which it was the only candidate of a round, and that did not take it. What was
passed over beside others may have been so for theirs. Times are those of witnesses: a round that no quorum
has seen yet counts nowhere, as it may be another one for each reader.
What a verifier found of an update it found of the offer of one log: whoever offers the same bytes in another
log earns nothing by it.

A verifier that recalls what it adopted takes its word back from then on, and refutes nothing by it: a recall
is no measurement. What a node certified for itself adds up as far as its head rests on it: not what it
recalled, nor what stood on top of that, nor what it left by going back to an older version.

What a reader's audit could not make again because a verifier does not show what its head is made of is its
word, and no more than that: once pulls have asked for it in vain, and a day of witnesses' time has gone by
since the guest holdout was opened, its verdicts leave updates open. They count again when it is shown. What
the verifier found later, on another guest holdout, counts in their place where it says the same, and no more
than both do. Where it says the opposite neither counts: else a verifier could try an update until chance
favours it, and hide what the tries before rest on.

Where several logs offer the same bytes, and witnesses do not tell which was first, the update is *contested*:
what verifiers found of it stands, and it counts for none of them.

What an update *pays* is the level that a quorum certifies of it alone over the upper joules of its receipt.
"""

from __future__ import annotations

__all__ = [
    "LATER",
    "SHARES",
    "CapsuleRecord",
    "CapsuleTold",
    "Confirmation",
    "LogTold",
    "NodeBook",
    "RoundTold",
    "ShareBound",
    "books_of",
    "share_that_holds",
]

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from itertools import takewhile
from math import comb

from cryoflux.receipts.network_parts import MemberVerdict

LATER = 2**62
"""Unix seconds: later than every time of a witness"""
SHARES = (Fraction(1, 2), Fraction(4, 5), Fraction(9, 10), Fraction(19, 20), Fraction(99, 100))
_CHANCE = Fraction(1, 20)
_WINDOW_S = 30 * 86_400
_SHOWN_WITHIN_S = 86_400
"""that a verifier has, by witnesses, to show what its opened verdicts rest on"""
_MOST_COUNTED = 10_000
"""decided updates of a proposer, the newest: a bound on more than these says nothing new"""
_REFUTED, _TAKEN_BACK, _UNREPRODUCED = -1, -2, -3
"""in place of a level"""
_DECIDED = frozenset({MemberVerdict.NOT_CHOSEN, MemberVerdict.SCREENED})
"""what says that an update was tried, and not taken"""


@dataclass(frozen=True, slots=True)
class CapsuleTold:
    """An update that a log offers."""

    capsule: str
    committed_s: int
    """when a quorum of witnesses had seen its receipt, Unix seconds"""
    upper_uj: int = 0
    """that its receipt was charged at most, µJ"""
    contested: bool = False
    """whether other logs offer the same bytes, and nobody can tell which was first"""


@dataclass(frozen=True, slots=True)
class RoundTold:
    """A round that a log records."""

    root: str
    """of the guest holdout that it named"""
    entered_s: int
    """when a quorum of witnesses had seen that holdout's root"""
    recorded_s: int
    """when it had seen the round; `LATER` where it has not"""
    members: Mapping[str, MemberVerdict]
    """capsule → what became of it"""
    level: int
    """mean Δ that was certified, nano-nats; 0 where nothing was accepted"""
    origins: Mapping[str, str] = field(default_factory=dict)
    """capsule → the log whose offer was considered"""
    withdrawn: bool = False
    """whether something was recalled since that its list holds, or its head was left: then its level adds
    nothing"""
    recalled: frozenset[str] = frozenset()
    """members that it adopted and its log recalled since"""
    copied: Mapping[str, str] = field(default_factory=dict)
    """member → its later copy, which the log's head had already"""
    shown_alone: str = ""
    """the member that all steps are of which its guest holdout was shown; empty where there is none"""

    def word(self, capsule: str, owner: str) -> int | None:
        """What it says of an update as one log offers it, and of nothing else.

        Args:
            capsule: the update.
            owner: origin of the log that offers it.

        Returns:
            the level, or what stands in its place; none where it says nothing of it, as where the offer of
            another log was considered.
        """
        verdict = self.members.get(capsule) if self.origins.get(capsule, owner) == owner else None
        is_alone = self.shown_alone == capsule
        if verdict is MemberVerdict.ADOPTED:
            return self.level if is_alone else None
        if verdict not in _DECIDED:
            return None
        return _REFUTED if is_alone or len(self.members) == 1 else None


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
    unmade: Mapping[str, int] = field(default_factory=dict)
    """root of a guest holdout that was opened, and whose looks could not be made again for want of what this
    log's owner was asked for in vain → when a quorum had seen the opening"""
    convicted: bool = False
    """whether it told two histories: its verdicts are void"""
    broken: int = 0
    """rounds that do not follow their rule, as the log itself shows: its verdicts are void"""
    tiers: frozenset[str] = frozenset()
    """how its joules came about"""

    def withheld(self, now_s: int) -> frozenset[str]:
        """Roots of the guest holdouts whose verdicts count no more, until what they rest on is shown.

        Args:
            now_s: Unix seconds by witnesses.
        """
        due_s = now_s - _SHOWN_WITHIN_S
        return frozenset(root for root, opened_s in self.unmade.items() if opened_s <= due_s)


@dataclass(frozen=True, slots=True)
class ShareBound:
    """How many of some held, and the share of which one can be sure by that."""

    decided: int
    held: int
    share_ppm: int
    """the largest of `SHARES` that holds, 95 %, parts per million; 0 where none does"""


class Confirmation(StrEnum):
    """What verifiers found of an update."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class CapsuleRecord:
    """An update, as verifiers see it."""

    capsule: str
    standing: Confirmation
    confirmed_by: int
    refuted_by: int
    used_by: int
    """nodes that adopted it, alone or with others, verifiers or not, and have not recalled it"""
    recalled_by: int = 0
    """nodes that adopted it and recalled it since, verifiers or not"""
    level: int = 0
    """the largest mean Δ that a quorum certifies of it alone, nano-nats; 0 where none does"""
    upper_uj: int = 0
    """that its receipt was charged at most, µJ"""
    counted: bool = False
    """whether it was decided, committed in the last 30 days, and is not contested"""
    unreproduced_by: int = 0
    """verifiers whose verdict does not count because what it rests on is not shown"""
    contested: bool = False
    """whether other logs offer the same bytes, and nobody can tell which was first"""


@dataclass(frozen=True, slots=True)
class NodeBook:
    """What there is to say of one node."""

    origin: str
    capsules: tuple[CapsuleRecord, ...]
    decided: int
    """of its updates in the last 30 days, those that verifiers confirmed or refuted"""
    confirmed: int
    holds_ppm: int
    """the largest share of `SHARES` of which one can be sure, 95 %, that its updates hold; 0 where of none"""
    certified_nano: int
    """Σ of the mean Δ that its own rounds certified, of what its head rests on, nano-nats"""
    upper_uj: int | None
    """Σ of the upper joules of all that it announced, µJ; none where a record is missing: η is not known"""
    opened: int
    """guest holdouts that it opened"""
    reproduced: int
    """of these, those whose verdicts were all reproduced"""
    withheld: int
    """of these, those whose verdicts do not count because what they rest on is not shown"""
    void: bool
    """whether it told two histories, a verdict was contradicted, or a round breaks its rule: what it says of
    others counts nothing"""
    tiers: tuple[str, ...] = ()
    """how its joules came about"""

    def paying(self, least: Fraction) -> ShareBound:
        """Of its decided updates, those that paid more than so many nats a joule, and the share that does.

        Args:
            least: nats per joule.
        """
        counted = [one for one in self.capsules if one.counted][-_MOST_COUNTED:]
        # nano-nats over µJ are thousandths of nats over joules
        held = sum(one.upper_uj > 0 and one.level > least * one.upper_uj * 1000 for one in counted)
        return ShareBound(len(counted), held, share_that_holds(len(counted), held))


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
    found = _Found.of(told.values(), set(verifiers), now_s)
    return {origin: _book(log, found, quorum, now_s) for origin, log in sorted(told.items())}


def _void(log: LogTold) -> bool:
    return log.convicted or log.broken > 0 or not all(log.opened.values())


@dataclass(frozen=True, slots=True)
class _Found:
    """What all rounds of a network say of each update, as far as a quorum has seen them."""

    tried: Mapping[str, list[tuple[str, RoundTold]]]
    """capsule → verifiers whose rounds may say something of it alone, the earliest first"""
    users: Mapping[tuple[str, str], set[str]]
    """capsule, and the log that offered it → nodes that adopted it, and have not recalled it"""
    recallers: Mapping[tuple[str, str], set[str]]
    """the same → nodes that adopted it and recalled it since"""
    copies: frozenset[tuple[str, str]]
    """verifier and an update that it has called a later copy of another's: its word for that one is gone"""
    withheld: frozenset[tuple[str, str]]
    """verifier and root of a guest holdout whose verdicts cannot be made again"""

    @classmethod
    def of(cls, logs: Iterable[LogTold], verifiers: set[str], now_s: int) -> _Found:
        withheld, copies = set[tuple[str, str]](), set[tuple[str, str]]()
        tried: dict[str, list[tuple[str, RoundTold]]] = {}
        users: dict[tuple[str, str], set[str]] = {}
        recallers: dict[tuple[str, str], set[str]] = {}
        for log in logs:
            believed = log.origin in verifiers and not _void(log)
            withheld |= {(log.origin, root) for root in log.withheld(now_s)}
            seen = (one for one in log.rounds if one.recorded_s < LATER)
            for one in sorted(seen, key=lambda found: (found.recorded_s, found.root)):
                copies |= {(log.origin, copy) for copy in one.copied.values()}
                for capsule, verdict in one.members.items():
                    if verdict is MemberVerdict.ADOPTED:
                        had = recallers if capsule in one.recalled else users
                        had.setdefault((capsule, one.origins.get(capsule, "")), set()).add(log.origin)
                    if believed and (len(one.members) == 1 or one.shown_alone == capsule):
                        tried.setdefault(capsule, []).append((log.origin, one))
        return cls(tried, users, recallers, frozenset(copies), frozenset(withheld))

    def standing(self, offer: CapsuleTold, owner: LogTold, quorum: int, now_s: int) -> CapsuleRecord:
        """What verifiers found of an update; the first word of each counts, unless it took it back."""
        said: dict[str, list[tuple[int, bool]]] = {}
        for verifier, one in self.tried.get(offer.capsule, ()):
            level = one.word(offer.capsule, owner.origin)
            in_time = one.entered_s < offer.committed_s <= one.recorded_s
            if in_time and verifier != owner.origin and level is not None:
                taken_back = offer.capsule in one.recalled or (verifier, offer.capsule) in self.copies
                level = _TAKEN_BACK if taken_back else level
                said.setdefault(verifier, []).append((level, (verifier, one.root) in self.withheld))
        words = [_counted(some) for some in said.values()]
        levels = sorted((level for level in words if level >= 0), reverse=True)
        confirmed, refuted = len(levels), words.count(_REFUTED)
        standing = Confirmation.REFUTED if refuted >= quorum else Confirmation.OPEN
        if confirmed >= quorum and not owner.convicted:
            standing = Confirmation.CONFIRMED
        recent = now_s - _WINDOW_S < offer.committed_s <= now_s
        return CapsuleRecord(
            capsule=offer.capsule,
            standing=standing,
            confirmed_by=confirmed,
            refuted_by=refuted,
            used_by=_by_others(self.users, offer.capsule, owner.origin),
            recalled_by=_by_others(self.recallers, offer.capsule, owner.origin),
            level=levels[quorum - 1] if standing is Confirmation.CONFIRMED else 0,
            upper_uj=offer.upper_uj,
            counted=recent and standing is not Confirmation.OPEN and not offer.contested,
            unreproduced_by=words.count(_UNREPRODUCED),
            contested=offer.contested,
        )


def _counted(words: Sequence[tuple[int, bool]]) -> int:
    """Which word of a verifier counts: its first one; of withheld ones what the next one bears out.

    Args:
        words: levels, or what stands in their place, and whether they are withheld; the earliest first.
    """
    hidden = len([*takewhile(lambda word: word[1], words)])
    if hidden == len(words):
        return _UNREPRODUCED
    said = [level for level, _ in words[: hidden + 1]]
    agree = len({min(level, 0) for level in said}) == 1
    return min(said) if agree else _UNREPRODUCED


def _by_others(nodes: Mapping[tuple[str, str], set[str]], capsule: str, owner: str) -> int:
    named = (nodes.get((capsule, origin), set()) for origin in (owner, ""))
    return len(set[str]().union(*named) - {owner})


def _book(log: LogTold, found: _Found, quorum: int, now_s: int) -> NodeBook:
    offers = sorted(log.offers, key=lambda one: (one.committed_s, one.capsule))
    standings = tuple(found.standing(offer, log, quorum, now_s) for offer in offers)
    counted = [one for one in standings if one.counted][-_MOST_COUNTED:]
    confirmed = sum(one.standing is Confirmation.CONFIRMED for one in counted)
    withheld = log.withheld(now_s)
    return NodeBook(
        origin=log.origin,
        capsules=standings,
        decided=len(counted),
        confirmed=confirmed,
        holds_ppm=share_that_holds(len(counted), confirmed),
        certified_nano=sum(one.level for one in log.rounds if not one.withdrawn),
        upper_uj=None if log.unrecorded else log.upper_uj,
        opened=len(log.opened.keys() | withheld),
        reproduced=sum(held for root, held in log.opened.items() if root not in withheld),
        withheld=len(withheld),
        void=_void(log),
        tiers=tuple(sorted(log.tiers)),
    )
