"""Whether the gains of a line of updates are of one reading, so that they can be added.

Each gain is a difference of two losses, and a sum of them is what the line gained only if each update begins
where the one before it ended: with the same head, which has one loss on one set of examples. Where receipts
say otherwise, the head was read in another way in between, such as with another limit of tokens, and the sum
is of nothing. Over two holdouts it is a sum of two measurements, which is said.
"""

from __future__ import annotations

__all__ = ["broken_line", "count_readings", "room_for_hits"]

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TypeAlias

from cryoflux.receipts.profiles import F32, TOLERANCES
from cryoflux.receipts.statement import Evaluation, Receipt

Kept: TypeAlias = tuple[Receipt, Evaluation]


def broken_line(kept: Sequence[Kept]) -> str:
    """Why the gains of updates that a head rests on cannot be added; empty where they can.

    Args:
        kept: receipts of one task and what they say of losses, in the order of the log.
    """
    for before, (receipt, said) in _followed(kept):
        if before is None:
            continue
        found, profiles = before[1], {before[1].profile, said.profile}
        tolerance = TOLERANCES.get(F32 if F32 in profiles else said.profile)
        apart = abs(Fraction(found.new_loss_sum, found.read) - Fraction(said.base_loss_sum, said.read))
        most = (tolerance.mean, Fraction(tolerance.each, said.read)) if tolerance is not None else (0,)
        if all(apart > one for one in most):
            return (
                f"Receipt {receipt.task.id} begins with another loss of the head than the one before it "
                "ended with: they were read in two ways, and gains by the one are none by the other."
            )
    return ""


def count_readings(evaluated: Iterable[Kept]) -> int:
    """How many holdouts, or ways to compute a loss on them, evaluations are of."""
    return len({(receipt.holdout.sha256, said.profile) for receipt, said in evaluated})


def room_for_hits(kept: Sequence[Kept]) -> Fraction:
    """How much of an accuracy gain may be what ``f32/v1`` tolerates, as a share.

    A prediction may change sides between two honest machines, so hits of a head are known up to a few. Of a
    line that only counts at its ends, and where two receipts count the hits of the head between them apart.

    Args:
        kept: as in `broken_line`.
    """
    room, ends = Fraction(), dict[str, Fraction]()
    for before, (receipt, said) in _followed(kept):
        flips = Fraction(int(TOLERANCES[F32].flips_in(said.read)) if said.profile == F32 else 0, said.read)
        if before is None:
            room += flips
        else:
            ends.pop(receipt.base.digest, None)
            hits = before[1].hits.new if before[1].hits is not None else 0
            if F32 in {before[1].profile, said.profile} and said.hits is not None:
                room += Fraction(abs(hits - said.hits.base), said.read)
        ends[said.candidate.digest] = flips
    return room + sum(ends.values())


def _followed(kept: Sequence[Kept]) -> Iterator[tuple[Kept | None, Kept]]:
    """Each kept update, and the one whose result it began with, if that was read on the same examples."""
    made: dict[str, Kept] = {}
    for receipt, said in kept:
        before = made.get(receipt.base.digest)
        same = before is not None and before[0].holdout.sha256 == receipt.holdout.sha256
        yield before if same else None, (receipt, said)
        made[said.candidate.digest] = (receipt, said)
