"""What an attempt or a session was charged, as its entry says it, and how that is known.

Where several meters charged it, as where workers train on other machines, it says what each of them charged,
and the figure is their sum. The first part is of the coordinator, whose run it is and who signs the entry;
it is there even where it was charged nothing, for somebody announced, judged and settled. The others are of
workers, each once, in the order of their names. One part alone would say what a figure without parts says,
and is not one.

Figures are integer microjoules.
"""

from __future__ import annotations

__all__ = [
    "MOST_PARTS",
    "NEVER_RESERVED",
    "PARTS_BYTES",
    "PHASES",
    "SETTLED_ELSEWHERE",
    "UNTOLD",
    "WORKER_LOST",
    "BatchJob",
    "EnergyFigure",
    "MeteredPart",
    "PhaseFigure",
    "bytes_of_parts",
]

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta, field

from cryoflux.quantities import SO_FAR, Energy, Tier, worst_tier
from cryoflux.signing.fields import END_OF_TEXT, Count, Document, Sha256, Signed, Text, at_most

MOST_PARTS = 64
"""of one figure, the coordinator's included"""
PARTS_BYTES = 30_000
"""most that whoever writes an entry plans for its parts: all of it has 60,000 bytes at most, as base64"""
WorkerName = Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9._-]{0,63})?" + END_OF_TEXT)]
"""What a worker is called in its log; of few characters, as the account's request ids end in it."""
_Settlement = Annotated[str, Meta(max_length=16_000)]


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
WORKER_LOST = "worker-lost"
"""flag: its worker went away and its meter said nothing; all that it reserved was spent, or more"""
UNTOLD = frozenset({SETTLED_ELSEWHERE, SO_FAR, WORKER_LOST})
"""flags of what was spent, or may have been, and no meter told to its end"""


PHASES = ("evaluate-base", "prepare", "train", "merge", "evaluate", "decide", "settle")
"""what an attempt is charged for, in about the order in which it comes to them"""


class PhaseFigure(Document, frozen=True):
    """What of an attempt's joules went into one of its phases; the phases add up to the figure.

    Each is what the meter's figure grew by while the phase went on, and so are both ends, which err together.
    None is negative: what the meter took back later, up to its settlement, is left out where it was told, so
    that it lies with the newest phases before the correction and nothing is told twice.
    """

    name: Text
    """``evaluate-base`` (the head's losses, where nobody had measured them), ``prepare`` (what frozen layers
    make of examples), ``train`` (with the screen), ``merge``, ``evaluate``, ``decide``; ``settle`` has what
    is left"""
    microjoules: Count
    lo_microjoules: Count
    hi_microjoules: Count


class MeteredPart(Document, frozen=True):
    """What one meter charged, where more than one did; each signs what is its own."""

    worker: WorkerName
    """whose meter it was; empty for the coordinator, who signs the entry"""
    boot: Text
    """boot id of the machine that was metered, as its meter signed it; empty where it is unknown"""
    microjoules: Signed
    lo_microjoules: Signed
    hi_microjoules: Signed
    reserved_microjoules: Count
    """what the coordinator set aside or lent for it, and the meter reserved"""
    tier: Tier
    sources: list[Text]
    baseline: Sha256
    """digest of that machine's frozen idle baseline"""
    curve: Text
    flags: list[Text]
    """``so-far`` where it is the last that the meter of a lost worker signed: only its upper end may then be
    more than was signed; ``worker-lost`` where it signed nothing"""
    cpu_microseconds: Count
    settlement: _Settlement = ""
    """the same figures signed by that meter"""

    @property
    def unmetered(self) -> bool:
        """Whether it says that nobody here metered it."""
        return NEVER_RESERVED in self.flags or SETTLED_ELSEWHERE in self.flags

    @property
    def energy(self) -> Energy:
        """The part with its interval."""
        interval = (self.microjoules, self.lo_microjoules, self.hi_microjoules)
        return Energy(*interval, self.tier, tuple(self.flags))


