"""What steps 5 to 8 of an attempt do: each takes the frozen value of the step before and returns its own."""

from __future__ import annotations

__all__ = [
    "Candidate",
    "Judgement",
    "Reading",
    "arm_seed",
    "base_losses",
    "judge",
    "keep",
    "known_head_loss",
    "read_holdout",
    "refuse",
    "train",
]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.attempt.context import AttemptStopped, Bench, Phases, Step
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.rules import BUDGETED, Verdict, decide
from cryoflux.decision.screening import screened_out
from cryoflux.decision.sequential import decide_partial, hopeless, looks, reading_order
from cryoflux.digests import sha256_hex
from cryoflux.energy.interface import Reservation
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.evident import needed_evidence
from cryoflux.evaluation.losses import EvaluationFailedError, Losses, write_evidence
from cryoflux.evaluation.scoring import Scorer, TransformersScorer
from cryoflux.files import write_atomic
from cryoflux.receipts.losses_tree import loss_leaves, losses_root
from cryoflux.receipts.profiles import F32
from cryoflux.registry.versions import Version
from cryoflux.scheduling.policy import Choice
from cryoflux.tasks.lora.adapter import TrainedAdapter
from cryoflux.tasks.lora.merge import merged_tensors
from cryoflux.tasks.lora.recipe import ALL_LAYERS, Method, Recipe
from cryoflux.tasks.pacing import JoulesEndedError, Limits, Progress, TrainingFailedError

_MARGIN = 1.35
"""how much dearer than before evaluation may be; what is not needed is refunded, so width costs little"""
_FIRST_MERGE = 0.06
"""share of the reservation kept for merging before it was measured"""
_OVERDRAFT = 0.05
"""share of its reservation that an attempt may overdraw"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained update: its capsule and, unless the screen refused it, the merged model as a draft."""

    capsule: Path
    adapter: TrainedAdapter
    recipe: Recipe
    refused: str | None
    """why the holdout need not be read"""
    draft: Version | None
    changed: dict[str, Any]
    """the draft's tensors that differ from the head's, as read back from the disk"""


@dataclass(frozen=True, slots=True)
class Reading:
    """Losses on the holdout of base and candidate, as far as it was read."""

    base: Losses
    new: Losses
    examples: int
    """how many were read before the candidate was hopeless, in reading order; 0: all, in the set's order"""
    cost_uj: int
    saved_uj: int
    """what not reading the rest saved; modelled"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was seen of a candidate, and what the rule made of it."""

    evidence: Evidence | None
    """of the holdout; none where the screen refused the update"""
    verdict: Verdict
    per_example: str = ""
    """SHA-256 of the evidence file"""
    examples: int = 0
    losses_root: str = ""
    """over the same losses, one leaf an example"""
    profile: str = ""
    """in which arithmetic they were computed"""


def arm_seed(bench: Bench) -> int:
    """The seed of the current attempt: another one for every attempt, known in advance."""
    return bench.seed * 1_000_003 + bench.attempts


def _scorer(bench: Bench, version: Version, changed: dict[str, Any] | None = None) -> Scorer:
    part = bench.holdout_use.part
    if bench.profile == F32:
        return TransformersScorer(
            version.folder,
            bench.data.part(part),
            max_tokens=bench.max_tokens,
            device=bench.loaded.device,
            profile=F32,
        )
    return bench.loaded.scorer(part, version, changed)


def base_losses(bench: Bench, reservation: Reservation) -> Losses:
    """Losses of the head model on the holdout: remembered, or measured once."""
    known = _remembered(bench)
    if known is None:
        start = bench.agent.spent(reservation.id).uj
        everything = list(range(bench.holdout_count))
        scores = _score(bench, reservation, _scorer(bench, bench.head), everything, 0)
        cost = bench.agent.spent(reservation.id).uj - start
        known = KnownLosses(Losses(tuple(scores[0]), tuple(scores[1])), cost)
        bench.evaluated(known.cost_uj, ALL_LAYERS, share=1.0)
        profile = bench.profile
        bench.losses.put(bench.head.digest, bench.holdout_digest, bench.max_tokens, known, profile)
    return known.losses


