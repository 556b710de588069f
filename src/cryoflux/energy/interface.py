"""The shapes that cross the energy package's border, and the two protocols behind them.

- `Source`: one family of hardware counters. It only reads; deltas, bounds and intervals are made in
  one place (`energy.window`), so every source is treated alike.
- `JouleAgent`: what the orchestrator spends from. The embedded meter and the daemon's client both
  are one, so a run does not know which it has.
"""

from __future__ import annotations

__all__ = [
    "SESSION",
    "Counter",
    "Earlier",
    "JouleAgent",
    "Problem",
    "Reading",
    "Reservation",
    "Sample",
    "Settlement",
    "Source",
    "SourceKind",
    "SourceSample",
    "is_lent",
    "lent_for",
    "lent_request",
    "worker_request",
]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cryoflux.errors import UsageError
from cryoflux.quantities import Energy, Tier

SESSION = "session/"
"""how the request id of a session begins, which pays for what a process spends beside its attempts"""
_LENT = "/lent/"
SourceKind = Literal["cpu", "dram", "gpu"]


def lent_request(request: str, worker: str) -> str:
    """The request id of joules that are lent to a worker's meter, ``REQUEST/lent/WORKER``.

    Args:
        request: the request id under which that meter takes them: of an attempt, or of a session.
        worker: its name.

    Raises:
        UsageError: the two would not be found again in it.
    """
    request_id = f"{request}{_LENT}{worker}"
    if is_lent(request) or not is_lent(request_id):
        raise UsageError(
            f"Joules for {request!r} cannot be lent to a worker of the name {worker!r}.",
            why="REQUEST/lent/WORKER has to name one request and one worker.",
            hint="Give the worker a name without a slash.",
        )
    return request_id


def worker_request(request: str, worker: str) -> str:
    """The request id under which the meter of a worker takes what was lent to it.

    An attempt is of one worker. A session is of all workers of a run, and a JouleAgent may be the meter of
    several, so there it is ``REQUEST/at/WORKER``.

    Args:
        request: request id of the attempt, or of the session.
        worker: its name.
    """
    return f"{request}/at/{worker}" if request.startswith(SESSION) else request


def is_lent(request_id: str) -> bool:
    """Whether a request id is one of joules that another meter charges."""
    request, mark, worker = request_id.rpartition(_LENT)
    return bool(request and mark and worker) and "/" not in worker


def lent_for(request_id: str) -> str:
    """The request that joules were lent for; the request id itself where it is not of something lent."""
    return request_id.rpartition(_LENT)[0] if is_lent(request_id) else request_id


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something here is not measured, or not better."""

    name: str
    """the source that it is about"""
    reason: str
    """what was found, for a person"""
    code: str
    """one of a few short words, by which advice is found"""
    max_power_uw: int = 0
    """so much may flow unseen beside what is measured; 0 where nothing does, or nobody knows"""
    file: str = ""
    """that would have to be readable, where it is about one"""


@dataclass(frozen=True, slots=True)
class Reading:
    """The cumulative energy of one source at one instant."""

    energy_uj: int | None
    """raw counter value, µJ; none when this read failed"""
    monotonic_ns: int
    epoch: str
    """changes whenever the counter may have restarted (boot, suspend, driver)"""
    check_uj: int | None = None
    """the same energy by a second way (integrated power), µJ; compared with the first, never added"""


@dataclass(frozen=True, slots=True)
class Counter:
    """What a counter showed at both ends of a window."""

    source: str
    first_uj: int | None
    """none where nothing good had been read yet"""
    last_uj: int | None
    first_epoch: str
    last_epoch: str


class Source(Protocol):
    """One counter of energy."""

    name: str
    """``rapl:package-0``, ``nvml:GPU-…``, ``cpu-model``"""
    kind: SourceKind
    tier: Tier
    range_uj: int | None
    """the counter wraps to zero after this many µJ; none where it does not wrap"""
    max_power_uw: int
    """no more than this many µW can flow; bounds every delta"""
    gain_error: tuple[float, float]
    """true over reported energy, as (low, high) factors: with 95 %; of a model, what is plausible"""
    resolution_uj: int
    """step of the counter, µJ: a reading lies at most so much off what has flowed"""
    update_s: float
    """the counter shows what has flowed up to so long ago, s; 0 where it is always up to date"""
    curve: str
    """id of the power curve of a modelled source; empty otherwise"""
    poll_s: float
    """while energy is charged it wants to be read this often, s; 1 where a counter does the adding up"""
    idle_uw: int | None
    """power at rest by definition of a model, µW; none where it has to be learned"""

    def read(self) -> Reading:
        """Read the counter now; a failed read says so and does not raise."""
        ...

    def users(self) -> Mapping[int, int] | None:
        """Process number → its time on this device so far, µs; none where that is not told."""
        ...

    def close(self) -> None:
        """Let go of file descriptors and driver handles."""
        ...


@dataclass(frozen=True, slots=True)
class SourceSample:
    """One source at the moment of a sample."""

    name: str
    kind: SourceKind
    tier: Tier
    power_w: float
    """gross, over the last second or two"""
    idle_w: float
    """its frozen baseline"""
    gross: Energy
    """since the meter started"""
    net: Energy
    """since the meter started, signed"""
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the machine draws now and what the bucket holds."""

    ts: float
    """wall time, seconds since 1970; a label"""
    cpu_w: float
    gpu_w: float
    idle_cpu_w: float
    idle_gpu_w: float
    net_w: float
    bucket_uj: int
    """what can be taken now, µJ"""
    gross: Energy
    """since the meter started"""
    net: Energy
    """since the meter started, signed"""
    own: Energy | None
    """net energy attributed to the process that asks, since it started; none where it is unknown"""
    sources: tuple[SourceSample, ...]
    baseline_digest: str
    baseline_state: Literal["settled", "unsettled", "modelled"]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reservation:
    """Joules taken from the bucket for one attempt."""

    id: str
    request_id: str
    reserved_uj: int
    log: str = ""
    """origin of the receipt log that it is an attempt of; empty where it is an attempt of none"""
    intent: str = ""
    """leaf hash of the entry that announced the attempt; empty for a session, and where nobody said it"""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a process did for a session before it could take joules for it: starting up is paid for too."""

    cpu_us: int
    """CPU time of the process, µs"""
    ns: int
    """how long that took by the clock"""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a reservation really cost."""

    reservation_id: str
    reserved_uj: int
    energy: Energy
    """charged: the net energy that the reserving process caused"""
    machine_net: Energy
    """the whole machine's net energy in the same window"""
    sources: tuple[str, ...]
    baseline_digest: str
    curve: str
    cpu_us: int
    """CPU time of the reserving process in the window, µs"""
    bucket_uj: int
    """what can be taken now, µJ"""
    statement: str = ""
    """the same, signed by the meter (energy.settlement); empty where it has no key"""


