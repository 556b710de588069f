"""The one connection to NVML that all GPUs of a process share, and how it is made again.

Attaching to a driver can take seconds or never end, so it happens in a thread of its own: until it is
done the GPUs have no reading, and nobody waits. It is tried again sooner at first, then ever more rarely.
"""

from __future__ import annotations

__all__ = ["NvmlDriver", "text_of"]

import threading
from contextlib import suppress
from typing import Any

from cryoflux.energy.clock import BILLION

_QUICK_TRIES = 3
_LONGEST_WAIT_S = 60
_BLINK_S = 0.25
"""A working driver is attached in less; nobody waits longer for one that is not."""


def text_of(value: str | bytes) -> str:
    """NVML's strings, which older bindings give as bytes."""
    return value.decode() if isinstance(value, bytes) else value


class NvmlDriver:
    """A connection.

    Args:
        nvml: the facade, initialised.
    """

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.attached = 0
        """how often it was attached anew: handles from before are void"""
        self.outages = 0
        """how often it could not be attached: counters may have restarted unseen"""
        self.holders = 0
        """how many GPUs need it"""
        self._thread: threading.Thread | None = None
        self._tries = 0
        self._next_ns = 0

    @property
    def busy(self) -> bool:
        """Whether it is being attached right now."""
        return self._thread is not None and self._thread.is_alive()

    def reattach(self, now_ns: int) -> None:
        """Begin to attach anew, unless that is going on or was tried a moment ago."""
        if self.busy or now_ns < self._next_ns:
            return
        self._tries += 1
        slow_tries = self._tries - _QUICK_TRIES
        wait_s = min(_LONGEST_WAIT_S, 2 ** min(slow_tries, 8)) if slow_tries >= 0 else 0
        self._next_ns = now_ns + wait_s * BILLION
        self._thread = threading.Thread(target=self._attach, name="cryoflux-nvml", daemon=True)
        self._thread.start()
        self._thread.join(_BLINK_S)

    def _attach(self) -> None:
        with suppress(self.nvml.NVMLError):
            self.nvml.nvmlShutdown()
        try:
            self.nvml.nvmlInit()
        except self.nvml.NVMLError:
            self.outages += 1
        else:
            self.attached += 1

    def recovered(self) -> None:
        """The next loss is a new one."""
        self._tries, self._next_ns = 0, 0

    def handle(self, uuid: str) -> Any | None:
        """The GPU of that UUID now; none where it is not there."""
        try:
            return self.nvml.nvmlDeviceGetHandleByUUID(uuid)
        except self.nvml.NVMLError:
            return None
        except AttributeError:
            return self._search(uuid)

    def _search(self, uuid: str) -> Any | None:
        with suppress(self.nvml.NVMLError):
            for index in range(self.nvml.nvmlDeviceGetCount()):
                with suppress(self.nvml.NVMLError):
                    handle = self.nvml.nvmlDeviceGetHandleByIndex(index)
                    if text_of(self.nvml.nvmlDeviceGetUUID(handle)) == uuid:
                        return handle
        return None

    def release(self) -> None:
        """One holder less; the last one lets go of the driver."""
        self.holders -= 1
        if self.holders <= 0 and not self.busy:
            with suppress(self.nvml.NVMLError):
                self.nvml.nvmlShutdown()
