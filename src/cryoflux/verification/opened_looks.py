"""Losses of an opened look, computed here, beside what was sealed and what was published of it.

Of a look the log has sums, and the root of a salted tree over its losses; the losses themselves stay with
whoever looked. So they are computed from the models: where their sums are the opened ones, their root has to
be the published one too. Where the sums are a rounding apart the root is over other integers, and what it is
over cannot be known.
"""

from __future__ import annotations

__all__ = ["Held", "OpenedSums", "hold_look"]

from dataclasses import dataclass
from heapq import nlargest

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.levels import certified_level
from cryoflux.quantities import NANO
from cryoflux.receipts.guest_tree import sealed_losses_root
from cryoflux.receipts.losses_tree import loss_leaves
from cryoflux.receipts.network_parts import SealedLook, SealedSums
from cryoflux.receipts.profiles import TOLERANCES, Tolerance
from cryoflux.verification.levels import Word
from cryoflux.verification.loss_comparison import Found


@dataclass(frozen=True, slots=True)
class OpenedSums:
    """What a log says of a look, once it is opened."""

    intent: str
    """leaf hash of the announcement of its round"""
    look: SealedLook
    sums: SealedSums
    count: int
    key: bytes
    """of the guest holdout"""
    needed_milli: int
    """evidence that it needed, thousandths"""


@dataclass(frozen=True, slots=True)
class Held:
    """What came of a comparison."""

    word: Word
    said: str
    """what was found, in words"""


def hold_look(opened: OpenedSums, base: Found, new: Found, profile: str) -> Held:
    """Compare losses with what was opened and published of them.

    Args:
        opened: what the log says.
        base: losses and hits of the base, computed here.
        new: the same of what was composed.
        profile: the arithmetic in which the sums were opened, whose tolerance counts.
    """
    evidence, sums = pair_losses(base[0], new[0]), opened.sums
    here = evidence.base_loss, evidence.new_loss, evidence.delta_squared
    said = sums.base_loss_sum, sums.new_loss_sum, int(sums.delta_squared_sum)
    leaves = loss_leaves(range(opened.count), base[0], new[0], base[1], new[1])
    same_root = sealed_losses_root(leaves, opened.key, opened.intent) == opened.look.losses_root
    level = certified_level(evidence, opened.needed_milli)
    if here == said and same_root:
        return Held(Word.EXACT, _verdict(level))
    if here == said:
        return Held(Word.REFUTED, "losses have the opened sums, but the published root is over other losses")
    deltas = [old - now for old, now in zip(base[0], new[0], strict=True)]
    room = _room(TOLERANCES[profile], deltas)
    names = "base losses", "losses", "squares of Δ"
    for what, mine, theirs, most in zip(names, here, said, room, strict=True):
        if abs(mine - theirs) > most:
            return Held(Word.REFUTED, f"its {what} add up to {mine} here, and {theirs} was opened")
    if level != opened.look.level:
        return Held(Word.OPEN, f"its sums are a rounding apart here, and certify {_delta(level)}")
    return Held(
        Word.TOLERATED,
        "its sums are reproduced within tolerance, so its root of losses is over integers that are not known",
    )


def _room(tolerance: Tolerance, deltas: list[int]) -> tuple[int, int, int]:
    """How far sums of losses of base and candidate, and of squares of Δ, may honestly be apart."""
    count = len(deltas)
    off = min(count, max(1, int(tolerance.off_share * count))) if tolerance.each else 0
    each = max(tolerance.each, min(tolerance.each * off, tolerance.mean * count)) if off else 0
    # Of so many examples Δ is off by twice what a loss is, and those may be the ones where it is largest.
    apart = 2 * tolerance.each
    most = nlargest(2 * off, map(abs, deltas))
    return each, each, sum(2 * delta * apart + apart * apart for delta in most)


def _verdict(level: int) -> str:
    return f"its sums and the root of its losses follow from the models, and certify {_delta(level)}"


def _delta(level: int) -> str:
    return f"Δ > {level / NANO:g}" if level else "nothing"
