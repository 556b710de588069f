"""Which attribution meters which open reservation, also across a restart of the meter.

A reservation whose process lives is metered on: what was noted last is carried, and what happened in
between widens the interval by P_max · gap. One whose process is gone is charged what was noted last,
widened by one sampling period. Both are flagged.
"""

from __future__ import annotations

__all__ = ["PERIOD_NS", "REST_PERIOD_NS", "OpenReservations", "ReservationView"]

from dataclasses import dataclass, replace

from cryoflux.energy.account.bucket import TICKS_SYNCED_NS, Record, State
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.attribution import Attribution
from cryoflux.energy.clock import BILLION
from cryoflux.energy.interface import Reservation
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
    attribution: Attribution
    earlier: Charge
    """of the meter before this one"""


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

    def begin(self, reservation_id: str, owner: Owner | None) -> None:
        """Meter a new reservation from now on."""
        if owner is None:
            self._machine.begin(reservation_id)
            return
        process = ProcessTimes(owner, self._proc_root) if owner else None
        self._running[reservation_id] = _Metered(self._meter.attribute(process), self.empty_charge())

    def resume(self, record: Record) -> None:
        """Meter a reservation on that a meter before this one began."""
        process = ProcessTimes(record.owner, self._proc_root) if record.owner else None
        charge = record.charge or self.empty_charge()
        attribution = self._meter.attribute(process, carried=self._carried(record, charge))
        self._running[record.reservation.id] = _Metered(attribution, charge)

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
        attribution = self._running[reservation_id].attribution
        return self._meter.qualified(attribution.net(), attribution.elapsed_ns)

    def charge(self, reservation_id: str) -> Charge:
        """What a metered reservation has cost up to the last reading."""
        if reservation_id in self._machine:
            return self._machine.charge(reservation_id)
        metered = self._running[reservation_id]
        attribution = metered.attribution
        since = replace(
            self.empty_charge(),
            energy=self.spent(reservation_id),
            machine_net=self._meter.qualified(attribution.machine_net(), attribution.elapsed_ns),
            cpu_us=attribution.cpu_us,
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

    def end(self, reservation_id: str) -> None:
        """Stop metering."""
        self._machine.end(reservation_id)
        metered = self._running.pop(reservation_id, None)
        if metered is not None:
            self._meter.detach(metered.attribution)

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
