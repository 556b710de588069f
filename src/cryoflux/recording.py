"""RECORD: where the stages meet the receipt; none of them knows its form, and it knows none of them.

An attempt is announced before it is tried and recorded after it, whatever became of it.
"""

from __future__ import annotations

__all__ = ["Announced", "AttemptRecord", "announce", "outcome_of", "record"]

import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import cryoflux
from cryoflux.bench import AttemptStopped, Bench
from cryoflux.decision.evidence import Evidence
from cryoflux.decision.rules import Verdict
from cryoflux.digests import file_digest
from cryoflux.energy.interface import Settlement
from cryoflux.evaluation.losses import PROFILE
from cryoflux.receipts.statement import (
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
    Sha256Digest,
    Subject,
    Task,
)
from cryoflux.registry.versions import Version
from cryoflux.scheduling import efficiency
from cryoflux.scheduling.policy import POLICY, Choice
from cryoflux.stages import Candidate, Judgement, arm_seed


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
    stopped: str | None = None
    """why it was aborted: ``interrupted``, ``exhausted`` or ``failed``"""

    @property
    def receipt(self) -> Receipt:
        """What the statement says."""
        return self.statement.predicate


def announce(bench: Bench, choice: Choice) -> Announced:
    """Write the intent to the log before anything is tried."""
    bench.attempts += 1
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
    weights = Subject(name="model.safetensors", digest=Sha256Digest(sha256=bench.head.weights_sha256()))
    intent = Intent(
        sequence=bench.log.size,
        prev=bench.log.head_hash,
        task=Task(id=task_id, name=choice.arm.task, arm=choice.arm.name),
        base=bench.base(),
        data=data,
        recipe=recipe.as_receipt(),
        seed=arm_seed(bench),
        schedule=Schedule(policy=POLICY, reason=choice.reason),
        rule=_rule(bench),
        reserved_microjoules=choice.arm.reserve_uj,
        meter=bench.meter,
        announced_at=bench.timestamp(),
    )
    entry = bench.log.append(lambda *_: IntentStatement(subject=[weights], predicate=intent))
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
    outcome = (
        Outcome.ABORTED if verdict is None else (Outcome.ACCEPTED if verdict.accepted else Outcome.REJECTED)
    )

    receipt = Receipt(
        sequence=bench.log.size,
        prev=bench.log.head_hash,
        intent=announced.leaf_hash,
        task=intent.task,
        outcome=outcome,
        reason=verdict.reason if verdict else stopped.reason if stopped else "",
        base=intent.base,
        result=Base(digest=head.digest, files=head.files),
        holdout=intent.data.holdout,
        training=candidate.training if candidate else None,
        evaluation=_evaluation(candidate, judged),
        decision=_decision(bench, verdict),
        energy=energy_figure(bench, settlement, intent),
        software=_software(),
        started_at=started_at,
        finished_at=bench.timestamp(),
    )
    statement = ReceiptStatement(subject=_subjects(bench, candidate), predicate=receipt)
    entry = bench.log.append(lambda *_: statement)
    bench.outcomes.append(outcome_of(receipt))
    return statement, entry.leaf_hash


def outcome_of(receipt: Receipt) -> efficiency.Outcome:
    """What the scheduler learns from a receipt."""
    kept = receipt.evaluation if receipt.outcome is Outcome.ACCEPTED else None
    return efficiency.Outcome(
        task=receipt.task.name,
        arm=receipt.task.arm,
        kept_delta=kept.delta_nano_nat_sum / receipt.holdout.count / 1e9 if kept else 0.0,
        hi_joules=receipt.energy.hi_microjoules / 1e6,
    )


def _subjects(bench: Bench, candidate: Candidate | None) -> list[Subject]:
    if candidate is None:
        return [Subject(name="base_model", digest=Sha256Digest(sha256=bench.head.files))]
    names = ("adapter_model.safetensors", "adapter_config.json")
    return [
        Subject(name=name, digest=Sha256Digest(sha256=file_digest(candidate.capsule / name)))
        for name in names
    ]


def _evaluation(candidate: Candidate | None, judged: Judgement | None) -> Evaluation | None:
    if candidate is None or judged is None:
        return None
    evidence = judged.evidence
    return Evaluation(
        profile=PROFILE,
        max_tokens=candidate.max_tokens,
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
    )


def _decision(bench: Bench, verdict: Verdict | None) -> Decision | None:
    if verdict is None:
        return None
    return Decision(rule=_rule(bench), accepted=verdict.accepted)


def _rule(bench: Bench) -> Rule:
    thresholds = bench.rule.thresholds
    return Rule(
        name=bench.rule.name,
        min_delta_nano_nat=thresholds.min_delta,
        min_accuracy_gain_ppm=thresholds.min_accuracy_gain_ppm,
        z_milli=thresholds.z_milli,
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
        assurance="self-reported",
        cpu_microseconds=settlement.cpu_us,
    )


@cache
def _software() -> dict[str, str]:
    versions = {"cryoflux": cryoflux.__version__, "python": platform.python_version()}
    for package in ("peft", "torch", "transformers"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return versions
