"""What an entry of the receipt log says: an in-toto Statement v1 with one of our predicates.

- ``intent/v2`` is written before training, so that a failed or unlucky try cannot be left out.
- ``receipt/v2`` is written after it, for every attempt: accepted, rejected, undecided, carried or aborted.
- ``head/v1`` moves the head of a task to a version that was kept before (a rollback, a promotion), or says
  which versions' files are freed while it stays (a prune).
- ``fork/v1`` is the first entry of a log that goes on from another one, which it names with its signed head.
- ``judgement/v1`` says which of two that were made elsewhere is better on a holdout. It moves no head.

Each says which task it is about, and heads, data and losses are that task's own: one log may hold several.
What only a task knows stands in a section behind that task's name, and is checked by that task.

What they are made of is in `cryoflux.receipts.parts` and `.charged`, and can be had from here too.
Sources: in-toto attestation framework v1 (Statement), RFC 8785 (canonical bytes).
"""

from __future__ import annotations

__all__ = [
    "CROSS_ENTROPY",
    "FORK_TYPE",
    "HEAD_TYPE",
    "INTENT_TYPE",
    "JUDGEMENT_TYPE",
    "MOST_SLOTS",
    "RECEIPT_TYPE",
    "ZERO_HASH",
    "ArmPrior",
    "AttemptName",
    "Bar",
    "Base",
    "BatchJob",
    "Cause",
    "ChainLink",
    "CheckedAgainst",
    "Data",
    "Decision",
    "EnergyFigure",
    "Evaluation",
    "Fork",
    "ForkStatement",
    "HeadMove",
    "HeadStatement",
    "Hits",
    "Holdout",
    "InTotoStatement",
    "Intent",
    "IntentStatement",
    "Judgement",
    "JudgementStatement",
    "Measurement",
    "Metric",
    "MonitorTest",
    "Move",
    "Outcome",
    "Receipt",
    "ReceiptStatement",
    "Rule",
    "Schedule",
    "Screen",
    "Section",
    "SetRules",
    "Sha256Digest",
    "SimilarRule",
    "Statement",
    "Subject",
    "Training",
]

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cryoflux.decision.reason import Reason
from cryoflux.receipts.charged import BatchJob, EnergyFigure
from cryoflux.receipts.fork_parts import ForkedTask, JudgedHoldout, ParentLog
from cryoflux.receipts.judgement_parts import HeldApart, JudgedKind, JudgedSide, JudgedTokens, StatedEnergy
from cryoflux.receipts.monitor_parts import CheckedAgainst, MonitorTest
from cryoflux.receipts.parts import (
    CROSS_ENTROPY,
    ArmPrior,
    AttemptName,
    Bar,
    Base,
    Cause,
    ChainLink,
    Data,
    Decision,
    Evaluation,
    Hits,
    Holdout,
    Measurement,
    Metric,
    Move,
    Outcome,
    Rule,
    Schedule,
    Screen,
    Section,
    SetRules,
    Sha256Digest,
    SimilarRule,
    Subject,
    Training,
)
from cryoflux.signing.fields import (
    Count,
    Document,
    Positive,
    Sha256,
    Signed,
    TaskName,
    Text,
    Timestamp,
    at_most,
)

INTENT_TYPE = "https://cryoflux.dev/intent/v2"
RECEIPT_TYPE = "https://cryoflux.dev/receipt/v2"
HEAD_TYPE = "https://cryoflux.dev/head/v1"
FORK_TYPE = "https://cryoflux.dev/fork/v1"
JUDGEMENT_TYPE = "https://cryoflux.dev/judgement/v1"
ZERO_HASH = "0" * 64
MOST_SLOTS = 64
"""an attempt is told to be in progress for no longer than others are begun: so many may be left out unseen"""
_Recipe = Annotated[dict[Text, Text | Signed], Meta(max_length=256)]


class Intent(Document, frozen=True):
    """What is about to be tried, said before it is tried."""

    sequence: Count
    """position in the log, from 0"""
    prev: Sha256
    """leaf hash of the entry before; 64 zeros for the first"""
    task: AttemptName
    metric: Metric
    base: Base
    """head of the task at this moment"""
    data: Data
    recipe: _Recipe
    seed: Count
    schedule: Schedule
    rule: Rule
    bar: Bar
    """as it stands now: training may aim at it; the verdict has a bar of its own"""
    reserved_microjoules: Count
    meter: Literal["embedded", "daemon"]
    """whose bucket pays; only that one knows what a crashed attempt has spent"""
    announced_at: Timestamp
    slots: Annotated[int, Meta(ge=1, le=MOST_SLOTS)] = 1
    """attempts of this log that may be open at once, this one included"""
    chain: ChainLink | None = None
    """none where an attempt is one of its own, that nothing goes on from"""


