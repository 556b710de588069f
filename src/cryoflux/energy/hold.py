"""One state directory has one metering process at a time, so that no energy is credited twice."""

from __future__ import annotations

__all__ = ["hold_meter"]

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryoflux.errors import StateLockedError
from cryoflux.files import lock_exclusively


@contextmanager
def hold_meter(state: Path) -> Iterator[None]:
    """Be the one metering process of a state.

    Raises:
        StateLockedError: another one is.
    """
    try:
        with lock_exclusively(state / "meter.lock", holder="a JouleAgent"):
            yield
    except StateLockedError as error:
        raise StateLockedError(
            error.what,
            why="Two meters on one state would count the same joules twice.",
            hint="If that is a daemon, spend from it with --agent URL; otherwise wait for it to end, or "
            "take another folder with --state DIR.",
        ) from error
