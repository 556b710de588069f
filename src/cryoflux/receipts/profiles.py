"""How a loss is computed, by name, and how near two honest machines then have to come.

``f64-nanonat/v1`` widens the saved float32 weights to float64 and rounds each loss once: noise is five
orders of magnitude below the unit, so integers agree but for a value on a rounding boundary. ``f32/v1``
computes in float32, for models whose size makes float64 too dear: there batch, threads and instruction set
do show, and a tolerance has to allow for them. A tolerance is room for lies, so it is about as tight as
what was measured lets it be (docs/reference/recomputing.md, by ``benchmarks/recompute_identity.py``).

``f64-document/v1`` and ``f32-document/v1`` are the same for the documents of a language model, whose loss is
a sum over many tokens: what float32 rounds away grows with them. ``f32-document/v2`` is computed as v1 is,
and tolerates so much for each target token; v1 tolerates the same of a long document and of a short one.
"""

from __future__ import annotations

__all__ = [
    "DOCUMENT_F32",
    "DOCUMENT_F32_2",
    "DOCUMENT_F64",
    "F32",
    "HANDED_OVER",
    "LARGEST_F64_WORK",
    "PROFILE",
    "REPEATABLE",
    "ROUNDED",
    "TOLERANCES",
    "Tolerance",
    "parameters_in",
    "profile_for",
]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

PROFILE = "f64-nanonat/v1"
"""float64, rounded once to a nano-nat"""
F32 = "f32/v1"
"""float32 weights and products; the cross-entropy of the scores in float64, rounded once to a nano-nat"""
DOCUMENT_F64 = "f64-document/v1"
"""the loss of a document: float64 throughout, summed over its target tokens, rounded once to a nano-nat"""
DOCUMENT_F32 = "f32-document/v1"
"""the same sum of float32 scores; each document is read by itself, its cross-entropies are float64"""
DOCUMENT_F32_2 = "f32-document/v2"
"""computed as ``f32-document/v1``; its tolerance is for each target token"""
REPEATABLE = "repeatable/v1"
"""a task's own arithmetic, which gives the same integers whenever it is asked"""
HANDED_OVER = "handed-over/v1"
"""losses that somebody handed over, rounded once to a billionth of their unit; how computed, is not said"""
ROUNDED = frozenset({F32, DOCUMENT_F32, DOCUMENT_F32_2})
"""profiles in which two honest machines come near one another, and not to the same integers"""
LARGEST_F64_WORK = 10**13
"""parameters outside embeddings × tokens of the holdout above which a reading is done in float32"""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far honest machines may be apart, nano-nats."""

    each: int
    """on one example"""
    mean: int
    """on the mean over the examples"""
    off_share: float
    """largest share of examples that may differ at all; one may in any case"""
    flip_share: float
    """largest share of predictions that may change sides; where it is positive, one may in any case"""
    each_token: int = 0
    """on one example, for each of its target tokens: in place of ``each`` where these are counted"""
    mean_token: int = 0
    """the same of the mean"""

    def flips_in(self, count: int) -> float:
        """How many of ``count`` predictions may change sides."""
        return max(1, self.flip_share * count) if self.flip_share else 0

    def complaint(self, found: Sequence[int], recorded: Sequence[int], tokens: Sequence[int] = ()) -> str:
        """What is too far apart; empty where nothing is.

        Args:
            found: losses computed here, nano-nats.
            recorded: as many that somebody claims.
            tokens: target tokens of each example; none where a profile has the same room for every example.
        """
        apart = [abs(a - b) for a, b in zip(found, recorded, strict=True)]
        off, total = sum(distance > 0 for distance in apart), len(apart)
        shift = abs(sum(found) - sum(recorded))
        room = [self.each_token * one for one in tokens] or [self.each] * total
        mean = self.mean_token * sum(tokens) if tokens else self.mean * total
        # the mean of few examples cannot be held to what many average out
        few = max(mean, max(room, default=0))
        far = any(distance > most for distance, most in zip(apart, room, strict=True))
        if far or off > max(1, self.off_share * total) or shift > few:
            return f"by up to {max(apart)} nano-nats; sum {sum(found)} here, {sum(recorded)} recorded"
        return ""


TOLERANCES = {
    PROFILE: Tolerance(each=1, mean=1, off_share=0.005, flip_share=0),
    DOCUMENT_F64: Tolerance(each=1, mean=1, off_share=0.005, flip_share=0),
    DOCUMENT_F32: Tolerance(each=1_000_000, mean=50_000, off_share=1.0, flip_share=0),
    DOCUMENT_F32_2: Tolerance(
        each=1_000_000, mean=50_000, off_share=1.0, flip_share=0, each_token=10_000, mean_token=500
    ),
    REPEATABLE: Tolerance(each=0, mean=0, off_share=0, flip_share=0),
    F32: Tolerance(each=100_000, mean=1_000, off_share=1.0, flip_share=0.005),
}
"""Profile → what it tolerates."""


def parameters_in(shapes: Mapping[str, Sequence[int]]) -> int:
    """The parameters of a model outside embeddings, by which `profile_for` goes.

    Args:
        shapes: of its tensors by name.
    """
    return sum(prod(shape) for name, shape in shapes.items() if "embed" not in name)


def profile_for(parameters: int, tokens: int) -> str:
    """The profile that a model of a size is evaluated in.

    Args:
        parameters: of the model, outside embeddings.
        tokens: of the holdout.
    """
    return PROFILE if parameters * tokens <= LARGEST_F64_WORK else F32
