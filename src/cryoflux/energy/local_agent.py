"""The JouleAgent without a network: one meter and one bucket, in this process.

`cryoflux run` uses it for itself. `cryoflux agent` puts HTTP in front of it and names the process that each
reservation is for. One state directory has one metering process at a time, held by a lock, so that no
energy is credited twice.

What is metered becomes durable once a second while joules are reserved, and every ten seconds at rest:
a crash loses no more than that.
"""

from __future__ import annotations

__all__ = ["MOST_VIEWS", "LocalAgent"]

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from cryoflux.config import Settings
from cryoflux.energy.account.bucket import Bucket, Record, Standing
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.attribution import Attribution
from cryoflux.energy.baseline import BaselineState
from cryoflux.energy.channels import Snapshot
from cryoflux.energy.clock import Clock, SystemClock
from cryoflux.energy.earlier import before_a_take, since_its_start
from cryoflux.energy.hold import hold_meter
from cryoflux.energy.interface import Earlier, Reservation, Sample, Settlement, lent_for
from cryoflux.energy.opening import open_meter
from cryoflux.energy.owner_times import OwnerName, find_owner_times
from cryoflux.energy.owners import OwnerShares
from cryoflux.energy.processes import Owner, ProcessTimes, find_owner
from cryoflux.energy.reservations import PERIOD_NS, REST_PERIOD_NS, OpenReservations, ReservationView
from cryoflux.quantities import MICRO, Energy

MOST_VIEWS = 200
"""So many reservations are told at once: whoever takes waits meanwhile."""


