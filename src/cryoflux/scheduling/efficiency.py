"""What past attempts say about the next one: expected Δ, expected joules, and whether an arm is spent.

From the holdout nothing is learned but the verdict, because the error budget of the acceptance rule
counts exactly that. How large a gain was comes from the training side: the screen's Δ on examples that
the attempt did not train on. An update that was not kept gained nothing, whatever its screen said.

- An arm's memory is short, because its gain falls as it nears its own ceiling. The memory that all
  arms share is longer. So a fading arm falls behind what an untried one is given on credit, and the
  untried one gets its turn.
- Joules count at the upper end of their interval, so that a vague meter cannot make an arm look good.
- Attempts of a chain go on from one another (`Continuation`). An arm whose chain goes on is carried; one
  whose chain came to its end has taught what it could from this data, and is spent. Only the policies that
  know chains go by that.
- An arm is spent after two failures in a row (three or four where there are few arms); one that never
  paid, a failure earlier where less than the smallest Δ is expected of it. Gains of other arms revive
  it, but each further failure doubles what it takes: between two of its own successes an arm fails at
  most 4 + log2(all gains / smallest Δ) times, so that a run ends.

All numbers are integers and every division rounds down: two machines get the same ones.
Source of the doubling: binary exponential back-off; of the credit: an empirical-Bayes (Gamma) mean.
"""

from __future__ import annotations

__all__ = ["ArmState", "Continuation", "Expectation", "Lesson", "Memory", "least_reckoned"]

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from msgspec import Struct

_ONE = 1 << 20
"""weight of the latest attempt; weights are fixed-point integers"""
_OWN = (1, 3)
"""weight of an attempt after one more of the same arm"""
_SHARED = (9, 10)
"""weight of an attempt in what all arms share, after one more of any"""
_CREDIT = _ONE // 8
"""weight of what all arms share, in what is expected of one that was tried"""
_OPTIMISM = 2
"""how much better than all arms an arm is thought to be that was never tried"""
_FIRST_GAIN = 25
"""gain that a log without attempts is thought to promise, in smallest Δ"""
_PATIENCE = (4, 3, 2)
"""failures in a row after which an arm is spent: where it is the only one, one of two, one of more"""
_SMALLEST_NANO = 100_000
"""smallest Δ that is reckoned with where the rule asks for less, nano-nats"""


class Continuation(IntEnum):
    """What an attempt left of its chain."""

    NONE = 0
    """it is of no chain, or its chain has left nothing yet"""
    GOES_ON = 1
    """the next attempt can go on from it"""
    ENDED = 2
    """the screen showed that nothing more is to be had"""


class ArmState(StrEnum):
    """What is known of an arm."""

    UNTRIED = "untried"
    TRIED = "tried"
    CARRIED = "carried"
    """its next attempt goes on from its last one"""
    WAITING = "waiting"
    """another arm's chain has to come to its end first"""
    SPENT = "spent"
    """not expected to pay"""


class Lesson(Struct, frozen=True):
    """What one attempt teaches: how it ended, as far as the scheduler may know it."""

    task: str
    arm: str
    kept: bool
    """the verdict; the only thing here that comes from the holdout"""
    screen_delta_nano: int | None
    """mean Δ on fresh examples of the training pool, nano-nats; none if the attempt died before"""
    prior_uj: int
    """what the attempt was expected to cost when it was announced, µJ"""
    hi_uj: int
    """upper end of what it was charged, µJ"""
    starved_uj: int = 0
    """the reservation, where it did not pay for the arm, µJ"""
    chain: Continuation = Continuation.NONE
    aborted: bool = False
    """whether it never came to a verdict"""


class Expectation(Struct, frozen=True):
    """What is expected of one more attempt of an arm."""

    delta_nano: int
    """expected Δ, nano-nats; a failure counts as none"""
    cost_uj: int
    """expected charge, upper end, µJ"""
    state: ArmState

    @property
    def eta(self) -> int:
        """Expected η, nano-nats per kJ."""
        return self.delta_nano * 10**9 // self.cost_uj


class _Track(Struct):
    """Discounted sums over attempts."""

    weight: int = 0
    gain: int = 0
    """Σ weight · gain, nano-nats"""
    ratio: int = 0
    """Σ weight · charged / expected, in units of 1/_ONE"""
    failures: int = 0
    """in a row, up to now"""
    elsewhere: int = 0
    """what other arms have gained since this one's latest attempt, nano-nats"""
    starved_uj: int = 0
    """largest reservation that did not pay for it, since one did, µJ"""
    chain: Continuation = Continuation.NONE
    """what its latest attempt left"""
    screen: int | None = None
    """what the screen saw of its latest attempt, nano-nats"""
    aborts: int = 0
    """attempts without a verdict in a row, up to now"""

    def fade(self, by: tuple[int, int]) -> None:
        self.weight = self.weight * by[0] // by[1]
        self.gain = self.gain * by[0] // by[1]
        self.ratio = self.ratio * by[0] // by[1]

    def add(self, gain: int, ratio: int) -> None:
        self.weight += _ONE
        self.gain += _ONE * gain
        self.ratio += _ONE * ratio


