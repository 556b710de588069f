"""Step 6: what receipts say of losses is possible, and what the rules judge follows from it.

All of it is integer arithmetic on the signed statements; no artefact is read. A head has one loss on a
holdout, so what one receipt has signed of it holds for the next.
"""

from __future__ import annotations

__all__ = ["ARITHMETIC", "Arithmetic", "impossible_sums"]

from collections.abc import Iterator
from typing import ClassVar

from msgspec import field

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.sequential import looks
from cryoflux.log_state import LogState
from cryoflux.receipts.profiles import DOCUMENT_F32, DOCUMENT_F32_2, DOCUMENT_F64, F32, PROFILE, TOLERANCES
from cryoflux.receipts.statement import CROSS_ENTROPY, Evaluation, Hits
from cryoflux.receipts.sums import evidence_of
from cryoflux.task_tallies import SignedLosses
from cryoflux.verification.result import Check, NumberedStep, unknown
from cryoflux.verification.strangers import Strangers, spelt
from cryoflux.verification.walk import Fold, Paired, Seen, Tally

ARITHMETIC = NumberedStep(6, "arithmetic of Δ")


class _Sums(Tally):
    evaluated: int = 0
    screened: int = 0
    judged: int = 0
    """judgements on what others made"""
    hits: dict[str, bool] = field(default_factory=dict)
    """task → whether its examples can be right or wrong, as its first evaluation or screen has it"""
    profiles: dict[str, str] = field(default_factory=dict)
    """task → profile of its first evaluation; empty once it was said to have gone down to a wider one"""
    strange: Strangers = field(default_factory=Strangers)
    """profiles and metrics that are not known here → evaluations"""


class Arithmetic(Fold):
    """Step 6: sums and counts of each evaluation and screen are possible and agree."""

    step: ClassVar = ARITHMETIC
    tally: _Sums

    def __init__(self) -> None:
        super().__init__()
        self.tally = _Sums()

    def take(self, seen: Seen, memory: LogState) -> None:
        """Look at the sums of the next receipt."""
        if seen.entry is not None and (judgement := seen.entry.judgement) is not None:
            self.tally.judged += 1
            self.findings.fail(seen, impossible_sums(evidence_of(judgement.measured), "holdout"))
        if (paired := seen.paired) is None:
            return
        training, evaluation = paired.receipt.training, paired.receipt.evaluation
        if evaluation is not None:
            self.tally.evaluated += 1
            self.findings.fail(paired, _evaluation(paired, evaluation))
            self.findings.fail(paired, _contradiction(paired, evaluation, memory))
            self.findings.fail(paired, self._other_hits(paired, evaluation.hits))
            self._ask_names(paired, evaluation)
        if training is not None and training.screen is not None:
            self.tally.screened += 1
            self.findings.fail(paired, self._other_hits(paired, training.screen.hits))
            impossible = impossible_sums(evidence_of(training.screen), "screen")
            self.findings.fail(paired, (f"its screen: {complaint}" for complaint in impossible))

    def _other_hits(self, paired: Paired, hits: Hits | None) -> Iterator[str]:
        # Left out where they would speak against an update, they would only ever speak for one.
        has = hits is not None
        if self.tally.hits.setdefault(paired.receipt.task.name, has) != has:
            yield f"{'counts' if has else 'does not count'} right examples, unlike its task's first receipt"

    def _ask_names(self, paired: Paired, said: Evaluation) -> None:
        profile, metric, task = said.profile, said.metric, paired.receipt.task.name
        if profile not in TOLERANCES:
            self.tally.strange.add(spelt("profile", profile))
        elif profile in _OF_CROSS_ENTROPY and metric != CROSS_ENTROPY:
            self.tally.strange.add(
                f"{spelt('metric', metric.name)} {spelt('in', metric.unit)} of the profile {profile}"
            )
        first = self.tally.profiles.setdefault(task, profile)
        if (first, profile) in _PAIRS:
            self.tally.profiles[task] = ""
            detail = f"goes down from {first} to {profile}: it tolerates more when losses are evaluated again"
            self.findings.add(unknown(paired.name, detail))

    def conclude(self, memory: LogState) -> list[Check]:  # noqa: ARG002
        """The lines of the step."""
        tally = self.tally
        for name, count in tally.strange.counted():
            of = "one evaluation" if count == 1 else f"{count} evaluations"
            detail = f"is not known here: what the losses of {of} mean is open"
            self.findings.add(unknown(name, detail))
        screens = f", and so do {tally.screened} screens" if tally.screened else ""
        judged = f", and so do {tally.judged} judgements on what others made" if tally.judged else ""
        if not tally.evaluated:
            nothing = "" if tally.screened or tally.judged else "no receipt carries an evaluation or a screen"
            said = f"{tally.screened} screens add up{judged}"
            if not tally.screened:
                said = f"{tally.judged} judgements on what others made add up"
            return self.findings.conclude(ARITHMETIC, said, nothing=nothing)
        return self.findings.conclude(ARITHMETIC, f"{tally.evaluated} evaluations add up{screens}{judged}")