class JouleAgent(Protocol):
    """A meter with a bucket."""

    def sample(self) -> Sample:
        """Measure now."""
        ...

    def bucket_uj(self) -> int:
        """What can be taken now: balance less open reservations, µJ."""
        ...

    def grant(self, uj: int, *, request_id: str, note: str) -> int:
        """Add joules to the bucket, once per request id; returns what can be taken now, µJ."""
        ...

    def take(
        self, uj: int, *, request_id: str, log: str = "", intent: str = "", earlier: Earlier | None = None
    ) -> Reservation:
        """Reserve joules, all or nothing, once per request id; metering for it starts here.

        Where the request id begins with `SESSION`, it is for what the process spends beside its other
        reservations for the same log: it is charged all that the process spends less what those are charged.

        Args:
            uj: how much.
            request_id: names the request; a repeat has the same, and the same amount, log and intent.
            log: origin of the receipt log that it is an attempt of; empty where of none. It is at most
                200 printable ASCII characters, and stays with the reservation.
            intent: leaf hash of the entry of that log which announced the attempt, in hexadecimal; empty for
                a session. It stays with the reservation too, and the meter signs both.
            earlier: what the process did for it before; charged too, as far as it can be told.

        Raises:
            BudgetError: the bucket holds less.
        """
        ...

    def spent(self, reservation_id: str) -> Energy:
        """Net energy that the reserving process caused since the take.

        Cheap enough to call after every training step. The embedded meter also notes the figure
        durably at least once a second, so that a crash loses no more than that.
        """
        ...

    def settle(self, reservation_id: str) -> Settlement:
        """Charge what was spent and give the rest back (or record the overdraft); idempotent."""
        ...

    def word(self, reservation_id: str) -> str:
        """The meter's signed word on what an open reservation has cost so far, flagged `SO_FAR`.

        It has the form of a settlement's statement, and the flag says that it is none. Of a settled one it
        is the statement itself. It is empty where nobody here metered it, and where no word is given.

        Net energy is signed, so a settlement may come to less than the last word before it, where the machine
        drew less than at rest meanwhile.
        """
        ...

    def release(self, reservation_id: str) -> None:
        """Give a reservation back whole; only for one that nothing was spent on."""
        ...

    def lend(self, uj: int, *, request_id: str, log: str = "", intent: str = "") -> Reservation:
        """Reserve joules for what another meter charges, all or nothing, once per request id.

        Nothing is metered for it here. It stays open, across restarts too, until it is repaid or released,
        and until then it is known to have cost something up to what was lent.

        Args:
            uj: how much.
            request_id: as `lent_request` names it; a repeat has the same amount, log and intent.
            log: as of `take`.
            intent: as of `take`.

        Raises:
            BudgetError: the bucket holds less.
            UsageError: that is no name of something lent, or this meter lends nothing.
        """
        ...

    def repay(self, reservation_id: str, energy: Energy) -> Settlement:
        """Charge what was lent with what the other meter charged, and take the rest back; idempotent.

        More than was lent is charged all the same. Nobody here metered it, so nothing is signed, and the
        energy stands in the account flagged `LENT`.

        Args:
            reservation_id: of what `lend` gave.
            energy: as the other meter has it; no end of it is negative.

        Raises:
            UsageError: it is no charge of a meter, or the reservation is metered here.
        """
        ...

    def lent(self, request: str) -> Sequence[Reservation]:
        """What is lent for a request and not repaid yet, in the order of its ids.

        Args:
            request: that it was lent for, an attempt or a session; all that is lent where it is empty.
        """
        ...

    def find(self, request_id: str) -> Reservation | None:
        """The reservation that a request id was given, open or settled; none if none, or released."""
        ...

    def close(self) -> None:
        """Stop metering; open reservations stay open."""
        ...
