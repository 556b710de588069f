"""Entries of the first form, said in today's: what all of CryoFlux but this file knows.

The first form knew one task, ``lora_delta``, whose losses are a cross-entropy in nats. It repeated recipe and
seed in the receipt, fixed the bar when an attempt was announced, and told why an attempt ended in a sentence
only: its beginning decides the cause here, as it did when those logs were written. A lifted reason is that
sentence; whoever judges it again makes the sentence from the reason that is due (`cryoflux.sentences`).
"""

from __future__ import annotations

__all__ = ["SECTION", "lifted"]

import json
from functools import lru_cache

from cryoflux.decision.reason import Reason
from cryoflux.receipts import statement as now
from cryoflux.receipts import statement_v1 as then

SECTION = "lora/v1"
"""what the task ``lora_delta`` calls its section"""
_CAUSES = (
    ("Aborted: interrupted", now.Cause.INTERRUPTED),
    ("Aborted: the run ended", now.Cause.CRASHED),
    ("Aborted: the bucket", now.Cause.UNRESERVED),
    ("Aborted: the reservation", now.Cause.EXHAUSTED),
)


def lifted(statement: then.IntentStatementV1 | then.ReceiptStatementV1) -> now.Statement:
    """The same intent or receipt in today's form; it is not what was signed."""
    if isinstance(statement, then.IntentStatementV1):
        return now.IntentStatement(subject=statement.subject, predicate=_intent(statement.predicate))
    return now.ReceiptStatement(subject=statement.subject, predicate=_receipt(statement.predicate))


def _said(sentence: str) -> Reason:
    return Reason(code="said", numbers={"sentence": sentence})


def _rule(said: then.RuleV1) -> now.Rule:
    return now.Rule(
        name=said.name,
        min_delta=said.min_delta_nano_nat,
        min_accuracy_gain_ppm=said.min_accuracy_gain_ppm,
        z_milli=said.z_milli,
        alpha_ppm=said.alpha_ppm,
        screen=said.screen,
    )


def _bar(said: then.RuleV1) -> now.Bar:
    return now.Bar(looks=said.looks, kept=said.kept, needed_milli=said.needed_milli)


@lru_cache(maxsize=64)
def _arm(name: str, task: str, prior_uj: int, reserve_uj: int) -> now.ArmPrior:
    return now.ArmPrior(task=task, name=name, prior_microjoules=prior_uj, reserve_microjoules=reserve_uj)


def _intent(said: then.IntentV1) -> now.Intent:
    schedule = said.schedule
    return now.Intent(
        sequence=said.sequence,
        prev=said.prev,
        task=said.task,
        metric=now.CROSS_ENTROPY,
        base=said.base,
        data=said.data,
        recipe=said.recipe,
        seed=said.seed,
        schedule=now.Schedule(
            policy=schedule.policy,
            reason=_said(schedule.reason),
            arms=[
                _arm(arm.name, said.task.name, arm.prior_microjoules, arm.reserve_microjoules)
                for arm in schedule.arms
            ],
            bucket_microjoules=schedule.bucket_microjoules,
            seed=schedule.seed,
        ),
        rule=_rule(said.rule),
        bar=_bar(said.rule),
        reserved_microjoules=said.reserved_microjoules,
        meter=said.meter,
        announced_at=said.announced_at,
    )


def _receipt(said: then.ReceiptV1) -> now.Receipt:
    return now.Receipt(
        sequence=said.sequence,
        prev=said.prev,
        intent=said.intent,
        task=said.task,
        outcome=said.outcome,
        reason=_said(said.reason),
        base=said.base,
        result=said.result,
        holdout=said.holdout,
        training=_training(said.training, said.evaluation) if said.training else None,
        evaluation=_evaluation(said.evaluation, said.holdout) if said.evaluation else None,
        decision=_decision(said.decision) if said.decision else None,
        energy=said.energy,
        software=said.software,
        started_at=said.started_at,
        finished_at=said.finished_at,
        cause=_cause(said),
    )


def _cause(said: then.ReceiptV1) -> now.Cause:
    if said.outcome is not now.Outcome.ABORTED:
        return now.Cause.NONE
    found = (cause for beginning, cause in _CAUSES if said.reason.startswith(beginning))
    return next(found, now.Cause.FAILED)


def _hits(said: then.EvaluationV1 | then.ScreenV1) -> now.Hits:
    return now.Hits(base=said.base_correct, new=said.new_correct, gained=said.gained, lost=said.lost)


def _screen(said: then.ScreenV1) -> now.Screen:
    return now.Screen(
        count=said.count,
        base_loss_sum=said.base_loss_nano_nat_sum,
        new_loss_sum=said.new_loss_nano_nat_sum,
        delta_squared_sum=said.delta_squared_nano_nat_sum,
        hits=_hits(said),
    )


def _training(said: then.TrainingV1, judged: then.EvaluationV1 | None) -> now.Training:
    fields: dict[str, int | str | list[str]] = {
        "plannedSteps": said.planned_steps,
        "plannedAtStep": said.planned_at_step,
        "modules": said.modules,
        "trainedParameters": said.trained_parameters,
        "lastTrainLossNanoNat": said.last_train_loss_nano_nat,
        "backend": said.backend,
        # Said twice in the first form: the task compares them with what was announced.
        "recipe": json.dumps(said.recipe, sort_keys=True, separators=(",", ":")),
        "seed": said.seed,
    }
    if judged is not None:
        fields["maxTokens"] = judged.max_tokens
    if said.screen is not None:
        fields["scale"] = said.screen.scale
    return now.Training(
        slice_sha256=said.slice_sha256,
        slice_count=said.slice_count,
        stopped_by=said.stopped_by,
        section=now.Section(kind=SECTION, fields=fields),
        fresh_count=said.fresh_count,
        steps=said.steps,
        saved_microjoules=said.saved_microjoules,
        screen=_screen(said.screen) if said.screen else None,
        threads=said.threads,
        device=said.device,
    )


def _evaluation(said: then.EvaluationV1, holdout: now.Holdout) -> now.Evaluation:
    return now.Evaluation(
        profile=said.profile,
        metric=now.CROSS_ENTROPY,
        candidate=said.candidate,
        read=said.examples or holdout.count,
        base_loss_sum=said.base_loss_nano_nat_sum,
        new_loss_sum=said.new_loss_nano_nat_sum,
        delta_sum=said.delta_nano_nat_sum,
        delta_squared_sum=said.delta_squared_nano_nat_sum,
        per_example=said.per_example,
        hits=_hits(said),
        losses_root=said.losses_root,
    )


def _decision(said: then.DecisionV1) -> now.Decision:
    return now.Decision(rule=_rule(said.rule), bar=_bar(said.rule), accepted=said.accepted)
