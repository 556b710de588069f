"""What the steps of an attempt do: each takes the frozen value of the step before and returns its own.

Here the stages meet the receipt: none of them knows its form, and the receipt knows none of them.
"""

from __future__ import annotations

__all__ = [
    "Announced",
    "AttemptRecord",
    "Candidate",
    "announce",
    "base_losses",
    "candidate_losses",
    "judge",
    "keep",
    "known_head_loss",
    "outcome_of",
    "record",
    "train",
]

import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cryoflux
from cryoflux.bench import AttemptStopped, Bench, Phases, Step
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.rules import Verdict, decide
from cryoflux.digests import file_digest, sha256_hex
from cryoflux.energy.interface import Reservation, Settlement
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.losses import PROFILE, EvaluationFailedError, Losses, measure_losses, write_evidence
from cryoflux.files import write_atomic
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
    Schedule,
    Sha256Digest,
    Subject,
    Task,
    Training,
)
from cryoflux.registry.versions import Version
from cryoflux.scheduling import efficiency
from cryoflux.scheduling.policy import POLICY, Choice
from cryoflux.training.lora import Limits, TrainedAdapter, TrainingFailedError, train_adapter
from cryoflux.training.slices import slice_digest, training_slice

_MARGIN = 1.35
"""how much dearer than before evaluation may be; what is not needed is refunded, so width costs little"""
_FORGET = 0.8
"""a dear evaluation is remembered for some attempts: a busy machine is often still busy"""
_FIRST_MERGE = 0.06
"""share of the reservation kept for merging before it was measured"""
_OVERDRAFT = 0.05
"""share of its reservation that an attempt may overdraw"""


