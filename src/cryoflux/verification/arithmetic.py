"""Step 6: what receipts say of losses is possible, and what the rules judge follows from it.

All of it is integer arithmetic on the signed statements; no artefact is read.
"""

from __future__ import annotations

__all__ = [
    "ARITHMETIC",
    "Arithmetic",
    "check_arithmetic",
    "evidence_of",
    "examples_read",
    "screen_evidence",
]

from collections.abc import Iterator

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.sequential import looks
from cryoflux.receipts.profiles import TOLERANCES
from cryoflux.receipts.statement import Evaluation, Holdout, Screen
from cryoflux.verification.history import Attempt, History
from cryoflux.verification.result import Check, Finding, Step, conclude, failed, unknown

ARITHMETIC = Step(6, "arithmetic of Δ")


def examples_read(evaluation: Evaluation, holdout: Holdout) -> int:
    """How many examples of the holdout an evaluation covers."""
    return evaluation.examples or holdout.count


def evidence_of(evaluation: Evaluation, holdout: Holdout) -> Evidence:
    """The sums of a receipt in the form that the rules judge."""
    return _evidence(evaluation, examples_read(evaluation, holdout))


def screen_evidence(screen: Screen) -> Evidence:
    """The sums of a screen in the form that the screen's rule judges."""
    return _evidence(screen, screen.count)


def _evidence(said: Evaluation | Screen, count: int) -> Evidence:
    return Evidence(
        count=count,
        base_loss=said.base_loss_nano_nat_sum,
        new_loss=said.new_loss_nano_nat_sum,
        delta_squared=int(said.delta_squared_nano_nat_sum),
        base_correct=said.base_correct,
        new_correct=said.new_correct,
        gained=said.gained,
        lost=said.lost,
    )


def check_arithmetic(history: History) -> list[Check]:
    """Step 6: sums and counts of each evaluation and screen are possible and agree."""
    arithmetic = Arithmetic()
    for attempt in history.attempts:
        arithmetic.take(attempt)
    return arithmetic.conclude()


class Arithmetic:
    """Step 6, one attempt after the other."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._evaluated = self._screened = 0

    def take(self, attempt: Attempt) -> None:
        """Look at the next attempt."""
        training, evaluation = attempt.receipt.training, attempt.receipt.evaluation
        if evaluation is not None:
            self._evaluated += 1
            self._findings += _evaluation(attempt, evaluation)
        if training is not None and training.screen is not None:
            self._screened += 1
            impossible = _impossible(screen_evidence(training.screen), "screen")
            self._findings += [failed(attempt.name, f"its screen: {complaint}") for complaint in impossible]

    def conclude(self) -> list[Check]:
        """What the step says."""
        screens = f", and so do {self._screened} screens" if self._screened else ""
        return conclude(ARITHMETIC, self._findings, f"{self._evaluated} evaluations add up{screens}")


def _evaluation(attempt: Attempt, said: Evaluation) -> Iterator[Finding]:
    holdout = attempt.receipt.holdout
    evidence = evidence_of(said, holdout)
    if said.delta_nano_nat_sum != evidence.delta:
        detail = f"Δ sum {said.delta_nano_nat_sum} is not base − new = {evidence.delta} nano-nats"
        yield failed(attempt.name, detail)
    for complaint in _impossible(evidence, "holdout"):
        yield failed(attempt.name, complaint)
    if said.examples and said.examples not in looks(holdout.count)[:-1]:
        detail = f"stopped reading after {said.examples} of {holdout.count} examples, where no look is due"
        yield failed(attempt.name, detail)
    if said.profile not in TOLERANCES:
        detail = f"its losses follow the profile {said.profile!r}, which is not known here"
        yield unknown(attempt.name, detail)


def _impossible(e: Evidence, what: str) -> Iterator[str]:
    if e.delta**2 > e.count * e.delta_squared:
        yield "Σδ² is too small for its Δ (Cauchy–Schwarz)"
    if e.delta_squared > e.base_loss**2 + e.new_loss**2 or (e.delta_squared - e.delta) % 2:
        yield "Σδ² cannot come from losses with these sums"
    if max(e.base_correct, e.new_correct, e.gained + e.lost) > e.count:
        yield f"counts more examples than the {what}'s {e.count}"
    if e.gained - e.lost != e.new_correct - e.base_correct:
        yield "gained − lost is not the change in correct examples"
    if e.gained > min(e.new_correct, e.count - e.base_correct) or e.lost > e.base_correct:
        yield "gained and lost are more than the correct examples allow"
