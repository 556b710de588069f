"""Several states side by side: what each has come to, on one scale of energy."""

from __future__ import annotations

__all__ = ["StateShown", "page"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryoflux.log_view import LogSummary
from cryoflux.pages.charts.bars import BarRow, bar_rows
from cryoflux.pages.scene import Page, Scene
from cryoflux.quantities import Energy
from cryoflux.queries.activity import read_activity
from cryoflux.report.headline import headline
from cryoflux.report.now_words import state_words
from cryoflux.state import StateFolder


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


def page(scenes: Sequence[Scene], problems: Mapping[str, str]) -> Page:
    """The page of some states as they are.

    Args:
        scenes: of the states.
        problems: name of a state → why its log cannot be read.
    """
    summaries = [scene.followed.summary() for scene in scenes]
    spent = [_spent(summary) for summary in summaries]
    bars = iter(bar_rows([("", "", "kept", energy) for energy in spent if energy is not None]))
    rows = [
        _shown(scene, summary, next(bars) if energy is not None else None, problems.get(scene.name, ""))
        for scene, summary, energy in zip(scenes, summaries, spent, strict=True)
    ]
    units = {total.unit for summary in summaries if summary is not None for total in summary.tasks}
    values = {"rows": rows, "one_unit": len(units) <= 1}
    return Page("overview.html", "States", section="", values=values)


def _spent(summary: LogSummary | None) -> Energy | None:
    return (summary.all_in or summary.energy) if summary is not None else None


def _shown(scene: Scene, summary: LogSummary | None, charged: BarRow | None, problem: str) -> StateShown:
    activity = read_activity(StateFolder(scene.followed.state), now=scene.now)
    return StateShown(
        name=scene.name,
        href=scene.link("/"),
        folder=str(scene.followed.state),
        now=state_words(activity) if activity is not None else "",
        headline=headline(summary) if summary is not None else "Nothing has been tried yet.",
        summary=summary,
        charged=charged,
        whole=summary is not None and summary.all_in is not None,
        problem=problem,
    )
