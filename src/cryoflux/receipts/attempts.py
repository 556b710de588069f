"""A finished attempt as its receipt tells it: what a program, a table or a page shows of one."""

from __future__ import annotations

__all__ = ["Attempt", "DeltaInterval", "PhaseEnergy", "attempt_of"]

from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any, TypedDict

from cryoflux.decision.interval import fixed_interval
from cryoflux.decision.rules import BARE, WITH_BUDGET
from cryoflux.html_table import html_table
from cryoflux.quantities import MICRO, NANO, Energy, RangeKind, Tier, efficiency
from cryoflux.receipts.charged import PHASES, EnergyFigure
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.paid import Paid
from cryoflux.receipts.per_token import per_token_text, tokens_per_example
from cryoflux.receipts.statement import Cause, Outcome, Receipt, ReceiptStatement
from cryoflux.receipts.sums import anytime_ends, evidence_of
from cryoflux.sentences import brief, say


@dataclass(frozen=True, slots=True)
class PhaseEnergy:
    """What of its joules an attempt was charged for one of its phases, by their tier and kind of range."""

    phase: str
    """``evaluate-base``, ``train``, ``merge``, ``evaluate``, ``decide`` or ``settle``"""
    joules: float
    joules_lo: float
    joules_hi: float


@dataclass(frozen=True, slots=True)
class DeltaInterval:
    """An interval of a mean Δ that holds what its name says."""

    low: float
    high: float
    name: str
    """``anytime``; ``3.09 standard errors``; ``95 %``, for one look alone"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished attempt: everything here is derived from its signed receipt, for display.

    What belongs to the holdout is none where the holdout was not read: the attempt was aborted, or its screen
    refused the update.
    """

    number: int
    """its place among the intents of its log, from 1; 0 where the log holds no intent of it"""
    task_id: str
    task: str
    """``lora_delta``"""
    arm: str
    """the recipe that was tried"""
    outcome: str
    """``kept``, ``rejected``, ``undecided``, ``carried`` or ``aborted``"""
    cause: Cause
    """why it ended without a verdict; empty where there is one"""
    reason: str
    """why it was kept or not, as a sentence"""
    brief: str
    """the point of that in a few words, beside the numbers"""
    code: str
    """the same as a word that programs compare: ``evidence.delta``"""
    unit: str | None
    """of losses and Δ: ``nats``; none too where there are none, not even of a screen"""
    base_loss: float | None
    new_loss: float | None
    delta: float | None
    """mean of base loss − new loss"""
    delta_lo: float | None
    """lower end of its fixed interval: 95 % for this look alone"""
    delta_hi: float | None
    delta_lo_anytime: float | None
    """lower end of its anytime interval, above zero where the evidence passes the bar; none too under rules
    without a bar, where the bar rules nothing out, and where the reading stopped early"""
    delta_hi_anytime: float | None
    delta_interval: DeltaInterval | None
    """the interval that decided, which is what is shown: under rules with a bar the anytime one, under those
    with a z so many standard errors, 95 % where thresholds alone decided; none where none holds, as of a
    reading that stopped early"""
    accuracy_before: float | None
    """of the base on the examples that were read, 0 to 1; none too where none is right or wrong"""
    accuracy_after: float | None
    accuracy_gain: float | None
    """the second less the first"""
    examples: int | None
    """of the holdout that were read"""
    tokens_per_example: float | None
    """target tokens of an example of the holdout, on average; none where examples have none"""
    screen_delta: float | None
    """the same mean on training-side examples that the update never trained on, which decide whether the
    holdout is worth a look; none where there was no screen"""
    screen_delta_lo: float | None
    """lower end of its fixed 95 % interval"""
    screen_delta_hi: float | None
    screen_examples: int | None
    joules: float
    """that it was charged"""
    joules_lo: float
    """lower end of their range"""
    joules_hi: float
    phases: tuple[PhaseEnergy, ...]
    """what went into which phase, in order, adding up to these; empty where the receipt does not say"""
    workers: str
    """whose own meters charged a part of the joules, by name, with commas; empty where there are none"""
    worker_joules: float
    """that those charged; the others are the coordinator's"""
    chain_attempts: int
    """that paid for its Δ: this one, and those of its chain since it began or an update of it was kept"""
    chain_joules: float
    """that these were charged"""
    chain_joules_lo: float
    chain_joules_hi: float
    tier: Tier
    """how the joules came about"""
    range_kind: RangeKind
    """what both ends say: a 95 % interval, or what is plausible where joules are modelled"""
    eta_per_kj: float | None
    """Δ per kilojoule of all attempts that paid for it, in ``unit``/kJ"""
    eta_low_per_kj: float | None
    """the same by the upper end of the joules"""
    base: str
    """digest of the version that was to be improved"""
    result: str
    """digest of the head afterwards"""
    receipt_hash: str
    """RFC 6962 leaf hash of the receipt"""
    started: datetime | None
    """by the wall clock, which is only a label; none where the label is no time"""
    finished: datetime | None

    @property
    def kept(self) -> bool:
        """Whether the update was kept."""
        return self.outcome == Outcome.ACCEPTED.word

    @property
    def energy(self) -> Energy:
        """What it was charged."""
        uj, lo_uj, hi_uj = (round(end * MICRO) for end in (self.joules, self.joules_lo, self.joules_hi))
        return Energy(uj, lo_uj, hi_uj, self.tier)

    @property
    def screened_out(self) -> bool:
        """Whether its screen refused the update, so that the holdout never judged it."""
        return self.outcome == Outcome.REJECTED.word and self.delta is None

    @property
    def paid(self) -> Paid:
        """What paid for its Δ."""
        joules = self.chain_joules, self.chain_joules_lo, self.chain_joules_hi
        return Paid(self.chain_attempts, *(round(end * MICRO) for end in joules))

    @property
    def delta_per_token(self) -> str:
        """Δ for each target token, in words; empty where there is none, or examples are no documents."""
        return per_token_text(self.delta, self.unit, self.tokens_per_example)

    @property
    def delta_text(self) -> str:
        """Δ with both ends of its 95 % interval; ``not measured`` where there is none."""
        if self.delta is None:
            return "not measured"
        said = f"{self.delta:+.4f} {self.unit}"
        if self.delta_lo is not None and self.delta_hi is not None:
            said = f"{self.delta:+.4f} [{self.delta_lo:+.4f}, {self.delta_hi:+.4f}] {self.unit}"
        return f"{said}, {self.delta_per_token}" if self.delta_per_token else said

    def _repr_html_(self) -> str:
        """The attempt as a table, for a notebook."""
        rows = [
            ("outcome", self.outcome),
            ("why", self.reason),
            ("Δ", self.delta_text),
            ("joules", self.energy.text),
            ("arm", f"{self.task} {self.arm}"),
            ("receipt", self.receipt_hash),
        ]
        return html_table(f"Attempt {self.number} ({self.task_id})", rows)

    def row(self) -> dict[str, Any]:
        """The attempt as a row of a table: name → plain value.

        In place of ``phases`` it has the joules of each phase that is known here: ``joules_evaluate_base``,
        ``joules_train`` and so on, none where the attempt had no such phase or its receipt does not say.
        ``delta_interval`` is left out: both ends of each interval have names of their own.
        """
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        told = {one.phase: one.joules for one in found.pop("phases")}
        found.pop("delta_interval")
        found |= {f"joules_{phase.replace('-', '_')}": told.get(phase) for phase in PHASES}
        return {name: value.value if isinstance(value, Enum) else value for name, value in found.items()}