def known_head_loss(bench: Bench) -> float | None:
    """Holdout loss of the head model, nats; none where it was never measured."""
    known = _remembered(bench)
    return known.losses.mean if known else None


def _remembered(bench: Bench) -> KnownLosses | None:
    """Cached losses of the head model, if they agree with every receipt that evaluated it."""
    holdout, tokens = bench.holdout_digest, bench.max_tokens
    profile = bench.profile
    known = bench.losses.get(bench.head.digest, holdout, tokens, bench.holdout_count, profile)
    if known is None:
        return None
    signed = bench.signed_losses.get((bench.head.digest, holdout, tokens))
    found = (sum(known.losses.nano_nats), sum(known.losses.correct))
    return known if signed in {None, found} else None


def _score(
    bench: Bench, reservation: Reservation, scorer: Scorer, indices: list[int], before: int
) -> tuple[list[int], list[bool]]:
    """Losses and hits of some holdout examples, inside the reservation."""
    ceiling = round(reservation.reserved_uj * (1 + _OVERDRAFT * 0.8))

    def between(done: int) -> None:
        bench.observer.evaluated(before + done, bench.holdout_count)
        if bench.stop():
            raise AttemptStopped("Aborted: interrupted during evaluation; nothing was kept.", "interrupted")
        if bench.agent.spent(reservation.id).uj > ceiling:
            raise AttemptStopped(
                "Aborted: the reservation was used up before the holdout was evaluated; nothing was kept.",
                "exhausted",
            )

    try:
        return scorer.score(indices, between)
    except EvaluationFailedError as error:
        raise AttemptStopped(f"Aborted: {error.what} Nothing was kept.", "failed") from error


def train(bench: Bench, choice: Choice, reservation: Reservation, phases: Phases) -> Candidate:
    """Train an adapter on what the reservation leaves after evaluation, screen it, and merge it."""
    recipe = bench.recipes[choice.arm.name]
    merge_uj = bench.costs.merge_uj or round(reservation.reserved_uj * _FIRST_MERGE)
    limit_uj = reservation.reserved_uj - round(_MARGIN * (bench.evaluation_uj(recipe) + merge_uj))

    def spent_uj() -> int:
        return bench.agent.spent(reservation.id).uj

    limits = Limits(limit_uj, spent_uj, bench.stop)
    try:
        limits.check()
        adapter = _trained(bench, recipe, limits, reservation)
    except JoulesEndedError as error:
        raise AttemptStopped(
            "Aborted: the reservation does not pay for evaluation and training both; raise --reserve or "
            "lower --holdout-size.",
            "exhausted",
        ) from error
    except TrainingFailedError as error:
        raise AttemptStopped(f"Aborted: {error.what} Nothing was kept.", "failed") from error
    bench.drawn += adapter.fresh
    if adapter.stopped_by == "interrupt":
        raise AttemptStopped(f"Aborted: interrupted after {adapter.steps} training steps.", "interrupted")
    start = spent_uj()
    with phases.measure(Step.MERGE):
        capsule = bench.versions.keep_capsule(adapter.save)
        screening = adapter.screening
        refused = None
        if screening and bench.screens:
            refused = screened_out(screening.evidence, bench.thresholds(), bench.holdout_count)
        draft, changed = (None, {}) if refused else _merge(bench, capsule)
    if draft:
        bench.costs.merge_uj = spent_uj() - start
    return Candidate(capsule, adapter, recipe, refused, draft, changed)


def _trained(bench: Bench, recipe: Recipe, limits: Limits, reservation: Reservation) -> TrainedAdapter:
    def progress(done: Progress) -> None:
        bench.observer.trained(done, reservation.reserved_uj)

    def preparing(done: int, count: int) -> None:
        bench.observer.prepared(done, count)
        if bench.stop():
            raise AttemptStopped("Aborted: interrupted before training; nothing was kept.", "interrupted")

    if recipe.method is Method.LEAN:
        from cryoflux.tasks.lora.lean import train_lean

        # the bar follows from earlier verdicts alone, so training learns nothing else of the holdout
        needed = needed_evidence(bench.thresholds().needed_milli, bench.holdout_count)
        material = bench.loaded.material(recipe, bench.drawn, needed)
        seed = arm_seed(bench)
        return train_lean(material, recipe, limits, seed=seed, progress=progress, preparing=preparing)
    from cryoflux.tasks.lora.with_peft import train_with_peft

    pool = bench.loaded.pool
    seen, fresh = pool.draw(bench.drawn, fresh=recipe.fresh_size, most=recipe.slice_size)
    return train_with_peft(
        bench.head.folder,
        bench.data.train,
        recipe,
        limits,
        drawn=[*seen, *fresh],
        fresh=len(fresh),
        screen=pool.screen[: recipe.screen_size],
        seed=arm_seed(bench),
        device=bench.loaded.device,
        progress=progress,
    )


