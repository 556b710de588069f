"""Signals come when they like: in the middle of a line, at the end of a wait, after a terminal is gone."""

from __future__ import annotations

import fcntl
import os
import signal
import termios
import threading
import time

import pytest

from cryoflux.cli.interrupts import Interrupts
from cryoflux.stop_request import StopRequest
from running import Outcome, ended, python
from waiting import CEILING_S, until

WRITES = """
import sys
from cryoflux.cli.interrupts import Interrupts

with Interrupts.heard() as interrupts:
    while not interrupts.asked or {always}:
        sys.stderr.write("x" * 100_000 + chr(10))
        sys.stderr.flush()
print("over")
"""
"""a program that writes more than a pipe holds, until it is asked to stop or always"""


def waits_to_be_read(pipe: int) -> bool:
    """Whether what writes to a pipe has come to a halt in the middle of it."""
    before = unread(pipe)
    time.sleep(0.05)
    return before == unread(pipe) >= 4096


def unread(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), "little")


def signalled_while_it_writes(*signals: int) -> Outcome:
    process = python("-c", WRITES.format(always=len(signals) > 1), light=True)
    until(lambda: waits_to_be_read(process.stderr.fileno()), "a full pipe")
    for number in signals:
        process.send_signal(number)
    return ended(process)


def test_a_signal_in_the_middle_of_a_line_is_heard_and_breaks_nothing() -> None:
    outcome = signalled_while_it_writes(signal.SIGINT)
    assert (outcome.code, outcome.stdout) == (0, "over\n")
    assert outcome.stderr.count("stopping: what has begun is being recorded") == 1
    assert "Error" not in outcome.stderr


def test_two_signals_in_the_middle_of_a_line_end_it_and_both_are_answered() -> None:
    outcome = signalled_while_it_writes(signal.SIGINT, signal.SIGTERM)
    assert (outcome.code, outcome.stdout) == (-signal.SIGINT, "")
    assert outcome.stderr.count("stopping: what has begun is being recorded") == 1
    assert outcome.stderr.count("stopped: what was open is settled by the next run") == 1
    assert "reentrant" not in outcome.stderr


@pytest.mark.parametrize(("so_far", "asked"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
def test_a_hang_up_asks_to_stop_but_not_under_nohup(so_far: signal.Handlers, asked: bool) -> None:
    before = signal.signal(signal.SIGHUP, so_far)
    try:
        with Interrupts.heard() as interrupts:
            signal.raise_signal(signal.SIGHUP)
            assert interrupts.asked is asked
        assert signal.getsignal(signal.SIGHUP) is so_far
    finally:
        signal.signal(signal.SIGHUP, before)


def test_all_who_wait_go_on_when_a_signal_asks_to_stop() -> None:
    stop = StopRequest()
    waiting = [threading.Thread(target=stop.wait, args=(CEILING_S,)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    before = signal.signal(signal.SIGUSR1, lambda *_: stop.ask())
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    stop.wait(CEILING_S)
    signal.signal(signal.SIGUSR1, before)
    for thread in waiting:
        thread.join()
    assert stop.asked
