"""The HTTP surface of the JouleAgent: a table of what is served, and one thin function for each of its rows.

Everything else is the meter's. What changes the account or reads the meter runs in a thread, because it
waits for the disk or for the next second; what waits for a second has threads of its own, so that a take
never waits for somebody's settlement.
"""

from __future__ import annotations

__all__ = ["OPERATIONS", "create_app"]

import asyncio
import json
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel, ValidationError

from cryoflux import __version__
from cryoflux.agent.events import Events
from cryoflux.agent.prometheus import CONTENT_TYPE, Metrics
from cryoflux.agent.schemas import (
    ErrorBody,
    ErrorReply,
    GrantBody,
    GrantReply,
    ReleaseReply,
    ReservationBody,
    ReservationList,
    ReservationReply,
    SampleReply,
    SettlementReply,
    TakeBody,
    WordReply,
    to_uj,
)
from cryoflux.agent.taken import TakeReply, too_little
from cryoflux.energy.account.bucket import ReservationConflictError, UnknownReservationError
from cryoflux.energy.interface import Reservation
from cryoflux.energy.local_agent import MOST_VIEWS, LocalAgent
from cryoflux.errors import BudgetError, CryoFluxError, UsageError
from cryoflux.quantities import MICRO
from cryoflux.serving.guard import Guard
from cryoflux.serving.openapi import JSON, Operation, describe
from cryoflux.serving.routing import App, Headers, NotServedError, Reply, Request, Router, Stream

_LOG = logging.getLogger(__name__)
_ANONYMOUS = "anonymous:"
_SEE = "See /openapi.json."
_AS_JSON = 'Write it as JSON, such as {"joules": 120}; /openapi.json names every field.'
_CURL = "curl -s http://127.0.0.1:8787"
_QUICK_THREADS = 4
_SETTLING_THREADS = 32
_ALWAYS = (400, 401, 403, 405, 408, 413, 503)
"""What any request can be refused with: no HTTP, not let in, no such method, too slow or large, no meter."""

_EVENT_STREAM = "text/event-stream"
_CHANGES = (404, 409, 415, 422)

OPERATIONS = (
    Operation(
        "GET", "/v1/sample", "sample", "What the machine draws now, and what the bucket holds", SampleReply
    ),
    Operation("GET", "/v1/events", "events", "A sample a second, as server-sent events", media=_EVENT_STREAM),
    Operation("GET", "/metrics", "metrics", "The same for Prometheus", media=CONTENT_TYPE),
    Operation(
        "POST", "/v1/take", "take", "Withdraw joules, or reserve them, all or nothing", TakeReply,
        body=TakeBody, refusals=(409, 415, 422),
    ),
    Operation(
        "POST", "/v1/grant", "grant", "Add joules by decision", GrantReply,
        body=GrantBody, refusals=(409, 415, 422),
    ),
    Operation(
        "POST", "/v1/settle", "settle", "Charge what was used", SettlementReply,
        body=ReservationBody, refusals=_CHANGES,
    ),
    Operation(
        "POST", "/v1/release", "release", "Give a reservation back whole", ReleaseReply,
        body=ReservationBody, refusals=_CHANGES,
    ),
    Operation(
        "POST", "/v1/word", "word", "Sign what a reservation has cost so far", WordReply,
        body=ReservationBody, refusals=_CHANGES,
    ),
    Operation(
        "GET", "/v1/reservations", "reservations",
        "Open reservations, or the one of a request id in whatever state", ReservationList,
        query=("request_id", "after"),
    ),
    Operation(
        "GET", "/v1/reservations/{reservation}", "reservation",
        "One reservation, with what was spent on it so far", ReservationReply, refusals=(404,),
    ),
    Operation("GET", "/openapi.json", "openapi", "This document", media=JSON),
)  # fmt: skip


def create_app(
    agent: LocalAgent,
    *,
    token: str = "",
    any_host: bool = False,
    stopping: asyncio.Event | None = None,
    curl: str = _CURL,
) -> App:
    """The ASGI application over one meter.

    Args:
        agent: the meter and its bucket.
        token: required of every request, unless empty.
        any_host: whether a request may name any host; right where no browser can come from.
        stopping: set when open event streams should end.
        curl: what somebody types to reach it, up to the path.
    """
    surface = _Surface(agent, token=token, stopping=stopping or asyncio.Event(), curl=curl)
    answers = ((operation, getattr(surface, operation.name)) for operation in OPERATIONS)
    return Guard(Router(answers, _refuse), token, any_host=any_host)


def _json(reply: BaseModel, status: int = 200, headers: Headers = ()) -> Reply:
    return Reply(reply.model_dump_json().encode(), status, headers=headers)


def _refusal(
    status: int,
    what: str,
    why: str = "Nothing was changed.",
    hint: str = _SEE,
    headers: Headers = (),
) -> Reply:
    return _json(ErrorReply(error=ErrorBody(what=what, why=why, hint=hint)), status, headers)


def _refuse(error: Exception) -> Reply:
    if isinstance(error, NotServedError):
        return _refusal(error.status, str(error), headers=error.headers)
    if isinstance(error, ValidationError):
        # The input is not repeated in the answer: a NaN in it could not be written as JSON.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(["body", *(str(part) for part in first["loc"])])
        hint = _AS_JSON if first["type"] == "json_invalid" else _SEE
        return _refusal(422, f"{where}: {first['msg']}.", hint=hint)
    if isinstance(error, CryoFluxError):
        return _refusal(_status(error), error.what, error.why, error.hint)
    _LOG.error("a request failed", exc_info=error)
    return _refusal(
        500, f"This is a mistake of ours ({type(error).__name__}).", "", "Report it with the log."
    )


