"""What a judgement is made of: two that were made elsewhere, and joules that somebody states."""

from __future__ import annotations

__all__ = ["HeldApart", "JudgedKind", "JudgedSide", "JudgedTokens", "StatedEnergy"]

from enum import StrEnum

from cryoflux.quantities import Tier
from cryoflux.signing.fields import Count, Document, OptionalSha256, Positive, Sha256, Text


class JudgedKind(StrEnum):
    """What was handed over to be judged."""

    LOSSES = "losses"
    """a loss for each example, computed by somebody else"""
    MODELS = "models"
    """two models, evaluated by whoever judged"""


class JudgedSide(Document, frozen=True):
    """One of the two that are compared."""

    name: Text
    """what whoever judged calls it: a folder, an id, a file"""
    sha256: Sha256
    """of its file of losses; of a model: of the list of its files (``SHA256SUMS``)"""
    onto: OptionalSha256 = ""
    """of an adapter: the same of the model that it is added to"""


class HeldApart(Document, frozen=True):
    """Training examples that the new one learned from, as they were handed over: none is in the holdout."""

    sha256: Sha256
    """of the file"""
    count: Positive
    """its examples"""


class JudgedTokens(Document, frozen=True):
    """How much of the examples two models have read."""

    most: Positive
    """tokens of an example that were read; where the two differ, the fewer"""
    cut: Count
    """examples of which one of the two has not read the end"""
    targets: Count = 0
    """tokens that a language model had to say, over all examples; 0 where losses are of whole texts"""


class StatedEnergy(Document, frozen=True):
    """What making the new one has cost, as somebody states it: no meter of this log has seen it."""

    microjoules: Count
    lo_microjoules: Count
    hi_microjoules: Count
    tier: Tier | None = None
    """of the meter, where a measurement was handed over; none where somebody typed a number"""
    measurement: OptionalSha256 = ""
    """of the measurement's file; empty where there is none"""
