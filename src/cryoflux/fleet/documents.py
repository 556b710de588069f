"""What coordinator and workers say to each other, as JSON.

The coordinator is the run: it announces, judges and writes the log. A worker trains. A `Lease` is the right
to make one attempt, at one worker, once; a `Delivery` is what came of it. `WorkerState` is a worker's answer
to being asked how it goes, which is also how each of the two knows that the other is there.
"""

from __future__ import annotations

__all__ = ["Delivery", "Lease", "SessionTerms", "WorkerFacts", "WorkerState"]

from typing import Literal

from msgspec import field

from cryoflux.decision.reason import Reason
from cryoflux.quantities import Tier
from cryoflux.receipts.charged import PhaseFigure
from cryoflux.receipts.statement import Cause
from cryoflux.signing.fields import Count, Document, Positive, RawKey, Sha256, Text
from cryoflux.tasks.elsewhere import Inputs
from cryoflux.tasks.interface import Update, WorkOrder


class Lease(Document, frozen=True):
    """The right to make one attempt, at one worker, once."""

    id: Text
    """of the attempt: the request id of its reservations, here and there"""
    worker: Text
    log: Text
    """origin of the receipt log"""
    intent: Sha256
    """leaf hash of the entry that announced it"""
    lent_microjoules: Count
    """what the worker's meter reserves for it"""
    silence_seconds: Positive
    """a worker that is not asked for so long how it goes ends by itself: its coordinator is gone"""
    order: WorkOrder
    inputs: Inputs


class SessionTerms(Document, frozen=True):
    """What a worker's process spends beside attempts is charged to the run's session, under these names."""

    id: Text
    """request id of the run's session"""
    log: Text
    lent_microjoules: Count


class WorkerFacts(Document, frozen=True):
    """What a worker is."""

    name: Text
    host: Text
    pid: Count
    boot: Text
    """boot id of its machine"""
    meter_key: RawKey
    """the raw Ed25519 key that its meter signs with"""
    tier: Tier
    sources: list[Text]
    compute: Text
    """how and where it computes, for people"""
    metered_by: str = ""
    """the JouleAgent that meters it, as it may be shown; empty where it meters itself"""


class Delivery(Document, frozen=True):
    """What came of a lease: an update, or why there is none; and what it cost there."""

    id: Text
    settlement: str
    """what the worker's meter signed that it cost"""
    phases: list[PhaseFigure]
    """the same by phase; none where the meter did not say"""
    update: Update | None = None
    files: dict[Text, Sha256] = field(default_factory=dict)
    """name of each of the update's files → SHA-256"""
    cause: Cause = Cause.NONE
    """why there is no update"""
    reason: Reason | None = None


class WorkerState(Document, frozen=True):
    """How it goes."""

    doing: Literal["idle", "preparing", "training", "done", "failed"]
    lease: Text = ""
    """the attempt that it is at, or has finished"""
    step: Count = 0
    word: str = ""
    """the meter's signed word on what the attempt has cost so far; empty where it is at none"""
    beside: str = ""
    """the same of the session"""
    delivery: Delivery | None = None
    trouble: Text = ""
    """why it can neither go on nor say what it cost: its disk is full, or its account is not whole"""
