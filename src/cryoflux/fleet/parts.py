"""What a worker's meter charged where it does not say it to the end, and both meters' parts in one figure."""

from __future__ import annotations

__all__ = ["last_part", "most_workers", "signed_energy", "with_parts"]

from collections.abc import Sequence

from cryoflux.attempt.metered_parts import lost_part, own_part, signed_part
from cryoflux.energy.account.settlement import read_settlement
from cryoflux.errors import VerificationError
from cryoflux.quantities import SO_FAR, Energy
from cryoflux.receipts.charged import PARTS_BYTES, EnergyFigure, MeteredPart

_WIDEST = 4
"""how many times a modelled figure the truth may be, and some more"""
_OVERDRAFT = 10
"""a worker sees after a step, or a look at the screen, that its joules are used up: one part of so many"""

_PART_BYTES, _SOURCE_BYTES = 1_700, 400
"""what a part of an entry takes, and what each source of its meter adds; measured, and a tenth more"""


def most_workers(sources: int) -> int:
    """How many workers a session can tell of: its entry has a part for each, those that were lost included.

    Args:
        sources: of a worker's meter, the most that one has.
    """
    return PARTS_BYTES // (_PART_BYTES + _SOURCE_BYTES * max(1, sources)) - 1  # one is the coordinator's


def last_part(worker: str, word: str, lent_uj: int, baseline: str) -> MeteredPart:
    """Of a worker of which nothing more is heard: what its meter signed last, and what may have followed.

    It trains until its own meter says that what was lent is used up, or until nobody asks for it any more.
    How far that meter's figure may lie below the truth is told by its last word; where there is none, a
    modelled one is taken for it, which is the widest, and all that was lent is charged.

    Args:
        worker: whose meter it is.
        word: that it signed last; empty where nothing came.
        lent_uj: what was lent for it, µJ.
        baseline: digest of the coordinator's idle baseline.
    """
    try:
        said = signed_part(worker, word) if word else None
    except VerificationError:  # whoever changed the file of it has changed nothing else
        said = None
    if said is None:
        lost = lost_part(worker, lent_uj, boot="", baseline=baseline)
        return lost.but(microjoules=lent_uj, hi_microjoules=_WIDEST * lent_uj)
    if SO_FAR not in said.flags:  # it is no last word, but what was settled
        return said
    above_uj = max(0, said.hi_microjoules - max(0, said.microjoules))
    share_uj = min(above_uj * lent_uj // max(1, said.microjoules), _WIDEST * lent_uj)
    most_uj = lent_uj + lent_uj // _OVERDRAFT + share_uj
    return said.but(hi_microjoules=max(said.hi_microjoules, most_uj))


def with_parts(own: EnergyFigure, theirs: Sequence[MeteredPart]) -> EnergyFigure:
    """A figure of this meter together with what workers' meters charged.

    Args:
        own: of this meter alone.
        theirs: one of each worker.
    """
    return EnergyFigure.of_parts([own_part(own), *theirs], job=own.job, phases=own.phases)


def signed_energy(word: str) -> Energy | None:
    """What a meter has signed; none where it has not, or not so that anybody could read it.

    Args:
        word: that it signed; empty where nothing came.
    """
    try:
        said = read_settlement(word) if word else None
    except VerificationError:
        return None
    if said is None:
        return None
    charged = said.charged
    ends = charged.microjoules, charged.lo_microjoules, charged.hi_microjoules
    return Energy(*ends, said.tier, tuple(said.flags))
