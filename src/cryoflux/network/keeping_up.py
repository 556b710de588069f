"""Keeps pulling: at intervals, and at once where somebody says that a log has grown.

Hints and events are believed in nothing: they name a log that is pulled anyway, a little earlier. Between two
pulls there are 5 s at least, and at least as long as the last one took, so that no flood of them takes more
than half of the time.
"""

from __future__ import annotations

__all__ = ["keep_up"]

import secrets
import threading
import time
from collections.abc import Callable, Collection

from cryoflux.network.folder import NetworkFolder
from cryoflux.network.hints import taken_hints
from cryoflux.network.listening import Listening
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import PeerNode, Peers
from cryoflux.stop_request import StopRequest

_APART_S = 5.0
_LOOK_S = 0.5
_JITTER = 10
"""an interval is longer or shorter by one part of so many: not all nodes ask at once"""


class _News:
    """Whose logs may have grown, by what others say."""

    def __init__(self, folder: NetworkFolder) -> None:
        self._folder, self._said = folder, set[str]()
        self._lock = threading.Lock()
        self.came = threading.Event()

    def hear(self, origin: str) -> None:
        """Take a word of one peer."""
        with self._lock:
            self._said.add(origin)
        self.came.set()

    def taken(self, known: Collection[str]) -> frozenset[str]:
        """Those of known logs, once."""
        with self._lock:
            self.came.clear()
            said, self._said = self._said, set[str]()
        return (taken_hints(self._folder) | said) & frozenset(known)


def keep_up(
    folder: NetworkFolder,
    pull: Callable[[Collection[str] | None], Peers],
    every_s: float,
    stop: StopRequest,
) -> None:
    """Pull again and again.

    Args:
        folder: of the node's network.
        pull: pulls the logs of some origins, all where there is none; whom it knows.
        every_s: between two pulls of all logs, s.
        stop: asked when to end.
    """
    news = _News(folder)

    def size_of(node: PeerNode) -> int:
        return PeerRecord.of(folder.path, node.key).mirror.size

    listening = Listening(news.hear, stop, size_of)
    only: frozenset[str] | None = None
    due_s = 0.0
    while not stop.asked:
        began_s = time.monotonic()
        peers = pull(only)
        listening.to(peers.nodes)
        took_s = time.monotonic() - began_s
        if only is None:
            due_s = began_s + _around(every_s)
        stop.wait(max(_APART_S, took_s))
        only = _next(news, {node.origin for node in peers.nodes}, due_s, stop)


def _next(news: _News, known: Collection[str], due_s: float, stop: StopRequest) -> frozenset[str] | None:
    """Whose logs are pulled next, once it is time: some that others speak of, or all."""
    while not stop.asked and time.monotonic() < due_s:
        if some := news.taken(known):
            return some
        news.came.wait(_LOOK_S)
    return None


def _around(every_s: float) -> float:
    part = every_s / _JITTER
    return every_s + secrets.SystemRandom().uniform(-part, part)
