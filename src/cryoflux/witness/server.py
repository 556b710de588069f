"""The HTTP around a witness: its routes, and bounded bodies.

The protocol has no passwords: a checkpoint that a known log signed speaks for itself. On loopback only
requests that name a loopback host are answered, so that a web page cannot reach the witness through a name
of its own.
"""

from __future__ import annotations

__all__ = ["OPERATIONS", "create_app"]

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cryoflux.errors import CryoFluxError
from cryoflux.serving.guard import Guard
from cryoflux.serving.openapi import Operation
from cryoflux.serving.routing import App, NotServedError, Reply, Request, Router
from cryoflux.witness import service
from cryoflux.witness.service import TEXT, Witness
from cryoflux.witness.submission import MAX_BODY_BYTES

_LOG = logging.getLogger(__name__)
_ADD_CHECKPOINT = Operation(
    "POST",
    "/add-checkpoint",
    "add-checkpoint",
    "Cosign a head that continues the last one",
    media=TEXT,
    raw=True,
)
_ADD_LOG = Operation("POST", "/add-log", "add-log", "Watch a log, by its key", media=TEXT, raw=True)
_CHECKPOINT = Operation(
    "GET",
    "/{origin_hash}/checkpoint",
    "checkpoint",
    "The head of a log that was cosigned last",
    media=TEXT,
    refusals=(404,),
)
_HEADS = Operation(
    "GET", "/heads", "heads", "The heads of all logs that were cosigned last", media=TEXT, query=("after",)
)
_KEY = Operation("GET", "/key", "key", "The key of this witness", media=TEXT)
OPERATIONS = (_ADD_CHECKPOINT, _CHECKPOINT, _HEADS, _ADD_LOG, _KEY)


def create_app(witness: Witness, *, only_loopback: bool = True) -> App:
    """The ASGI application over one witness.

    Args:
        witness: answers.
        only_loopback: refuse requests that name another host.
    """

    def in_thread(answer: Callable[[bytes], service.WitnessReply]) -> Callable[[Request], Awaitable[Reply]]:
        async def handle(request: Request) -> Reply:
            return _said(await asyncio.to_thread(answer, request.body))

        return handle

    def looked_up(answer: Callable[[Request], service.WitnessReply]) -> Callable[[Request], Awaitable[Reply]]:
        async def handle(request: Request) -> Reply:
            return _said(await asyncio.to_thread(answer, request))

        return handle

    async def key(_: Request) -> Reply:
        return Reply(f"{witness.key}\n".encode(), media=TEXT)

    answers = [
        (_ADD_CHECKPOINT, in_thread(witness.add_checkpoint)),
        (_ADD_LOG, in_thread(witness.add_log)),
        (_CHECKPOINT, looked_up(lambda request: witness.checkpoint(request.named))),
        (_HEADS, looked_up(lambda request: witness.heads(request.query.get("after", "")))),
        (_KEY, key),
    ]
    return Guard(Router(answers, _refuse), any_host=not only_loopback, most_bytes=MAX_BODY_BYTES)


def _said(reply: service.WitnessReply) -> Reply:
    return Reply(reply.body, reply.status, reply.kind, reply.headers)


def _refuse(error: Exception) -> Reply:
    if isinstance(error, NotServedError):
        return Reply(f"{error}\n".encode(), error.status, TEXT, error.headers)
    if isinstance(error, CryoFluxError):  # the disk refuses; what exactly is nobody's business out there
        return Reply(b"", 503, TEXT)
    _LOG.error("a request failed", exc_info=error)
    return Reply(b"", 500, TEXT)
