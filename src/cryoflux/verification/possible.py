"""Part of step 10: whether a figure is possible by itself, before anybody else is asked.

It lies within its interval, gives nothing back, and is the sum of what it is divided into: of its phases,
which say into what the joules went, and of its parts, which say whose meter charged them.
"""

from __future__ import annotations

__all__ = ["impossible"]

from collections.abc import Iterator

from cryoflux.energy.interface import is_lent
from cryoflux.receipts.charged import EnergyFigure, MeteredPart, PhaseFigure
from cryoflux.verification.metered import Metered

_SUMS = {
    "microjoules": "joules",
    "lo_microjoules": "lower end",
    "hi_microjoules": "upper end",
    "reserved_microjoules": "reservation",
    "cpu_microseconds": "CPU time",
    "tier": "tier",
    "sources": "sources",
    "flags": "flags",
    "baseline": "baseline",
    "curve": "curve",
    "settlement": "statement of a meter",
}
"""what of a figure follows from its parts → how a finding names it"""


def impossible(said: Metered) -> Iterator[str]:
    """What is wrong with a figure, whatever it is of.

    Args:
        said: an entry's figure.
    """
    figure = said.figure
    if not figure.lo_microjoules <= figure.microjoules <= figure.hi_microjoules:
        yield "its joules lie outside their own interval"
    if figure.microjoules < 0 or figure.lo_microjoules < 0:
        yield "says that it gave energy back; nobody is paid for having run"
    if figure.phases:
        yield from _torn(figure, figure.phases)
    yield from _torn_apart(said)


def _torn(figure: EnergyFigure, phases: list[PhaseFigure]) -> Iterator[str]:
    """Whether the phases are another story than the figure."""
    if figure.unmetered:
        yield "tells the phases of what nobody here metered"
    if len({phase.name for phase in phases}) != len(phases):
        yield "tells a phase twice"
    if any(not p.lo_microjoules <= p.microjoules <= p.hi_microjoules for p in phases):
        yield "has a phase whose joules lie outside their own interval"
    ends = ((p.microjoules, p.lo_microjoules, p.hi_microjoules) for p in phases)
    uj, lo_uj, hi_uj = map(sum, zip(*ends, strict=True))
    charged = (figure.microjoules, figure.lo_microjoules, figure.hi_microjoules)
    if (uj, lo_uj, hi_uj) != charged:
        found = "has phases that add up to {} [{}, {}] µJ, but was charged {} [{}, {}] µJ"
        yield found.format(uj, lo_uj, hi_uj, *charged)


def _torn_apart(said: Metered) -> Iterator[str]:
    """Whether the parts are another story than the figure, or no parts that there can be."""
    if is_lent(said.request):
        yield f"is called {said.request}, as joules are that were lent to a worker"
    figure = said.figure
    if not figure.parts:
        return
    if not figure.in_order:
        yield "has parts that are not its coordinator's and then those of workers by name, each once"
        return
    due = EnergyFigure.of_parts(figure.parts, assurance=figure.assurance)
    for name, words in _SUMS.items():
        told, comes_to = getattr(figure, name), getattr(due, name)
        if told != comes_to:
            yield f"says another {words} ({told}) than its parts come to ({comes_to})"
    for shown in said.parts:
        yield from shown.told(_impossible_part(shown.part))


def _impossible_part(part: MeteredPart) -> Iterator[str]:
    if not part.lo_microjoules <= part.microjoules <= part.hi_microjoules:
        yield "says joules outside of their own interval"
    if part.microjoules < 0 or part.lo_microjoules < 0:
        yield "says that it gave energy back; nobody is paid for having run"