@dataclass(frozen=True, slots=True)
class Announced:
    """An intent in the log."""

    intent: Intent
    leaf_hash: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained update: its capsule, and the merged model as a draft version."""

    capsule: Path
    draft: Version
    training: Training


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


def arm_seed(bench: Bench) -> int:
    """The seed of the current attempt: another one for every attempt, known in advance."""
    return bench.seed * 1_000_003 + bench.attempts


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
        reserved_microjoules=choice.arm.reserve_uj,
        meter=bench.meter,
        announced_at=bench.timestamp(),
    )
    entry = bench.log.append(lambda *_: IntentStatement(subject=[weights], predicate=intent))
    return Announced(intent, entry.leaf_hash)


def base_losses(bench: Bench, reservation: Reservation, max_tokens: int) -> Losses:
    """Losses of the head model on the holdout: remembered, or measured once."""
    holdout = bench.data.file_digests["holdout"]
    known = bench.losses.get(bench.head.digest, holdout, max_tokens)
    if known is None:
        known = _measure(bench, reservation, bench.head, max_tokens)
        bench.losses.put(bench.head.digest, holdout, max_tokens, known)
    bench.costs.evaluation_uj = max(bench.costs.evaluation_uj, known.cost_uj)
    return known.losses


def known_head_loss(bench: Bench) -> float | None:
    """Holdout loss of the head model, nats; none where it was never measured."""
    max_tokens = next(iter(bench.recipes.values())).max_tokens
    known = bench.losses.get(bench.head.digest, bench.data.file_digests["holdout"], max_tokens)
    return known.losses.mean if known else None


def _measure(bench: Bench, reservation: Reservation, model: Version, max_tokens: int) -> KnownLosses:
    ceiling = round(reservation.reserved_uj * (1 + _OVERDRAFT * 0.8))

    def between_batches(done: int, count: int) -> None:
        bench.observer.evaluated(done, count)
        if bench.stop():
            raise AttemptStopped("Aborted: interrupted during evaluation; nothing was kept.", "interrupted")
        if bench.agent.spent(reservation.id).uj > ceiling:
            raise AttemptStopped(
                "Aborted: the reservation was used up before the holdout was evaluated; nothing was kept.",
                "exhausted",
            )

    start = bench.agent.spent(reservation.id).uj
    try:
        losses = measure_losses(
            model.folder,
            bench.data.holdout,
            max_tokens=max_tokens,
            device=bench.device,
            between_batches=between_batches,
        )
    except EvaluationFailedError as error:
        raise AttemptStopped(f"Aborted: {error.what} Nothing was kept.", "failed") from error
    return KnownLosses(losses, bench.agent.spent(reservation.id).uj - start)


def train(bench: Bench, choice: Choice, reservation: Reservation, phases: Phases) -> Candidate:
    """Train an adapter on what the reservation leaves after evaluation, and merge it into a draft."""
    recipe = bench.recipes[choice.arm.name]
    merge_uj = bench.costs.merge_uj or round(reservation.reserved_uj * _FIRST_MERGE)
    limit_uj = reservation.reserved_uj - round(_MARGIN * (bench.costs.evaluation_uj + merge_uj))

    def spent_uj() -> int:
        return bench.agent.spent(reservation.id).uj

    if spent_uj() >= limit_uj:
        raise AttemptStopped(
            "Aborted: the reservation does not pay for evaluation and training both; raise --reserve or "
            "lower --holdout-size.",
            "exhausted",
        )
    indices = training_slice(len(bench.data.train), recipe.slice_size, bench.attempts - 1, bench.seed)
    try:
        adapter = train_adapter(
            bench.head.folder,
            [bench.data.train[i] for i in indices],
            recipe,
            Limits(limit_uj, spent_uj, bench.stop),
            seed=arm_seed(bench),
            device=bench.device,
            progress=lambda progress: bench.observer.trained(progress, reservation.reserved_uj),
        )
    except TrainingFailedError as error:
        raise AttemptStopped(f"Aborted: {error.what} Nothing was kept.", "failed") from error
    if adapter.stopped_by == "interrupt":
        raise AttemptStopped(f"Aborted: interrupted after {adapter.steps} training steps.", "interrupted")
    start = spent_uj()
    with phases.measure(Step.MERGE):
        capsule = bench.versions.keep_capsule(adapter.save)
        merged = adapter.merged()
        draft = bench.versions.draft(lambda folder: _save(merged, adapter.tokenizer, folder))
    bench.costs.merge_uj = spent_uj() - start
    return Candidate(capsule, draft, _training(bench, recipe.as_receipt(), indices, adapter))


def _save(model: object, tokenizer: object, folder: Path) -> None:
    model.save_pretrained(folder)  # type: ignore[attr-defined]
    tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]


def _training(
    bench: Bench, recipe: dict[str, str | int], indices: list[int], adapter: TrainedAdapter
) -> Training:
    return Training(
        recipe=recipe,
        seed=arm_seed(bench),
        slice_sha256=slice_digest(indices),
        slice_count=len(indices),
        steps=adapter.steps,
        planned_steps=adapter.planned_steps,
        planned_at_step=adapter.planned_at_step,
        stopped_by=adapter.stopped_by,
        modules=adapter.modules,
        trained_parameters=adapter.trained_parameters,
        last_train_loss_nano_nat=adapter.last_loss_nano_nat,
    )


def candidate_losses(
    bench: Bench, choice: Choice, reservation: Reservation, candidate: Candidate
) -> KnownLosses:
    """Losses of the merged, saved and re-loaded candidate."""
    known = _measure(bench, reservation, candidate.draft, bench.recipes[choice.arm.name].max_tokens)
    bench.costs.evaluation_uj = max(known.cost_uj, round(_FORGET * bench.costs.evaluation_uj))
    return known


def judge(bench: Bench, base: Losses, new: Losses) -> tuple[Evidence, Verdict, str]:
    """Evidence, verdict, and the digest of the evidence file that anyone can sum up again."""
    evidence = pair_losses(base.nano_nats, new.nano_nats, base.correct, new.correct)
    content = write_evidence(base, new)
    digest = sha256_hex(content)
    write_atomic(bench.state / "evidence" / f"{digest}.bin", content)
    return evidence, decide(bench.rule.name, evidence, bench.rule.thresholds), digest


def keep(bench: Bench, candidate: Candidate, verdict: Verdict) -> Version:
    """The head version after the verdict: the candidate under its final name, or the base."""
    if verdict.accepted:
        return bench.versions.keep(candidate.draft)
    bench.versions.discard(candidate.draft)
    return bench.head


def record(
    bench: Bench,
    announced: Announced,
    settlement: Settlement | None,
    started_at: str,
    *,
    stopped: AttemptStopped | None = None,
    candidate: Candidate | None = None,
    judged: tuple[Evidence, Verdict, str] | None = None,
    result: Version | None = None,
) -> tuple[ReceiptStatement, str]:
    """Write the receipt and return it with its leaf hash; from here on the attempt has happened."""
    intent = announced.intent
    head = result or bench.head
    verdict = judged[1] if judged else None
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


def _evaluation(
    candidate: Candidate | None, judged: tuple[Evidence, Verdict, str] | None
) -> Evaluation | None:
    if candidate is None or judged is None:
        return None
    evidence, _, digest = judged
    return Evaluation(
        profile=PROFILE,
        candidate=Base(digest=candidate.draft.digest, files=candidate.draft.files),
        base_loss_nano_nat_sum=evidence.base_loss,
        new_loss_nano_nat_sum=evidence.new_loss,
        delta_nano_nat_sum=evidence.delta,
        delta_squared_nano_nat_sum=str(evidence.delta_squared),
        base_correct=evidence.base_correct,
        new_correct=evidence.new_correct,
        gained=evidence.gained,
        lost=evidence.lost,
        per_example=digest,
    )


def _decision(bench: Bench, verdict: Verdict | None) -> Decision | None:
    if verdict is None:
        return None
    thresholds = bench.rule.thresholds
    return Decision(
        rule=bench.rule.name,
        min_delta_nano_nat=thresholds.min_delta,
        min_accuracy_gain_ppm=thresholds.min_accuracy_gain_ppm,
        z_milli=thresholds.z_milli,
        accepted=verdict.accepted,
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
