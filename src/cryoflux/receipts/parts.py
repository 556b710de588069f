"""What intents, receipts and moves of heads are made of.

There is no float anywhere: losses are integers in billionths of a named unit, summed over the holdout; energy
is integer microjoules; a ratio is a decimal text. Whatever is derived (mean Δ, η, a sentence) is not stored.
"""

from __future__ import annotations

__all__ = [
    "CROSS_ENTROPY",
    "ArmPrior",
    "AttemptName",
    "Bar",
    "Base",
    "Cause",
    "ChainLink",
    "Data",
    "Decision",
    "Evaluation",
    "Hits",
    "Holdout",
    "Measurement",
    "Metric",
    "Move",
    "Outcome",
    "Rule",
    "Schedule",
    "Screen",
    "Section",
    "SetRules",
    "Sha256Digest",
    "SimilarRule",
    "Subject",
    "Training",
]

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from cryoflux.decision.reason import Reason
from cryoflux.quantities import NATS
from cryoflux.signing.fields import (
    BigInteger,
    Count,
    Document,
    FieldName,
    OptionalSha256,
    Positive,
    Sha256,
    Share,
    Signed,
    TaskName,
    Text,
    at_most,
)


class Sha256Digest(Document, frozen=True):
    """An in-toto DigestSet with the one algorithm that we use."""

    sha256: Sha256


class Subject(Document, frozen=True):
    """A file that the statement is about, found by its digest."""

    name: Text
    digest: Sha256Digest


class AttemptName(Document, frozen=True):
    """Which attempt this is."""

    id: Text
    """ends in the sequence number of its intent, so that no two attempts of a log share one"""
    name: TaskName
    """``lora_delta``: whose head, data and losses these are"""
    arm: Text
    """the recipe that the scheduler pulled"""


class Metric(Document, frozen=True):
    """What a task's losses measure."""

    name: Text
    """``cross-entropy``"""
    unit: Text
    """of a loss, of which an integer says billionths: ``nats``"""


CROSS_ENTROPY = Metric(name="cross-entropy", unit=NATS)


class Base(Document, frozen=True):
    """A model version."""

    digest: Sha256
    """of its tensors (``tensors/v1``), or of its files where it has none: its folder under ``models/``"""
    files: Sha256
    """SHA-256 of that folder's ``SHA256SUMS``"""


class Holdout(Document, frozen=True):
    """The examples that Δ is measured on."""

    sha256: Sha256
    """of the holdout file, byte for byte"""
    count: Positive
    use_index: Positive
    """how many attempts were announced on this holdout, this one included"""


class SimilarRule(Document, frozen=True):
    """Which training texts were left out because they say nearly the same as one that judges."""

    rule: Text
    """``cosine/v1``: by the cosine of two texts' vectors"""
    least_milli: Positive
    """from which on a text is left out, thousandths"""
    encoder: Sha256
    """what embedded them, by what decides it: tensors, tokenizer, cut"""
    dropped: Count
    """training texts that were left out when the sets were made; they lie beside them"""


class SetRules(Document, frozen=True):
    """By which rules the sets of a data set were made."""

    holdout: Text
    """of the holdout and its spares: ``lowest-hash/v1`` or ``v2``, ``lowest-hash-of-group/v1`` or ``v2`` of
    documents that are chunks, or ``given`` where it was handed over"""
    audit: Text
    """of the audit set, the same"""
    copies: Text
    """``fold/v1`` where no text of one set is, after that fold, one of another set; ``near-answers/v1``
    where, besides, no document is trained on whose answer is near to one that judges"""
    similar: SimilarRule | None = None
    """none where training texts are not held to it, as in older logs"""


class Data(Document, frozen=True):
    """A task's data set, split before the first attempt."""

    name: Text
    digest: Sha256
    """of the data set's ``SHA256SUMS``, which lists train, holdout, audit and what else there is"""
    train: Sha256
    train_count: Count
    holdout: Holdout
    audit: Sha256
    audit_count: Count
    rules: SetRules | None = None
    """none in older logs, and where the task does not say"""


class ArmPrior(Document, frozen=True):
    """An arm that could have been pulled."""

    task: TaskName
    name: Text
    prior_microjoules: Count
    """what its next attempt should cost by its floating-point operations; modelled"""
    reserve_microjoules: Count
    min_delta: Count = 0
    """smallest mean Δ that its task keeps, where it is another task than the one that was chosen"""
    after: Text = ""
    """the arm of its task whose chain has to have come to its end first"""
    train_count: Count = 0
    """training examples of its task, where it is another one whose set has grown since its last intent"""


class Schedule(Document, frozen=True):
    """Why this task and arm: all that the policy looked at beside the log."""

    policy: Text
    reason: Reason
    arms: Annotated[list[ArmPrior], at_most(256)] = msgspec.field(default_factory=list)
    bucket_microjoules: Count = 0
    """what the bucket held"""
    seed: Count = 0


class Rule(Document, frozen=True):
    """The acceptance rule and its parameters, named before anything is tried."""

    name: Text
    """``evidence/v3``, ``evidence/v2``, ``evidence/v1`` or ``whitepaper/v1``"""
    min_delta: Count
    """smallest mean Δ, billionths of the metric's unit"""
    min_accuracy_gain_ppm: Count
    """smallest accuracy gain, parts per million"""
    z_milli: Count
    """one-sided z that the evidence must exceed, thousandths; only ``evidence/v1`` looks at it"""
    alpha_ppm: Share = 0
    """error budget of one holdout, parts per million; ``evidence/v2`` and ``v3``"""
    screen: Text = ""
    """``screen/v1`` or ``v2`` where an update has to help screening examples before the holdout is read"""