def attempt_of(
    entry: Entry, number: int, paid: Paid | None = None, unit: str | None = None
) -> Attempt | None:
    """The attempt that an entry finishes; none where the entry is no receipt.

    Args:
        entry: of a log.
        number: of the attempt in that log, from 1.
        paid: what paid for it, where it is of a chain; none for itself alone.
        unit: of its task, as its intent says; a receipt says it only beside an evaluation.
    """
    if not isinstance(entry.statement, ReceiptStatement):
        return None
    receipt = entry.statement.predicate
    figure, evaluation = receipt.energy, receipt.evaluation
    judged, paid = _judged(receipt), paid or Paid.alone(receipt)
    delta = judged["delta"]
    return Attempt(
        number=number,
        task_id=receipt.task.id,
        task=receipt.task.name,
        arm=receipt.task.arm,
        outcome=receipt.outcome.word,
        cause=receipt.cause,
        reason=say(receipt.reason),
        brief=brief(receipt.reason),
        code=receipt.reason.code,
        unit=_unit(receipt, unit),
        **judged,
        delta_interval=_interval(receipt),
        examples=evaluation.read if evaluation is not None else None,
        tokens_per_example=tokens_per_example(receipt),
        **_screened(receipt),
        joules=figure.microjoules / MICRO,
        joules_lo=figure.lo_microjoules / MICRO,
        joules_hi=figure.hi_microjoules / MICRO,
        phases=_phases(figure),
        workers=",".join(part.worker for part in figure.parts if part.worker),
        worker_joules=sum(part.microjoules for part in figure.parts if part.worker) / MICRO,
        chain_attempts=paid.attempts,
        chain_joules=paid.microjoules / MICRO,
        chain_joules_lo=paid.lo_microjoules / MICRO,
        chain_joules_hi=paid.hi_microjoules / MICRO,
        tier=figure.tier,
        range_kind=figure.tier.range_kind,
        eta_per_kj=None if delta is None else efficiency(delta, paid.microjoules),
        eta_low_per_kj=None if delta is None else efficiency(delta, paid.hi_microjoules),
        base=receipt.base.digest,
        result=receipt.result.digest,
        receipt_hash=entry.leaf_hash,
        started=_time(receipt.started_at),
        finished=_time(receipt.finished_at),
    )


