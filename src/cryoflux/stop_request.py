"""A request to stop, which a signal handler may make at any line of the program.

``threading.Event`` is not for that: its lock may be held by the very line that the signal interrupts, and
the handler would wait for it for ever.
"""

from __future__ import annotations

__all__ = ["StopRequest"]

import queue


class StopRequest:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.asked = False
        self._words: queue.SimpleQueue[None] = queue.SimpleQueue()  # its put may interrupt itself

    def ask(self) -> None:
        """Ask to stop; whoever waits goes on."""
        self.asked = True
        self._words.put(None)

    def wait(self, seconds: float) -> None:
        """Wait for so long, or until somebody asked, s."""
        if self.asked:
            return
        try:
            self._words.get(timeout=seconds)
        except queue.Empty:
            return
        self._words.put(None)  # for the next of those who wait
