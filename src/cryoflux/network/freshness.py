"""Brings a node's public tree up to date where something that it is made of has changed, and only then."""

from __future__ import annotations

__all__ = ["Freshness"]

import asyncio
import logging
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from cryoflux.errors import CryoFluxError
from cryoflux.network.folder import NetworkFolder
from cryoflux.state import StateFolder

_LOG = logging.getLogger(__name__)
_RETRY_S = 5.0
"""after what went wrong, unless something has changed since"""


class Published(Protocol):
    """What a tree has come to."""

    @property
    def held_s(self) -> float:
        """How long until more may be shown, though nothing changes, s; 0 where nothing is held back."""


class Freshness:
    """When a public tree has to be brought up to date.

    Args:
        publish: does it.
        watched: files and folders that it is made of.
    """

    def __init__(self, publish: Callable[[], Published], watched: Iterable[Path]) -> None:
        self._publish, self._watched = publish, tuple(watched)
        self._seen: object = None
        self._again_s = math.inf
        """when it is done again, though nothing has changed, by the clock of the loop"""
        self._turn: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, state: Path, publish: Callable[[], Published]) -> Freshness:
        """Of the tree of a state."""
        log, folder = StateFolder(state), NetworkFolder.of(state)
        made_of = (log.checkpoint, log.cosigned, folder.known_peers, folder.no_witnesses)
        others = (folder.introduced, folder.incoming, folder.lists, folder.openings, folder.contracts)
        return cls(publish, (*made_of, *others))

    def nudge(self) -> asyncio.Task[None] | None:
        """Begin, if there is anything to do; the task that is under way, if one is."""
        if self._turn is None or self._turn.done():
            now_s, seen = asyncio.get_running_loop().time(), self._look()
            if seen == self._seen and now_s < self._again_s:
                return None
            self._seen = seen
            self._turn = asyncio.create_task(self._go())
        return self._turn

    async def settled(self) -> None:
        """Wait until the tree is what the state was when this was asked for."""
        for _ in range(
            2
        ):  # one that is under way may have begun too early; a log that grows on is not chased
            if (turn := self.nudge()) is not None:
                await asyncio.shield(turn)

    async def _go(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            held_s = (await asyncio.to_thread(self._publish)).held_s
            self._again_s = loop.time() + held_s if held_s else math.inf
        except CryoFluxError as error:  # what was shown before is still right
            self._again_s = loop.time() + _RETRY_S
            _LOG.error("the public tree stays as it was: %s %s", error.what, error.why)

    def _look(self) -> tuple[tuple[int, ...], ...]:
        return tuple(map(_which, self._watched))


def _which(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns)
