"""The JouleAgent protocol, spoken to a daemon.

Every request may be repeated, so a connection that fails is tried again for a while. Whatever goes wrong
in the end is an `AgentError` that says what to do: a daemon that is down, slow, or answers nonsense never
surfaces as an error of a library.
"""

from __future__ import annotations

__all__ = ["AgentClient"]

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import httpx2
import stamina
from pydantic import BaseModel, ValidationError

from cryoflux.agent.schemas import (
    ErrorReply,
    GrantReply,
    ReleaseReply,
    ReservationList,
    ReservationReply,
    SampleReply,
    SettlementReply,
    WordReply,
)
from cryoflux.agent.taken import TakeReply
from cryoflux.agent.token import require_sendable, without_password
from cryoflux.energy.account.settlement import read_settlement
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.interface import SESSION, Earlier, Reservation, Sample, Settlement
from cryoflux.energy.processes import find_owner
from cryoflux.errors import AgentError, BudgetError, UsageError, VerificationError
from cryoflux.quantities import MICRO, Energy, format_energy

_Body = TypeVar("_Body", bound=BaseModel)
_ATTEMPTS = 5
_MOST_BYTES = 4 * 1024 * 1024
_SPENT_EVERY_S = 0.5
_UNIX = "unix://"
_ANY_HOST = "http://localhost"
_NO_ROUTE = "Not Found."
"""what a daemon says that does not know what it is asked"""
_PASSING = frozenset({502, 503, 504})


class _PassingError(Exception):
    """An answer that may be better next time."""


@dataclass(slots=True)
class _Spending:
    """What is known of one reservation, and when it was asked for last."""

    taken_cpu_s: float
    """CPU time of this process when the reservation began, as far as the daemon can tell"""
    asked_s: float = -1e9
    figure: Energy | None = None
    stands_for_s: float = 0.0
    """CPU time since the reservation began that the figure stands for"""
    shown: Energy | None = None
    session: bool = False
    """whether it is for what this process spends beside its attempts: CPU time does not tell how much"""