_PAIRS = ((PROFILE, F32), (DOCUMENT_F64, DOCUMENT_F32), (DOCUMENT_F64, DOCUMENT_F32_2))
"""profiles that compute the same: in float64, and as near to that as float32 comes"""
_ALIKE = ((PROFILE, F32), (DOCUMENT_F64, DOCUMENT_F32, DOCUMENT_F32_2))
"""all that compute the same, the widest last"""
_OF_CROSS_ENTROPY = {PROFILE, F32}
"""profiles that say how a cross-entropy in nats is computed"""


def _evaluation(paired: Paired, said: Evaluation) -> Iterator[str]:
    count, evidence = paired.receipt.holdout.count, evidence_of(said)
    if said.delta_sum != evidence.delta:
        yield f"Δ sum {said.delta_sum} is not base − new = {evidence.delta} billionths"
    yield from impossible_sums(evidence, "holdout")
    if said.read > count:
        yield f"says that it read {said.read} of {count} examples"
    elif said.read < count and said.read not in looks(count)[:-1]:
        yield f"stopped reading after {said.read} of {count} examples, where no look is due"


def _contradiction(paired: Paired, said: Evaluation, memory: LogState) -> Iterator[str]:
    """Whether its base has another loss than was signed of it, in this profile or in one that is near it."""
    receipt, intent = paired.receipt, paired.intent
    known = memory.tasks.get(receipt.task.name)
    if known is None or intent is None or receipt.base != known.head or said.read != receipt.holdout.count:
        return
    found = SignedLosses(said.base_loss_sum, said.hits.base if said.hits is not None else 0)
    for profile in dict.fromkeys((said.profile, *_near(said.profile))):
        signed = known.losses.get((receipt.holdout.sha256, profile, intent.recipe.get("max_tokens", 0)))
        wider = said.profile if profile == said.profile else _near(profile)[-1]
        if signed is not None and signed != found and not _tolerated(said, wider, signed, found):
            yield "gives its base another loss on this holdout than an earlier receipt did"
            return


def _near(profile: str) -> tuple[str, ...]:
    """Profiles that compute the same, and are as near to one another as float32 is to itself."""
    return next((alike for alike in _ALIKE if profile in alike), ())


def _tolerated(said: Evaluation, profile: str, one: SignedLosses, other: SignedLosses) -> bool:
    tolerance = TOLERANCES.get(profile)
    if tolerance is None:
        return True
    apart = abs(one.loss_sum - other.loss_sum)
    flips = abs(one.hits - other.hits)
    return apart <= max(tolerance.mean * said.read, tolerance.each) and flips <= tolerance.flips_in(said.read)


def impossible_sums(e: Evidence, what: str) -> Iterator[str]:
    """Why no losses come to these sums.

    Args:
        e: the sums.
        what: of which set they are, in words.
    """
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
