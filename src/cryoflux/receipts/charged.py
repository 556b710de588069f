"""What an attempt or a session was charged, as its entry says it, and how that is known.

Figures are integer microjoules.
"""

from __future__ import annotations

__all__ = ["NEVER_RESERVED", "PHASES", "SETTLED_ELSEWHERE", "BatchJob", "EnergyFigure", "PhaseFigure"]

from typing import Annotated, Literal

from msgspec import Meta, field

from cryoflux.quantities import Energy, Tier
from cryoflux.signing.fields import Count, Document, Sha256, Signed, Text, at_most


class BatchJob(Document, frozen=True):
    """The job of a batch scheduler that the run was part of, as its environment said."""

    scheduler: Literal["slurm"]
    id: Count
    step: Count | None = None
    rank: Count | None = None
    """number of the process among all of the step"""
    local_rank: Count | None = None
    """the same among those of its node"""


NEVER_RESERVED = "never-reserved"
"""flag: the attempt ended before joules were taken for it"""
SETTLED_ELSEWHERE = "settled-elsewhere"
"""flag: another meter than the one that closed the attempt has its joules; up to all of them were spent"""


PHASES = ("evaluate-base", "train", "merge", "evaluate", "decide", "settle")
"""what an attempt is charged for, in the order in which it comes to them first"""


class PhaseFigure(Document, frozen=True):
    """What of an attempt's joules went into one of its phases; the phases add up to the figure.

    Each is what the meter's figure grew by while the phase went on, and so are both ends, which err together.
    None is negative: what the meter took back later, up to its settlement, is left out where it was told, so
    that it lies with the newest phases before the correction and nothing is told twice.
    """

    name: Text
    """``evaluate-base`` (the head's losses, where nobody had measured them), ``train`` (with
    preparing examples, and the screen), ``merge``, ``evaluate``, ``decide``; ``settle`` has what is left"""
    microjoules: Count
    lo_microjoules: Count
    hi_microjoules: Count


class EnergyFigure(Document, frozen=True):
    """What the attempt was charged, and how that is known."""

    microjoules: Signed
    lo_microjoules: Signed
    hi_microjoules: Signed
    reserved_microjoules: Count
    tier: Tier
    sources: list[Text]
    baseline: Sha256
    """digest of the frozen idle baseline"""
    curve: Text
    """id of the power curve of a modelled source; empty without one"""
    flags: list[Text]
    assurance: Literal["self-reported", "other-machine"]
    """what was told of who metered; a label of whoever signs the receipt, by which nothing is judged"""
    cpu_microseconds: Count
    """CPU time of the process during the attempt"""
    settlement: Annotated[str, Meta(max_length=16_000)] = ""
    """the same figures signed by the meter: a DSSE envelope of its own (energy.account.settlement)"""
    job: BatchJob | None = None
    """left out where the run was part of none"""
    phases: Annotated[list[PhaseFigure], at_most(16)] = field(default_factory=list)
    """of an attempt, in the order in which it came to them; none where the meter did not say, as of what a
    run that died left open, and of a session, which is a remainder; only whoever signs the receipt says so"""

    @property
    def unmetered(self) -> bool:
        """Whether it says that nobody here metered it."""
        return NEVER_RESERVED in self.flags or SETTLED_ELSEWHERE in self.flags

    @property
    def energy(self) -> Energy:
        """The figure with its interval, as every stage has it."""
        interval = (self.microjoules, self.lo_microjoules, self.hi_microjoules)
        return Energy(*interval, self.tier, tuple(self.flags))
