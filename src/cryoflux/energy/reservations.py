"""Which attribution meters which open reservation, also across a restart of the meter.

A reservation whose process lives is metered on: what was noted last is carried, and what happened in
between widens the interval by P_max · gap. One whose process is gone is charged what was noted last,
widened by one sampling period. Both are flagged.

A session's reservation is charged what its process spends beside the attempts: all that it spends less what
its other reservations for the same log are charged. So attempts and session add up to the whole exactly.
"""

from __future__ import annotations

__all__ = ["PERIOD_NS", "REST_PERIOD_NS", "OpenReservations", "ReservationView"]

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cryoflux.energy.account.bucket import TICKS_SYNCED_NS, Record, State
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.attribution import Attribution
from cryoflux.energy.clock import BILLION
from cryoflux.energy.interface import SESSION, Reservation
from cryoflux.energy.meter import Meter
from cryoflux.energy.of_machine import MachineReservations
from cryoflux.energy.processes import Owner, ProcessTimes
from cryoflux.quantities import Energy, Tier, worst_tier

PERIOD_NS = BILLION
"""Spending is noted this often; a crash leaves at most so much unknown."""
REST_PERIOD_NS = 10 * BILLION
"""While nothing is reserved, credits are written this often."""


@dataclass(frozen=True, slots=True)
class ReservationView:
    """A reservation as the daemon shows it."""

    reservation: Reservation
    state: State
    spent: Energy
    owner: Owner | None
    alive: bool | None
    """whether its process lives; none where it is not one of this machine"""
    cpu_us: int
    """CPU time of its process that ``spent`` stands for, µs"""


@dataclass(slots=True)
class _Metered:
    reservation: Reservation
    owner: Owner | None
    attribution: Attribution
    earlier: Charge
    """of the meter before this one"""
    before: Energy | None = None
    """what was spent before this meter metered it"""
    before_us: int = 0
    """CPU time of that, µs, where no meter before this one has noted it"""
    resumed: bool = False
    """whether a meter before this one began it"""
    inside: Charge | None = None
    """of a session: what its attempts were charged that have ended"""

    @property
    def session(self) -> bool:
        """Whether it is for what its process spends beside its attempts."""
        return _of_session(self.reservation)

    def holds(self, reservation: Reservation, owner: Owner | None) -> bool:
        """Whether it is the session of another reservation."""
        if not self.session or _of_session(reservation):
            return False
        return (self.owner, self.reservation.log) == (owner, reservation.log)


