"""Layer S1, *books*: lying verifiers and proposers, and what the real books make of their logs.

Ten verifiers stand in the reader's policy, of whom four have to say the same. Honest ones look at each
capsule alone, with a fresh guest holdout for each two: verdicts are those of `certified_level` on drawn sums,
and their openings are reproduced. A life is harmful where the books call a capsule of no worth confirmed, one
of much worth refuted, or show a share or an η that is not so.
"""

from __future__ import annotations

__all__ = ["BOOKS", "Life", "never_opened", "play"]

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.levels import RoundBudget, certified_level
from cryoflux.network.books import CapsuleTold, Confirmation, LogTold, NodeBook, RoundTold, books_of
from cryoflux.receipts.network_parts import MemberVerdict, SealedSums
from cryoflux.receipts.parts import Base
from strategies.looks import ALPHA_PPM, in_integers

VERIFIERS, QUORUM, CAPSULES, COUNT = 10, 4, 4, 512
_NOW, _HOUR = 100 * 86_400, 3600
_ZERO = Base(digest="00" * 32, files="00" * 32)
_JOULES = 10**8
"""µJ of an attempt, as its meter had it"""


@dataclass
class Life:
    """One network, and who lies in it."""

    rng: np.random.Generator
    opened: bool = True
    """whether guest holdouts have retired and were opened"""
    noted: dict[str, int] = field(default_factory=dict)

    def sums(self, delta: float) -> Evidence:
        """What a guest holdout shows of a capsule with some true Δ."""
        spread = 0.3
        total = float(self.rng.normal(COUNT * delta, spread * math.sqrt(COUNT)))
        scatter = spread**2 * float(self.rng.chisquare(COUNT - 1))
        return in_integers(total, scatter + total**2 / COUNT, COUNT)


@dataclass(frozen=True)
class Verdict:
    """What a verifier does with a capsule."""

    level: int
    """that it publishes"""
    root: str
    entered_s: int
    reproduced: bool | None = True
    """whether its opening gives that level; none where it does not open"""


Verifier = Callable[[Life, int, float, int, Sequence[int]], Verdict]
"""of a life, the number of a capsule, its true Δ, when it was committed, and what others said of it before"""


def honest(life: Life, number: int, delta: float, _committed_s: int, _said: Sequence[int]) -> Verdict:
    """Looks, publishes what the rule says, and opens."""
    budget = RoundBudget(ALPHA_PPM, number % 2, 0)
    level = certified_level(life.sums(delta), budget.needed_milli)
    return Verdict(level, f"root{number // 2}", 0)


def _claims(level: int, *, altered: bool = False, opens: bool = True, late: bool = False) -> Verifier:
    """Says a level whatever it saw, and opens what it saw, something else, or nothing."""

    def verdict(life: Life, number: int, delta: float, committed_s: int, _said: Sequence[int]) -> Verdict:
        seen, needed = life.sums(delta), RoundBudget(ALPHA_PPM, number % 2, 0).needed_milli
        shown = in_integers(0.5 * COUNT, 0.3 * COUNT, COUNT) if altered else seen
        entered = committed_s + _HOUR if late else 0
        found = _opens(seen, shown, level, needed) if opens else None
        return Verdict(level, f"root{number // 2}", entered, found)

    return verdict


def _opens(seen: Evidence, shown: Evidence, level: int, needed_milli: int) -> bool:
    """Whether what is opened is what was sealed, and certifies what was published: as step 17 asks."""
    key, intent = bytes(32), "11" * 32
    sealed = _sealed(seen).seal(key, intent)
    opened = _sealed(shown)
    return (
        opened.seal(key, intent) == sealed and certified_level(opened.evidence(COUNT), needed_milli) == level
    )


def _sealed(found: Evidence) -> SealedSums:
    return SealedSums(
        base=_ZERO,
        candidate=_ZERO,
        profile="f64",
        base_loss_sum=found.base_loss,
        new_loss_sum=found.new_loss,
        delta_squared_sum=str(found.delta_squared),
    )


def copies_verdicts(life: Life, number: int, delta: float, committed_s: int, said: Sequence[int]) -> Verdict:
    """Says what the first one said, and has sums of its own to open."""
    level = said[0] if said else 0
    return _claims(level)(life, number, delta, committed_s, said)


