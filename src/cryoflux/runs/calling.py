"""A run from Python: the same as ``cryoflux run``, and the process is left as it was found.

What the run needs of the process it gives back when it ends, however it ends: torch's threads and random
states, the filters of warnings, the loudness of the training libraries. It takes no signals: whoever calls
says with ``stop`` when it is to end.
"""

from __future__ import annotations

__all__ = ["run"]

import os
from collections.abc import Callable, Sequence
from typing import Any

from cryoflux.config import load_settings
from cryoflux.errors import UsageError
from cryoflux.quantities import parse_duration, parse_energy
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.session import run as run_session
from cryoflux.runs.summary import Summary
from cryoflux.runs.watch import RunObserver
from cryoflux.tasks.lora.libraries import libraries_as_before

_Place = str | os.PathLike[str]


def _never() -> bool:
    return False


def run(
    budget: str | None = "500J",
    *,
    state: _Place | None = None,
    task: str | None = None,
    train: _Place | None = None,
    model: _Place | None = None,
    observers: Sequence[RunObserver] = (),
    stop: Callable[[], bool] = _never,
    attempts: int | None = None,
    duration: str | None = None,
    carry: bool = False,
    **settings: Any,
) -> Summary:
    """Spend an energy budget on attempts, keep what measurably helps, and return what it came to.

    What is not given here is taken from ``CRYOFLUX_*``, ``cryoflux.toml`` and the defaults, as on the command
    line. The attempts themselves are in the log: ``cryoflux.open_log(summary.state)``.

    Args:
        budget: all that the run may spend, starting up and the audit set included: ``2kJ``; none to spend
            what the account holds.
        state: the state directory; ``state`` by default.
        task: what is improved: ``lora_delta``, or a class of one's own as ``module:Class``.
        train: a file of texts with classes, as ``--train`` reads it; the embedded data set by default.
        model: a folder, or the id of a model; the embedded one by default.
        observers: are told everything, in frozen values; must not raise.
        stop: asked between training steps and batches whether to end now; what has begun is recorded.
        attempts: most attempts.
        duration: no attempt starts after it: ``30m``.
        carry: whether what earlier runs left over may be spent on top of the budget.
        settings: any other setting by its name: ``seed=1``, ``reserve="60J"``, ``recipes="prefix-1"``.

    Raises:
        ConfigError: a setting is unknown or out of range.
        CryoFluxError: the run cannot start or cannot go on; what happened until then is recorded.
    """
    given = {"state": state, "task": task, "train": train, "model": model, **settings}
    sourced = load_settings({name: _plain(value) for name, value in given.items()})
    if attempts is not None and attempts < 1:
        raise UsageError(
            f"A run of {attempts} attempts was asked for.",
            why="It would grant joules and spend none.",
            hint="Ask for one at least, or leave it out to spend the budget.",
        )
    limits = RunLimits(
        parse_energy(budget) if budget is not None else None,
        parse_duration(duration) if duration is not None else None,
        attempts,
        carry,
    )
    with libraries_as_before():
        return run_session(sourced, limits, observers=observers, stop=stop)


def _plain(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value
