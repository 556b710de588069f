"""A meter that runs by itself, asked for the watts of now where no run goes on.

A page must not wait for it: it is asked once, not for long, and no oftener than once a second, or once in
five where it did not answer.
"""

from __future__ import annotations

__all__ = ["DaemonMeter"]

import threading
import time

from cryoflux.agent.client import AgentClient
from cryoflux.energy.interface import Sample
from cryoflux.errors import CryoFluxError

_TIMEOUT_S = 1.0
_FRESH_S = 1.0
_AWAY_S = 5.0


class DaemonMeter:
    """A daemon's watts.

    Args:
        url: where it listens.
        token: its bearer token; empty where it has none.

    Raises:
        AgentError: the URL cannot be used.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self._client = AgentClient(url, token, _TIMEOUT_S, attempts=1)
        self._lock = threading.Lock()
        self._again_s = 0.0
        self._sample: Sample | None = None

    def __call__(self) -> Sample | None:
        """What it says; none where it does not answer."""
        with self._lock:
            if time.monotonic() >= self._again_s:
                try:
                    self._sample = self._client.sample()
                except CryoFluxError:
                    self._sample = None
                stands_s = _FRESH_S if self._sample is not None else _AWAY_S
                self._again_s = time.monotonic() + stands_s
            return self._sample
