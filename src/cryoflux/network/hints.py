"""What others say of logs, unasked: a reason to look at one, and believed in nothing.

A hint is kept as one small file for each log that is known, so that nobody fills a disk with them. Whoever
keeps pulling (`cryoflux.network.keeping_up`) looks there, and removes what it has taken.
"""

from __future__ import annotations

__all__ = ["HintBody", "HintReply", "Hints", "hint_peers", "taken_hints"]

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cryoflux.digests import sha256_hex
from cryoflux.files import read_regular, write_atomic
from cryoflux.network.deadline import DeadlineTransport
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.peers import PeerNode
from cryoflux.serving.fairness import Allowances, client_of, too_often
from cryoflux.serving.routing import NotServedError, Reply, Request

_MOST_BYTES = 1024
_MOST_TOLD = 64
"""peers that are told"""
_WHOLE_S = 5.0


class HintBody(BaseModel):
    """`POST /v1/hint`."""

    model_config = ConfigDict(extra="forbid")
    origin: Annotated[str, Field(min_length=1, max_length=200)]
    """of the log that has grown"""
    size: Annotated[int, Field(ge=0, le=2**53, strict=True)]
    """entries that it is said to have"""


class HintReply(BaseModel):
    """What every hint is answered with: whether it is a reason to look is not said."""

    taken: bool = True


class Hints:
    """Takes hints.

    Args:
        folder: of the node's network.
        known: the origins of logs that are pulled; of others nothing is kept.
        allowances: how often a client may say something.
    """

    def __init__(
        self,
        folder: NetworkFolder,
        known: Callable[[], Collection[str]],
        allowances: Allowances | None = None,
    ) -> None:
        self._folder, self._known = folder, known
        self._allowances = allowances or Allowances(1, 1)

    async def take(self, request: Request) -> Reply:
        """Keep a hint.

        Raises:
            NotServedError: the client has said one a moment ago, or this is none.
        """
        if wait_s := self._allowances.take(client_of(request.client)):
            raise too_often(wait_s)
        try:
            hint = HintBody.model_validate_json(request.body)
        except ValidationError as error:
            raise NotServedError(422, 'A hint is {"origin": TEXT, "size": NUMBER}.') from error
        await asyncio.to_thread(self._keep, hint)
        return Reply(HintReply().model_dump_json().encode(), 202)

    def _keep(self, hint: HintBody) -> None:
        if hint.origin in self._known():
            place = self._folder.hints / sha256_hex(hint.origin.encode())
            write_atomic(place, hint.model_dump_json().encode())


def taken_hints(folder: NetworkFolder) -> frozenset[str]:
    """The origins that hints are about; each is taken once.

    Args:
        folder: of the node's network.
    """
    found = set[str]()
    for place in folder.hints.glob("*") if folder.hints.is_dir() else ():
        with suppress(OSError, ValueError):
            content = read_regular(place, _MOST_BYTES)
            place.unlink()  # before anybody looks: a hint that comes meanwhile is a new one
            found.add(HintBody.model_validate_json(content).origin)
    return frozenset(found)


def hint_peers(nodes: Sequence[PeerNode], origin: str, size: int) -> None:
    """Say to peers that a log has grown; whether they hear it does not matter.

    Args:
        nodes: who is told, at most 64 of them.
        origin: of the log.
        size: entries that it has.
    """
    body = HintBody(origin=origin, size=size).model_dump_json().encode()
    named = {"content-type": "application/json"}

    def tell(node: PeerNode) -> None:
        wrong = (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError)
        asked = client.stream("POST", f"{node.url}/v1/hint", content=body, headers=named)
        with suppress(*wrong), sending.within(_WHOLE_S), asked:
            pass  # what is answered says nothing

    sending = DeadlineTransport()
    with httpx2.Client(trust_env=False, transport=sending) as client, ThreadPoolExecutor(8) as threads:
        list(threads.map(tell, nodes[:_MOST_TOLD]))
