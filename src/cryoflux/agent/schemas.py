"""What goes over the wire, in both directions; the OpenAPI document is made from these.

Joules are floats for people and for the simplest of clients; the same amounts are there as integer
microjoules, which are what counts.
"""

from __future__ import annotations

__all__ = [
    "EnergyBody",
    "ErrorBody",
    "ErrorReply",
    "GrantBody",
    "GrantReply",
    "ReleaseReply",
    "ReservationBody",
    "ReservationList",
    "ReservationReply",
    "SampleReply",
    "SettlementReply",
    "SourceBody",
    "TakeBody",
    "Wire",
    "WordReply",
    "to_uj",
]

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    WithJsonSchema,
)

from cryoflux.energy.account.refusals import INTENT_PATTERN, LOG_PATTERN
from cryoflux.energy.interface import Earlier, Reservation, Sample, Settlement, SourceSample
from cryoflux.energy.reservations import ReservationView
from cryoflux.quantities import MICRO, Energy, RangeKind, Tier

# Up to 1 GJ a float of joules still names every single microjoule.
_Joules = Annotated[
    StrictFloat | StrictInt,
    Field(ge=1e-6, le=1e9, allow_inf_nan=False),
    # pydantic writes no bounds of a union into a schema.
    WithJsonSchema({"type": "number", "minimum": 1e-6, "maximum": 1e9}),
]


def _whole(value: Any) -> Any:
    # JSON has one kind of number: 3.0 is an integer there.
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[StrictInt, BeforeValidator(_whole)]
_Count = Annotated[StrictInt, Field(ge=0, lt=2**53), BeforeValidator(_whole)]
Pid = Annotated[StrictInt, Field(gt=0, lt=2**31), BeforeValidator(_whole)]
Id = Annotated[str, Field(min_length=1, max_length=200)]
_Log = Annotated[str, Field(pattern=LOG_PATTERN)]
_Intent = Annotated[str, Field(pattern=INTENT_PATTERN)]


def to_uj(joules: float) -> int:
    """Microjoules of an amount that came over the wire."""
    return round(joules * MICRO)


