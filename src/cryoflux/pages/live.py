"""The page ``/``: what happens now, and what the budget has bought."""

from __future__ import annotations

__all__ = ["page"]

from collections.abc import Sequence
from typing import Any

from cryoflux.energy.interface import Sample
from cryoflux.errors import CryoFluxError
from cryoflux.log_view import LogSummary
from cryoflux.pages.attempts import rows_of, signature
from cryoflux.pages.charts.budget import budget_bar
from cryoflux.pages.now import ended_of, steps_of, watts_of
from cryoflux.pages.scene import Page, Scene
from cryoflux.quantities import RangeKind
from cryoflux.queries.activity import Activity, read_activity
from cryoflux.queries.budget import budget_of
from cryoflux.receipts.attempts import Attempt
from cryoflux.report.headline import headline, lede
from cryoflux.report.now_words import (
    clock_time,
    doing_words,
    duration_words,
    projection_words,
    state_words,
)
from cryoflux.state import StateFolder

_LAST = 5
_MARKS = 12
_SILENT_S = 5.0
"""a meter is asked once a second: after so long it is silent"""


def page(scene: Scene, sample: Sample | None = None, trouble: CryoFluxError | None = None) -> Page:
    """The page of a state as it is.

    Args:
        scene: at it.
        sample: of a meter that runs by itself; none where there is none, or a run has its own.
        trouble: why the log cannot be read, or not to its end; none where it can.
    """
    activity = read_activity(StateFolder(scene.followed.state), now=scene.now)
    attempts, summary = scene.followed.attempts, scene.followed.summary()
    pictures = signature(scene, attempts, in_full=_MARKS)
    values: dict[str, Any] = {
        "screened": any(name == "screened" for _, drawn in pictures for name, *_ in drawn.kinds),
        "crowded": any(sum(count for *_, count in drawn.kinds) > drawn.shown for _, drawn in pictures),
        "empty": activity is None and summary is None and trouble is None,
        **_come_to(summary, attempts, unknown=trouble is not None),
        "modelled": any(attempt.range_kind is RangeKind.PLAUSIBLE for attempt in attempts),
        "pictures": pictures,
        "rows": rows_of(scene, attempts[: -_LAST - 1 : -1]),
        "warnings": list(_warnings(activity, trouble)),
        "activity": activity,
        "chip": _chip(activity),
        "watts": watts_of(scene, activity, sample),
        "steps": steps_of(activity, scene.now),
        "ended": ended_of(scene, activity),
        **_budget(scene, activity),
    }
    return Page("live.html", "Live", section="live", values=values)


def _come_to(summary: LogSummary | None, attempts: Sequence[Attempt], *, unknown: bool) -> dict[str, str]:
    if summary is not None:
        return {"headline": headline(summary), "lede": lede(summary, attempts)}
    if unknown:
        return {"headline": "What was judged is not known.", "lede": "Its log cannot be read."}
    return {"headline": "Nothing judged yet.", "lede": "No attempt has ended yet."}


def _warnings(activity: Activity | None, trouble: CryoFluxError | None) -> Sequence[tuple[str, str]]:
    """What somebody has to know first: in a few words, and what to do about it."""
    found = []
    if trouble is not None:
        found.append((f"The log cannot be read: {trouble.what}", trouble.hint or trouble.why))
    if activity is not None and activity.died:
        what = f"The run has died (process {activity.pid})."
        found.append((what, "The next run on this state records what it had begun, and goes on."))
    if activity is not None and activity.silent_s is not None and activity.silent_s > _SILENT_S:
        what = f"The meter has been silent for {duration_words(activity.silent_s)}."
        found.append((what, "No watts are known since; what was shown last is no figure of now."))
    return found


def _chip(activity: Activity | None) -> dict[str, str] | None:
    if activity is None:
        return None
    word = state_words(activity)
    doing = doing_words(activity) if activity.end is None else ""  # why it has ended stands below
    return {"name": word.split()[0], "word": word, "doing": doing}


def _budget(scene: Scene, activity: Activity | None) -> dict[str, Any]:
    view = budget_of(scene.followed, activity, scene.now)
    if view is None:
        return {"budget": None}
    projected = projection_words(view.projection, scene.now) if view.projection is not None else ""
    deadline = activity.deadline_at if activity is not None and activity.alive else None
    return {
        "budget": view,
        "bar": budget_bar(view, lambda number: scene.link(f"/attempts/{number}")),
        "projected": projected,
        "deadline": clock_time(deadline, scene.now) if deadline is not None else "",
    }
