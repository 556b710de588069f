"""Some attempts side by side: what they gained and cost, in what they differ, and whether that is fair."""

from __future__ import annotations

__all__ = ["MOST_COMPARED", "PairedGap", "SideBySide", "side_by_side"]

from collections.abc import Sequence
from dataclasses import dataclass

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.interval import fixed_interval
from cryoflux.queries.followed import Followed
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.statement import Intent, Receipt
from cryoflux.state import StateFolder
from cryoflux.verification.pairing import Pairing, read_losses

MOST_COMPARED = 5
_MOST_PAIRED = 50_000
"""examples that are paired for a page"""


@dataclass(frozen=True, slots=True)
class PairedGap:
    """How much better what one attempt made does than what another made, on the same examples."""

    better: int
    """number of the attempt whose version has the lower loss"""
    worse: int
    mean: float
    """in the unit of the losses, not below zero"""
    low: float
    """lower end of its 95 % interval, for this comparison alone"""
    high: float
    count: int

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Attempts side by side."""

    attempts: tuple[Attempt, ...]
    differing: tuple[tuple[str, tuple[str | int | None, ...]], ...]
    """settings of the recipes that are not the same everywhere: name, and each attempt's value"""
    alike: int
    """settings that are"""
    unlike: tuple[str, ...]
    """what makes the gains no fair comparison, in words; empty where nothing does"""
    gaps: tuple[PairedGap, ...]
    """the best version beside each other one, where their losses are of the same examples and are here"""


def side_by_side(followed: Followed, numbers: Sequence[int]) -> SideBySide:
    """The finished attempts among some numbers, at most `MOST_COMPARED`, in the order that they were made.

    Raises:
        StateTamperedError: an entry is not there any more, or not well formed.
    """
    wanted = sorted(set(numbers))
    known = [one for number in wanted if (one := followed.attempt(number)) is not None][:MOST_COMPARED]
    found = [(one, said[1]) for one in known if (said := followed.receipt_of(one.number)) is not None]
    attempts, receipts = [one for one, _ in found], [receipt for _, receipt in found]
    intents = [followed.intent_of(one.number) for one in attempts]
    recipes = [intent.recipe if intent is not None else {} for intent in intents]
    names = sorted({name for recipe in recipes for name in recipe})
    rows = [(name, tuple(recipe.get(name) for recipe in recipes)) for name in names]
    differing = tuple(row for row in rows if len(set(row[1])) > 1)
    return SideBySide(
        attempts=tuple(attempts),
        differing=differing,
        alike=len(rows) - len(differing),
        unlike=tuple(_unlike(attempts, receipts, intents)),
        gaps=tuple(_gaps(followed, found)),
    )


def _unlike(
    attempts: Sequence[Attempt], receipts: Sequence[Receipt], intents: Sequence[Intent | None]
) -> list[str]:
    said = []
    if len({one.task for one in attempts}) > 1:
        said.append("they are of different tasks, so their Δ measure different things")
    elif len({intent.metric.unit for intent in intents if intent is not None}) > 1:
        said.append("their losses have different units")
    if len({one.holdout.sha256 for one in receipts}) > 1:
        said.append("they were judged on different holdouts")
    if len({one.base for one in attempts}) > 1:
        said.append("they set out from different versions: who comes later has less left to gain")
    if len({one.delta is None for one in attempts}) > 1:
        said.append("not all of them were judged on the holdout")
    if len({one.tier for one in attempts}) > 1:
        said.append("their joules were not told in the same way")
    return said


def _gaps(followed: Followed, found: Sequence[tuple[Attempt, Receipt]]) -> list[PairedGap]:
    """The best version beside each other, where all that are judged read the same examples."""
    read = [
        (one, receipt, losses) for one, receipt in found if (losses := _losses(followed, receipt)) is not None
    ]
    same = {(receipt.holdout.sha256, len(losses.new)) for _, receipt, losses in read}
    if len(read) < 2 or len(same) > 1:
        return []
    best = min(read, key=lambda row: sum(row[2].new))
    return [_gap(best[0], one, best[2], losses) for one, _, losses in read if one.number != best[0].number]


def _gap(best: Attempt, other: Attempt, ours: Pairing, theirs: Pairing) -> PairedGap:
    found = pair_losses(theirs.new, ours.new)
    return PairedGap(best.number, other.number, found.delta_mean, *fixed_interval(found), found.count)


def _losses(followed: Followed, receipt: Receipt) -> Pairing | None:
    """Its losses on the whole holdout; of a part of it the examples may be others."""
    said = receipt.evaluation
    if said is None or said.read != receipt.holdout.count or said.read > _MOST_PAIRED:
        return None
    try:
        return read_losses(StateFolder(followed.state).losses(said.per_example), said.per_example, said.read)
    except ValueError:
        return None
