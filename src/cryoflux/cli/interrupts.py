"""Ctrl-C of commands that record what they have begun."""

from __future__ import annotations

__all__ = ["Interrupts"]

import queue
import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from cryoflux.cli.console import close_stdout, stderr


def _signals() -> list[int]:
    """Those that ask to stop; under nohup a hang-up does not."""
    stopping: list[int] = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        stopping.append(signal.SIGHUP)
    return stopping


class Interrupts:
    """The first signal to stop asks what runs to end and record; the second ends it at once.

    What they say is printed by a thread: the handler of a signal may have interrupted the printing of a line,
    and a stream refuses to be written to in the middle of that.
    """

    def __init__(self) -> None:
        self.asked = False
        self._words: queue.SimpleQueue[str] = queue.SimpleQueue()  # its put may interrupt itself
        self._printing = threading.Thread(target=self._print, daemon=True)

    def __enter__(self) -> Self:
        self._printing.start()
        self._before = {number: signal.signal(number, self._hear) for number in _signals()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._words.put("")
        self._printing.join()

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