class Receipt(Document, frozen=True):
    """The record of one attempt."""

    sequence: Count
    prev: Sha256
    intent: Sha256
    """leaf hash of the intent that announced it"""
    task: AttemptName
    outcome: Outcome
    reason: Reason
    base: Base
    """what the update was compared with: the head of the task at this moment"""
    result: Base
    """the head afterwards; equals ``base`` unless accepted"""
    holdout: Holdout
    training: Training | None
    evaluation: Evaluation | None
    """none when the attempt was aborted, or refused by its screen"""
    decision: Decision | None
    energy: EnergyFigure
    software: Annotated[dict[Text, Text], Meta(max_length=64)]
    """versions of what computed this"""
    started_at: Timestamp
    finished_at: Timestamp
    cause: Cause = Cause.NONE
    """of an aborted attempt"""


class HeadMove(Document, frozen=True):
    """A head that goes to a version that was kept before, and why."""

    sequence: Count
    """position in the log, from 0"""
    prev: Sha256
    """leaf hash of the entry before"""
    task: TaskName
    """whose head it is"""
    move: Move
    base: Base
    """the head before"""
    result: Base
    """the head from here on"""
    made_at: Count
    """position of the receipt that made ``result``, or of the task's first intent where it began with it"""
    made_by: Sha256
    """leaf hash of that entry"""
    reason: Reason
    moved_at: Timestamp
    evidence: Annotated[list[Measurement], at_most(16)] = msgspec.field(default_factory=list)
    """of the present head as base and the other version as new; none where somebody just chose"""
    test: MonitorTest | None = None
    """by which the head was found to be worse; none where somebody just chose"""
    pruned: Annotated[list[Base], at_most(256)] = msgspec.field(default_factory=list)
    """versions whose files are freed; none of them is the head"""
    quarantined: Annotated[list[Positive], at_most(100_000)] = msgspec.field(default_factory=list)
    """what is learned from no more, because it may have spoiled the head: of each batch of training examples
    that joined, how many there were in all at its end"""


class Fork(Document, frozen=True):
    """A log that goes on from another one; it begins where that one was."""

    sequence: Count
    """position in the log: 0"""
    prev: Sha256
    """64 zeros: what came before is in the parent's log"""
    parent: ParentLog
    tasks: Annotated[list[ForkedTask], at_most(16)]
    """what the parent's log had come to; none where nothing was tried yet"""
    forked_at: Timestamp
    judged: Annotated[list[JudgedHoldout], at_most(10_000)] = msgspec.field(default_factory=list)
    """the holdouts that judged what others made there, by their digests; each goes on with its looks"""
    guests: Annotated[list[Sha256], at_most(10_000)] = msgspec.field(default_factory=list)
    """roots of the guest holdouts that were entered there: each stays there, and judges nothing here"""


class Judgement(Document, frozen=True):
    """Which of two is better on a holdout; both were made elsewhere, and no head moves by it."""

    sequence: Count
    """position in the log, from 0"""
    prev: Sha256
    """leaf hash of the entry before; 64 zeros for the first"""
    name: Text
    """of what was judged"""
    kind: JudgedKind
    base: JudgedSide
    new: JudgedSide
    measured: Measurement
    """losses of both on the holdout, all of which was read"""
    decision: Decision
    """its bar counts every verdict that this log has given on this holdout"""
    outcome: Outcome
    """``accepted``, ``rejected`` or ``undecided``"""
    reason: Reason
    software: Annotated[dict[Text, Text], Meta(max_length=64)]
    """versions of what computed this"""
    judged_at: Timestamp
    apart: HeldApart | None = None
    """none where no training examples were handed over"""
    energy: StatedEnergy | None = None
    """none where nobody stated it"""
    tokens: JudgedTokens | None = None
    """none of losses that somebody else computed, nor before it was said"""


class InTotoStatement(
    Document,
    frozen=True,
    kw_only=True,
    omit_defaults=False,
    rename="camel",
    tag_field="predicateType",
    tag="",
):
    """What every statement has in common."""

    type_: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(
        name="_type", default="https://in-toto.io/Statement/v1"
    )
    """the in-toto attestation framework"""
    subject: Annotated[list[Subject], at_most(16, least=1)]
    """what the statement is about, each by its digest; of a first entry the key of the log's heads too"""


class IntentStatement(InTotoStatement, frozen=True, kw_only=True, tag=INTENT_TYPE):
    """An intent; its subject is the base model's weights."""

    predicate: Intent


class ReceiptStatement(InTotoStatement, frozen=True, kw_only=True, tag=RECEIPT_TYPE):
    """A receipt; its subject is the adapter, or the base model where none was made."""

    predicate: Receipt


class HeadStatement(InTotoStatement, frozen=True, kw_only=True, tag=HEAD_TYPE):
    """A move of a head; its subject is the version that is the head from here on."""

    predicate: HeadMove


class ForkStatement(InTotoStatement, frozen=True, kw_only=True, tag=FORK_TYPE):
    """A fork; its subject is the parent's signed head."""

    predicate: Fork


class JudgementStatement(InTotoStatement, frozen=True, kw_only=True, tag=JUDGEMENT_TYPE):
    """A judgement; its subject is the new one of the two."""

    predicate: Judgement


Statement = IntentStatement | ReceiptStatement | HeadStatement | ForkStatement | JudgementStatement
"""What an entry says that is not about a key."""
