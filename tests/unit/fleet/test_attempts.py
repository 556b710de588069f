"""Attempts of a fleet: a stop is no error, and a run whose workers are all gone is one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cryoflux.fleet.attempts import FleetAttempts
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.words import LastWords


def attempts(tmp_path: Any, *, stopped: bool, free: list[str], troubles: list[str]) -> FleetAttempts:
    crew = SimpleNamespace(free=lambda _: free, troubles=troubles, hint="")
    context = SimpleNamespace(stop=lambda: stopped)
    return FleetAttempts(context, crew, LastWords(tmp_path), 60)


def test_a_stop_before_anything_was_begun_is_no_error(tmp_path) -> None:
    assert attempts(tmp_path, stopped=True, free=["w1"], troubles=[]).next(10**9, None) is None


def test_where_every_worker_is_gone_the_run_says_why(tmp_path) -> None:
    made = attempts(tmp_path, stopped=False, free=[], troubles=["3 workers in a row were lost."])
    with pytest.raises(FleetError, match="No worker is left") as told:
        made.next(10**9, None)
    assert told.value.why == "3 workers in a row were lost."
    assert told.value.hint
