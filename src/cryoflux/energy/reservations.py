"""Which attribution meters which open reservation, also across a restart of the meter.

A reservation whose process lives is metered on: what was noted last is carried, and what happened in
between widens the interval by P_max · gap. One whose process is gone is charged what was noted last,
widened by one sampling period. Both are flagged.

A reservation that no process is named for is charged the machine's net energy. That is known from where it
began alone, so nothing is done for it once a second, nor when a meter takes over, however many there are.
"""

from __future__ import annotations

__all__ = ["PERIOD_NS", "REST_PERIOD_NS", "OpenReservations", "ReservationView"]

from dataclasses import dataclass, replace

from cryoflux.energy.account.bucket import TICKS_SYNCED_NS, Record, State
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.attribution import Attribution, Snapshot
from cryoflux.energy.clock import BILLION
from cryoflux.energy.interface import Reservation
from cryoflux.energy.meter import Meter
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
        self._opened = meter.last
        self._running: dict[str, _Metered] = {}
        self._of_machine: dict[str, Snapshot] = {}
        """where each reservation without a process began, of those that this meter began"""
        self._machine: Attribution | None = None
        """while there are some of these: has the sources read as often as for a process"""

    def __contains__(self, reservation_id: object) -> bool:
        return reservation_id in self._running or reservation_id in self._of_machine

    def __len__(self) -> int:
        return len(self._running) + len(self._of_machine)

    def charges(self) -> dict[str, Charge]:
        """What the reservations of known processes have cost up to the last reading."""
        return {reservation_id: self.charge(reservation_id) for reservation_id in self._running}

    def begin(self, reservation_id: str, owner: Owner | None) -> None:
        """Meter a new reservation from now on."""
        if owner is None:
            self._machine = self._machine or self._meter.attribute(None)
            self._of_machine[reservation_id] = self._meter.last
            return
        process = ProcessTimes(owner, self._proc_root)
        self._running[reservation_id] = _Metered(self._meter.attribute(process), self.empty_charge())

    def resume(self, record: Record) -> None:
        """Meter a reservation of a process on that a meter before this one began."""
        process = ProcessTimes(record.owner, self._proc_root) if record.owner else None
        charge = record.charge or self.empty_charge()
        carried = self._carried(record, charge, self._meter.clock.monotonic_ns())
        self._running[record.reservation.id] = _Metered(
            self._meter.attribute(process, carried=carried), charge
        )

    def of_machine(self, record: Record) -> Charge:
        """What a reservation without a process has cost that a meter before this one began."""
        charge = record.charge or self.empty_charge()
        carried = self._carried(record, charge, self._opened.monotonic_ns)
        return self._charge(_Metered(self._since(self._opened, carried), charge))

    def _since(self, start: Snapshot, carried: Energy | None = None) -> Attribution:
        """The machine's net energy from then to the last reading."""
        attribution = Attribution(self._meter.channels, start, None, carried=carried)
        attribution.advance(self._meter.last)
        return attribution

    def _metered(self, reservation_id: str) -> _Metered:
        start = self._of_machine.get(reservation_id)
        if start is None:
            return self._running[reservation_id]
        return _Metered(self._since(start), self.empty_charge())

    def _carried(self, record: Record, charge: Charge, until_ns: int) -> Energy:
        known = charge.energy
        same_boot = record.noted_boot == self._meter.clock.boot_id
        gap_ns = until_ns - record.noted_ns if same_boot else PERIOD_NS
        most_uj = known.hi_uj + self._meter.max_power_uw * max(gap_ns, 0) // BILLION
        uj, flags = known.uj, {*known.flags, "metered-across-restart"}
        if record.charge is None:
            # Nothing was noted, so what was asked for is the best guess.
            uj, flags = record.reservation.reserved_uj, {*flags, "unmetered"}
        return Energy(uj, min(known.lo_uj, uj), max(uj, most_uj), known.tier, tuple(sorted(flags)))

    def spent(self, reservation_id: str) -> Energy:
        """The energy of a charge alone."""
        return self._energy(self._metered(reservation_id).attribution)

    def charge(self, reservation_id: str) -> Charge:
        """What a metered reservation has cost up to the last reading."""
        return self._charge(self._metered(reservation_id))

    def _energy(self, attribution: Attribution) -> Energy:
        return self._meter.qualified(attribution.net(), attribution.elapsed_ns)

    def _charge(self, metered: _Metered) -> Charge:
        attribution = metered.attribution
        since = replace(
            self.empty_charge(),
            energy=self._energy(attribution),
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
        if self._of_machine.pop(reservation_id, None) is not None:
            if not self._of_machine and self._machine is not None:
                self._meter.detach(self._machine)
                self._machine = None
            return
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
