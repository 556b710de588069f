"""RECORD: where the stages meet the receipt; none of them knows its form, and it knows none of them.

An attempt is announced before it is tried and recorded after it, whatever became of it.
"""

from __future__ import annotations

__all__ = ["Announced", "AttemptRecord", "announce", "energy_figure", "record"]

from dataclasses import dataclass
from typing import Literal

from cryoflux.attempt.context import AttemptStopped, Bench
from cryoflux.attempt.stages import Candidate, Judgement, arm_seed
from cryoflux.decision.evidence import Evidence
from cryoflux.decision.rules import BUDGETED, Verdict
from cryoflux.decision.screening import SCREEN
from cryoflux.digests import file_digest
from cryoflux.energy.account.settlement import read_settlement
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.interface import Settlement
from cryoflux.errors import VerificationError
from cryoflux.evaluation.machine import software
from cryoflux.receipts.statement import (
    ArmPrior,
    Base,
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
    Screen,
    Sha256Digest,
    Subject,
    Task,
    Training,
)
from cryoflux.registry.versions import HEAD, Version
from cryoflux.scheduling.lessons import taught
from cryoflux.scheduling.policy import Choice
from cryoflux.tasks.lora.adapter import Screening
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.pool import slice_digest


@dataclass(frozen=True, slots=True)
class Announced:
    """An intent in the log."""

    intent: Intent
    leaf_hash: str


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One finished attempt, for whoever shows it."""

    statement: ReceiptStatement
    leaf_hash: str
    evidence: Evidence | None
    head_loss: float | None
    """holdout loss of the head model afterwards, nats"""
    phases: dict[str, float]
    """CPU-seconds by phase"""
    bucket_uj: int
    saved_uj: int = 0
    """what stopping a hopeless attempt early saved; modelled, µJ"""
    stopped: str | None = None
    """why it was aborted: ``interrupted``, ``exhausted`` or ``failed``"""

    @property
    def receipt(self) -> Receipt:
        """What the statement says."""
        return self.statement.predicate


def announce(bench: Bench, choice: Choice, bucket_uj: int) -> Announced:
    """Write the intent to the log before anything is tried.

    Args:
        bench: the run.
        choice: what will be tried.
        bucket_uj: what the bucket held when it was chosen, µJ.
    """
    bench.attempts += 1
    bench.holdout_use.uses += 1
    recipe = bench.recipes[choice.arm.name]
    data = Data(
        name=bench.data.name,
        digest=bench.data.digest,
        train=bench.data.file_digests["train"],
        train_count=len(bench.data.train),
        holdout=bench.holdout(),
        audit=bench.data.file_digests["audit"],
        audit_count=len(bench.data.audit),
    )
    task_id = f"lora_{int(bench.now().timestamp())}_{bench.log.size}"
    base = Subject(name=HEAD, digest=Sha256Digest(sha256=bench.head.files))
    intent = Intent(
        sequence=bench.log.size,
        prev=bench.log.head_hash,
        task=Task(id=task_id, name=choice.arm.task, arm=choice.arm.name),
        base=bench.base(),
        data=data,
        recipe=recipe.as_receipt(),
        seed=arm_seed(bench),
        schedule=_schedule(bench, choice, bucket_uj),
        rule=_rule(bench, recipe),
        reserved_microjoules=choice.arm.reserve_uj,
        meter=bench.meter,
        announced_at=bench.timestamp(),
    )
    entry = bench.log.append(lambda *_: IntentStatement(subject=[base], predicate=intent))
    return Announced(intent, entry.leaf_hash)


def record(
    bench: Bench,
    announced: Announced,
    settlement: Settlement | None,
    started_at: str,
    *,
    stopped: AttemptStopped | None = None,
    candidate: Candidate | None = None,
    judged: Judgement | None = None,
    result: Version | None = None,
) -> tuple[ReceiptStatement, str]:
    """Write the receipt and return it with its leaf hash; from here on the attempt has happened."""
    intent = announced.intent
    head = result or bench.head
    verdict = judged.verdict if judged else None
    receipt = Receipt(
        sequence=bench.log.size,
        prev=bench.log.head_hash,
        intent=announced.leaf_hash,
        task=intent.task,
        outcome=_outcome(verdict),
        reason=verdict.reason if verdict else stopped.reason if stopped else "",
        base=intent.base,
        result=Base(digest=head.digest, files=head.files),
        holdout=intent.data.holdout,
        training=_training(bench, intent, candidate) if candidate else None,
        evaluation=_evaluation(bench, candidate, judged),
        decision=Decision(rule=intent.rule, accepted=verdict.accepted) if verdict else None,
        energy=energy_figure(bench, settlement, intent),
        software=software(),
        started_at=started_at,
        finished_at=bench.timestamp(),
    )
    statement = ReceiptStatement(subject=_subjects(bench, candidate), predicate=receipt)
    entry = bench.log.append(lambda *_: statement)
    if (lesson := taught(intent, receipt)) is not None:
        bench.outcomes.append(lesson)
    if receipt.evaluation:
        bench.holdout_use.looks += 1
        bench.holdout_use.kept += receipt.outcome is Outcome.ACCEPTED
    return statement, entry.leaf_hash


def _outcome(verdict: Verdict | None) -> Outcome:
    if verdict is None:
        return Outcome.ABORTED
    if verdict.accepted:
        return Outcome.ACCEPTED
    return Outcome.UNDECIDED if verdict.undecided else Outcome.REJECTED


def _schedule(bench: Bench, choice: Choice, bucket_uj: int) -> Schedule:
    arms = [
        ArmPrior(
            name=row.arm.name,
            prior_microjoules=row.arm.prior_uj,
            reserve_microjoules=row.arm.reserve_uj,
        )
        for row in choice.table
    ]
    return Schedule(
        policy=bench.policy, reason=choice.reason, arms=arms, bucket_microjoules=bucket_uj, seed=bench.seed
    )


def _training(bench: Bench, intent: Intent, candidate: Candidate) -> Training:
    import torch

    adapter = candidate.adapter
    return Training(
        recipe=intent.recipe,
        seed=intent.seed,
        slice_sha256=slice_digest(adapter.drawn),
        slice_count=len(adapter.drawn),
        steps=adapter.steps,
        planned_steps=adapter.planned_steps,
        planned_at_step=adapter.planned_at_step,
        stopped_by=adapter.stopped_by,
        modules=adapter.modules,
        trained_parameters=adapter.trained_parameters,
        last_train_loss_nano_nat=adapter.last_loss_nano_nat,
        fresh_count=adapter.fresh,
        backend=adapter.backend,
        saved_microjoules=adapter.saved_uj,
        screen=_screen(adapter.screening) if adapter.screening else None,
        threads=torch.get_num_threads(),
        device=bench.loaded.device,
    )


def _screen(screening: Screening) -> Screen:
    evidence = screening.evidence
    return Screen(
        count=evidence.count,
        base_loss_nano_nat_sum=evidence.base_loss,
        new_loss_nano_nat_sum=evidence.new_loss,
        delta_squared_nano_nat_sum=str(evidence.delta_squared),
        base_correct=evidence.base_correct,
        new_correct=evidence.new_correct,
        gained=evidence.gained,
        lost=evidence.lost,
        scale=screening.scale,
    )


def _subjects(bench: Bench, candidate: Candidate | None) -> list[Subject]:
    if candidate is None:
        return [Subject(name=HEAD, digest=Sha256Digest(sha256=bench.head.files))]
    names = ("adapter_model.safetensors", "adapter_config.json")
    return [
        Subject(name=name, digest=Sha256Digest(sha256=file_digest(candidate.capsule / name)))
        for name in names
    ]


def _evaluation(bench: Bench, candidate: Candidate | None, judged: Judgement | None) -> Evaluation | None:
    if candidate is None or candidate.draft is None or judged is None or judged.evidence is None:
        return None
    evidence = judged.evidence
    return Evaluation(
        profile=judged.profile,
        max_tokens=bench.max_tokens,
        candidate=Base(digest=candidate.draft.digest, files=candidate.draft.files),
        base_loss_nano_nat_sum=evidence.base_loss,
        new_loss_nano_nat_sum=evidence.new_loss,
        delta_nano_nat_sum=evidence.delta,
        delta_squared_nano_nat_sum=str(evidence.delta_squared),
        base_correct=evidence.base_correct,
        new_correct=evidence.new_correct,
        gained=evidence.gained,
        lost=evidence.lost,
        per_example=judged.per_example,
        examples=judged.examples,
        losses_root=judged.losses_root,
    )


def _rule(bench: Bench, recipe: Recipe) -> Rule:
    thresholds, use = bench.thresholds(), bench.holdout_use
    budgeted = bench.rule.name == BUDGETED
    return Rule(
        name=bench.rule.name,
        min_delta_nano_nat=thresholds.min_delta,
        min_accuracy_gain_ppm=thresholds.min_accuracy_gain_ppm,
        z_milli=thresholds.z_milli,
        alpha_ppm=bench.rule.alpha_ppm if budgeted else 0,
        looks=use.looks if budgeted else 0,
        kept=use.kept if budgeted else 0,
        needed_milli=thresholds.needed_milli,
        screen=SCREEN if recipe.screen_size and bench.screens else "",
    )


def energy_figure(bench: Bench, settlement: Settlement | None, intent: Intent) -> EnergyFigure:
    """What the attempt was charged; nothing, or unknown, where this meter has no reservation of it."""
    reserved_uj = intent.reserved_microjoules
    if settlement is None:
        elsewhere = intent.meter != bench.meter
        sample = bench.agent.sample()
        return EnergyFigure(
            microjoules=0,
            lo_microjoules=0,
            hi_microjoules=reserved_uj if elsewhere else 0,
            reserved_microjoules=reserved_uj,
            tier=sample.net.tier,
            sources=sorted(source.name for source in sample.sources),
            baseline=sample.baseline_digest,
            curve="",
            flags=["settled-elsewhere" if elsewhere else "never-reserved"],
            assurance="self-reported",
            cpu_microseconds=0,
        )
    statement, assurance = _signed(settlement)
    return EnergyFigure(
        microjoules=settlement.energy.uj,
        lo_microjoules=settlement.energy.lo_uj,
        hi_microjoules=settlement.energy.hi_uj,
        reserved_microjoules=settlement.reserved_uj,
        tier=settlement.energy.tier,
        sources=list(settlement.sources),
        baseline=settlement.baseline_digest,
        curve=settlement.curve,
        flags=list(settlement.energy.flags),
        assurance=assurance,
        cpu_microseconds=settlement.cpu_us,
        settlement=statement,
    )


def _signed(settlement: Settlement) -> tuple[str, Literal["self-reported", "other-machine"]]:
    """The meter's statement, and whether another machine than this one metered.

    A daemon beside the training may be the trainer's own, so its word is the trainer's.
    """
    try:
        boot = read_settlement(settlement.statement).boot if settlement.statement else ""
    except VerificationError:
        return "", "self-reported"  # what does not verify is no evidence, and must not cost the receipt
    elsewhere = boot not in ("", "unknown", SystemClock().boot_id)
    return settlement.statement, "other-machine" if elsewhere else "self-reported"