def least_reckoned(min_delta_nano: int) -> int:
    """The smallest Δ that is reckoned with under a rule that keeps so much, nano-nats."""
    return max(min_delta_nano, _SMALLEST_NANO)


@dataclass(slots=True)
class Memory:
    """What is remembered of one task's attempts; fed one lesson after the other, oldest first."""

    min_delta_nano: int
    """smallest Δ that the rule keeps, nano-nats"""
    _arms: dict[str, _Track] = field(default_factory=dict)
    _all: _Track = field(default_factory=_Track)

    def __post_init__(self) -> None:
        self.min_delta_nano = least_reckoned(self.min_delta_nano)
        if not self._all.weight:  # else it comes back from where it was kept
            self._all.add(_FIRST_GAIN * self.min_delta_nano, _ONE)

    def renew(self) -> None:
        """Training examples have joined: no arm is spent any more, and what they gain is still remembered."""
        for track in self._arms.values():
            track.failures = track.aborts = track.elsewhere = 0
            if track.chain is Continuation.ENDED:
                track.chain = Continuation.NONE
                # An ended chain says what old examples came to; a screen that got worse is no longer one.
                track.screen = None

    def learn(self, lesson: Lesson) -> None:
        """Remember one more attempt."""
        # Kept means that the rule saw its smallest Δ at least, whatever a small screen saw.
        gain = max(lesson.screen_delta_nano or 0, self.min_delta_nano) if lesson.kept else 0
        ratio = max(0, lesson.hi_uj) * _ONE // lesson.prior_uj if lesson.prior_uj > 0 else _ONE
        for track in self._arms.values():
            track.elsewhere += gain
        own = self._arms.setdefault(lesson.arm, _Track())
        own.fade(_OWN)
        own.add(gain, ratio)
        own.elsewhere = 0
        own.failures = 0 if lesson.kept else own.failures + 1
        own.starved_uj = max(own.starved_uj, lesson.starved_uj) if lesson.starved_uj else 0
        own.chain, own.screen = lesson.chain, lesson.screen_delta_nano
        own.aborts = own.aborts + 1 if lesson.aborted else 0
        self._all.fade(_SHARED)
        self._all.add(gain, ratio)

    def expect(
        self,
        arm: str,
        prior_uj: int,
        count: int,
        reserve_uj: int = 0,
        *,
        chains: bool = False,
        after: str = "",
    ) -> Expectation:
        """What one more attempt of an arm is expected to bring and to cost.

        Args:
            arm: the arm's name.
            prior_uj: what it should cost by its FLOPs, µJ.
            count: how many arms there are to choose from.
            reserve_uj: what would be reserved for it; more than did not pay before makes it worth a try, µJ.
            chains: whether it counts that a chain goes on or came to its end.
            after: the cheaper arm whose chain has to have come to its end first.
        """
        own = self._arms.get(arm)
        shared = self._all.gain // self._all.weight
        ratio = self._all.ratio // self._all.weight
        if own is None:
            # Everything is worth one attempt, even where nothing has paid for long.
            delta = max(_OPTIMISM * shared, self.min_delta_nano)
            state = self._behind(after) if chains and after else ArmState.UNTRIED
            return Expectation(delta, max(1, prior_uj * ratio // _ONE), state)
        known = _CREDIT + own.weight
        delta = (_CREDIT * shared + own.gain) // known
        ratio = (_CREDIT * ratio + own.ratio) // known
        cost_uj = max(1, prior_uj * ratio // _ONE)
        patience = _PATIENCE[min(count, len(_PATIENCE)) - 1]
        fed = bool(own.starved_uj) and reserve_uj > own.starved_uj
        if chains and own.chain is not Continuation.NONE:
            # What it has is not lost where it was not kept: the screen says what is to be proven.
            delta = max(own.screen or 0, self.min_delta_nano)
            return Expectation(delta, cost_uj, _of_chain(own, patience, fed=fed))
        if chains and own.failures and own.screen is not None and own.screen <= 0:
            patience = 1  # the screen itself said that it got worse
        state = ArmState.SPENT if self._spent(own, delta, patience) and not fed else ArmState.TRIED
        return Expectation(delta, cost_uj, state)

    def _behind(self, after: str) -> ArmState:
        """What an arm is that was never tried, and waits for another one."""
        cheaper = self._arms.get(after)
        if cheaper is None or cheaper.chain is not Continuation.ENDED:
            return ArmState.WAITING
        return ArmState.UNTRIED

    def _spent(self, own: _Track, delta: int, patience: int) -> bool:
        if own.failures >= patience:
            return own.elsewhere < self.min_delta_nano << (own.failures - patience + 1)
        # What has paid before is given the last chance too: a small true gain is rejected every other time.
        return own.failures == patience - 1 and own.gain == 0 and delta < self.min_delta_nano


def _of_chain(own: _Track, patience: int, *, fed: bool) -> ArmState:
    """A chain goes on until its end, unless attempt after attempt breaks off, or fails without a screen."""
    failed = own.failures if own.screen is None else own.aborts
    if own.chain is Continuation.ENDED or (failed >= patience and not fed):
        return ArmState.SPENT
    return ArmState.CARRIED
