"""What steps 5 to 8 of an attempt do: each takes the frozen value of the step before and returns its own."""

from __future__ import annotations

__all__ = [
    "Candidate",
    "Judgement",
    "arm_seed",
    "base_losses",
    "candidate_losses",
    "judge",
    "keep",
    "known_head_loss",
    "train",
]

from dataclasses import dataclass
from pathlib import Path

from cryoflux.bench import AttemptStopped, Bench, Phases, Step
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.rules import Verdict, decide
from cryoflux.digests import sha256_hex
from cryoflux.energy.interface import Reservation
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.losses import EvaluationFailedError, Losses, measure_losses, write_evidence
from cryoflux.files import write_atomic
from cryoflux.receipts.statement import Training
from cryoflux.registry.versions import Version
from cryoflux.scheduling.policy import Choice
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
class Candidate:
    """A trained update: its capsule, and the merged model as a draft version."""

    capsule: Path
    draft: Version
    training: Training
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the holdout said of a candidate, and what the rule made of it."""

    evidence: Evidence
    verdict: Verdict
    per_example: str
    """SHA-256 of the evidence file"""


def arm_seed(bench: Bench) -> int:
    """The seed of the current attempt: another one for every attempt, known in advance."""
    return bench.seed * 1_000_003 + bench.attempts


def base_losses(bench: Bench, reservation: Reservation, max_tokens: int) -> Losses:
    """Losses of the head model on the holdout: remembered, or measured once."""
    known = _remembered(bench, max_tokens)
    if known is None:
        known = _measure(bench, reservation, bench.head, max_tokens)
        bench.losses.put(bench.head.digest, bench.data.file_digests["holdout"], max_tokens, known)
    bench.costs.evaluation_uj = max(bench.costs.evaluation_uj, known.cost_uj)
    return known.losses


def known_head_loss(bench: Bench) -> float | None:
    """Holdout loss of the head model, nats; none where it was never measured."""
    known = _remembered(bench, bench.max_tokens)
    return known.losses.mean if known else None


def _remembered(bench: Bench, max_tokens: int) -> KnownLosses | None:
    """Cached losses of the head model, if they agree with every receipt that evaluated it."""
    holdout = bench.data.file_digests["holdout"]
    known = bench.losses.get(bench.head.digest, holdout, max_tokens, len(bench.data.holdout))
    if known is None:
        return None
    signed = bench.signed_losses.get((bench.head.digest, max_tokens))
    found = (sum(known.losses.nano_nats), sum(known.losses.correct))
    return known if signed in {None, found} else None


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
    training = _training(bench, recipe.as_receipt(), indices, adapter)
    return Candidate(capsule, draft, training, recipe.max_tokens)


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


def judge(bench: Bench, base: Losses, new: Losses) -> Judgement:
    """Evidence and verdict; the per-example losses go into a file that anyone can sum up again."""
    evidence = pair_losses(base.nano_nats, new.nano_nats, base.correct, new.correct)
    content = write_evidence(base, new)
    digest = sha256_hex(content)
    write_atomic(bench.state / "evidence" / f"{digest}.bin", content)
    return Judgement(evidence, decide(bench.rule.name, evidence, bench.rule.thresholds), digest)


def keep(bench: Bench, candidate: Candidate, verdict: Verdict) -> Version:
    """The head version after the verdict: the candidate under its final name, or the base."""
    if verdict.accepted:
        return bench.versions.keep(candidate.draft)
    bench.versions.discard(candidate.draft)
    return bench.head
