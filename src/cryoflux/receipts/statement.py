"""What an entry of the receipt log says: an in-toto Statement v1 with one of our predicates.

- ``intent/v1`` is written before training, so that a failed or unlucky try cannot be left out.
- ``receipt/v1`` is written after it, for every attempt: accepted, rejected or aborted.

There is no float anywhere: losses are integer nano-nats summed over the holdout, energy is integer
microjoules, a ratio is a decimal text. Whatever is derived (mean Δ, η) is not stored.
Sources: in-toto attestation framework v1 (Statement), RFC 8785 (canonical bytes).
"""

from __future__ import annotations

__all__ = [
    "INTENT_TYPE",
    "RECEIPT_TYPE",
    "STATEMENT_TYPE",
    "ZERO_HASH",
    "ArmPrior",
    "Base",
    "Data",
    "Decision",
    "EnergyFigure",
    "Evaluation",
    "Holdout",
    "InTotoStatement",
    "Intent",
    "IntentStatement",
    "Outcome",
    "Receipt",
    "ReceiptStatement",
    "Rule",
    "Schedule",
    "Screen",
    "Sha256Digest",
    "Statement",
    "Subject",
    "Task",
    "Training",
]

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from cryoflux.quantities import Energy, Tier
from cryoflux.receipts.fields import (
    SAFE,
    BigInteger,
    Count,
    Sha256,
    Signed,
    StrictModel,
    Text,
    Timestamp,
    empty,
)

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
INTENT_TYPE = "https://cryoflux.dev/intent/v1"
RECEIPT_TYPE = "https://cryoflux.dev/receipt/v1"
ZERO_HASH = "0" * 64


class Sha256Digest(StrictModel):
    """An in-toto DigestSet with the one algorithm that we use."""

    sha256: Sha256


class Subject(StrictModel):
    """A file that the statement is about, found by its digest."""

    name: Text
    digest: Sha256Digest


class Task(StrictModel):
    """Which attempt this is."""

    id: Text
    name: Text
    """``lora_delta``"""
    arm: Text
    """the recipe that the scheduler pulled"""


class Base(StrictModel):
    """A model version."""

    digest: Sha256
    """``tensors/v1`` digest: the name of its folder under ``models/``"""
    files: Sha256
    """SHA-256 of that folder's ``SHA256SUMS``"""


class Holdout(StrictModel):
    """The examples that Δ is measured on."""

    sha256: Sha256
    """of the holdout file, byte for byte"""
    count: Annotated[int, Field(ge=1, le=SAFE)]
    use_index: Annotated[int, Field(ge=1, le=SAFE)]
    """how many attempts this holdout has judged, this one included"""


class Data(StrictModel):
    """The data set, split before the first attempt."""

    name: Text
    digest: Sha256
    """of the data set's ``SHA256SUMS``, which lists train, holdout, audit and labels"""
    train: Sha256
    train_count: Count
    holdout: Holdout
    audit: Sha256
    audit_count: Count


class ArmPrior(StrictModel):
    """An arm that could have been pulled."""

    name: Text
    prior_microjoules: Count
    """what its next attempt should cost by its floating-point operations; modelled"""
    reserve_microjoules: Count


class Schedule(StrictModel):
    """Why this task and arm: all that the policy looked at beside the log."""

    policy: Text
    reason: Text
    arms: list[ArmPrior] = Field(default=[], exclude_if=empty)
    bucket_microjoules: Count = Field(default=0, exclude_if=empty)
    """what the bucket held"""
    seed: Count = Field(default=0, exclude_if=empty)


class Rule(StrictModel):
    """The acceptance rule and its parameters, named before anything is tried."""

    name: Text
    """``evidence/v2``, ``evidence/v1`` or ``whitepaper/v1``"""
    min_delta_nano_nat: Count
    """smallest mean Δ, nano-nats"""
    min_accuracy_gain_ppm: Count
    """smallest accuracy gain, parts per million"""
    z_milli: Count
    """one-sided z that the evidence must exceed, thousandths; only ``evidence/v1`` looks at it"""
    alpha_ppm: Count = Field(default=0, exclude_if=empty)
    """error budget of one holdout, parts per million; ``evidence/v2``"""
    looks: Count = Field(default=0, exclude_if=empty)
    """verdicts that this holdout has given before; ``evidence/v2``"""
    kept: Count = Field(default=0, exclude_if=empty)
    """how many of them were acceptances; ``evidence/v2``"""
    needed_milli: Count = Field(default=0, exclude_if=empty)
    """evidence (Σδ)²/Σδ² that is needed; follows from these three, thousandths; ``evidence/v2``"""
    screen: Text = Field(default="", exclude_if=empty)
    """``screen/v1`` where an update has to help the screening examples before the holdout is read"""