class Wire(BaseModel):
    """What goes over the wire: it does not change, and every number in it is one."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class ErrorBody(Wire):
    """What happened, why it matters, and what to do next."""

    what: str
    why: str = ""
    hint: str = ""


class ErrorReply(Wire):
    """Every answer that is no success."""

    error: ErrorBody


class EnergyBody(Wire):
    """Joules between two ends: a 95 % interval, or what is plausible where some were modelled."""

    joules: float
    uj: int
    lo_uj: int
    hi_uj: int
    tier: Tier
    flags: tuple[str, ...]
    range_kind: RangeKind | None = None
    """of what kind the two ends are; older daemons leave it to the tier"""

    @classmethod
    def of(cls, energy: Energy) -> EnergyBody:
        """The wire form of a figure."""
        return cls(
            joules=energy.joules,
            uj=energy.uj,
            lo_uj=energy.lo_uj,
            hi_uj=energy.hi_uj,
            tier=energy.tier,
            flags=energy.flags,
            range_kind=energy.range_kind,
        )

    def energy(self) -> Energy:
        """The figure of a wire form."""
        return Energy(self.uj, self.lo_uj, self.hi_uj, self.tier, self.flags)


class SourceBody(Wire):
    """One source at the moment of a sample."""

    name: str
    kind: Literal["cpu", "dram", "gpu"]
    tier: Tier
    power_w: float
    idle_w: float
    gross: EnergyBody
    net: EnergyBody
    flags: tuple[str, ...]

    @classmethod
    def of(cls, source: SourceSample) -> SourceBody:
        """The wire form of a source."""
        return cls(
            name=source.name,
            kind=source.kind,
            tier=source.tier,
            power_w=source.power_w,
            idle_w=source.idle_w,
            gross=EnergyBody.of(source.gross),
            net=EnergyBody.of(source.net),
            flags=source.flags,
        )

    def source(self) -> SourceSample:
        """The value of a wire form."""
        return SourceSample(
            name=self.name,
            kind=self.kind,
            tier=self.tier,
            power_w=self.power_w,
            idle_w=self.idle_w,
            gross=self.gross.energy(),
            net=self.net.energy(),
            flags=self.flags,
        )


class SampleReply(Wire):
    """``GET /v1/sample``."""

    ts: float
    cpu_w: float
    gpu_w: float
    idle_cpu_w: float
    idle_gpu_w: float
    net_w: float
    bucket_j: float
    bucket_uj: int
    gross_j: float
    net_j: float
    tier: Tier
    gross: EnergyBody
    net: EnergyBody
    sources: tuple[SourceBody, ...]
    baseline_state: Literal["settled", "unsettled", "modelled"]
    baseline_digest: str
    flags: tuple[str, ...]

    @classmethod
    def of(cls, sample: Sample) -> SampleReply:
        """The wire form of a sample."""
        return cls(
            ts=sample.ts,
            cpu_w=sample.cpu_w,
            gpu_w=sample.gpu_w,
            idle_cpu_w=sample.idle_cpu_w,
            idle_gpu_w=sample.idle_gpu_w,
            net_w=sample.net_w,
            bucket_j=sample.bucket_uj / MICRO,
            bucket_uj=sample.bucket_uj,
            gross_j=sample.gross.joules,
            net_j=sample.net.joules,
            tier=sample.gross.tier,
            gross=EnergyBody.of(sample.gross),
            net=EnergyBody.of(sample.net),
            sources=tuple(SourceBody.of(source) for source in sample.sources),
            baseline_state=sample.baseline_state,
            baseline_digest=sample.baseline_digest,
            flags=sample.flags,
        )

    def sample(self) -> Sample:
        """The value of a wire form; whose energy is the asker's own is not known."""
        return Sample(
            ts=self.ts,
            cpu_w=self.cpu_w,
            gpu_w=self.gpu_w,
            idle_cpu_w=self.idle_cpu_w,
            idle_gpu_w=self.idle_gpu_w,
            net_w=self.net_w,
            bucket_uj=self.bucket_uj,
            gross=self.gross.energy(),
            net=self.net.energy(),
            own=None,
            sources=tuple(source.source() for source in self.sources),
            baseline_digest=self.baseline_digest,
            baseline_state=self.baseline_state,
            flags=self.flags,
        )


class TakeBody(Wire):
    """``POST /v1/take``; ``{"joules": 120}`` is enough."""

    joules: _Joules
    reservation: StrictBool | None = None
    """true: reserve them, to be settled at what was measured, or released. false: withdraw them, charged as
    they are. Without it: reserved where ``request_id``, ``pid``, ``log`` or ``intent`` is given, else
    withdrawn"""
    request_id: Id | None = None
    """repeating a request with the same id takes once"""
    log: _Log = ""
    """origin of the receipt log that it is an attempt of; the reservation keeps it, and the meter signs it"""
    intent: _Intent = ""
    """leaf hash of the entry of that log which announced the attempt, in hexadecimal; the same"""
    pid: Pid | None = None
    """with the boot id of the daemon's machine: charge this process's share"""
    boot_id: Id | None = None
    start_ticks: Whole | None = None
    """field 22 of ``/proc/<pid>/stat``: makes sure that it is the same process"""
    earlier_cpu_us: _Count | None = None
    """of a session: CPU time that the process spent on it before this take, µs; charged too"""
    earlier_ns: _Count | None = None
    """how long that took, ns"""

    def earlier(self) -> Earlier | None:
        """What the process did for a session before; none where it is not said."""
        if self.earlier_cpu_us is None or self.earlier_ns is None:
            return None
        return Earlier(self.earlier_cpu_us, self.earlier_ns)

    @property
    def reserves(self) -> bool:
        """Whether the joules are held until somebody settles; whoever says nothing of himself never does."""
        if self.reservation is not None:
            return self.reservation
        return bool(self.request_id or self.pid or self.log or self.intent)


