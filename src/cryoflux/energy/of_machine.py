"""Reservations that no process is named for: each is charged the machine's net energy since it began.

That follows from where it began alone, so nothing is done for them once a second, nor when a meter takes
over, however many they are.
"""

from __future__ import annotations

__all__ = ["MachineReservations"]

from collections.abc import Callable
from dataclasses import replace

from cryoflux.energy.account.charge import Charge
from cryoflux.energy.attribution import Attribution
from cryoflux.energy.channels import Snapshot
from cryoflux.energy.meter import Meter
from cryoflux.quantities import Energy


class MachineReservations:
    """Where those of one meter began.

    Args:
        meter: of the machine.
        empty: makes a charge of no energy yet.
    """

    def __init__(self, meter: Meter, empty: Callable[[], Charge]) -> None:
        self._meter = meter
        self._empty = empty
        self._opened = meter.last
        self._began: dict[str, Snapshot] = {}
        self._watch: Attribution | None = None
        """while there are some: has the sources read as often as for a process"""

    def __contains__(self, reservation_id: object) -> bool:
        return reservation_id in self._began

    def __len__(self) -> int:
        return len(self._began)

    @property
    def opened_ns(self) -> int:
        """Since when what was left by a meter before this one is metered on, monotonic ns."""
        return self._opened.monotonic_ns

    def begin(self, reservation_id: str) -> None:
        """Meter a new reservation from now on."""
        self._watch = self._watch or self._meter.attribute(None)
        self._began[reservation_id] = self._meter.last

    def charge(self, reservation_id: str) -> Charge:
        """What one has cost up to the last reading."""
        return self._since(self._began[reservation_id])

    def left(self, charge: Charge, carried: Energy) -> Charge:
        """What one has cost up to the last reading that a meter before this one began.

        Args:
            charge: what was noted of it.
            carried: its energy up to when this meter was opened.
        """
        return self._since(self._opened, carried).continuing(charge)

    def _since(self, start: Snapshot, carried: Energy | None = None) -> Charge:
        attribution = Attribution(self._meter.channels, start, None, carried=carried)
        attribution.advance(self._meter.last)
        elapsed_ns = attribution.elapsed_ns
        return replace(
            self._empty(),
            energy=self._meter.qualified(attribution.net(), elapsed_ns),
            machine_net=self._meter.qualified(attribution.machine_net(), elapsed_ns),
            window_ns=elapsed_ns,
            counters=attribution.counters(),
        )

    def end(self, reservation_id: str) -> None:
        """Stop metering."""
        if self._began.pop(reservation_id, None) is not None and not self._began and self._watch is not None:
            self._meter.detach(self._watch)
            self._watch = None