def _merge(bench: Bench, capsule: Path) -> tuple[Version, dict[str, Any]]:
    changed = merged_tensors(bench.loaded.tensors, capsule)
    draft = bench.versions.derive(bench.head, changed)
    return draft, bench.loaded.reread(draft, list(changed))


def read_holdout(bench: Bench, reservation: Reservation, candidate: Candidate, base: Losses) -> Reading:
    """Losses of the merged, saved and re-read candidate; the reading stops once it is hopeless."""
    count = bench.holdout_count
    scorer = _scorer(bench, candidate.draft or bench.head, candidate.changed)
    thresholds = bench.thresholds()
    order = reading_order(count, bench.holdout_digest)
    start, read = bench.agent.spent(reservation.id).uj, 0
    losses: list[int] = []
    right: list[bool] = []
    for until in looks(count) if bench.rule.name == BUDGETED else [count]:
        found = _score(bench, reservation, scorer, order[read:until], read)
        losses, right, read = [*losses, *found[0]], [*right, *found[1]], until
        known = Losses(
            tuple(base.nano_nats[i] for i in order[:read]), tuple(base.correct[i] for i in order[:read])
        )
        evidence = pair_losses(known.nano_nats, losses, known.correct, right)
        if hopeless(evidence, count, thresholds, bench.rule.name):
            break
    cost = bench.agent.spent(reservation.id).uj - start
    bench.evaluated(cost, candidate.recipe.layers, share=read / count)
    if read < count:
        return Reading(known, Losses(tuple(losses), tuple(right)), read, cost, cost * (count - read) // read)
    place = {index: position for position, index in enumerate(order)}
    new = Losses(tuple(losses[place[i]] for i in range(count)), tuple(right[place[i]] for i in range(count)))
    return Reading(base, new, 0, cost, 0)


def judge(bench: Bench, reading: Reading) -> Judgement:
    """Evidence and verdict; the per-example losses go into a file that anyone can sum up again."""
    base, new = reading.base, reading.new
    evidence = pair_losses(base.nano_nats, new.nano_nats, base.correct, new.correct)
    content = write_evidence(base, new)
    digest = sha256_hex(content)
    write_atomic(bench.state / "evidence" / f"{digest}.bin", content)
    name, thresholds, count = bench.rule.name, bench.thresholds(), bench.holdout_count
    order: Sequence[int] = range(count)
    if reading.examples:
        verdict = decide_partial(name, evidence, count, thresholds)
        order = reading_order(count, bench.holdout_digest)[: reading.examples]
    else:
        verdict = decide(name, evidence, thresholds)
    leaves = loss_leaves(order, base.nano_nats, new.nano_nats, base.correct, new.correct)
    profile = bench.profile
    return Judgement(evidence, verdict, digest, reading.examples, losses_root(leaves), profile)


def refuse(reason: str) -> Judgement:
    """The judgement on an update that the screen refused."""
    return Judgement(None, Verdict(False, reason))


def keep(bench: Bench, candidate: Candidate, reading: Reading | None, verdict: Verdict) -> Version:
    """The head version after the verdict: the candidate under its final name, or the base."""
    if candidate.draft is None or reading is None:
        return bench.head
    if not verdict.accepted:
        bench.loaded.forget(candidate.draft, bench.holdout_use.part)
        bench.versions.discard(candidate.draft)
        return bench.head
    kept = bench.versions.keep(candidate.draft)
    known = KnownLosses(reading.new, reading.cost_uj)
    profile = bench.profile
    bench.losses.put(kept.digest, bench.holdout_digest, bench.max_tokens, known, profile)
    return kept
