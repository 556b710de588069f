"""RECORD: where the stages meet the receipt; none of them knows its form, and it knows none of them.

An attempt is announced before it is tried and recorded after it, whatever became of it.
"""

from __future__ import annotations

__all__ = ["AttemptRecord", "Ending", "announce", "energy_figure", "figure_of", "record"]

from dataclasses import asdict, dataclass
from typing import Literal

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.fitting import training_of
from cryoflux.attempt.stages import CandidateVerdict
from cryoflux.attempt.training import Candidate
from cryoflux.attempt.watch import AttemptStopped
from cryoflux.attempt.workings import forget_workings
from cryoflux.decision.evidence import Evidence
from cryoflux.decision.reason import Reason
from cryoflux.decision.rules import Verdict
from cryoflux.digests import file_digest
from cryoflux.energy.account.settlement import read_settlement
from cryoflux.energy.interface import Settlement
from cryoflux.energy.jobs import job_here
from cryoflux.errors import VerificationError
from cryoflux.evaluation.machine import software
from cryoflux.log_state import OpenIntent
from cryoflux.receipts.charged import NEVER_RESERVED, SETTLED_ELSEWHERE
from cryoflux.receipts.paid import Paid
from cryoflux.receipts.statement import (
    ArmPrior,
    AttemptName,
    Base,
    BatchJob,
    Cause,
    ChainLink,
    Data,
    Decision,
    EnergyFigure,
    Evaluation,
    Intent,
    IntentStatement,
    Outcome,
    Receipt,
    ReceiptStatement,
    Rule,
    Schedule,
    Sha256Digest,
    Subject,
    Training,
)
from cryoflux.receipts.sums import sums_of
from cryoflux.registry.versions import Version
from cryoflux.scheduling.policy import Choice
from cryoflux.state import HEAD
from cryoflux.task_state import Chain, chain_start
from cryoflux.tasks.interface import Offer