class Bar(Document, frozen=True):
    """How much evidence a look at a holdout needs. All zero under rules without an error budget."""

    looks: Count
    """verdicts that this holdout has given before"""
    kept: Count
    """how many of them were acceptances"""
    needed_milli: Count
    """evidence (Σδ)²/Σδ² that is needed; follows from these and the error budget, thousandths"""
    left: Count = 0
    """of the holdout's error budget before the look, units of 10⁻¹⁵; ``evidence/v3``"""
    stake_milli: Count = 0
    """share of it that the look stakes, thousandths; 0 where there was no look, and in an intent"""


class Outcome(StrEnum):
    """How an attempt ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNDECIDED = "undecided"
    """not kept, though a Δ that is large enough was not ruled out"""
    CARRIED = "carried"
    """not kept yet: the next attempt of its chain goes on from what it left"""
    ABORTED = "aborted"

    @property
    def word(self) -> str:
        """The word that people and programs are shown: ``kept`` for what a receipt signs as accepted."""
        return "kept" if self is Outcome.ACCEPTED else self.value


class ChainLink(Document, frozen=True):
    """Where in a chain of attempts one stands: each goes on from what the one before it left."""

    start: Base
    """the version that the chain began with, and that its updates are added to"""
    working: OptionalSha256 = ""
    """of the working update that it goes on from; empty where a chain begins"""
    left_by: OptionalSha256 = ""
    """leaf hash of the receipt that left it; where a chain begins anew: of the one whose chain is given up"""


class Cause(StrEnum):
    """Why an attempt ended without a verdict."""

    NONE = ""
    INTERRUPTED = "interrupted"
    """somebody asked to stop; it says nothing of its arm"""
    CRASHED = "crashed"
    """the run died; it says nothing of its arm"""
    UNRESERVED = "unreserved"
    """the bucket no longer held the reservation; it says nothing of its arm"""
    EXHAUSTED = "exhausted"
    """the reservation did not pay for it; a larger one may"""
    FAILED = "failed"
    """the training or its evaluation came to nothing usable"""
    LOST = "lost"
    """its worker was killed, cut off or too slow; it says nothing of its arm"""


class Hits(Document, frozen=True):
    """Examples that were right, where a task has right and wrong."""

    base: Count
    new: Count
    gained: Count
    """examples that only the candidate gets right"""
    lost: Count
    """examples that only the base gets right"""


class Screen(Document, frozen=True):
    """What the update did to training-side examples that were never trained on."""

    count: Positive
    base_loss_sum: Count
    new_loss_sum: Count
    delta_squared_sum: BigInteger
    """Σ (base − new)² over the examples"""
    hits: Hits | None = None


class Section(Document, frozen=True):
    """What only the task knows of its training; `kind` says which task checks it."""

    kind: Text
    """``lora/v1``"""
    fields: Annotated[
        dict[FieldName, Signed | Text | list[Text]],
        Meta(max_length=64),
    ]


class Training(Document, frozen=True):
    """What training did, in the words that all tasks share."""

    slice_sha256: Sha256
    """of the indices of the training examples, as decimal text, one a line"""
    slice_count: Count
    stopped_by: Text
    """``joules``, ``steps``, ``interrupt``, ``hopeless``, or the task's own word"""
    section: Section
    fresh_count: Count = 0
    """training examples that were next in the drawing order, which begins again once all were drawn"""
    steps: Count = 0
    saved_microjoules: Count = 0
    """what stopping early saved, by the cost of the steps that were made; modelled"""
    screen: Screen | None = None
    threads: Count = 0
    """CPU threads that training used"""
    device: Text = ""
    """``cpu`` or ``cuda``"""
    working: OptionalSha256 = ""
    """of the working update that it left; empty where its chain ended, and where attempts are none"""
    before: Count = 0
    """steps that earlier attempts of its chain had made"""


class Evaluation(Document, frozen=True):
    """Losses of base and candidate on the holdout, from which Δ and the decision follow."""

    profile: Text
    """``f64-nanonat/v1``, or ``f32/v1`` where the model's size makes float64 too dear"""
    metric: Metric
    candidate: Base
    """the merged, saved and re-loaded version that was evaluated"""
    read: Positive
    """examples of the holdout that were read, in its reading order; all, or fewer where it was hopeless"""
    base_loss_sum: Count
    new_loss_sum: Count
    delta_sum: Signed
    delta_squared_sum: BigInteger
    """Σ (base − new)² over the examples"""
    per_example: Sha256
    """of the evidence file: int64 LE base losses, int64 LE new losses, u8 base and u8 new correct"""
    hits: Hits | None = None
    losses_root: OptionalSha256 = ""
    """RFC 6962 root over one leaf an example that was read: uint32 LE index in the holdout, int64 LE base and
    new loss, u8 base and new correct"""


class Decision(Document, frozen=True):
    """The rule, the bar as it stood at the verdict, and the verdict."""

    rule: Rule
    bar: Bar
    accepted: bool


class Move(StrEnum):
    """Why a head goes to a version that was kept before, or stays while versions are freed."""

    ROLLBACK = "rollback"
    """it was found to be worse than that one"""
    PROMOTION = "promotion"
    """somebody chose it"""
    PRUNE = "prune"
    """the head stays; the files of other versions are freed"""


class Measurement(Document, frozen=True):
    """Losses of two versions on a set that no decision on updates reads."""

    profile: Text
    metric: Metric
    sha256: Sha256
    """of the set's file"""
    count: Positive
    base_loss_sum: Count
    new_loss_sum: Count
    delta_squared_sum: BigInteger
    per_example: Sha256
    hits: Hits | None = None
