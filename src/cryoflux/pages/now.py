"""What the run does now, as the page ``/`` shows it: watts, the ten steps, how the last run ended."""

from __future__ import annotations

__all__ = ["EndShown", "StepRow", "StepsShown", "WattsNow", "ended_of", "steps_of", "watts_of"]

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryoflux.attempt.watch import Step
from cryoflux.energy.interface import Sample
from cryoflux.pages.charts.watts import WattsChart, watts_chart
from cryoflux.pages.scene import Scene
from cryoflux.quantities import Tier, worst_tier
from cryoflux.queries.activity import Activity, AttemptNow, StepMark
from cryoflux.queries.power import PowerPoint, power_since
from cryoflux.report.now_words import STEP_WORDS, clock_time, duration_words, end_words
from cryoflux.state import StateFolder

_SHOWN_S = 300.0
_LEAST_S = 60.0
"""what has just begun is not shown across the whole picture"""
_LARGE = 1e6
_NOW_S = 5.0
"""the watts of now are those of the last seconds that were noted"""


@dataclass(frozen=True, slots=True)
class WattsNow:
    """The power of now, and of the last minutes."""

    net_w: float | None
    """none where nobody knows it now"""
    low_w: float | None
    """none where no range is told"""
    high_w: float | None
    gross_w: float | None
    idle_w: float | None
    tier: Tier | None
    by: str
    """whose figures they are: the run's meter, or the daemon; empty where no meter runs"""
    chart: WattsChart | None
    since: int
    """sequence number before the first point of the chart"""
    to_come: bool = False
    """whether a run goes on whose meter has not begun"""


@dataclass(frozen=True, slots=True)
class StepRow:
    """One of the ten steps in words."""

    state: str
    words: str
    took: str
    """how long, where it has ended or goes on"""
    detail: str
    done: int
    total: int
    """0 where there is no progress to show"""


@dataclass(frozen=True, slots=True)
class StepsShown:
    """The attempt that goes on, or the last one until the next begins."""

    attempt: AttemptNow
    rows: tuple[StepRow, ...]
    goes_on: bool


@dataclass(frozen=True, slots=True)
class EndShown:
    """How the last run ended."""

    words: str
    at: str


def watts_of(scene: Scene, activity: Activity | None, sample: Sample | None) -> WattsNow | None:
    """The power of now; none where the state holds none and no meter runs.

    Args:
        scene: at the state.
        activity: of its run.
        sample: of a daemon, asked just now.
    """
    alive = activity is not None and activity.alive
    end_at = scene.now
    series = power_since(StateFolder(scene.followed.state), 0, most=round(_SHOWN_S) + 1)
    if not alive and series.points:
        end_at = series.points[-1].at
    # What was noted by another clock than ours is of no time that the picture shows.
    points = [point for point in series.points if -_NOW_S <= end_at - point.at <= _SHOWN_S]
    begin_at = max(end_at - _SHOWN_S, min(end_at - _LEAST_S, points[0].at - 1)) if points else end_at - 1
    chart = watts_chart(points, series.gaps, begin_at, end_at)
    since = points[0].sequence - 1 if points else series.newest
    if not alive and sample is not None:
        return _of_daemon(sample, chart, since)
    lately = [point for point in points if alive and point.at > scene.now - _NOW_S]
    if lately:
        return _of_points(lately, chart, since)
    if chart is None and not alive:
        return None
    begun = activity is not None and activity.meter is not None
    by = "the run's meter" if alive and begun else ""
    return WattsNow(None, None, None, None, None, None, by, chart, since, alive)


def _of_points(points: Sequence[PowerPoint], chart: WattsChart | None, since: int) -> WattsNow:
    seconds = sum(point.seconds for point in points)

    def mean(values: Sequence[float]) -> float:
        weighted = (value * point.seconds for value, point in zip(values, points, strict=True))
        return sum(weighted) / seconds

    net_w, gross_w = mean([one.net.value for one in points]), mean([one.gross.value for one in points])
    return WattsNow(
        net_w=net_w,
        low_w=mean([one.net.low for one in points]),
        high_w=mean([one.net.high for one in points]),
        gross_w=gross_w,
        idle_w=gross_w - net_w,
        tier=worst_tier(one.net.tier for one in points),
        by="the run's meter",
        chart=chart,
        since=since,
    )


def _of_daemon(sample: Sample, chart: WattsChart | None, since: int) -> WattsNow:
    return WattsNow(
        net_w=sample.net_w,
        low_w=None,
        high_w=None,
        gross_w=sample.cpu_w + sample.gpu_w,
        idle_w=sample.idle_cpu_w + sample.idle_gpu_w,
        tier=worst_tier(source.tier for source in sample.sources),
        by="the JouleAgent",
        chart=chart,
        since=since,
    )


def steps_of(activity: Activity | None, now: float) -> StepsShown | None:
    """The ten steps of the attempt that goes on, or of the last one; none where there was none."""
    if activity is None or activity.attempt is None:
        return None
    attempt = activity.attempt
    goes_on = activity.alive and not attempt.finished
    rows = tuple(_step(mark, attempt, now if goes_on else None) for mark in attempt.steps)
    return StepsShown(attempt, rows, goes_on)


def _step(mark: StepMark, attempt: AttemptNow, now: float | None) -> StepRow:
    state = "cut off" if mark.state == "now" and now is None else mark.state
    end_at = mark.ended_at if mark.ended_at is not None else now
    took = end_at - mark.began_at if mark.began_at is not None and end_at is not None else None
    detail, done, total = _progress(mark, attempt)
    said = duration_words(took) if took is not None and took >= 1 else ""
    return StepRow(state, STEP_WORDS[mark.step], said, detail, done, total)


def _progress(mark: StepMark, attempt: AttemptNow) -> tuple[str, int, int]:
    """What is to be said of training and of evaluation: words, and how far of what."""
    if mark.state not in {"now", "done"}:
        return "", 0, 0
    training, preparing, evaluation = attempt.training, attempt.preparing, attempt.evaluation
    if mark.step is Step.TRAIN and training is not None:
        loss = f", loss {_loss(training.loss)}" if training.loss is not None else ""
        of = f" of about {training.planned}" if training.planned > training.step else ""
        return f"step {training.step}{of}{loss}", training.step, training.planned
    if mark.state == "now" and mark.step is Step.TRAIN and preparing is not None:
        return f"{preparing.what}, {preparing.done} of {preparing.total}", preparing.done, preparing.total
    if mark.step is Step.EVALUATE and evaluation is not None:
        return (
            f"{evaluation.what}, {evaluation.done} of {evaluation.total}",
            evaluation.done,
            evaluation.total,
        )
    return "", 0, 0


def _loss(loss: float) -> str:
    """A training loss in few digits, also of a training that has run away."""
    return f"{loss:.3f}" if abs(loss) < _LARGE else f"{loss:.3g}"


def ended_of(scene: Scene, activity: Activity | None) -> EndShown | None:
    """How the last run ended; none while one goes on, or where there was none, or it died."""
    if activity is not None and (activity.alive or activity.died):
        return None
    if activity is not None and activity.end is not None:
        sentence = activity.end.sentence or f"{end_words(activity.end.word).capitalize()}."
        return EndShown(sentence, clock_time(activity.end.at, scene.now))
    sessions = scene.followed.sessions
    if not sessions:
        return None
    said = f"{end_words(sessions[-1].ended).capitalize()}."
    try:
        at = datetime.fromisoformat(sessions[-1].ended_at).timestamp()
    except ValueError:
        return EndShown(said, "a time that is not known")
    return EndShown(said, clock_time(at, scene.now))
