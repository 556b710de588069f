"""What a run spent beside its attempts: ``session/v1``, one entry a run, written when it ends.

Starting up, preparing data, evaluating the audit set and whatever else a run does outside its attempts is no
attempt's, and is paid all the same. With this entry the log tells the whole cost: what its attempts were
charged and what their sessions were add up to what the account was charged.
"""

from __future__ import annotations

__all__ = [
    "SESSION_TYPE",
    "BaseCharge",
    "MonitorCheck",
    "Session",
    "SessionEnd",
    "SessionStatement",
    "sessions_of",
]

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from cryoflux.receipts.charged import EnergyFigure
from cryoflux.receipts.monitor_parts import CheckedAgainst
from cryoflux.receipts.parts import Base
from cryoflux.receipts.statement import InTotoStatement
from cryoflux.signing.fields import (
    Count,
    Document,
    Positive,
    Sha256,
    Share,
    Signed,
    TaskName,
    Text,
    Timestamp,
    at_most,
)

SESSION_TYPE = "https://cryoflux.dev/session/v1"


def sessions_of(count: int) -> str:
    """``1 session``, ``2 sessions``."""
    return f"{count} session{'' if count == 1 else 's'}"


class SessionEnd(StrEnum):
    """Why a run ended."""

    BUDGET = "budget"
    """what was left did not pay for another attempt"""
    ATTEMPTS = "attempts"
    """it had made as many as were asked for"""
    TIME = "time"
    """its time was over"""
    INTERRUPTED = "interrupted"
    """somebody asked to stop"""
    PLATEAU = "plateau"
    """no recipe was expected to pay any more"""
    FAILED = "failed"
    """an error ended it"""
    CRASHED = "crashed"
    """it died; the next run wrote this entry"""


class BaseCharge(Document, frozen=True):
    """What measuring the losses of a head on its holdout cost, once and beside all attempts."""

    task: TaskName
    base: Base
    holdout: Sha256
    count: Positive
    """examples, all of which were read"""
    profile: Text
    """in which arithmetic"""
    loss_sum: Count
    """billionths of the task's unit"""
    microjoules: Count
    """of what the session was charged"""


class MonitorCheck(Document, frozen=True):
    """What holding a head against versions before it has shown, and what that cost beside all attempts."""

    task: TaskName
    head: Base
    sha256: Sha256
    """of the monitor's file"""
    count: Positive
    """its examples"""
    compared: Positive
    """versions that the head was compared with"""
    needed_milli: Count
    """natural logarithm of the evidence that it would be left for, thousandths"""
    evidence_milli: Signed
    """of the strongest evidence against it"""
    microjoules: Count
    """of what the session was charged"""
    alpha_ppm: Share = 0
    """most probability of ever going back without a reason, parts per million; 0 in older logs"""
    head_number: Count = 0
    """which head of its task it was, k, counted from 1: α/(k(k + 1)) is what it has of the error budget α"""
    profile: Text = ""
    """in which arithmetic its losses were computed; empty in older logs"""
    against: Annotated[list[CheckedAgainst], at_most(8)] = msgspec.field(default_factory=list)
    """of the versions that it was compared with those that were there; none in older logs"""


class Session(Document, frozen=True):
    """The record of what one run spent beside its attempts."""

    sequence: Count
    """position in the log, from 0"""
    prev: Sha256
    """leaf hash of the entry before"""
    id: Text
    """ends in ``opened_at``, so that no two sessions of a log share one; the account knows it by this name"""
    opened_at: Count
    """entries of the log when it began"""
    first_attempt: Positive
    """number of its first attempt, counted from 1 over all intents of the log"""
    attempts: Count
    """how many it announced"""
    ended: SessionEnd
    budget_microjoules: Count
    """what it was allowed to spend, attempts and everything else; 0 where nothing was granted"""
    meter: Literal["embedded", "daemon"]
    """whose bucket paid"""
    energy: EnergyFigure
    """what it was charged beside its attempts"""
    began_at: Timestamp
    ended_at: Timestamp
    bases: Annotated[list[BaseCharge], at_most(64)] = msgspec.field(default_factory=list)
    """heads whose losses it measured, so that attempts could be compared with them"""
    checks: Annotated[list[MonitorCheck], at_most(64)] = msgspec.field(default_factory=list)
    """heads that it held against versions before them; the newest ones"""


class SessionStatement(InTotoStatement, frozen=True, kw_only=True, tag=SESSION_TYPE):
    """A session; its subjects are the heads of its tasks when it ended."""

    predicate: Session
