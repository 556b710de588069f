"""What an entry says of a head that was held against versions before it (`cryoflux.decision.monitor`)."""

from __future__ import annotations

__all__ = ["CheckedAgainst", "MonitorTest"]

from typing import Annotated

import msgspec

from cryoflux.signing.fields import Count, Document, Positive, Sha256, Share, Signed, Text, at_most


class CheckedAgainst(Document, frozen=True):
    """A version that a head was held against, and what that has shown."""

    version: Sha256
    """its digest"""
    evidence_milli: Signed
    """natural logarithm of the evidence against the head, thousandths"""
    worse_nano: Signed
    """by how much the head does worse in the mean, differences cut off, billionths of the task's unit"""


class MonitorTest(Document, frozen=True):
    """By which a head was found to be worse than versions before it (`cryoflux.decision.monitor`)."""

    rule: Text
    """``monitor/v1``"""
    alpha_ppm: Share
    """most probability of ever going back without a reason, parts per million"""
    head_number: Positive
    """which head of the task this is, counted from 1 over the log: it says what is spent of α on it"""
    compared: Positive
    """versions that it was compared with"""
    cap_nano: Positive
    """where the difference of an example's losses is cut off, billionths of the metric's unit"""
    needed_milli: Count
    """natural logarithm of the evidence that was needed against the version gone back to, thousandths"""
    evidence_milli: Signed
    """the same of the evidence that there is"""
    against: Annotated[list[CheckedAgainst], at_most(8)] = msgspec.field(default_factory=list)
    """of the versions that it was compared with those that were there; none in older logs"""