class AgentClient:
    """A daemon's meter and bucket.

    Args:
        url: where the daemon listens, such as ``http://127.0.0.1:8787`` or ``unix:///run/agent.sock``.
        token: its bearer token, if it has one.
        timeout: how long an answer is waited for, s.
        attempts: how often a request is tried in all.

    A run that is to last for weeks sets ``patience``: it is asked where the daemon does not answer any more,
    and says whether to try again, as often as it likes.

    Raises:
        AgentError: the URL cannot be used.
        ConfigError: the token cannot be sent.
    """

    def __init__(self, url: str, token: str = "", timeout: float = 5.0, *, attempts: int = _ATTEMPTS) -> None:
        require_sendable(token)
        address = url.rstrip("/")
        self.url = without_password(address)
        """where it listens, as it may be printed"""
        self._attempts = attempts
        self._timeout = timeout
        self._says_token = bool(token)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._file = path = address.removeprefix(_UNIX) if address.startswith(_UNIX) else ""
        if not path and not address.startswith(("http://", "https://")):
            hint = "Write it as http://127.0.0.1:8787, or as unix:// and the path of its socket."
            self._fail(f"{self.url!r} is not the URL of a JouleAgent", hint=hint)
        # Without TLS there is no certificate to check: reading all authorities takes 20 ms.
        tls = address.startswith("https://")
        try:
            self._http = httpx2.Client(
                base_url=_ANY_HOST if path else address,
                transport=httpx2.HTTPTransport(uds=path, verify=tls) if path else None,
                headers=headers,
                timeout=timeout,
                trust_env=False,
                verify=tls,
            )
        except (httpx2.InvalidURL, ValueError) as error:
            self._fail(f"{self.url!r} is not the URL of a JouleAgent", error)
        clock = SystemClock()
        self._boot_id = clock.boot_id
        self._self = find_owner(os.getpid(), clock.boot_id)
        self._spending: dict[str, _Spending] = {}
        self.patience: Callable[[], bool] = lambda: False

    def _fail(self, what: str, error: Exception | None = None, hint: str = "") -> NoReturn:
        raise AgentError(
            f"{what}.",
            why="Without its meter an attempt cannot be paid for, so nothing was trained.",
            hint=hint or f"Check that `cryoflux agent` runs at {self.url}, or name no agent to meter here.",
        ) from error

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> httpx2.Response:
        for attempt in stamina.retry_context(
            on=(httpx2.TransportError, _PassingError),
            attempts=self._attempts,
            timeout=None,
            wait_initial=0.2,
            wait_max=2.0,
            wait_jitter=0.1,
        ):
            with attempt:
                if self._file and not Path(self._file).is_socket():
                    raise httpx2.ConnectError("there is no such socket")
                with self._http.stream(method, path, json=body) as response:
                    content = self._whole(response)
                if response.status_code in _PASSING:
                    raise _PassingError(_explanation(content) or f"status {response.status_code}")
                return httpx2.Response(response.status_code, content=content)
        raise AssertionError("a retry context ends by returning or raising")

    def _whole(self, response: httpx2.Response) -> bytes:
        # The library's time-out starts anew with every byte; an answer in drops would last for ever.
        until_s, content = time.monotonic() + self._timeout, b""
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > _MOST_BYTES:
                self._fail(f"The JouleAgent at {self.url} answers without end")
            if time.monotonic() > until_s:
                raise httpx2.ReadTimeout("the answer comes in drops")
        return content

    def _ask(self, kind: type[_Body], method: str, path: str, body: dict[str, Any] | None = None) -> _Body:
        return self._read(kind, path, self._answer(method, path, body))

    def _read(self, kind: type[_Body], path: str, response: httpx2.Response) -> _Body:
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            what = "refuses the token that was said" if self._says_token else "asks for a token"
            hint = "Say the one that it was started with: CRYOFLUX_TOKEN=…, or --token."
            self._fail(f"The JouleAgent at {self.url} {what}", hint=hint)
        if response.status_code != httpx2.codes.OK:
            reason = _explanation(response.content) or f"status {response.status_code}"
            self._fail(f"The JouleAgent at {self.url} refused: {reason.rstrip('.')}")
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            self._fail(f"What answers at {self.url}{path} is not a JouleAgent", error)

    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> httpx2.Response:
        cause: Exception
        while True:
            try:
                return self._send(method, path, body)
            except httpx2.TimeoutException as error:
                what, passes, cause = "does not answer in time", True, error
            except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
                what, cause = f"cannot be reached ({type(error).__name__})", error
                passes = isinstance(error, httpx2.TransportError)
            except _PassingError as error:
                what, passes, cause = f"cannot do that now: {error}", True, error
            if not (passes and self.patience()):
                self._fail(f"The JouleAgent at {self.url} {what}", cause)

    def _value(self, reply: BaseModel, method: str) -> Any:
        # An interval that does not hold its estimate passes the types, and is nonsense all the same.
        try:
            return getattr(reply, method)()
        except ValueError as error:
            self._fail(f"The JouleAgent at {self.url} answers nonsense ({error})", error)

    def sample(self) -> Sample:
        """Measure now; whose energy is this process's own is not known over HTTP."""
        sample: Sample = self._value(self._ask(SampleReply, "GET", "/v1/sample"), "sample")
        return sample

    def bucket_uj(self) -> int:
        """What can be taken now, µJ."""
        return self._ask(SampleReply, "GET", "/v1/sample").bucket_uj

    def grant(self, uj: int, *, request_id: str, note: str) -> int:
        """Add joules, once per request id; returns what can be taken now, µJ."""
        body = {"joules": uj / MICRO, "request_id": request_id, "note": note}
        return self._ask(GrantReply, "POST", "/v1/grant", body).remaining_uj

    def take(
        self, uj: int, *, request_id: str, log: str = "", intent: str = "", earlier: Earlier | None = None
    ) -> Reservation:
        """Reserve joules for this process; log and announcement are those that the daemon says to keep.

        Raises:
            BudgetError: the bucket holds less.
        """
        body: dict[str, Any] = {"joules": uj / MICRO, "request_id": request_id, "log": log}
        body |= {"intent": intent, "reservation": True}
        body |= {"boot_id": self._boot_id, "pid": os.getpid()}
        if self._self is not None:
            body["start_ticks"] = self._self.start_ticks
        if earlier is not None:
            body |= {"earlier_cpu_us": earlier.cpu_us, "earlier_ns": earlier.ns}
        reply = self._ask(TakeReply, "POST", "/v1/take", body)
        if not reply.ok:
            raise BudgetError(
                f"{format_energy(uj)} were asked for; the bucket at {self.url} holds "
                f"{format_energy(reply.remaining_uj)}.",
                why="A take is all or nothing, so that no attempt starts that cannot be paid.",
                hint="Grant more joules with --budget, or wait until more are credited.",
            )
        if not reply.reservation:
            self._fail(f"The JouleAgent at {self.url} gave joules without a reservation")
        session = request_id.startswith(SESSION)
        self._spending.setdefault(reply.reservation, _Spending(time.process_time(), session=session))
        return Reservation(reply.reservation, request_id, uj, reply.log, reply.intent)

    def spent(self, reservation_id: str) -> Energy:
        """Net energy since the take: asked at most twice a second, extrapolated in between.

        A daemon's figures move once a second. What this process has computed since then is added at the
        rate of what the figure stands for.
        """
        spending = self._spending.setdefault(reservation_id, _Spending(time.process_time()))
        if spending.figure is None or time.monotonic() - spending.asked_s >= _SPENT_EVERY_S:
            reply = self._ask(ReservationReply, "GET", f"/v1/reservations/{reservation_id}")
            spending.figure = self._value(reply.spent, "energy")
            spending.asked_s, spending.stands_for_s = time.monotonic(), reply.cpu_us / MICRO
            spending.session = reply.request_id.startswith(SESSION)  # another client may have taken it
            # The daemon counts what was started too, and this process may have come to it later.
            spending.taken_cpu_s = min(spending.taken_cpu_s, time.process_time() - spending.stands_for_s)
        if spending.session:
            return spending.figure
        spending.shown = _not_under(_extrapolated(spending), spending.shown)
        return spending.shown

    def settle(self, reservation_id: str) -> Settlement:
        """Charge what was spent; idempotent."""
        reply = self._ask(SettlementReply, "POST", "/v1/settle", {"reservation": reservation_id})
        self._spending.pop(reservation_id, None)
        settlement: Settlement = self._value(reply, "settlement")
        self._require_signed(settlement.statement)
        return settlement

    def word(self, reservation_id: str) -> str:
        """The meter's signed word on what a reservation has cost so far."""
        response = self._answer("POST", "/v1/word", {"reservation": reservation_id})
        if response.status_code == httpx2.codes.NOT_FOUND and _explanation(response.content) == _NO_ROUTE:
            hint = "Start one of the same version as this."
            self._fail(f"The JouleAgent at {self.url} is too old: it signs nothing that is open", hint=hint)
        reply = self._read(WordReply, "/v1/word", response)
        self._require_signed(reply.statement)
        return reply.statement

    def sees(self, reservation_id: str) -> bool:
        """Whether a reservation is metered as one process of the daemon's machine."""
        reply = self._ask(ReservationReply, "GET", f"/v1/reservations/{reservation_id}")
        return reply.alive is not None

    def _require_signed(self, statement: str) -> None:
        if not statement:
            return
        try:
            read_settlement(statement)
        except VerificationError as error:
            self._fail(f"The JouleAgent at {self.url} signs nonsense ({error.what})", error)

    def lend(self, uj: int, *, request_id: str, log: str = "", intent: str = "") -> NoReturn:  # noqa: ARG002
        """Refuse: a daemon lends no joules to other meters.

        Raises:
            UsageError: always.
        """
        self._refuse_lending()

    def repay(self, reservation_id: str, energy: Energy) -> NoReturn:  # noqa: ARG002
        """Refuse, as `lend` does.

        Raises:
            UsageError: always.
        """
        self._refuse_lending()

    def lent(self, request: str) -> list[Reservation]:  # noqa: ARG002
        """Nothing: a daemon lends no joules to other meters."""
        return []

    def _refuse_lending(self) -> NoReturn:
        raise UsageError(
            f"The JouleAgent at {self.url} lends no joules to other meters.",
            why="A fleet is paid from the account that lies in its own state.",
            hint="Leave --agent out (and the setting agent, and CRYOFLUX_AGENT).",
        )

    def release(self, reservation_id: str) -> None:
        """Give a reservation back whole."""
        self._ask(ReleaseReply, "POST", "/v1/release", {"reservation": reservation_id})
        self._spending.pop(reservation_id, None)

    def find(self, request_id: str) -> Reservation | None:
        """The reservation that a request id was given, open or settled."""
        query = httpx2.QueryParams({"request_id": request_id})
        for reply in self._ask(ReservationList, "GET", f"/v1/reservations?{query}").reservations:
            if reply.request_id == request_id and reply.state != "released":
                return reply.held()
        return None

    def close(self) -> None:
        """Close the connections; the daemon meters on."""
        self._http.close()


def _explanation(content: bytes) -> str:
    """What the daemon says went wrong, if it is the daemon that speaks."""
    try:
        return ErrorReply.model_validate_json(content).error.what
    except ValidationError:
        return ""


def _extrapolated(spending: _Spending) -> Energy:
    figure = spending.figure
    assert figure is not None  # noqa: S101 - asked for just before
    used_s = spending.stands_for_s
    since_s = time.process_time() - spending.taken_cpu_s - used_s
    if used_s <= 0 or since_s <= 0 or figure.uj <= 0:
        return figure
    more_uj = int(figure.uj * since_s / used_s)
    more_hi_uj = max(more_uj, int(figure.hi_uj * since_s / used_s))
    return Energy(figure.uj + more_uj, figure.lo_uj, figure.hi_uj + more_hi_uj, figure.tier, figure.flags)


def _not_under(figure: Energy, shown: Energy | None) -> Energy:
    if shown is None or figure.uj >= shown.uj:
        return figure
    return Energy(shown.uj, figure.lo_uj, max(shown.uj, figure.hi_uj), figure.tier, figure.flags)
