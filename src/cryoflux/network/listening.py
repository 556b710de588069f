"""Listens to peers that tell of new heads (`GET /v1/events`), as far as they do: a reason to look, no more.

What comes is not read for what it says. A line that begins like an event of server-sent events says that its
peer may have something new, whoever sent it and whatever is in it. So a peer can make us ask it, which it
could be asked for anyway, and nothing else; and how often, the reader decides (`keeping_up`).
"""

from __future__ import annotations

__all__ = ["Listening"]

import secrets
import threading
from collections.abc import Callable, Iterable

import httpx2

from cryoflux.errors import CryoFluxError
from cryoflux.network.peers import PeerNode
from cryoflux.stop_request import StopRequest

_MOST_PEERS = 32
_MOST_BYTES = 2**20
"""of one stream: then it is begun anew, after a while"""
_QUIET_S = 60.0
"""a stream that says nothing for so long is over; one of ours says that it is there each 15 s"""
_AGAIN_S, _NOT_OFFERED_S = 60.0, 1800.0
_EVENT = b"data:"
_WRONG = (
    *(httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, ValueError),
    CryoFluxError,  # what is here of its log is damaged, as a pull says
)


class Listening:
    """Streams of peers, a thread each, until the process ends.

    Args:
        heard: is told whose log may have grown, by its origin; from other threads.
        stop: asked when no stream is to be begun any more.
        known: size of what is here of a peer's log: its stream begins behind that.
    """

    def __init__(
        self, heard: Callable[[str], None], stop: StopRequest, known: Callable[[PeerNode], int]
    ) -> None:
        self._heard, self._stop, self._known = heard, stop, known
        self._wanted: dict[str, PeerNode] = {}
        self._http = httpx2.Client(
            timeout=httpx2.Timeout(5.0, read=_QUIET_S),
            trust_env=False,
            follow_redirects=False,
            headers={"accept": "text/event-stream", "accept-encoding": "identity"},
            limits=httpx2.Limits(max_connections=_MOST_PEERS),
        )

    def to(self, nodes: Iterable[PeerNode]) -> None:
        """Listen to these from now on, to as many as there is room for."""
        named = {node.origin: node for node in nodes}
        kept = {origin: node for origin, node in self._wanted.items() if named.get(origin) == node}
        new = [node for origin, node in named.items() if origin not in kept]
        secrets.SystemRandom().shuffle(new)
        new = new[: _MOST_PEERS - len(kept)]
        self._wanted = {**kept, **{node.origin: node for node in new}}
        for node in new:
            threading.Thread(target=self._listen, args=(node,), daemon=True).start()

    def _goes_on(self, node: PeerNode) -> bool:
        return not self._stop.asked and self._wanted.get(node.origin) == node

    def _listen(self, node: PeerNode) -> None:
        while self._goes_on(node):
            try:
                wait_s = self._stream(node)
            except _WRONG:
                wait_s = _AGAIN_S
            self._stop.wait(wait_s)

    def _stream(self, node: PeerNode) -> float:
        """Hear one stream out; how long to wait before the next one, s."""
        behind = {"last-event-id": str(self._known(node))}
        with self._http.stream("GET", f"{node.url}/v1/events", headers=behind) as reply:
            if reply.status_code != httpx2.codes.OK:
                return _NOT_OFFERED_S  # a static server has no events
            came, line = 0, b""
            for part in reply.iter_raw():
                *whole, rest = (line + part).split(b"\n")
                line = rest[: len(_EVENT)]
                if any(one.startswith(_EVENT) for one in whole):
                    self._heard(node.origin)
                came += len(part)
                if came > _MOST_BYTES or not self._goes_on(node):
                    break
        return _AGAIN_S