class Intent(StrictModel):
    """What is about to be tried, said before it is tried."""

    sequence: Count
    """position in the log, from 0"""
    prev: Sha256
    """leaf hash of the entry before; 64 zeros for the first"""
    task: Task
    base: Base
    data: Data
    recipe: dict[Text, Text | Signed]
    seed: Count
    schedule: Schedule
    rule: Rule
    reserved_microjoules: Count
    meter: Literal["embedded", "daemon"]
    """whose bucket pays; only that one knows what a crashed attempt has spent"""
    announced_at: Timestamp


class Outcome(StrEnum):
    """How an attempt ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNDECIDED = "undecided"
    """not kept, though a Δ that is large enough was not ruled out"""
    ABORTED = "aborted"


class Screen(StrictModel):
    """What the update did to training-side examples that were never trained on."""

    count: Annotated[int, Field(ge=1, le=SAFE)]
    base_loss_nano_nat_sum: Count
    new_loss_nano_nat_sum: Count
    delta_squared_nano_nat_sum: BigInteger
    base_correct: Count
    new_correct: Count
    gained: Count
    lost: Count
    scale: Text
    """at which the update was merged, chosen on these examples; decimal text"""


class Training(StrictModel):
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
    fresh_count: Count = Field(default=0, exclude_if=empty)
    """training examples that no attempt had drawn before"""
    backend: Text = Field(default="", exclude_if=empty)
    """how matrix products were computed"""
    saved_microjoules: Count = Field(default=0, exclude_if=empty)
    """what stopping early saved, by the cost of the steps that were made; modelled"""
    screen: Screen | None = Field(default=None, exclude_if=empty)
    threads: Count = Field(default=0, exclude_if=empty)
    """CPU threads that training used"""
    device: Text = Field(default="", exclude_if=empty)
    """``cpu`` or ``cuda``"""


class Evaluation(StrictModel):
    """Losses of base and candidate on the holdout, from which Δ and the decision follow."""

    profile: Text
    """``f64-nanonat/v1``, or ``f32/v1`` where the model's size makes float64 too dear"""
    max_tokens: Annotated[int, Field(ge=1, le=SAFE)]
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
    examples: Count = Field(default=0, exclude_if=empty)
    """how many of the holdout were read before the candidate was hopeless, in its reading order; 0: all"""
    losses_root: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = Field(
        default="", exclude_if=empty
    )
    """RFC 6962 root over one leaf an example that was read: uint32 LE index in the holdout, int64 LE base and
    new loss, u8 base and new correct"""


class Decision(StrictModel):
    """The rule, its parameters and its verdict."""

    rule: Rule
    accepted: bool


class EnergyFigure(StrictModel):
    """What the attempt was charged, and how that is known."""

    microjoules: Signed
    lo_microjoules: Signed
    hi_microjoules: Signed
    reserved_microjoules: Count
    tier: Tier
    sources: list[Text]
    baseline: Sha256
    """digest of the frozen idle baseline"""
    curve: Text
    """id of the power curve of a modelled source; empty without one"""
    flags: list[Text]
    assurance: Literal["self-reported", "other-machine"]
    """whether the machine that trained also metered, so that one owner may hold both keys"""
    cpu_microseconds: Count
    """CPU time of the process during the attempt"""
    settlement: Annotated[str, StringConstraints(max_length=16_000)] = Field(default="", exclude_if=empty)
    """the same figures signed by the meter: a DSSE envelope of its own (energy.settlement)"""

    @property
    def energy(self) -> Energy:
        """The figure with its interval, as every stage has it."""
        interval = (self.microjoules, self.lo_microjoules, self.hi_microjoules)
        return Energy(*interval, self.tier, tuple(self.flags))


class Receipt(StrictModel):
    """The record of one attempt."""

    sequence: Count
    prev: Sha256
    intent: Sha256
    """leaf hash of the intent that announced it"""
    task: Task
    outcome: Outcome
    reason: Text
    base: Base
    result: Base
    """the head model afterwards; equals ``base`` unless accepted"""
    holdout: Holdout
    training: Training | None
    evaluation: Evaluation | None
    """none when the attempt was aborted"""
    decision: Decision | None
    energy: EnergyFigure
    software: dict[Text, Text]
    """versions of what computed this"""
    started_at: Timestamp
    finished_at: Timestamp


class InTotoStatement(StrictModel):
    """What every statement has in common."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(
        alias="_type", default="https://in-toto.io/Statement/v1"
    )
    subject: Annotated[list[Subject], Field(min_length=1, max_length=16)]


class IntentStatement(InTotoStatement):
    """An intent; its subject is the base model's weights."""

    predicate_type: Literal["https://cryoflux.dev/intent/v1"] = "https://cryoflux.dev/intent/v1"
    predicate: Intent


class ReceiptStatement(InTotoStatement):
    """A receipt; its subject is the adapter, or the base model where none was made."""

    predicate_type: Literal["https://cryoflux.dev/receipt/v1"] = "https://cryoflux.dev/receipt/v1"
    predicate: Receipt


Statement = IntentStatement | ReceiptStatement
