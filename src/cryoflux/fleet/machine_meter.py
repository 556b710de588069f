"""The JouleAgent of a machine, as the meter of its workers."""

from __future__ import annotations

__all__ = ["MachineMeter"]

import os
from contextlib import ExitStack
from pathlib import Path

from cryoflux.agent.client import AgentClient
from cryoflux.config import PREFIX, Settings
from cryoflux.energy.hold import hold_meter

_TOKEN = f"{PREFIX}TOKEN"


class MachineMeter(AgentClient):
    """The JouleAgent of a machine, as the meter of one of its workers.

    Args:
        folder: of the worker, which no other process is meanwhile.
        url: of the JouleAgent.
        settings: its token, where the machine has none in its environment, and how long it is waited for.

    Raises:
        StateLockedError: another process is this worker.
        AgentError: that is no URL of a JouleAgent.
    """

    def __init__(self, folder: Path, url: str, settings: Settings) -> None:
        token = os.environ.get(_TOKEN) or settings.agent.token
        with ExitStack() as opened:
            opened.enter_context(hold_meter(folder))
            super().__init__(url, token, settings.agent.timeout)
            self._held = opened.pop_all()

    def close(self) -> None:
        """Close the connections, and be this worker no longer; the daemon meters on."""
        try:
            super().close()
        finally:
            self._held.close()