def play(
    life: Life,
    liars: int,
    lie: Verifier,
    deltas: Sequence[float],
    *,
    verifiers_open: bool = True,
    quorum: int = QUORUM,
) -> NodeBook:
    """The book of the proposer of capsules with some true Δ, after verifiers looked at them."""
    offers = tuple(
        CapsuleTold(f"capsule{number}", 10 * _HOUR + number * _HOUR) for number in range(len(deltas))
    )
    logs = [LogTold("cheat", offers, upper_uj=len(deltas) * _JOULES)]
    said: dict[str, list[int]] = {one.capsule: [] for one in offers}
    for place in range(VERIFIERS):
        acts = lie if place >= VERIFIERS - liars else honest
        logs.append(_log(f"verifier{place}", life, acts, offers, deltas, said, opens=verifiers_open))
    names = [f"verifier{place}" for place in range(VERIFIERS)]
    return books_of(logs, names, quorum, _NOW // 10)["cheat"]


def _log(
    name: str,
    life: Life,
    acts: Verifier,
    offers: Sequence[CapsuleTold],
    deltas: Sequence[float],
    said: Mapping[str, list[int]],
    *,
    opens: bool,
) -> LogTold:
    rounds, opened = [], dict[str, bool]()
    for number, (offer, delta) in enumerate(zip(offers, deltas, strict=True)):
        verdict = acts(life, number, delta, offer.committed_s, said[offer.capsule])
        said[offer.capsule].append(verdict.level)
        member = MemberVerdict.ADOPTED if verdict.level else MemberVerdict.NOT_CHOSEN
        recorded = max(offer.committed_s, verdict.entered_s) + _HOUR
        rounds.append(_alone(verdict.root, verdict.entered_s, recorded, offer.capsule, member, verdict.level))
        if opens and verdict.reproduced is not None:
            opened[verdict.root] = opened.get(verdict.root, True) and verdict.reproduced
    return LogTold(name, rounds=tuple(rounds), opened=opened)


def _alone(
    root: str, entered_s: int, at_s: int, capsule: str, verdict: MemberVerdict, level: int
) -> RoundTold:
    """A round of one candidate, which its guest holdout was shown alone."""
    return RoundTold(root, entered_s, at_s, {capsule: verdict}, level, shown_alone=capsule)


def _confirmed(book: NodeBook) -> bool:
    return any(one.standing is Confirmation.CONFIRMED for one in book.capsules)


def _refuted(book: NodeBook) -> bool:
    return any(one.standing is Confirmation.REFUTED for one in book.capsules)


def _against(liars: int, lie: Verifier, *, worth: float = 0.0) -> Callable[[Life], bool]:
    def harmful(life: Life) -> bool:
        book = play(life, liars, lie, [worth] * CAPSULES, verifiers_open=life.opened)
        return _refuted(book) if worth > 0 else _confirmed(book)

    return harmful


def _eta(told_uj: int) -> Callable[[Life], bool]:
    """Whether the books show more nats a joule than there were, with joules as the log tells them."""

    def harmful(life: Life) -> bool:
        level = certified_level(life.sums(0.2), RoundBudget(ALPHA_PPM).needed_milli)
        told = LogTold("cheat", rounds=(RoundTold("r", 0, 2, {}, level),), upper_uj=told_uj)
        book = books_of([told], [], QUORUM, _NOW)["cheat"]
        truly = level / _JOULES
        return book.upper_uj is not None and level > 0 and book.certified_nano / book.upper_uj > truly * 1.01

    return harmful


def unlogged_tries(life: Life) -> bool:
    """Tries 64 updates of no worth, logs the one that is best on a holdout of its own."""
    best = max((life.sums(0.0) for _ in range(64)), key=lambda found: found.delta)
    life.noted["µnats claimed on its own holdout"] = round(1e6 * best.delta_mean)
    return _confirmed(play(life, 0, honest, [0.0] * CAPSULES))


def split_log(life: Life) -> bool:
    """Keeps two logs, and shows the one whose updates did well."""
    worth = [float(delta) for delta in life.rng.choice([0.0, 0.2], 60)]
    passed = [delta for delta in worth if certified_level(life.sums(delta), 10_600) > 0]
    book = play(life, 0, honest, passed)
    holds = sum(delta > 0 for delta in passed) / max(1, len(passed))
    return book.holds_ppm / 1e6 > holds


def wash_adoption(life: Life) -> bool:
    """Has a hundred keys of its own adopt its updates."""
    offers = tuple(CapsuleTold(f"capsule{number}", 10 * _HOUR) for number in range(CAPSULES))
    members = {one.capsule: MemberVerdict.ADOPTED for one in offers}
    rounds = tuple(_alone("r", 0, 11 * _HOUR, c, v, 50_000_000) for c, v in members.items())
    keys = [LogTold(f"key{place}", rounds=rounds) for place in range(100)]
    told = [LogTold("cheat", offers, upper_uj=_JOULES), *keys]
    book = books_of(told, [f"verifier{place}" for place in range(VERIFIERS)], QUORUM, _NOW // 10)["cheat"]
    life.noted["used by"] = book.capsules[0].used_by
    return _confirmed(book) or book.holds_ppm > 0


BOOKS: dict[str, Callable[[Life], bool]] = {
    "always yes": _against(1, _claims(50_000_000)),
    "always no": _against(1, _claims(0), worth=0.3),
    "verdict copying": _against(3, copies_verdicts),
    "collusion of 10 %": _against(1, _claims(50_000_000)),
    "collusion of 20 %": _against(2, _claims(50_000_000)),
    "collusion of 30 %": _against(3, _claims(50_000_000)),
    "root chosen late": _against(VERIFIERS, _claims(50_000_000, late=True)),
    "opening refused": _against(3, _claims(50_000_000, opens=False)),
    "opening altered": _against(4, _claims(50_000_000, altered=True)),
    "joules ÷ 10": _eta(_JOULES // 10),
    "joules × 10": _eta(_JOULES * 10),
    "unlogged tries": unlogged_tries,
    "split log": split_log,
    "wash adoption": wash_adoption,
}
"""name → whether the books of a life say what is not so"""


def never_opened(life: Life, liars: int, quorum: int) -> bool:
    """Whether so many liars of ten get a capsule of no worth confirmed, if they never open."""
    book = play(life, liars, _claims(50_000_000, opens=False), [0.0] * CAPSULES, quorum=quorum)
    return _confirmed(book)
