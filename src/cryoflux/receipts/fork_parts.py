"""What the first entry of a fork is made of: the log that it goes on from, and what that had come to.

All that decides anything later is here: heads, data, how often each holdout was looked at, and which guest
holdouts were entered there and so judge nothing here. What only
helps to choose (lessons of arms, attempts that are still open) is the parent's, and stays there.
"""

from __future__ import annotations

__all__ = ["ForkedTask", "HeadLosses", "JudgedHoldout", "ParentLog", "UsedHoldout", "subject_of_parent"]

from typing import Annotated

import msgspec
from msgspec import Meta

from cryoflux.digests import sha256_hex
from cryoflux.receipts.parts import Base, Data, Metric, Sha256Digest, Subject
from cryoflux.signing.fields import (
    Count,
    Document,
    Positive,
    RawKey,
    Sha256,
    Share,
    Signed,
    TaskName,
    Text,
    at_most,
)


class ParentLog(Document, frozen=True):
    """The log that a fork goes on from, at the size at which it was taken up."""

    checkpoint: Annotated[str, Meta(max_length=4_000)]
    """its signed head, as the parent's log key signed it: a C2SP signed note"""
    last: Sha256
    """leaf hash of its last entry; 64 zeros where it had none"""
    receipt_key: RawKey
    """the key that signed its receipts there; the parent's origin has its id, unless it came by a rotation"""
    log_key: RawKey
    """the key that signed the checkpoint"""
    voucher: Annotated[str, Meta(max_length=4_000)] = ""
    """the parent's receipt key says that this log goes on from its own: a DSSE envelope of its own"""


class UsedHoldout(Document, frozen=True):
    """What one holdout has been used for, in the parent and in the logs before it."""

    sha256: Sha256
    count: Positive
    uses: Count
    """attempts that were announced on it"""
    looks: Count
    """verdicts that it has given"""
    kept: Count
    """how many of them were acceptances"""
    left: Count | None = None
    """of its error budget under ``evidence/v3``, units of 10⁻¹⁵; none where it was never judged by that"""


class JudgedHoldout(Document, frozen=True):
    """What a holdout has been used for that judges what others made, in the parent and in the logs before."""

    sha256: Sha256
    alpha_ppm: Share
    """smallest error budget that was ever promised for it, parts per million"""
    looks: Positive
    """verdicts that it has given"""
    kept: Count
    """how many of them were acceptances"""


class HeadLosses(Document, frozen=True):
    """What receipts of the parent have signed of the head on a holdout."""

    holdout: Sha256
    profile: Text
    loss_sum: Count
    hits: Count
    """examples that were right; 0 where that means nothing"""
    max_tokens: Signed | Text = 0
    """that inputs were cut to"""


class ForkedTask(Document, frozen=True):
    """What the parent's log had come to for one task."""

    task: TaskName
    head: Base
    """the version that this log goes on from"""
    first: Base
    """the version that the task began with"""
    metric: Metric
    data: Data
    """as the first intent of the task named it"""
    pool_seed: Count
    """that the training examples were shuffled with"""
    min_delta: Count
    """smallest mean Δ that the latest rule keeps, billionths of the metric's unit"""
    holdouts: Annotated[list[UsedHoldout], at_most(64, least=1)]
    """in the order of their use; the last one is the one in use"""
    alpha_ppm: Share = 0
    """smallest error budget that was ever announced, parts per million; 0 where none was"""
    drawn: Count = 0
    """training examples that attempts drew as fresh ones"""
    losses: Annotated[list[HeadLosses], at_most(16)] = msgspec.field(default_factory=list)
    """of the head, where receipts have signed them"""
    grown: Data | None = None
    """the data set as its latest intent named it, where training examples have joined since"""
    pools: Annotated[list[Positive], at_most(100_000)] = msgspec.field(default_factory=list)
    """training examples after each time that some joined"""
    quarantined: Annotated[list[Positive], at_most(100_000)] = msgspec.field(default_factory=list)
    """those of ``pools`` that end a batch which is drawn from no more"""


def subject_of_parent(checkpoint: str) -> list[Subject]:
    """The subject of a fork that goes on from a signed head."""
    digest = Sha256Digest(sha256=sha256_hex(checkpoint.encode()))
    return [Subject(name="checkpoint", digest=digest)]
