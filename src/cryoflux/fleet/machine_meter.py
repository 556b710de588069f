"""The JouleAgent of a machine, as the meter of its workers."""

from __future__ import annotations

__all__ = ["MachineMeter"]

import os
import threading
from contextlib import ExitStack
from pathlib import Path

from cryoflux.agent.client import AgentClient
from cryoflux.config import PREFIX, Settings
from cryoflux.energy.hold import hold_meter
from cryoflux.energy.interface import Earlier, Reservation, Settlement
from cryoflux.errors import BudgetError, MeterError
from cryoflux.fleet.meter_note import MeterNote, read_note, write_note

_TOKEN = f"{PREFIX}TOKEN"


class MachineMeter(AgentClient):
    """The JouleAgent of a machine, as the meter of one of its workers.

    Its bucket is others', too. So it is granted what is lent to this worker, less what it was granted before
    and has not charged: neither are joules of others used, nor is what they overdrew paid for.

    Args:
        folder: of the worker, which no other process is meanwhile.
        url: of the JouleAgent.
        settings: its token, where the machine has none in its environment, and how long it is waited for.

    Raises:
        StateLockedError: another process is this worker.
        AgentError: that is no URL of a JouleAgent.
    """

    def __init__(self, folder: Path, url: str, settings: Settings) -> None:
        token = os.environ.get(_TOKEN) or settings.agent.token
        with ExitStack() as opened:
            opened.enter_context(hold_meter(folder))
            super().__init__(url, token, settings.agent.timeout)
            self._held = opened.pop_all()
        self._folder, self._address = folder, url
        known = read_note(folder)
        self._rest_uj = known.rest_microjoules if known is not None and known.agent == url else 0
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}
        """reservation that was taken here → what was lent for it, µJ"""

    def take_lent(
        self, uj: int, *, request_id: str, log: str = "", intent: str = "", earlier: Earlier | None = None
    ) -> Reservation:
        """Reserve what a coordinator has lent.

        Raises:
            BudgetError: others have taken it, or overdrawn the bucket.
            MeterError: it does not see this process.
        """
        with self._lock:
            self._provide(uj, f"lent-{request_id}")
            try:
                taken = self.take(uj, request_id=request_id, log=log, intent=intent, earlier=earlier)
            except BudgetError:  # what it had left of this worker's joules was taken by others
                self._rest_uj = 0
                self._provide(uj, f"lent-{request_id}-again")
                taken = self.take(uj, request_id=request_id, log=log, intent=intent, earlier=earlier)
            self._require_seen(taken)
            self._rest_uj -= uj
            self._open[taken.id] = uj
            self._note()
        return taken

    def _provide(self, uj: int, request_id: str) -> None:
        missing_uj = uj - self._rest_uj
        if missing_uj > 0:
            self.grant(missing_uj, request_id=request_id, note="lent by a coordinator")
            self._rest_uj += missing_uj

    def _require_seen(self, taken: Reservation) -> None:
        """Make sure that it is this process that is metered, and not all of a machine."""
        if self._open or self.sees(taken.id):
            return
        self.release(taken.id)
        raise MeterError(
            f"The JouleAgent at {self.url} does not see the process of this worker.",
            why="It would charge it all that its own machine draws: it runs elsewhere, or in a container.",
            hint="Name one that runs beside the worker, or leave --worker-agent out.",
        )

    def settle(self, reservation_id: str) -> Settlement:
        """Charge what was spent; idempotent."""
        settled = super().settle(reservation_id)
        with self._lock:
            if (uj := self._open.pop(reservation_id, None)) is not None:
                self._rest_uj += uj - settled.energy.uj
                self._note()
        return settled

    def _note(self) -> None:
        write_note(self._folder, MeterNote(self._address, rest_microjoules=self._rest_uj))

    def close(self) -> None:
        """Close the connections, and be this worker no longer; the daemon meters on."""
        try:
            super().close()
        finally:
            self._held.close()
