"""``cryoflux export --to``: the attempts of a state, finished or growing, into a tracker."""

from __future__ import annotations

__all__ = ["TrackerName", "say_nothing_there", "send"]

import shlex
import time
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from cryoflux.cli.console import stderr
from cryoflux.errors import UsageError
from cryoflux.report.layout import unbroken
from cryoflux.settings import EnergySettings

_LOOKS_S = 2.0


class TrackerName(StrEnum):
    """What attempts are handed to."""

    OPENTELEMETRY = "opentelemetry"
    TENSORBOARD = "tensorboard"
    TRACKIO = "trackio"
    WANDB = "wandb"
    MLFLOW = "mlflow"
    CODECARBON = "codecarbon"


def send(to: TrackerName, at: str | None, state: Path, energy: EnergySettings, *, follow: bool) -> None:
    """Hand on every attempt; where it is followed, until somebody stops it.

    Args:
        to: the tracker.
        at: where it is; each has its own idea of a place.
        state: the state directory.
        energy: has what a kilowatt-hour emits.
        follow: whether to wait for more.
    """
    from cryoflux.integrations.trackers import open_tracker
    from cryoflux.queries.tracked import run_name, tracked_attempts

    _require_place(to, at)
    if not follow and next(tracked_attempts(state), None) is None:
        say_nothing_there("attempts", [state], "Nothing was sent.")
        return
    tracker, count = open_tracker(to.value, run_name(state), at, energy), Counter[bool]()

    def waits() -> bool:
        if follow:
            time.sleep(_LOOKS_S)
        return follow

    try:
        for one in tracked_attempts(state, waits):
            known = tracker.knows(one)
            count[known] += 1
            if not known:
                tracker.attempt(one)
    except KeyboardInterrupt:
        if not follow:
            raise
    finally:
        where = tracker.close()
    _say_sent(count, where)


def _require_place(to: TrackerName, at: str | None) -> None:
    from cryoflux.integrations.codecarbon import STDOUT

    if at == STDOUT and to is not TrackerName.CODECARBON:
        raise UsageError(
            f"{to.value} writes no text, so nothing of it can go to stdout.",
            why="--at - is stdout.",
            hint="--at of each tracker is in docs/how-to/send-it-to-your-tracker.md; or: --to codecarbon",
        )


def _say_sent(count: Counter[bool], where: str) -> None:
    before = f", {count[True]} were there already" if count[True] else ""
    stderr.print(f"sent: {count[False]} attempts{before}; {unbroken(where)}", markup=False)


def say_nothing_there(what: str, states: Sequence[Path], then: str) -> None:
    """Say that states hold nothing of a kind, and what they hold."""
    from cryoflux.queries.rows import judgement_rows

    stderr.print(f"There are no {what} in {', '.join(map(str, states))}. {then}", markup=False)
    judged = what != "judgements" and next(judgement_rows(states), None) is not None
    if judged:
        named = " ".join(shlex.quote(str(state)) for state in states)
        flags = f" --state {named}" if len(states) == 1 else ""
        stderr.print(f"What was judged there: cryoflux export --what judgements{flags}", markup=False)