_SEEDS = 1_000_003
"""the seed of an attempt is that of the run times this, plus its number: known beforehand, and its own"""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: judged, or stopped before it was."""

    stopped: AttemptStopped | None = None
    candidate: Candidate | None = None
    judged: CandidateVerdict | None = None
    result: Version | None = None
    """the head afterwards, where it is another one"""

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, where there is one."""
        return self.judged.verdict if self.judged else None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One finished attempt, for whoever shows it."""

    number: int
    """of the attempt in its log, by its announcement, from 1"""
    statement: ReceiptStatement
    leaf_hash: str
    evidence: Evidence | None
    head_loss: float | None
    """holdout loss of the head afterwards, in its unit"""
    phases: dict[str, float]
    """CPU-seconds by phase"""
    bucket_uj: int
    saved_uj: int = 0
    """what stopping a hopeless attempt early saved; modelled, µJ"""
    chain: Chain | None = None
    """that it went on with, as it was before; none where it is of none"""

    @property
    def paid(self) -> Paid:
        """What paid for its Δ."""
        return self.chain.paid(self.receipt) if self.chain is not None else Paid.alone(self.receipt)

    @property
    def receipt(self) -> Receipt:
        """The receipt in the statement."""
        return self.statement.predicate


def announce(context: Context, opened: Opened, choice: Choice, offer: Offer, bucket_uj: int) -> OpenIntent:
    """Write the intent to the log before anything is tried.

    Args:
        context: the run.
        opened: the task that was chosen.
        choice: the arm that was chosen, and why.
        offer: the same arm, as its task describes it.
        bucket_uj: what the bucket held when it was chosen, µJ.
    """
    data, digests, memory = opened.data, opened.data.file_digests, context.memory
    link = _link(opened, offer)
    chain = opened.chain(offer.arm) if link is not None and link.working else None
    intent = Intent(
        sequence=context.log.size,
        prev=context.log.head_hash,
        task=AttemptName(id=_task_id(context, choice.arm.task), name=choice.arm.task, arm=choice.arm.name),
        metric=opened.task.metric,
        base=opened.base,
        data=Data(
            name=data.name,
            digest=data.digest,
            train=digests["train"],
            train_count=data.count("train"),
            holdout=opened.next_use(),
            audit=digests["audit"],
            audit_count=data.count("audit"),
            rules=opened.set_rules,
        ),
        recipe=dict(offer.recipe),
        seed=chain.seed if chain else (context.terms.seed * _SEEDS + memory.attempts + 1) % 2**53,
        schedule=_schedule(context, choice, bucket_uj),
        rule=_rule(opened, offer),
        bar=context.bar(opened),
        reserved_microjoules=choice.arm.reserve_uj,
        meter=context.terms.meter,
        announced_at=context.timestamp(),
        slots=context.terms.slots,
        chain=link,
    )
    subject = Subject(name=HEAD, digest=Sha256Digest(sha256=opened.base.files))
    entry = context.append(lambda *_: IntentStatement(subject=[subject], predicate=intent))
    return memory.open[entry.leaf_hash]


def _link(opened: Opened, offer: Offer) -> ChainLink | None:
    """What an attempt goes on from; a chain that it cannot go on with is given up, and named."""
    if not offer.carries:
        return None
    known, start = opened.chain(offer.arm), chain_start(offer.recipe, opened.base, opened.known())
    if known is None:
        return ChainLink(start=start)
    if known.fits(offer.recipe) and opened.task.can_go_on(known.working):
        return ChainLink(start=known.start, working=known.working, left_by=known.left_by)
    return ChainLink(start=start, left_by=known.left_by)


def _task_id(context: Context, task: str) -> str:
    return f"{task}_{int(context.now().timestamp())}_{context.log.size}"


def _schedule(context: Context, choice: Choice, bucket_uj: int) -> Schedule:
    arms = [
        ArmPrior(
            task=row.arm.task,
            name=row.arm.name,
            prior_microjoules=row.arm.prior_uj,
            reserve_microjoules=row.arm.reserve_uj,
            min_delta=0 if row.arm.task == choice.arm.task else context.tasks[row.arm.task].rule.min_delta,
            after=row.arm.after,
            train_count=0 if row.arm.task == choice.arm.task else _joined(context.tasks[row.arm.task]),
        )
        for row in choice.table
    ]
    return Schedule(
        policy=context.terms.policy,
        reason=choice.reason,
        arms=arms,
        bucket_microjoules=bucket_uj,
        seed=context.terms.seed,
    )


def _joined(opened: Opened) -> int:
    """Training examples of a task, where some have joined that no intent has named; else 0."""
    known, count = opened.known(), opened.data.count("train")
    return count if known is not None and count > known.counts[-1] else 0


def _rule(opened: Opened, offer: Offer) -> Rule:
    return opened.rule.but(screen=opened.screen(screens=offer.screens))


def record(
    context: Context,
    opened: Opened,
    announced: OpenIntent,
    figure: EnergyFigure,
    started_at: str,
    ending: Ending,
) -> tuple[ReceiptStatement, str]:
    """Write the receipt and return it with its leaf hash; from here on the attempt has happened.

    Args:
        context: the run.
        opened: the task.
        announced: the attempt.
        figure: what it was charged.
        started_at: when it began.
        ending: how it ended.
    """
    intent, base = announced.intent, opened.base
    result = ending.result
    receipt = Receipt(
        sequence=context.log.size,
        prev=context.log.head_hash,
        intent=announced.leaf_hash,
        task=intent.task,
        outcome=_outcome(ending),
        reason=_reason(ending),
        base=base,
        result=Base(digest=result.digest, files=result.files) if result else base,
        holdout=intent.data.holdout,
        training=_training(ending.candidate, opened, intent) if ending.candidate else None,
        evaluation=_evaluation(opened, ending),
        decision=_decision(intent, ending),
        energy=figure.but(job=_job(ending)),
        software=software(opened.task.libraries),
        started_at=started_at,
        finished_at=context.timestamp(),
        cause=ending.stopped.cause if ending.stopped else Cause.NONE,
    )
    statement = ReceiptStatement(subject=_subjects(base, ending.candidate), predicate=receipt)
    entry = context.append(lambda *_: statement)
    chains = (chain for known in context.memory.tasks.values() for chain in known.chains.values())
    forget_workings(context.state.workings, {chain.working for chain in chains})
    return statement, entry.leaf_hash


def _outcome(ending: Ending) -> Outcome:
    verdict = ending.verdict
    if verdict is None:
        return Outcome.ABORTED
    if verdict.accepted:
        return Outcome.ACCEPTED
    if ending.candidate is not None and ending.candidate.update.working:
        return Outcome.CARRIED
    return Outcome.UNDECIDED if verdict.undecided else Outcome.REJECTED


def _reason(ending: Ending) -> Reason:
    if ending.verdict is not None:
        return ending.verdict.reason
    if ending.stopped is None:
        raise ValueError("an attempt is judged, or stopped for a reason")
    return ending.stopped.reason


def _decision(intent: Intent, ending: Ending) -> Decision | None:
    if ending.judged is None:
        return None
    return Decision(rule=intent.rule, bar=ending.judged.bar, accepted=ending.judged.verdict.accepted)


def _training(candidate: Candidate, opened: Opened, intent: Intent) -> Training:
    chain = opened.chain_of(intent)
    return training_of(candidate.update, chain.steps if chain else 0)


def _subjects(base: Base, candidate: Candidate | None) -> list[Subject]:
    if candidate is None:
        return [Subject(name=HEAD, digest=Sha256Digest(sha256=base.files))]
    return [
        Subject(name=name, digest=Sha256Digest(sha256=file_digest(candidate.capsule / name)))
        for name in candidate.update.files
    ]


def _evaluation(opened: Opened, ending: Ending) -> Evaluation | None:
    candidate, judged = ending.candidate, ending.judged
    if candidate is None or candidate.draft is None or judged is None or judged.evidence is None:
        return None
    evidence = judged.evidence
    return Evaluation(
        profile=judged.profile,
        metric=opened.task.metric,
        candidate=Base(digest=candidate.draft.digest, files=candidate.draft.files),
        read=evidence.count,
        delta_sum=evidence.delta,
        per_example=judged.per_example,
        losses_root=judged.losses_root,
        **sums_of(evidence),
    )


def energy_figure(context: Context, settlement: Settlement | None, intent: Intent) -> EnergyFigure:
    """What the attempt was charged; nothing, or unknown, where this meter has no reservation of it."""
    reserved_uj, meter = intent.reserved_microjoules, intent.meter
    return figure_of(context, settlement, reserved_uj=reserved_uj, meter=meter)


def figure_of(
    context: Context, settlement: Settlement | None, *, reserved_uj: int, meter: Literal["embedded", "daemon"]
) -> EnergyFigure:
    """What a reservation was charged; nothing, or unknown, where this meter has no such reservation.

    Args:
        context: the run.
        settlement: what this meter settled.
        reserved_uj: what was to be reserved, µJ.
        meter: whose bucket was to pay.
    """
    if settlement is None:
        return _unmetered(context, reserved_uj, elsewhere=meter != context.terms.meter)
    energy = settlement.energy
    return EnergyFigure(
        microjoules=energy.uj,
        lo_microjoules=energy.lo_uj,
        hi_microjoules=energy.hi_uj,
        reserved_microjoules=settlement.reserved_uj,
        tier=energy.tier,
        sources=list(settlement.sources),
        baseline=settlement.baseline_digest,
        curve=settlement.curve,
        flags=list(energy.flags),
        assurance="self-reported",
        cpu_microseconds=settlement.cpu_us,
        settlement=_signed(settlement),
    )


def _job(ending: Ending) -> BatchJob | None:
    """The batch job that this attempt was made in; what a dead run left may have been another's."""
    found = job_here()
    if found is None or (ending.stopped is not None and ending.stopped.cause is Cause.CRASHED):
        return None
    return BatchJob(**asdict(found))


def _unmetered(context: Context, reserved_uj: int, *, elsewhere: bool) -> EnergyFigure:
    sample = context.agent.sample()
    return EnergyFigure(
        microjoules=0,
        lo_microjoules=0,
        hi_microjoules=reserved_uj if elsewhere else 0,
        reserved_microjoules=reserved_uj,
        tier=sample.net.tier,
        sources=sorted(source.name for source in sample.sources),
        baseline=sample.baseline_digest,
        curve="",
        flags=[SETTLED_ELSEWHERE if elsewhere else NEVER_RESERVED],
        assurance="self-reported",
        cpu_microseconds=0,
    )


def _signed(settlement: Settlement) -> str:
    """The meter's statement; none where it does not verify: no evidence, that must not cost the receipt.

    Whose machine it was metered on is no business of the receipt: only a verifier who knows the meter's key
    learns anything about that.
    """
    try:
        if settlement.statement:
            read_settlement(settlement.statement)
    except VerificationError:
        return ""
    return settlement.statement
