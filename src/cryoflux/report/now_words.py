"""What a run does now, in words."""

from __future__ import annotations

__all__ = [
    "STEP_WORDS",
    "clock_time",
    "doing_words",
    "duration_words",
    "end_words",
    "lasting_words",
    "projection_words",
    "state_words",
]

from collections.abc import Mapping
from datetime import UTC, datetime

from cryoflux.attempt.watch import Step
from cryoflux.quantities import format_energy
from cryoflux.queries.activity import Activity, CountNow
from cryoflux.queries.advice import END_CLAUSES
from cryoflux.queries.budget import Lasting, Projection

STEP_WORDS: Mapping[Step, str] = {
    Step.SAMPLE: "Sample the bucket",
    Step.SCHEDULE: "Choose a recipe",
    Step.ANNOUNCE: "Announce it in the log",
    Step.RESERVE: "Reserve joules",
    Step.TRAIN: "Train and screen",
    Step.EVALUATE: "Evaluate on the holdout",
    Step.DECIDE: "Decide",
    Step.MERGE: "Merge into the head",
    Step.SETTLE: "Settle the joules",
    Step.RECORD: "Record the receipt",
}
_WAITS = {
    "budget": "for energy or data: the bucket pays for no attempt",
    "plateau": "for data or energy: no recipe is expected to pay",
    "agent": "for the JouleAgent, which does not answer",
}
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


def state_words(activity: Activity) -> str:
    """``attempting #6``: what a run does, in a few words."""
    if activity.died:
        return "died"
    if activity.end is not None:
        return "ended"
    if activity.phase == "attempting" and activity.attempt is not None:
        return f"attempting #{activity.attempt.number}"
    return "between attempts" if _is_between(activity) else activity.phase


def _is_between(activity: Activity) -> bool:
    """Whether what takes a while comes after an attempt of the run, and before another one."""
    made = activity.attempt is not None or (activity.budget is not None and activity.budget.attempts_uj > 0)
    return activity.phase == "preparing" and made


def doing_words(activity: Activity) -> str:
    """What a run does beside attempts, or why it has ended, as a clause; empty where nothing is to say."""
    if activity.died:
        return "it is gone without a word; the next run records what it had begun"
    if activity.end is not None:
        return end_words(activity.end.word)
    if activity.phase in {"preparing", "closing"} and activity.doing is not None:
        return _counted(activity.doing)
    if activity.phase == "waiting":
        return _WAITS.get(activity.waiting_for, activity.waiting_for)
    return ""


def _counted(count: CountNow) -> str:
    return f"{count.what}, {count.done} of {count.total}" if count.total > 1 else count.what


def end_words(word: str) -> str:
    """Why a run has ended, as a clause."""
    return END_CLAUSES.get(word, word)


def clock_time(at: float, now: float) -> str:
    """``12:41 UTC``, with the day where it is another one."""
    moment, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return f"{moment:%H:%M} UTC" if moment.date() == today.date() else f"{moment:%Y-%m-%d %H:%M} UTC"


def duration_words(seconds: float) -> str:
    """``42 s``, ``7 min``, ``3.5 h``, ``12 days``."""
    if seconds < 2 * _MINUTE_S:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < 2 * _DAY_S:
        return f"{seconds / _HOUR_S:.1f} h"
    return f"{seconds / _DAY_S:.0f} days"


def lasting_words(lasts: Lasting, now: float) -> str:
    """How long what is left lasts at the watts of now, as a sentence that says that it is an estimate."""
    until = f"{clock_time(lasts.ends_at, now)}, in {duration_words(lasts.ends_at - now)}"
    return (
        f"At the {lasts.net_w:.1f} W net of now, {format_energy(lasts.left_uj)} last until about {until}: "
        "an estimate, as if the run were charged all that the machine draws above rest."
    )


def projection_words(projection: Projection, now: float) -> str:
    """When a run ends, and what that goes by, as a sentence that says that it is a projection."""
    count = projection.attempts
    seen = "the last one" if projection.seen == 1 else f"the last {projection.seen}"
    basis = (
        f"{format_energy(round(projection.each_uj))} and {duration_words(projection.each_s)} "
        f"an attempt, as {seen} took"
    )
    if not count:
        return f"No further attempt fits at {basis}: it should end soon (a projection)."
    fits = "1 more attempt fits" if count == 1 else f"{count} more attempts fit"
    why = ", when its time is over" if projection.by_deadline else ""
    until = f"{clock_time(projection.ends_at, now)}, in {duration_words(projection.ends_at - now)}"
    return f"About {fits}, until about {until}{why}: a projection, from {basis}."
