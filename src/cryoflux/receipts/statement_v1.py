"""The first form of an intent and a receipt: LoRA on a classifier, one data set and one head a log.

It is read for ever and written no more. `cryoflux.receipts.lifting` says the same in today's form, which is
all that the rest of CryoFlux knows.
"""

from __future__ import annotations

__all__ = [
    "INTENT_V1",
    "RECEIPT_V1",
    "EvaluationV1",
    "IntentStatementV1",
    "IntentV1",
    "ReceiptStatementV1",
    "ReceiptV1",
    "RuleV1",
    "ScreenV1",
    "TrainingV1",
]

from typing import Literal

import msgspec

from cryoflux.receipts.statement import (
    AttemptName,
    Base,
    Data,
    EnergyFigure,
    Holdout,
    InTotoStatement,
    Outcome,
)
from cryoflux.signing.fields import (
    BigInteger,
    Count,
    Document,
    OptionalSha256,
    Positive,
    Sha256,
    Signed,
    Text,
    Timestamp,
)

INTENT_V1 = "https://cryoflux.dev/intent/v1"
RECEIPT_V1 = "https://cryoflux.dev/receipt/v1"


class ArmPriorV1(Document, frozen=True):
    """An arm that could have been pulled."""

    name: Text
    prior_microjoules: Count
    """what its next attempt should cost by its floating-point operations; modelled"""
    reserve_microjoules: Count


class ScheduleV1(Document, frozen=True):
    """Why this task and arm: all that the policy looked at beside the log."""

    policy: Text
    reason: Text
    arms: list[ArmPriorV1] = msgspec.field(default_factory=list)
    bucket_microjoules: Count = 0
    """what the bucket held"""
    seed: Count = 0


class RuleV1(Document, frozen=True):
    """The acceptance rule and its parameters, named before anything is tried."""

    name: Text
    """``evidence/v2``, ``evidence/v1`` or ``whitepaper/v1``"""
    min_delta_nano_nat: Count
    """smallest mean Δ, nano-nats"""
    min_accuracy_gain_ppm: Count
    """smallest accuracy gain, parts per million"""
    z_milli: Count
    """one-sided z that the evidence must exceed, thousandths; only ``evidence/v1`` looks at it"""
    alpha_ppm: Count = 0
    """error budget of one holdout, parts per million; ``evidence/v2``"""
    looks: Count = 0
    """verdicts that this holdout has given before; ``evidence/v2``"""
    kept: Count = 0
    """how many of them were acceptances; ``evidence/v2``"""
    needed_milli: Count = 0
    """evidence (Σδ)²/Σδ² that is needed; follows from these three, thousandths; ``evidence/v2``"""
    screen: Text = ""
    """``screen/v1`` where an update has to help the screening examples before the holdout is read"""


class IntentV1(Document, frozen=True):
    """What is about to be tried, said before it is tried."""

    sequence: Count
    """position in the log, from 0"""
    prev: Sha256
    """leaf hash of the entry before; 64 zeros for the first"""
    task: AttemptName
    base: Base
    data: Data
    recipe: dict[Text, Text | Signed]
    seed: Count
    schedule: ScheduleV1
    rule: RuleV1
    reserved_microjoules: Count
    meter: Literal["embedded", "daemon"]
    """whose bucket pays; only that one knows what a crashed attempt has spent"""
    announced_at: Timestamp


class ScreenV1(Document, frozen=True):
    """What the update did to training-side examples that were never trained on."""

    count: Positive
    base_loss_nano_nat_sum: Count
    new_loss_nano_nat_sum: Count
    delta_squared_nano_nat_sum: BigInteger
    base_correct: Count
    new_correct: Count
    gained: Count
    lost: Count
    scale: Text
    """at which the update was merged, chosen on these examples; decimal text"""


class TrainingV1(Document, frozen=True):
    """What training did."""

    recipe: dict[Text, Text | Signed]
    seed: Count
    slice_sha256: Sha256
    """of the indices of the training examples, as decimal text, one a line"""
    slice_count: Count
    steps: Count
    planned_steps: Count
    """how many the joules were expected to pay for; the learning rate decays over them"""
    planned_at_step: Count
    """the step at which that was planned; 0 where it never was"""
    stopped_by: Text
    """``joules``, ``steps``, ``interrupt`` or ``hopeless``"""
    modules: list[Text]
    """names of the modules that carry LoRA"""
    trained_parameters: Count
    last_train_loss_nano_nat: Count
    fresh_count: Count = 0
    """training examples that no attempt had drawn before"""
    backend: Text = ""
    """how matrix products were computed"""
    saved_microjoules: Count = 0
    """what stopping early saved, by the cost of the steps that were made; modelled"""
    screen: ScreenV1 | None = None
    threads: Count = 0
    """CPU threads that training used"""
    device: Text = ""
    """``cpu`` or ``cuda``"""


class EvaluationV1(Document, frozen=True):
    """Losses of base and candidate on the holdout, from which Δ and the decision follow."""

    profile: Text
    """``f64-nanonat/v1``, or ``f32/v1`` where the model's size makes float64 too dear"""
    max_tokens: Positive
    """texts were cut to so many tokens"""
    candidate: Base
    """the merged, saved and re-loaded weights that were evaluated"""
    base_loss_nano_nat_sum: Count
    new_loss_nano_nat_sum: Count
    delta_nano_nat_sum: Signed
    delta_squared_nano_nat_sum: BigInteger
    """Σ (base − new)² over the examples, nano-nats²"""
    base_correct: Count
    new_correct: Count
    gained: Count
    """examples that only the candidate classifies correctly"""
    lost: Count
    """examples that only the base classifies correctly"""
    per_example: Sha256
    """of the evidence file: int64 LE base losses, int64 LE new losses, u8 base and u8 new correct"""
    examples: Count = 0
    """how many of the holdout were read before the candidate was hopeless, in its reading order; 0: all"""
    losses_root: OptionalSha256 = ""
    """RFC 6962 root over one leaf an example that was read: uint32 LE index in the holdout, int64 LE base and
    new loss, u8 base and new correct"""


class DecisionV1(Document, frozen=True):
    """The rule, its parameters and its verdict."""

    rule: RuleV1
    accepted: bool


class ReceiptV1(Document, frozen=True):
    """The record of one attempt."""

    sequence: Count
    prev: Sha256
    intent: Sha256
    """leaf hash of the intent that announced it"""
    task: AttemptName
    outcome: Outcome
    reason: Text
    base: Base
    result: Base
    """the head model afterwards; equals ``base`` unless accepted"""
    holdout: Holdout
    training: TrainingV1 | None
    evaluation: EvaluationV1 | None
    """none when the attempt was aborted"""
    decision: DecisionV1 | None
    energy: EnergyFigure
    software: dict[Text, Text]
    """versions of what computed this"""
    started_at: Timestamp
    finished_at: Timestamp


class IntentStatementV1(InTotoStatement, frozen=True, kw_only=True, tag=INTENT_V1):
    """An intent; its subject is the base model's weights."""

    predicate: IntentV1


class ReceiptStatementV1(InTotoStatement, frozen=True, kw_only=True, tag=RECEIPT_V1):
    """A receipt; its subject is the adapter, or the base model where none was made."""

    predicate: ReceiptV1