def bytes_of_parts(parts: Iterable[MeteredPart]) -> int:
    """What some parts take of an entry, before it is written in base64."""
    return sum(len(msgspec.json.encode(part)) + 1 for part in parts)


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
    settlement: _Settlement = ""
    """the same figures signed by the meter: a DSSE envelope of its own (energy.account.settlement); empty
    where it has parts, each of which has its own"""
    job: BatchJob | None = None
    """left out where the run was part of none"""
    phases: Annotated[list[PhaseFigure], at_most(16)] = field(default_factory=list)
    """of an attempt, those that it came to; none where the meter did not say, as of what a
    run that died left open, and of a session, which is a remainder; only whoever signs the receipt says so"""
    parts: Annotated[list[MeteredPart], at_most(MOST_PARTS, least=2)] = field(default_factory=list)
    """what each meter charged, where more than one did: the coordinator's first, then those of workers by
    their names. Joules, both ends, reservation and CPU time are their sums, the tier is the weakest, sources
    and flags are those of all, sorted; baseline and curve are the coordinator's"""

    @classmethod
    def of_parts(
        cls,
        parts: Sequence[MeteredPart],
        *,
        assurance: Literal["self-reported", "other-machine"] = "self-reported",
        job: BatchJob | None = None,
        phases: Sequence[PhaseFigure] = (),
    ) -> Self:
        """What several meters charged together; where it is the coordinator's alone, a figure without parts.

        Args:
            parts: the coordinator's, and one of each worker, in any order.
            assurance: what is told of who metered.
            job: the batch job of the run; none where it was part of none.
            phases: what went into each phase; they add up to the sum.

        Raises:
            ValueError: the coordinator's is not among them, or a worker is named twice.
        """
        ordered = sorted(parts, key=lambda part: part.worker)
        if not _named_once(ordered):
            raise ValueError("parts are one of the coordinator's, and at most one of each worker's")
        own, alone = ordered[0], len(ordered) == 1
        return cls(
            microjoules=sum(part.microjoules for part in ordered),
            lo_microjoules=sum(part.lo_microjoules for part in ordered),
            hi_microjoules=sum(part.hi_microjoules for part in ordered),
            reserved_microjoules=sum(part.reserved_microjoules for part in ordered),
            tier=worst_tier(part.tier for part in ordered),
            sources=own.sources if alone else sorted({name for part in ordered for name in part.sources}),
            baseline=own.baseline,
            curve=own.curve,
            flags=own.flags if alone else sorted({flag for part in ordered for flag in part.flags}),
            assurance=assurance,
            cpu_microseconds=sum(part.cpu_microseconds for part in ordered),
            settlement=own.settlement if alone else "",
            job=job,
            phases=list(phases),
            parts=[] if alone else ordered,
        )

    @property
    def by_meter(self) -> tuple[MeteredPart, ...]:
        """What each meter charged; all of it as the coordinator's, where only one did."""
        if self.parts:
            return tuple(self.parts)
        shared = {name: getattr(self, name) for name in MeteredPart.__struct_fields__ if hasattr(self, name)}
        return (MeteredPart(worker="", boot="", **shared),)

    @property
    def own(self) -> MeteredPart:
        """What the meter of the coordinator charged: all of it, where no other did."""
        return self.by_meter[0]

    @property
    def in_order(self) -> bool:
        """Whether its parts, if it has any, are the coordinator's and then those of workers, each once."""
        return not self.parts or (len(self.parts) > 1 and _named_once(self.parts))

    @property
    def unmetered(self) -> bool:
        """Whether it says that nobody here metered any of it."""
        if self.parts:
            return all(part.unmetered for part in self.parts)
        return NEVER_RESERVED in self.flags or SETTLED_ELSEWHERE in self.flags

    @property
    def known_tier(self) -> Tier:
        """How well it is known: what no meter told to its end is as good as modelled, whoever began to."""
        return self.tier if UNTOLD.isdisjoint(self.flags) else Tier.MODELLED

    @property
    def energy(self) -> Energy:
        """The figure with its interval, as every stage has it."""
        interval = (self.microjoules, self.lo_microjoules, self.hi_microjoules)
        return Energy(*interval, self.tier, tuple(self.flags))


def _named_once(parts: Sequence[MeteredPart]) -> bool:
    """Whether the first is the coordinator's, and each worker comes after those before it by name."""
    return bool(parts) and not parts[0].worker and all(a.worker < b.worker for a, b in pairwise(parts))