class LocalAgent:
    """A meter with a bucket.

    Args:
        settings: all settings; ``energy`` says where to look and what to credit.
        state: the state directory; ``account.db`` and ``baseline.json`` live in it.
        credit: ``grant`` counts only granted joules, ``net`` credits metered net energy too.
        progress: called with seconds done and seconds in all while the baseline is learned.
        clock: the time; the operating system's by default.
        nvml: a facade in place of `pynvml`.
        background: read once a second by itself; without it, only calls read.
        served: others are told the figures, which then move once a second and no faster.

    Raises:
        StateLockedError: another process meters for this state.
        MeterError: nothing can be measured here.
    """

    def __init__(
        self,
        settings: Settings,
        state: Path,
        *,
        credit: Literal["grant", "net"] | None = None,
        progress: Callable[[int, int], None] | None = None,
        clock: Clock | None = None,
        nvml: Any | None = None,
        background: bool = True,
        served: bool = False,
    ) -> None:
        self._clock = clock or SystemClock(settings.energy.proc_root)
        self._proc_root = settings.energy.proc_root
        self._credits = (credit or settings.energy.credit) == "net"
        self._lock = threading.RLock()
        with ExitStack() as opened:
            opened.enter_context(hold_meter(state))
            self._bucket = Bucket(state / "account.db", self._clock)
            opened.callback(self._bucket.close)
            self._meter, self.problems = open_meter(
                settings,
                state,
                self._clock,
                settled=self._bucket.settled_sources(),
                nvml=nvml,
                progress=progress,
                coarse=served,
            )
            opened.callback(self._meter.close)
            self._keys = state / "keys"
            self._reservations = OpenReservations(self._meter, self._proc_root)
            self._self = find_owner(os.getpid(), self._clock.boot_id, self._proc_root)
            self._own = self._own_attribution(watch=served)
            named = settings.agent.metrics_owners if served else 0
            self._owners = (
                OwnerShares(self._meter, find_owner_times(self._proc_root), named) if named else None
            )
            self._written = self._meter.refresh()
            self._resume()
            if background:
                self._meter.start(self._each_second)
            self._opened = opened.pop_all()

    def _own_attribution(self, *, watch: bool) -> Attribution | None:
        if self._self is None:
            return None
        process = ProcessTimes(self._self, self._proc_root)
        return self._meter.attribute(
            process, carried=since_its_start(self._meter, process, self._proc_root), watch=watch
        )

    def _resume(self) -> None:
        for record in self._bucket.open_of_processes(self._clock.boot_id):
            # One of this very process was left by a meter that was closed: it is settled, not resumed.
            if self._alive(record.owner) and record.owner != self._self:
                self._reservations.resume(record)

    def _alive(self, owner: Owner | None) -> bool | None:
        if owner is None:
            return None
        return owner == find_owner(owner.pid, self._clock.boot_id, self._proc_root)

    def _each_second(self, now: Snapshot) -> None:
        with self._lock:
            period_ns = PERIOD_NS if len(self._reservations) else REST_PERIOD_NS
            if now.monotonic_ns - self._written.monotonic_ns >= period_ns * 9 // 10:
                self._write(now)

    def _write(self, now: Snapshot) -> None:
        """Make durable what was metered up to now; what cannot be written is kept for the next time."""
        net = self._meter.net(self._written, now) if self._credits else None
        self._bucket.tick(net, self._reservations.charges())
        self._written = now

    @property
    def max_power_uw(self) -> int:
        """No more than this can flow through all sources together."""
        return self._meter.max_power_uw

    @property
    def baseline_state(self) -> BaselineState:
        """How far the idle baseline can be trusted."""
        return self._meter.baseline.state([channel.source for channel in self._meter.channels])

    def sample(self) -> Sample:
        """Measure now."""
        with self._lock:
            self._bring_up_to_date(self._meter.refresh())
            sources = self._meter.powers()
            cpu = [source for source in sources if source.kind != "gpu"]
            gpu = [source for source in sources if source.kind == "gpu"]
            gross, net, own = self._meter.gross(), self._meter.net(), self._own
            return Sample(
                ts=self._clock.wall_s(),
                cpu_w=sum(source.power_w for source in cpu),
                gpu_w=sum(source.power_w for source in gpu),
                idle_cpu_w=sum(source.idle_w for source in cpu),
                idle_gpu_w=sum(source.idle_w for source in gpu),
                net_w=sum(source.power_w - source.idle_w for source in sources),
                bucket_uj=self._bucket.available_uj(),
                gross=gross,
                net=net,
                own=self._meter.qualified(own.net(), own.elapsed_ns, own.until_ns) if own else None,
                sources=sources,
                baseline_digest=self._meter.baseline.digest,
                baseline_state=self.baseline_state,
                flags=tuple(sorted({*gross.flags, *net.flags})),
            )

    def bucket_uj(self) -> int:
        """What can be taken now, µJ."""
        return self._bucket.available_uj()

    def standing(self) -> Standing:
        """What can be taken now, what is reserved, and by how many."""
        return self._bucket.standing()

    @property
    def credit_uw(self) -> int | None:
        """What is credited now, µW: net power over the last second or two; none where only grants count."""
        if not self._credits:
            return None
        return round(sum(source.power_w - source.idle_w for source in self._meter.powers()) * MICRO)

    def owners(self) -> list[tuple[OwnerName, int]] | None:
        """Who caused most of the net energy, and how much, µJ; none where nobody is to be named."""
        return None if self._owners is None else self._owners.read()

    def grant(self, uj: int, *, request_id: str, note: str) -> int:
        """Add joules, once per request id; returns what can be taken now, µJ."""
        self._bucket.grant(uj, request_id=request_id, note=note)
        return self._bucket.available_uj()

    def take(
        self, uj: int, *, request_id: str, log: str = "", intent: str = "", earlier: Earlier | None = None
    ) -> Reservation:
        """Reserve joules for this process."""
        return self.take_for(
            uj, request_id=request_id, owner=self._self, log=log, intent=intent, earlier=earlier
        )

    def take_for(
        self,
        uj: int,
        *,
        request_id: str,
        owner: Owner | None,
        log: str = "",
        intent: str = "",
        earlier: Earlier | None = None,
    ) -> Reservation:
        """Reserve joules for a process; for the whole machine where it is none.

        Raises:
            BudgetError: the bucket holds less.
        """
        with self._lock:
            self._bring_up_to_date(self._meter.refresh())
            reservation = self._bucket.take(uj, request_id=request_id, owner=owner, log=log, intent=intent)
            if reservation.id not in self._reservations:
                earlier_us = earlier.cpu_us if earlier is not None else 0
                before = before_a_take(self._meter, earlier)
                self._reservations.begin(reservation, owner, before, earlier_us)
                if earlier is not None:
                    self._write(self._meter.last)  # what came before the take is nowhere else
            return reservation

    def withdraw(self, uj: int, *, request_id: str, log: str = "") -> Reservation:
        """Take joules and charge them at once, whatever is done with them; nothing is metered for it.

        Raises:
            BudgetError: the bucket holds less.
        """
        with self._lock:
            self._bring_up_to_date(self._meter.refresh())
            return self._bucket.withdraw(uj, request_id=request_id, log=log)

    def lend(self, uj: int, *, request_id: str, log: str = "", intent: str = "") -> Reservation:
        """Reserve joules for what another meter charges; nothing is metered for it, the machine neither.

        Raises:
            BudgetError: the bucket holds less.
        """
        with self._lock:
            self._bring_up_to_date(self._meter.refresh())
            return self._bucket.lend(uj, request_id=request_id, log=log, intent=intent)

    def repay(self, reservation_id: str, energy: Energy) -> Settlement:
        """Charge what was lent with what the other meter charged, and take the rest back; idempotent."""
        with self._lock:
            return self._settlement(*self._bucket.repay(reservation_id, energy))

    def lent(self, request: str) -> list[Reservation]:
        """What is lent for a request and not repaid yet; all that is lent where none is named."""
        found = [record.reservation for record in self._bucket.open_records() if record.lent]
        return [one for one in found if request in ("", lent_for(one.request_id))]

    def owner_of(self, pid: int, boot_id: str, start_ticks: int | None = None) -> Owner | None:
        """The live process of this machine with that number; none if it is another machine's."""
        if boot_id != self._clock.boot_id:
            return None
        owner = find_owner(pid, boot_id, self._proc_root)
        # In another container the same number names another process, with another start.
        return owner if owner and start_ticks in (None, owner.start_ticks) else None

    def spent(self, reservation_id: str) -> Energy:
        """Net energy that the reserving process caused since the take, signed.

        Of what was lent that is nothing, or up to all of it: nobody here knows before it is repaid.
        """
        with self._lock:
            self._bring_up_to_date(self._meter.refresh())
            if reservation_id in self._reservations:
                return self._reservations.spent(reservation_id)
            return self._current(reservation_id).energy

    def _bring_up_to_date(self, now: Snapshot) -> None:
        if now.monotonic_ns - self._written.monotonic_ns >= PERIOD_NS * 9 // 10:
            self._write(now)

    def _current(self, reservation_id: str) -> Charge:
        if reservation_id in self._reservations:
            return self._reservations.charge(reservation_id)
        record = self._bucket.record(reservation_id)
        if record.state != "open":
            return record.settled or self._reservations.empty_charge()
        if record.charge is not None and record.charge.lent:
            return record.charge
        if record.owner is None:
            return self._reservations.of_machine(record)
        return self._reservations.recovered(record)

    def settle(self, reservation_id: str) -> Settlement:
        """Charge what was spent and give the rest back, or record the overdraft; idempotent.

        Where figures are served, this waits for the next second.
        """
        self._meter.next_reading()
        with self._lock:
            current = self._current(reservation_id).settled()
            reservation, charge = self._bucket.settle(reservation_id, current)
            self._reservations.end(reservation_id, charge)
            return self._settlement(reservation, charge)

    def _settlement(self, reservation: Reservation, charge: Charge) -> Settlement:
        return Settlement(
            reservation_id=reservation.id,
            reserved_uj=reservation.reserved_uj,
            energy=charge.energy,
            machine_net=charge.machine_net,
            sources=charge.sources,
            baseline_digest=charge.baseline_digest,
            curve=charge.curve,
            cpu_us=charge.cpu_us,
            bucket_uj=self._bucket.available_uj(),
            statement=self._signed(reservation, charge),
        )

    def word(self, reservation_id: str) -> str:
        """The meter's signed word on what a reservation has cost so far; its settlement's once there is one.

        What it says is in the account first, so that a crash leaves no less than somebody was told.
        """
        with self._lock:
            now = self._meter.refresh()
            record = self._bucket.record(reservation_id)
            if record.state != "open":
                return self._signed(record.reservation, record.settled) if record.settled else ""
            current = self._current(reservation_id)
            self._write(now)
            return self._signed(record.reservation, current.so_far())

    def _signed(self, reservation: Reservation, charge: Charge) -> str:
        if charge.decided or charge.lent:
            return ""  # nobody here measured it: a receipt could show the signature as if somebody had
        # Imported with the first settlement: a daemon at rest does without 8 MB of cryptography.
        from cryoflux.energy.account.settlement import sign_settlement
        from cryoflux.signing.keys import METER_KEY, load_key

        key = load_key(self._keys, METER_KEY, create=True)
        return sign_settlement(reservation, charge, self._clock.boot_id, key)

    def release(self, reservation_id: str) -> None:
        """Give a reservation back whole."""
        with self._lock:
            self._bucket.release(reservation_id)
            self._reservations.end(reservation_id)

    def find(self, request_id: str) -> Reservation | None:
        """The reservation that a request id was given, open or settled."""
        record = self._bucket.find(request_id)
        return record.reservation if record and record.state != "released" else None

    def views(
        self, request_id: str | None = None, *, after: str = "", most: int = MOST_VIEWS
    ) -> tuple[ReservationView, ...]:
        """Open reservations in the order of their ids, or the one of a request id in whatever state.

        Args:
            request_id: of that one.
            after: those behind the reservation of this id.
            most: so many of them.
        """
        with self._lock:
            self._meter.refresh()
            if request_id is not None:
                record = self._bucket.find(request_id)
                return (self._view(record),) if record else ()
            return tuple(self._view(record) for record in self._bucket.open_records(after=after, most=most))

    def view(self, reservation_id: str) -> ReservationView:
        """One reservation, open or not."""
        with self._lock:
            self._bring_up_to_date(self._meter.refresh())
            return self._view(self._bucket.record(reservation_id))

    def _view(self, record: Record) -> ReservationView:
        current = self._current(record.reservation.id)
        alive = self._alive(record.owner)
        return ReservationView(
            record.reservation, record.state, current.energy, record.owner, alive, current.cpu_us
        )

    def close(self) -> None:
        """Stop metering; open reservations stay open."""
        try:
            with self._lock:
                self._write(self._meter.refresh(last=True))
        finally:
            self._opened.close()
