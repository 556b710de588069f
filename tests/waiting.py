"""How long a test may take, and how it waits.

A machine that is busy is slow, not wrong. So nothing here waits for a number of seconds: a test waits for
what it needs, and what never comes is ended by the one limit on the whole test (``timeout`` in
pyproject.toml). That limit counts seconds of an idle machine. Now and then a little is computed, and how
much of the time it was given a processor is the share of the last seconds that counts: beside other work, or
at the lowest priority, a test has as much longer as everything in it takes longer.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from types import FrameType
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
CEILING_S = 1e6
"""For what has to be told a limit: none, for the limit on the whole test comes first."""
PLAINLY: dict[str, Any] = {"trust_env": False, "timeout": CEILING_S, "verify": False}
"""how a server of this machine is asked: the authorities of TLS take twenty times as long to read"""
_EVERY_S = 10.0
_SAMPLE_S = 0.03
"""CPU time that tells how busy the machine is; long beside what a scheduler gives at a time"""
_TESTS = str(Path(__file__).parent)
_awaited: dict[int, str] = {}


def until(done: Callable[[], T], what: str) -> T:
    """What ``done`` gives as soon as it is true."""
    _awaited[get_ident()], pause_s = what, 0.005
    try:
        while not (found := done()):
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.1)  # asking costs what others need
        return found
    finally:
        del _awaited[get_ident()]


def share_of_a_processor() -> float:
    """What part of the time this thread is given a processor at present."""
    began_s, used_s = time.perf_counter(), time.thread_time()
    while (computed_s := time.thread_time() - used_s) < _SAMPLE_S:
        pass
    return min(1.0, computed_s / (time.perf_counter() - began_s))


class Watch:
    """Ends a test that was given as much of a machine as it may have.

    Args:
        limit_s: seconds of an idle machine.
        share: what part of a processor a test is given at present.
    """

    def __init__(self, limit_s: float, share: Callable[[], float] = share_of_a_processor) -> None:
        self._limit_s = limit_s
        self._share = share
        self._began_s = self._seen_s = time.perf_counter()
        self._had_s = 0.0

    def look(self, _: int, frame: FrameType | None) -> None:
        """Count the seconds since the last look; called by a timer's signal, where the test is."""
        share, now_s = self._share(), time.perf_counter()
        self._had_s += share * (now_s - self._seen_s)
        self._seen_s = now_s
        if self._had_s < self._limit_s:
            return
        self._had_s = 0.0  # so that a fixture that is not taken down either is ended in its turn
        faulthandler.dump_traceback(sys.__stderr__)
        pytest.fail(
            f"{now_s - self._began_s:.0f} s, as long as {self._limit_s:g} s on an idle machine, "
            f"and still waiting for {_awaited.get(get_ident()) or _place(frame)}"
        )


def _place(frame: FrameType | None) -> str:
    """The line of the tests that a frame came from."""
    while frame and (frame.f_code.co_filename == __file__ or not frame.f_code.co_filename.startswith(_TESTS)):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "what no test asked for"


def watch(limit_s: float) -> None:
    """Limit what the main thread does from now on."""
    counted, every_s = Watch(limit_s), min(_EVERY_S, limit_s)

    def look(number: int, frame: FrameType | None) -> None:
        try:
            counted.look(number, frame)
        finally:
            signal.setitimer(signal.ITIMER_REAL, every_s)  # not before: a look may take longer

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, every_s)


def watch_no_longer() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # first, for a look sets the timer again
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


@contextmanager
def watched(limit_s: float) -> Iterator[None]:
    """A limit for a part of a test."""
    timer, handler = signal.getitimer(signal.ITIMER_REAL), signal.getsignal(signal.SIGALRM)
    watch(limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)
