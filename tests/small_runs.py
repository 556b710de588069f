"""Fixtures of small runs, closed when their test is over; for the tests of ``attempt`` and of ``runs``."""

from __future__ import annotations

__all__ = ["no_power_cuts", "run", "small"]

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from small_context import SmallRun


@pytest.fixture(autouse=True)
def no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes die here, machines do not: nobody waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[..., SmallRun]]:
    """Makes a small run in a folder of its own."""
    with ExitStack() as opened:

        def make(*kinds, **options):
            run = SmallRun(tmp_path, *kinds, **options)
            opened.callback(run.close)
            return run

        yield make


@pytest.fixture
def run(small: Callable[..., SmallRun]) -> SmallRun:
    """A small run of the toy task."""
    return small()