def _status(error: CryoFluxError) -> int:
    if isinstance(error, UnknownReservationError):
        return 404
    if isinstance(error, ReservationConflictError):
        return 409
    return 422 if isinstance(error, UsageError) else 503


class _Surface:
    """One function for each row of the table, of the same name."""

    def __init__(self, agent: LocalAgent, *, token: str, stopping: asyncio.Event, curl: str) -> None:
        self._agent = agent
        self._curl = curl
        self._asks_token = bool(token)
        self._document = b""
        self._metrics = Metrics(agent)
        self._events = Events(lambda: SampleReply.of(agent.sample()).model_dump_json(), stopping)
        self._quick = ThreadPoolExecutor(_QUICK_THREADS, "quick")
        self._settling = ThreadPoolExecutor(_SETTLING_THREADS, "settling")

    async def _do(self, work: Callable[[], BaseModel], *, waits: bool = False) -> Reply:
        pool = self._settling if waits else self._quick
        return _json(await asyncio.get_running_loop().run_in_executor(pool, work))

    async def sample(self, _: Request) -> Reply:
        return await self._do(lambda: SampleReply.of(self._agent.sample()))

    async def events(self, _: Request) -> Reply | Stream:
        if self._events.full:
            return _refusal(503, "Too many event streams are open.", "", "Close one, or poll /v1/sample.")
        return Stream(_EVENT_STREAM, self._events.stream())

    async def metrics(self, _: Request) -> Reply:
        text = await asyncio.get_running_loop().run_in_executor(self._quick, self._metrics.render)
        return Reply(text.encode(), media=CONTENT_TYPE)

    async def take(self, request: Request) -> Reply:
        body = TakeBody.model_validate_json(request.body)
        return await self._do(lambda: self._take(body))

    def _take(self, body: TakeBody) -> TakeReply:
        uj = to_uj(body.joules)
        try:
            taken = self._given(uj, body, body.request_id or _ANONYMOUS + secrets.token_hex(8))
        except BudgetError:  # it is an answer, not a failure
            credit_uw = self._agent.credit_uw
            return TakeReply.refused(
                too_little(
                    uj,
                    self._agent.standing(),
                    credit_uw or 0,
                    grants_only=credit_uw is None,
                    curl=self._curl,
                )
            )
        return TakeReply.of(taken, self._agent.bucket_uj(), withdrawn=not body.reserves)

    def _given(self, uj: int, body: TakeBody, request_id: str) -> Reservation:
        if not body.reserves:
            return self._agent.withdraw(uj, request_id=request_id, log=body.log)
        owner = None
        if body.pid is not None and body.boot_id is not None:
            owner = self._agent.owner_of(body.pid, body.boot_id, body.start_ticks)
        return self._agent.take_for(
            uj,
            request_id=request_id,
            owner=owner,
            log=body.log,
            intent=body.intent,
            earlier=body.earlier() if owner is not None else None,
        )

    async def grant(self, request: Request) -> Reply:
        body = GrantBody.model_validate_json(request.body)

        def work() -> GrantReply:
            left_uj = self._agent.grant(to_uj(body.joules), request_id=body.request_id, note=body.note)
            return GrantReply(remaining_j=left_uj / MICRO, remaining_uj=left_uj)

        return await self._do(work)

    async def settle(self, request: Request) -> Reply:
        body = ReservationBody.model_validate_json(request.body)

        def work() -> SettlementReply:
            return SettlementReply.of(self._agent.settle(body.reservation))

        return await self._do(work, waits=True)

    async def release(self, request: Request) -> Reply:
        body = ReservationBody.model_validate_json(request.body)

        def work() -> ReleaseReply:
            self._agent.release(body.reservation)
            left_uj = self._agent.bucket_uj()
            return ReleaseReply(remaining_j=left_uj / MICRO, remaining_uj=left_uj)

        return await self._do(work)

    async def word(self, request: Request) -> Reply:
        body = ReservationBody.model_validate_json(request.body)

        def work() -> WordReply:
            return WordReply(reservation=body.reservation, statement=self._agent.word(body.reservation))

        return await self._do(work)

    async def reservations(self, request: Request) -> Reply:
        request_id, after = request.query.get("request_id"), request.query.get("after", "")

        def work() -> ReservationList:
            views = self._agent.views(request_id, after=after)
            full = request_id is None and len(views) == MOST_VIEWS
            return ReservationList(
                reservations=tuple(ReservationReply.of(view) for view in views),
                next=views[-1].reservation.id if full else None,
            )

        return await self._do(work)

    async def reservation(self, request: Request) -> Reply:
        reservation_id = request.named
        return await self._do(lambda: ReservationReply.of(self._agent.view(reservation_id)))

    async def openapi(self, _: Request) -> Reply:
        if not self._document:
            document = describe(
                OPERATIONS,
                title="JouleAgent",
                version=__version__,
                refusal=ErrorReply,
                token=self._asks_token,
                always=_ALWAYS,
            )
            self._document = json.dumps(document).encode()
        return Reply(self._document)
