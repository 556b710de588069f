"""The HTTP around a witness: two routes, bounded bodies, loopback unless told otherwise.

The protocol has no passwords: a checkpoint that a known log signed speaks for itself. On loopback only
requests that name a loopback host are answered, so that a web page cannot reach the witness through a name
of its own.
"""

from __future__ import annotations

__all__ = ["bind", "create_app", "is_loopback", "serve"]

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from cryoflux.errors import CryoFluxError, UsageError
from cryoflux.witness.service import Reply, Witness
from cryoflux.witness.submission import MAX_BODY_BYTES

_BACKLOG = 512
_BODY_SECONDS = 10.0
_CONNECTIONS = 128


def is_loopback(host: str) -> bool:
    """Whether a host name or address stays on this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class _RefusedError(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


def create_app(witness: Witness, *, only_loopback: bool = True) -> Starlette:
    """The application over one witness.

    Args:
        witness: answers.
        only_loopback: refuse requests that name another host.
    """

    async def body_of(request: Request) -> bytes:
        host = request.headers.get("host", "")
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if only_loopback and not is_loopback(name):
            raise _RefusedError(403)
        try:
            return await asyncio.wait_for(_read(request), _BODY_SECONDS)
        except (TimeoutError, ClientDisconnect) as error:
            raise _RefusedError(408) from error

    def route(path: str, answer: Callable[[bytes], Reply], method: str = "POST") -> Route:
        async def handle(request: Request) -> Response:
            try:
                body = await body_of(request)
            except _RefusedError as refusal:
                return Response(status_code=refusal.status, headers={"connection": "close"})
            try:
                reply = await asyncio.to_thread(answer, body)
            except CryoFluxError:  # the disk refuses; what exactly is nobody's business out there
                return Response(status_code=503)
            return Response(reply.body, reply.status, headers={"content-type": reply.kind})

        return Route(path, handle, methods=[method])

    return Starlette(
        routes=[
            route("/add-checkpoint", witness.add_checkpoint),
            route("/add-log", witness.add_log),
            route("/key", lambda _: Reply(200, f"{witness.key}\n".encode()), "GET"),
        ]
    )


async def _read(request: Request) -> bytes:
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise _RefusedError(413)
    return content


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 finds a free one.

    Raises:
        UsageError: the address is taken, or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio sends without delay only on sockets that say that they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}.",
            why="Another witness may listen there already.",
            hint="Choose another port with --port N, or 0 for any free one.",
        ) from error
    return listener


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the overridden signature
        # A second signal must not raise out of a half-finished shutdown.
        self.should_exit = True


def serve(witness: Witness, listener: socket.socket, *, only_loopback: bool) -> None:
    """Answer requests until a signal comes."""
    config = uvicorn.Config(
        create_app(witness, only_loopback=only_loopback),
        log_level="warning",
        access_log=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=3,
        lifespan="off",
        ws="none",
    )
    server = _Server(config)
    # The server sees to SIGINT and SIGTERM by itself. Under nohup a hang-up stays ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, server.handle_exit)
    server.run(sockets=[listener])