class OpenReservations:
    """The running attributions of one meter, by reservation."""

    def __init__(self, meter: Meter, proc_root: str) -> None:
        self._meter = meter
        self._proc_root = proc_root
        self._running: dict[str, _Metered] = {}
        self._machine = MachineReservations(meter, self.empty_charge)

    def __contains__(self, reservation_id: object) -> bool:
        return reservation_id in self._running or reservation_id in self._machine

    def __len__(self) -> int:
        return len(self._running) + len(self._machine)

    def of_machine(self, record: Record) -> Charge:
        """What a reservation without a process has cost that a meter before this one began."""
        charge = record.charge or self.empty_charge()
        carried = self._carried(record, charge, until_ns=self._machine.opened_ns)
        return self._machine.left(charge, carried)

    def charges(self) -> dict[str, Charge]:
        """What the reservations of known processes have cost up to the last reading."""
        owned = [key for key, metered in self._running.items() if metered.attribution.process is not None]
        return {reservation_id: self.charge(reservation_id) for reservation_id in owned}

    def begin(
        self,
        reservation: Reservation,
        owner: Owner | None,
        earlier: Energy | None = None,
        earlier_us: int = 0,
    ) -> None:
        """Meter a new reservation from now on.

        Args:
            reservation: the reservation.
            owner: the process that it is for; none for the whole machine.
            earlier: what that process had spent on it before.
            earlier_us: in so much CPU time, µs.
        """
        if owner is None and not self._in_session(reservation):
            self._machine.begin(reservation.id)
            return
        process = ProcessTimes(owner, self._proc_root) if owner else None
        attribution = self._meter.attribute(process)
        found = _Metered(reservation, owner, attribution, self.empty_charge(), earlier, earlier_us)
        self._running[reservation.id] = found

    def _in_session(self, reservation: Reservation) -> bool:
        """Whether a reservation of nobody is a session, or an attempt of one."""
        return _of_session(reservation) or any(one.holds(reservation, None) for one in self._running.values())

    def resume(self, record: Record) -> None:
        """Meter a reservation on that a meter before this one began."""
        process = ProcessTimes(record.owner, self._proc_root) if record.owner else None
        charge = record.charge or self.empty_charge()
        carried = self._carried(record, charge)
        attribution = self._meter.attribute(process)
        found = _Metered(record.reservation, record.owner, attribution, charge, carried, resumed=True)
        self._running[record.reservation.id] = found

    def _carried(self, record: Record, charge: Charge, *, until_ns: int | None = None) -> Energy:
        known = charge.energy
        same_boot = record.noted_boot == self._meter.clock.boot_id
        now_ns = self._meter.clock.monotonic_ns() if until_ns is None else until_ns
        gap_ns = now_ns - record.noted_ns if same_boot else PERIOD_NS
        most_uj = known.hi_uj + self._meter.max_power_uw * max(gap_ns, 0) // BILLION
        uj, flags = known.uj, {*known.flags, "metered-across-restart"}
        if record.charge is None:
            # Nothing was noted, so what was asked for is the best guess.
            uj, flags = record.reservation.reserved_uj, {*flags, "unmetered"}
        return Energy(uj, min(known.lo_uj, uj), max(uj, most_uj), known.tier, tuple(sorted(flags)))

    def spent(self, reservation_id: str) -> Energy:
        """The energy of a charge alone."""
        if reservation_id in self._machine:
            return self._machine.charge(reservation_id).energy
        metered = self._running[reservation_id]
        energy = self._since(metered)
        for part, _ in self._inside(metered):
            energy = energy.beside(part)
        return energy if metered.before is None else metered.before + energy

    def _since(self, metered: _Metered) -> Energy:
        """What its process spent since this meter metered it."""
        attribution = metered.attribution
        return self._meter.qualified(attribution.net(), attribution.elapsed_ns, attribution.until_ns)

    def _inside(self, session: _Metered) -> Iterator[tuple[Energy, int]]:
        """What each attempt of a session is charged, and its CPU time, µs; those that ended in one."""
        if session.inside is not None:
            yield session.inside.energy, session.inside.cpu_us
        for other in self._running.values():
            if session.holds(other.reservation, other.owner):
                yield self._since(other), other.attribution.cpu_us

    def charge(self, reservation_id: str) -> Charge:
        """What a metered reservation has cost up to the last reading."""
        if reservation_id in self._machine:
            return self._machine.charge(reservation_id)
        metered = self._running[reservation_id]
        attribution = metered.attribution
        machine_net = self._meter.qualified(
            attribution.machine_net(), attribution.elapsed_ns, attribution.until_ns
        )
        since = replace(
            self.empty_charge(),
            energy=self.spent(reservation_id),
            machine_net=machine_net if metered.before is None else metered.before + machine_net,
            cpu_us=metered.before_us
            + max(0, attribution.cpu_us - sum(cpu_us for _, cpu_us in self._inside(metered))),
            window_ns=attribution.elapsed_ns,
            counters=attribution.counters(),
        )
        return since.continuing(metered.earlier)

    def recovered(self, record: Record) -> Charge:
        """What a reservation is charged whose process is gone."""
        charge = record.charge or self.empty_charge()
        # Notes are in the file at once, but only on the disk after a while: a power cut may take some.
        cut = record.noted_boot != self._meter.clock.boot_id
        most_uj = self._meter.max_power_uw * (PERIOD_NS + (TICKS_SYNCED_NS if cut else 0)) // BILLION
        return charge.widened(most_uj, "recovered")

    def end(self, reservation_id: str, charge: Charge | None = None) -> None:
        """Stop metering.

        Args:
            reservation_id: of what.
            charge: what it was settled at; none where it was released, so that a session pays for it.
        """
        self._machine.end(reservation_id)
        metered = self._running.pop(reservation_id, None)
        if metered is None:
            return
        self._meter.detach(metered.attribution)
        for session in self._running.values():
            if charge is not None and session.holds(metered.reservation, metered.owner):
                session.inside = _added(session.inside, _here(charge, metered))

    def empty_charge(self) -> Charge:
        """No energy yet, of the sources and baseline in use."""
        channels = self._meter.channels
        tier = worst_tier(channel.source.tier for channel in channels) if channels else Tier.MODELLED
        nothing = Energy(0, 0, 0, tier)
        return Charge(
            energy=nothing,
            machine_net=nothing,
            sources=tuple(channel.source.name for channel in channels),
            baseline_digest=self._meter.baseline.digest,
            curve=next((channel.source.curve for channel in channels if channel.source.curve), ""),
            cpu_us=0,
        )


def _of_session(reservation: Reservation) -> bool:
    return reservation.request_id.startswith(SESSION)


def _here(charge: Charge, metered: _Metered) -> Charge:
    """What of a charge this meter has metered; what one before it noted is not in the session either."""
    if not metered.resumed or metered.before is None:
        return charge
    cpu_us = max(0, charge.cpu_us - metered.earlier.cpu_us)
    return replace(charge, energy=charge.energy.beside(metered.before), cpu_us=cpu_us)


def _added(before: Charge | None, charge: Charge) -> Charge:
    if before is None:
        return charge
    return replace(before, energy=before.energy + charge.energy, cpu_us=before.cpu_us + charge.cpu_us)
