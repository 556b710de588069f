"""Today's statements in the first form, as it was signed then: the reverse of `cryoflux.receipts.lifting`."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.receipts import statement_v1 as then
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import (
    Bar,
    Evaluation,
    Hits,
    Intent,
    IntentStatement,
    Receipt,
    ReceiptStatement,
    Rule,
    Screen,
    Training,
)
from cryoflux.receipts.store import Row, columns_of
from cryoflux.sentences import say_as_signed
from cryoflux.signing.envelope import sign_document


def lowered(statement: Any) -> Any:
    """The same intent or receipt in the first form; anything else as it is."""
    if isinstance(statement, IntentStatement):
        return then.IntentStatementV1(subject=statement.subject, predicate=_intent(statement.predicate))
    if isinstance(statement, ReceiptStatement):
        return then.ReceiptStatementV1(subject=statement.subject, predicate=_receipt(statement.predicate))
    return statement


class OldReceiptLog(ReceiptLog):
    """A log that writes entries of the first form."""

    def append(self, build: Any, root: Ed25519PrivateKey | None = None) -> Entry:
        signer = root or self._signer
        assert signer is not None
        statement = lowered(build(self.size, self.head_hash))
        entry = parse_entry(self.size, sign_document(statement, signer))
        columns = columns_of(entry.statement)
        self._store.append(Row(self.size, columns, entry.leaf_hash, entry.envelope), columns)
        completed = self._grow(entry.envelope, bytes.fromhex(entry.leaf_hash))
        self._head = entry.leaf_hash
        self._publish(completed)
        return entry


def _rule(said: Rule, bar: Bar) -> then.RuleV1:
    return then.RuleV1(
        name=said.name,
        min_delta_nano_nat=said.min_delta,
        min_accuracy_gain_ppm=said.min_accuracy_gain_ppm,
        z_milli=said.z_milli,
        alpha_ppm=said.alpha_ppm,
        looks=bar.looks,
        kept=bar.kept,
        needed_milli=bar.needed_milli,
        screen=said.screen,
    )


def _intent(said: Intent) -> then.IntentV1:
    schedule = said.schedule
    return then.IntentV1(
        sequence=said.sequence,
        prev=said.prev,
        task=said.task,
        base=said.base,
        data=said.data,
        recipe=said.recipe,
        seed=said.seed,
        schedule=then.ScheduleV1(
            policy=schedule.policy,
            reason=say_as_signed(schedule.reason),
            arms=[
                then.ArmPriorV1(
                    name=arm.name,
                    prior_microjoules=arm.prior_microjoules,
                    reserve_microjoules=arm.reserve_microjoules,
                )
                for arm in schedule.arms
            ],
            bucket_microjoules=schedule.bucket_microjoules,
            seed=schedule.seed,
        ),
        rule=_rule(said.rule, said.bar),
        reserved_microjoules=said.reserved_microjoules,
        meter=said.meter,
        announced_at=said.announced_at,
    )


def _receipt(said: Receipt) -> then.ReceiptV1:
    decision, judged = said.decision, said.evaluation
    return then.ReceiptV1(
        sequence=said.sequence,
        prev=said.prev,
        intent=said.intent,
        task=said.task,
        outcome=said.outcome,
        reason=say_as_signed(said.reason),
        base=said.base,
        result=said.result,
        holdout=said.holdout,
        training=_training(said.training) if said.training else None,
        evaluation=_evaluation(judged, said) if judged else None,
        decision=decision
        and then.DecisionV1(rule=_rule(decision.rule, decision.bar), accepted=decision.accepted),
        energy=said.energy,
        software=said.software,
        started_at=said.started_at,
        finished_at=said.finished_at,
    )


def _hits(said: Hits | None) -> dict[str, int]:
    assert said is not None, "the first form knows no losses without hits"
    return {
        "base_correct": said.base,
        "new_correct": said.new,
        "gained": said.gained,
        "lost": said.lost,
    }


def _training(said: Training) -> then.TrainingV1:
    fields: dict[str, Any] = said.section.fields
    return then.TrainingV1(
        recipe=json.loads(fields["recipe"]),
        seed=fields["seed"],
        slice_sha256=said.slice_sha256,
        slice_count=said.slice_count,
        steps=said.steps,
        planned_steps=fields["plannedSteps"],
        planned_at_step=fields["plannedAtStep"],
        stopped_by=said.stopped_by,
        modules=fields["modules"],
        trained_parameters=fields["trainedParameters"],
        last_train_loss_nano_nat=fields["lastTrainLossNanoNat"],
        fresh_count=said.fresh_count,
        backend=fields["backend"],
        saved_microjoules=said.saved_microjoules,
        screen=_screen(said.screen, fields["scale"]) if said.screen else None,
        threads=said.threads,
        device=said.device,
    )


def _screen(said: Screen, scale: str) -> then.ScreenV1:
    return then.ScreenV1(
        count=said.count,
        base_loss_nano_nat_sum=said.base_loss_sum,
        new_loss_nano_nat_sum=said.new_loss_sum,
        delta_squared_nano_nat_sum=said.delta_squared_sum,
        scale=scale,
        **_hits(said.hits),
    )


def _evaluation(said: Evaluation, receipt: Receipt) -> then.EvaluationV1:
    return then.EvaluationV1(
        profile=said.profile,
        max_tokens=32,
        candidate=said.candidate,
        base_loss_nano_nat_sum=said.base_loss_sum,
        new_loss_nano_nat_sum=said.new_loss_sum,
        delta_nano_nat_sum=said.delta_sum,
        delta_squared_nano_nat_sum=said.delta_squared_sum,
        per_example=said.per_example,
        examples=0 if said.read == receipt.holdout.count else said.read,
        losses_root=said.losses_root,
        **_hits(said.hits),
    )
