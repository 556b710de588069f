"""Several states side by side: what each has come to, on one scale of energy."""

from __future__ import annotations

__all__ = ["StateSeen", "StateShown", "page"]

from collections.abc import Sequence
from dataclasses import dataclass

from cryoflux.log_view import LogSummary
from cryoflux.pages.charts.bars import BarRow, bar_rows
from cryoflux.pages.scene import Page, Scene
from cryoflux.quantities import Energy
from cryoflux.queries.activity import read_activity
from cryoflux.report.headline import headline
from cryoflux.report.judged_words import judgements_text
from cryoflux.report.now_words import state_words
from cryoflux.state import StateFolder

_NOTHING, _NOT_KNOWN = "Nothing has been tried yet.", "What was tried is not known."


@dataclass(frozen=True, slots=True)
class StateSeen:
    """One of the states, as its log was when it was read."""

    scene: Scene
    summary: LogSummary | None
    """none before its first entry"""
    problem: str
    """why its log cannot be read, or not to its end; empty where it can"""


@dataclass(frozen=True, slots=True)
class StateShown:
    """One of the states."""

    name: str
    href: str
    folder: str
    now: str
    """what its run does; empty where none has left a word"""
    headline: str
    summary: LogSummary | None
    charged: BarRow | None
    """all-in where that is known, else attempts alone; none before the first"""
    whole: bool
    """whether it is all-in"""
    problem: str
    """why its log cannot be read, or not to its end; empty where it can"""
    judged: str
    """how many judgements there are on what others made; empty where there is none"""


def page(states: Sequence[StateSeen]) -> Page:
    """The page of some states as they are."""
    spent = [_spent(seen.summary) for seen in states]
    bars = iter(bar_rows([("", "", "kept", energy) for energy in spent if energy is not None]))
    rows = [
        _shown(seen, next(bars) if energy is not None else None)
        for seen, energy in zip(states, spent, strict=True)
    ]
    units = {total.unit for seen in states if seen.summary is not None for total in seen.summary.tasks}
    values = {"rows": rows, "one_unit": len(units) <= 1}
    return Page("overview.html", "States", section="", values=values)


def _spent(summary: LogSummary | None) -> Energy | None:
    return (summary.all_in or summary.energy) if summary is not None else None


def _shown(seen: StateSeen, charged: BarRow | None) -> StateShown:
    scene, summary = seen.scene, seen.summary
    activity = read_activity(StateFolder(scene.followed.state), now=scene.now)
    return StateShown(
        name=scene.name,
        href=scene.link("/"),
        folder=str(scene.followed.state),
        now=state_words(activity) if activity is not None else "",
        headline=headline(summary) if summary is not None else _NOT_KNOWN if seen.problem else _NOTHING,
        summary=summary,
        charged=charged,
        whole=summary is not None and summary.all_in is not None,
        problem=seen.problem,
        judged=judgements_text(summary.judged) if summary is not None and summary.judged is not None else "",
    )
