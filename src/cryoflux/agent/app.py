"""The HTTP surface of the JouleAgent: one thin function a route, everything else is the meter's."""

from __future__ import annotations

__all__ = ["create_app"]

import asyncio
import json
import secrets
import threading
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.exceptions import HTTPException

from cryoflux import __version__
from cryoflux.agent.guard import Guard
from cryoflux.agent.prometheus import CONTENT_TYPE, render_metrics
from cryoflux.agent.schemas import (
    GrantBody,
    GrantReply,
    ReleaseReply,
    ReservationBody,
    ReservationList,
    ReservationReply,
    SampleReply,
    SettlementReply,
    TakeBody,
    TakeReply,
    to_uj,
)
from cryoflux.energy.bucket import ReservationConflictError, UnknownReservationError
from cryoflux.energy.embedded import EmbeddedAgent
from cryoflux.errors import BudgetError, CryoFluxError, UsageError
from cryoflux.quantities import MICRO

_ANONYMOUS = "anonymous:"
_EVENT_SECONDS = 1.0


def create_app(agent: EmbeddedAgent, *, token: str = "", stopping: threading.Event | None = None) -> FastAPI:
    """The application over one meter.

    Args:
        agent: the meter and its bucket.
        token: required of every request, unless empty.
        stopping: set when open event streams should end.
    """
    app = FastAPI(title="JouleAgent", version=__version__, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, token=token)
    app.add_exception_handler(RequestValidationError, _unprocessable)
    app.add_exception_handler(HTTPException, _not_served)
    app.add_exception_handler(CryoFluxError, _refused)
    _add_readings(app, agent, stopping or threading.Event())
    _add_account(app, agent)
    _add_reservations(app, agent)
    return app


async def _unprocessable(_: Request, error: Exception) -> JSONResponse:
    # The input is not repeated in the answer: a NaN in it could not be written as JSON.
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type alone
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _error_reply(422, f"{where}: {first['msg']}.", "Nothing was changed.", "See /openapi.json.")


async def _not_served(_: Request, error: Exception) -> JSONResponse:
    # Raised by the framework: no such path or method, or a body that is not even text.
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    reply = _error_reply(error.status_code, f"{error.detail}.", "Nothing was changed.", "See /openapi.json.")
    reply.headers.update(error.headers or {})
    return reply


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CryoFluxError)  # noqa: S101 - registered for this type alone
    status = 503
    if isinstance(error, UnknownReservationError):
        status = 404
    elif isinstance(error, ReservationConflictError):
        status = 409
    elif isinstance(error, UsageError):
        status = 422
    return _error_reply(status, error.what, error.why, error.hint)


def _error_reply(status: int, what: str, why: str, hint: str) -> JSONResponse:
    return JSONResponse({"error": {"what": what, "why": why, "hint": hint}}, status)


def _add_readings(app: FastAPI, agent: EmbeddedAgent, stopping: threading.Event) -> None:
    @app.get("/v1/sample")
    def sample() -> SampleReply:
        """What the machine draws now, and what the bucket holds."""
        return SampleReply.of(agent.sample())

    @app.get("/v1/events", response_class=StreamingResponse)
    async def events() -> StreamingResponse:
        """A sample a second, as server-sent events."""
        return StreamingResponse(_events(agent, stopping), media_type="text/event-stream")

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> PlainTextResponse:
        """The same for Prometheus."""
        return PlainTextResponse(render_metrics(agent.sample()), media_type=CONTENT_TYPE)


async def _events(agent: EmbeddedAgent, stopping: threading.Event) -> AsyncIterator[str]:
    while not stopping.is_set():
        sample = await asyncio.to_thread(agent.sample)
        yield f"event: sample\ndata: {json.dumps(SampleReply.of(sample).model_dump(mode='json'))}\n\n"
        await asyncio.sleep(_EVENT_SECONDS)


def _add_account(app: FastAPI, agent: EmbeddedAgent) -> None:
    @app.post("/v1/take")
    def take(body: TakeBody) -> TakeReply:
        """Reserve joules, all or nothing."""
        owner = None
        if body.pid is not None and body.boot_id is not None:
            owner = agent.owner_of(body.pid, body.boot_id, body.start_ticks)
        request_id = body.request_id or _ANONYMOUS + secrets.token_hex(8)
        try:
            reservation = agent.take_for(to_uj(body.joules), request_id=request_id, owner=owner)
        except BudgetError:
            left_uj = agent.bucket_uj()
            return TakeReply(ok=False, remaining_j=left_uj / MICRO, remaining_uj=left_uj)
        left_uj = agent.bucket_uj()
        return TakeReply(
            ok=True, remaining_j=left_uj / MICRO, remaining_uj=left_uj, reservation=reservation.id
        )

    @app.post("/v1/grant")
    def grant(body: GrantBody) -> GrantReply:
        """Add joules by decision."""
        left_uj = agent.grant(to_uj(body.joules), request_id=body.request_id, note=body.note)
        return GrantReply(remaining_j=left_uj / MICRO, remaining_uj=left_uj)


def _add_reservations(app: FastAPI, agent: EmbeddedAgent) -> None:
    @app.post("/v1/settle")
    def settle(body: ReservationBody) -> SettlementReply:
        """Charge what was used."""
        return SettlementReply.of(agent.settle(body.reservation))

    @app.post("/v1/release")
    def release(body: ReservationBody) -> ReleaseReply:
        """Give a reservation back whole."""
        agent.release(body.reservation)
        left_uj = agent.bucket_uj()
        return ReleaseReply(remaining_j=left_uj / MICRO, remaining_uj=left_uj)

    @app.get("/v1/reservations")
    def reservations(request_id: str | None = None) -> ReservationList:
        """All open reservations, or the one of a request id in whatever state."""
        views = agent.views(request_id)
        return ReservationList(reservations=tuple(ReservationReply.of(view) for view in views))

    @app.get("/v1/reservations/{reservation_id}")
    def reservation(reservation_id: str) -> ReservationReply:
        """One reservation, with what was spent on it so far."""
        return ReservationReply.of(agent.view(reservation_id))