_OF_HOLDOUT = (
    *("base_loss", "new_loss", "delta", "delta_lo", "delta_hi", "delta_lo_anytime", "delta_hi_anytime"),
    *("accuracy_before", "accuracy_after", "accuracy_gain"),
)


def _judged(receipt: Receipt) -> dict[str, float | None]:
    if receipt.evaluation is None:
        return dict.fromkeys(_OF_HOLDOUT)
    found = evidence_of(receipt.evaluation)
    accuracies: tuple[float | None, ...] = (None, None, None)
    if found.hits:
        before, after = found.base_correct / found.count, found.new_correct / found.count
        accuracies = (before, after, found.accuracy_gain)
    losses = (found.base_loss / found.count / NANO, found.new_loss / found.count / NANO)
    ends = (*fixed_interval(found), *anytime_ends(receipt))
    return dict(zip(_OF_HOLDOUT, (*losses, found.delta_mean, *ends, *accuracies), strict=True))


def _interval(receipt: Receipt) -> DeltaInterval | None:
    said, decision = receipt.evaluation, receipt.decision
    if said is None or decision is None or said.read != receipt.holdout.count:
        return None  # how far a reading went that stopped early depends on what it showed
    if decision.rule.name in WITH_BUDGET:
        low, high = anytime_ends(receipt)
        return DeltaInterval(low, high, "anytime") if low is not None and high is not None else None
    found = evidence_of(said)
    if decision.rule.name == BARE:
        return DeltaInterval(*fixed_interval(found), "95 %")
    z = decision.rule.z_milli / 1000
    return DeltaInterval(*fixed_interval(found, z), f"{z:g} standard errors")


def _unit(receipt: Receipt, announced: str | None) -> str | None:
    if receipt.evaluation is not None:
        return receipt.evaluation.metric.unit
    screened = receipt.training is not None and receipt.training.screen is not None
    return announced if screened else None


class _OfScreen(TypedDict):
    screen_delta: float | None
    screen_delta_lo: float | None
    screen_delta_hi: float | None
    screen_examples: int | None


def _screened(receipt: Receipt) -> _OfScreen:
    if receipt.training is None or receipt.training.screen is None:
        return _OfScreen(screen_delta=None, screen_delta_lo=None, screen_delta_hi=None, screen_examples=None)
    found = evidence_of(receipt.training.screen)
    low, high = fixed_interval(found)
    return _OfScreen(
        screen_delta=found.delta_mean,
        screen_delta_lo=low,
        screen_delta_hi=high,
        screen_examples=found.count,
    )


def _phases(figure: EnergyFigure) -> tuple[PhaseEnergy, ...]:
    return tuple(
        PhaseEnergy(
            phase=said.name,
            joules=said.microjoules / MICRO,
            joules_lo=said.lo_microjoules / MICRO,
            joules_hi=said.hi_microjoules / MICRO,
        )
        for said in figure.phases
    )


def _time(label: str) -> datetime | None:
    try:
        return datetime.fromisoformat(label)
    except ValueError:
        return None
