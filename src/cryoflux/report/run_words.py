"""When the runs of a state were, how long they took, and where they computed, in words."""

from __future__ import annotations

__all__ = ["computed_on", "run_lines"]

from collections.abc import Iterator, Mapping

from cryoflux.quantities import counted
from cryoflux.queries.results import Results
from cryoflux.report.layout import visible
from cryoflux.report.now_words import duration_words

_WHERE = ("gpu", "processor", "cpu")
"""what a receipt says of the machine, what did the work first"""
_LIBRARIES = ("torch", "transformers")


def run_lines(results: Results) -> Iterator[str]:
    """A sentence about the runs that are on the log, and one about the machine."""
    if results.last_session is not None:
        first, last = results.began_at[:10], results.last_session.ended_at[:10]
        days = f"on {first}" if first == last else f"from {first} to {last}"
        took = f", {duration_words(results.wall_s)} in all" if results.wall_s is not None else ""
        yield f"{counted(results.sessions, 'run')} {days}{took}, by the wall clock of the machine."
    if where := computed_on(results.software):
        with_what = [f"CryoFlux {results.software.get('cryoflux', 'of an unknown version')}"]
        with_what += [f"{name} {results.software[name]}" for name in _LIBRARIES if name in results.software]
        yield f"The newest attempt was computed on {where}, by {', '.join(with_what)}: attested, not proven."


def computed_on(software: Mapping[str, str]) -> str:
    """The processor or GPU that a receipt names, without what it can do; empty where it names none."""
    said = next((software[name] for name in _WHERE if software.get(name)), "")
    return visible(said.partition(",")[0])