class ReservationBody(Wire):
    """``POST /v1/settle``, ``POST /v1/release`` and ``POST /v1/word``."""

    reservation: Id


class GrantBody(Wire):
    """``POST /v1/grant``."""

    joules: _Joules
    request_id: Id
    note: Annotated[str, Field(max_length=500)] = ""


class GrantReply(Wire):
    """What can be taken after a grant."""

    remaining_j: float
    remaining_uj: int


class ReleaseReply(Wire):
    """What can be taken after a release."""

    ok: Literal[True] = True
    remaining_j: float
    remaining_uj: int


class WordReply(Wire):
    """What a reservation has cost so far, as the meter signs it."""

    reservation: str
    statement: str
    """the signed statement of the meter, a DSSE envelope, flagged ``so-far`` while the reservation is open;
    empty where nobody here metered it"""


class SettlementReply(Wire):
    """What a reservation really cost."""

    reservation: str
    reserved_uj: int
    charged_j: float
    energy: EnergyBody
    machine_net: EnergyBody
    sources: tuple[str, ...]
    baseline_digest: str
    curve: str
    cpu_us: int
    remaining_j: float
    remaining_uj: int
    statement: str = ""
    """the signed statement of the meter: a DSSE envelope"""

    @classmethod
    def of(cls, settlement: Settlement) -> SettlementReply:
        """The wire form of a settlement."""
        return cls(
            reservation=settlement.reservation_id,
            reserved_uj=settlement.reserved_uj,
            charged_j=settlement.energy.joules,
            energy=EnergyBody.of(settlement.energy),
            machine_net=EnergyBody.of(settlement.machine_net),
            sources=settlement.sources,
            baseline_digest=settlement.baseline_digest,
            curve=settlement.curve,
            cpu_us=settlement.cpu_us,
            remaining_j=settlement.bucket_uj / MICRO,
            remaining_uj=settlement.bucket_uj,
            statement=settlement.statement,
        )

    def settlement(self) -> Settlement:
        """The value of a wire form."""
        return Settlement(
            reservation_id=self.reservation,
            reserved_uj=self.reserved_uj,
            energy=self.energy.energy(),
            machine_net=self.machine_net.energy(),
            sources=self.sources,
            baseline_digest=self.baseline_digest,
            curve=self.curve,
            cpu_us=self.cpu_us,
            bucket_uj=self.remaining_uj,
            statement=self.statement,
        )


class ReservationReply(Wire):
    """One reservation with what was spent on it so far."""

    reservation: str
    request_id: str
    log: str = ""
    """origin of the receipt log that it is an attempt of; empty where of none"""
    intent: str = ""
    """leaf hash of the entry that announced the attempt; empty where nobody said it"""
    reserved_uj: int
    state: Literal["open", "settled", "released"]
    spent: EnergyBody
    cpu_us: int = 0
    """CPU time of its process that ``spent`` stands for, µs"""
    pid: int | None
    boot_id: str | None
    alive: bool | None
    """whether its process lives; none where that is not known"""

    @classmethod
    def of(cls, view: ReservationView) -> ReservationReply:
        """The wire form of a reservation."""
        return cls(
            reservation=view.reservation.id,
            request_id=view.reservation.request_id,
            log=view.reservation.log,
            intent=view.reservation.intent,
            reserved_uj=view.reservation.reserved_uj,
            state=view.state,
            spent=EnergyBody.of(view.spent),
            cpu_us=view.cpu_us,
            pid=view.owner.pid if view.owner else None,
            boot_id=view.owner.boot_id if view.owner else None,
            alive=view.alive,
        )

    def held(self) -> Reservation:
        """The reservation of a wire form."""
        return Reservation(self.reservation, self.request_id, self.reserved_uj, self.log, self.intent)


class ReservationList(Wire):
    """Open reservations in the order of their ids, a page of them; or the one that was asked for."""

    reservations: tuple[ReservationReply, ...]
    next: str | None = None
    """where there are more: ask again with this as ``after``"""
