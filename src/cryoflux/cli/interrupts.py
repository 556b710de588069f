"""Ctrl-C of commands that record what they have begun."""

from __future__ import annotations

__all__ = ["Interrupts"]

import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from cryoflux.cli.console import close_stdout, stderr
from cryoflux.stop_request import TO_STOP, handled


def _signals() -> list[int]:
    """Those that ask to stop; under nohup a hang-up does not."""
    hang_up = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
    return [*TO_STOP, *(number for number in hang_up if signal.getsignal(number) is not signal.SIG_IGN)]


class Interrupts:
    """The first signal to stop asks what runs to end and record; the second ends it at once.

    What they say is printed by a thread: the handler of a signal may have interrupted the printing of a line,
    and a stream refuses to be written to in the middle of that.
    """

    def __init__(self) -> None:
        self.asked = False
        self._words: queue.SimpleQueue[str] = queue.SimpleQueue()  # its put may interrupt itself

    @classmethod
    @contextmanager
    def heard(cls) -> Iterator[Self]:
        """What was asked, for as long as this block goes on."""
        made = cls()
        printing = threading.Thread(target=made._print, daemon=True)
        printing.start()
        try:
            with handled(_signals(), made._hear):
                yield made
        finally:
            made._words.put("")
            printing.join()

    def _hear(self, _signal: int, _frame: FrameType | None) -> None:
        if self.asked:
            self._words.put("stopped: what was open is settled by the next run on this state")
            raise KeyboardInterrupt
        self.asked = True
        self._words.put("stopping: what has begun is being recorded; Ctrl-C again stops at once")

    def _print(self) -> None:
        for words in iter(self._words.get, ""):
            stderr.print(words)

    def output_closed(self) -> None:
        """Nobody reads any more: end as if asked to, and write nowhere."""
        self.asked = True
        close_stdout()
