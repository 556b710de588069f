"""The JouleAgent of a machine, as the meter of its workers."""

from __future__ import annotations

__all__ = ["MachineMeter"]

import threading
from contextlib import ExitStack
from pathlib import Path

from cryoflux.agent.client import AgentClient
from cryoflux.config import Settings
from cryoflux.energy.hold import hold_meter
from cryoflux.energy.interface import Earlier, Reservation, Settlement
from cryoflux.errors import AgentError, BudgetError, MeterError
from cryoflux.fleet.meter_note import MeterNote, read_note, write_note


class MachineMeter(AgentClient):
    """The JouleAgent of a machine, as the meter of one of its workers.

    Its bucket is others', too. So it is granted what is lent to this worker, less what it was granted before
    and has not charged: neither are joules of others used, nor is what they overdrew paid for. The worker's
    folder knows that rest, and what is open of it, also for whoever settles what a dead worker had reserved.

    Args:
        folder: of the worker, which no other process is meanwhile.
        url: of the JouleAgent.
        settings: its token, and how long it is waited for.

    Raises:
        StateLockedError: another process is this worker.
        AgentError: that is no URL of a JouleAgent.
    """

    def __init__(self, folder: Path, url: str, settings: Settings) -> None:
        with ExitStack() as opened:
            opened.enter_context(hold_meter(folder))
            super().__init__(url, settings.agent.token, settings.agent.timeout)
            self._held = opened.pop_all()
        known = read_note(folder)
        same = known is not None and known.opened and known.agent == url
        self._folder, self._note = folder, known if known is not None and same else MeterNote(url)
        self._lock = threading.RLock()
        self._requests: dict[str, str] = {}
        """reservation → the request id that it was taken under"""

    def take_lent(
        self, uj: int, *, request_id: str, log: str = "", intent: str = "", earlier: Earlier | None = None
    ) -> Reservation:
        """Reserve what a coordinator has lent.

        Raises:
            BudgetError: others have taken it, or overdrawn the bucket.
            MeterError: it does not see this process.
        """
        with self._lock:
            rest_uj = self._note.rest_microjoules
            if uj > rest_uj:
                self.grant(uj - rest_uj, request_id=f"lent-{request_id}", note="lent by a coordinator")
            # Before the take: whoever comes after a crash finds under that name what became of it.
            self._put({**self._note.open, request_id: uj}, max(uj, rest_uj) - uj)
            try:
                taken = self.take(uj, request_id=request_id, log=log, intent=intent, earlier=earlier)
                self._requests[taken.id] = request_id
                self._require_seen(taken)
            except AgentError:  # whether it was taken is not known: whoever settles it finds out
                raise
            except (BudgetError, MeterError):
                self._ended(request_id, 0)
                raise
        return taken

    def _require_seen(self, taken: Reservation) -> None:
        """Make sure that it is this process that is metered, and not all of a machine."""
        if len(self._requests) > 1 or self.sees(taken.id):
            return
        self.release(taken.id)
        raise MeterError(
            f"The JouleAgent at {self.url} does not see the process of this worker.",
            why="It would charge it all that its own machine draws: it runs elsewhere, or in a container.",
            hint="Name one that runs beside the worker, or leave --worker-agent out.",
        )

    def find(self, request_id: str) -> Reservation | None:
        """The reservation that a request id was given, open or settled."""
        found = super().find(request_id)
        with self._lock:
            if found is None:
                self._ended(request_id, 0)  # whoever wanted it died before it was taken
            else:
                self._requests[found.id] = request_id
        return found

    def settle(self, reservation_id: str) -> Settlement:
        """Charge what was spent; idempotent."""
        settled = super().settle(reservation_id)
        with self._lock:
            self._ended(self._requests.get(reservation_id, ""), settled.energy.uj)
        return settled

    def _ended(self, request_id: str, charged_uj: int) -> None:
        """Note what a reservation has left, once."""
        if request_id in self._note.open:
            others = {name: uj for name, uj in self._note.open.items() if name != request_id}
            rest_uj = self._note.rest_microjoules + self._note.open[request_id] - charged_uj
            if rest_uj < 0:  # more than was lent: its coordinator pays that, so nobody else lacks it
                self.grant(-rest_uj, request_id=f"over-{request_id}", note="overspent, paid by a coordinator")
            self._put(others, max(0, rest_uj))

    def _put(self, open_now: dict[str, int], rest_uj: int) -> None:
        note = self._note.but(open=open_now, rest_microjoules=rest_uj)
        write_note(self._folder, note)
        self._note = note

    def close(self) -> None:
        """Close the connections, and be this worker no longer; the daemon meters on."""
        try:
            super().close()
        finally:
            self._held.close()
