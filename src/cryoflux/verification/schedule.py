"""Whether each arm was chosen as its policy chooses: made again from the log before it.

What an intent says of bucket and cost priors is attested; that the choice follows from it, from earlier
receipts and from the seed is recomputed to the last digit, the sentence included. So a signer cannot
pull a favourite arm and call it the policy's choice, nor go on past a plateau in its name.
"""

from __future__ import annotations

__all__ = ["Outcomes", "Rederived", "Scheduled"]

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from cryoflux.scheduling.efficiency import Memory, Outcome
from cryoflux.scheduling.policy import POLICIES, Arm, Choice, Plateau, choose_from
from cryoflux.verification.result import Finding, failed, unknown

_WIDTH = 6
_NO_DELTA = -(1 << 62)
"""stands for none; no Δ is that large"""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One attempt: what its intent says of the choice, and what its receipt taught."""

    subject: str
    """how a finding names it"""
    policy: str
    reason: str
    task: str
    arm: str
    """the arm that was pulled"""
    reserved_uj: int
    arms: tuple[Arm, ...]
    """what could be pulled"""
    bucket_uj: int
    seed: int
    min_delta_nano: int
    """smallest Δ of the announced rule, nano-nats"""
    outcome: Outcome | None
    """none where the attempt says nothing of its arm: interrupted, never reserved, or still open"""


class Rederived:
    """The choices made again, one attempt after the other."""

    def __init__(self) -> None:
        self._learned = Outcomes()
        self._memory: Memory | None = None

    def take(self, attempt: Scheduled) -> list[Finding]:
        """What is wrong with the choice of the next attempt, knowing only those before it."""
        # Fed on, not built anew each time: a log of thousands is checked in one pass.
        memory = self._memory
        if memory is None or memory.min_delta_nano != Memory(attempt.min_delta_nano).min_delta_nano:
            memory = self._memory = Memory(attempt.min_delta_nano)
            for outcome in self._learned:
                memory.learn(outcome)
        findings = _compare(attempt, memory, len(self._learned))
        if attempt.outcome is not None:
            self._learned.append(attempt.outcome)
            memory.learn(attempt.outcome)
        return findings


class Outcomes:
    """Many outcomes in little memory: six numbers each, and their arms by number."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._arms: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._numbers) // _WIDTH

    def append(self, outcome: Outcome) -> None:
        """Keep one more."""
        arm = self._arms.setdefault((outcome.task, outcome.arm), len(self._arms))
        delta = _NO_DELTA if outcome.screen_delta_nano is None else outcome.screen_delta_nano
        self._numbers.extend((arm, outcome.kept, delta, outcome.prior_uj, outcome.hi_uj, outcome.starved_uj))

    def __iter__(self) -> Iterator[Outcome]:
        arms = list(self._arms)
        for at in range(0, len(self._numbers), _WIDTH):
            arm, kept, delta, *amounts = self._numbers[at : at + _WIDTH]
            yield Outcome(*arms[arm], bool(kept), None if delta == _NO_DELTA else delta, *amounts)


def _compare(said: Scheduled, memory: Memory, number: int) -> list[Finding]:
    if said.policy not in POLICIES:
        return [unknown(said.subject, f"its policy {said.policy!r} is not known here")]
    names = [(arm.task, arm.name) for arm in said.arms]
    if len(set(names)) < len(names):
        return [failed(said.subject, "lists an arm twice")]
    due = choose_from(memory, said.arms, number, bucket_uj=said.bucket_uj, seed=said.seed, policy=said.policy)
    complaint = _complaint(said, due)
    return [failed(said.subject, complaint)] if complaint else []


def _complaint(said: Scheduled, due: Choice | Plateau | None) -> str:
    if due is None:
        return "pulled an arm, but its bucket pays for none"
    if isinstance(due, Plateau):
        return f"pulled {said.arm}, but {said.policy} gives: {due.reason}"
    if (due.arm.task, due.arm.name) != (said.task, said.arm):
        return f"pulled {said.arm}, but {said.policy} gives: {due.reason}"
    if due.arm.reserve_uj != said.reserved_uj:
        return f"reserved {said.reserved_uj} µJ, but its schedule lists {due.arm.reserve_uj} µJ"
    if due.reason != said.reason:
        return f"its reason is not the sentence of {said.policy}, which is: {due.reason}"
    return ""
