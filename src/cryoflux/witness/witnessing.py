"""Where a run meets its witnesses: a new head is offered after it is published, and never waited for.

In mode ``async`` a submission runs beside the training; `collect` takes what has come, and is called where
the run has a moment anyway. If heads come faster than witnesses answer, those in between are left out: the
newest covers them. In mode ``required`` the run waits, within the time-out, and does not go on without a
quorum.

Everything is read from the published log, and what is stored is stored by the thread that calls, which
holds the state's lock.
"""

from __future__ import annotations

__all__ = ["Mode", "Witnessing", "open_witnessing"]

import queue
import threading
from pathlib import Path
from typing import Literal

from cryoflux.errors import StateError, StateTamperedError
from cryoflux.files import read_beginning
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Checkpoint, parse_note
from cryoflux.receipts.log import CHECKPOINT, LOG_FOLDER
from cryoflux.receipts.tile_reader import TileReader
from cryoflux.witness.client import Collected, WitnessClient
from cryoflux.witness.cosigned import keep_cosigned, log_key_of
from cryoflux.witness.policy import Policy

Mode = Literal["async", "required"]


class Witnessing:
    """The witnesses of one run's log.

    Args:
        folder: the ``log`` folder of the state.
        client: asks them.
        mode: whether the run waits for them.
    """

    def __init__(self, folder: Path, client: WitnessClient, mode: Mode = "async") -> None:
        self.mode = mode
        self._folder = folder
        self._client = client
        self._round: threading.Thread | None = None
        self._finished: queue.SimpleQueue[Collected] = queue.SimpleQueue()
        self._submitted: Checkpoint | None = None

    @property
    def needed(self) -> str:
        """The quorum in words."""
        return self._client.policy.describe()

    def published(self, *, binding: bool = True) -> Collected | None:
        """A new head was published: submit it, and take what earlier submissions brought.

        Args:
            binding: whether something takes effect by it, so that a mode that requires a quorum waits.

        Returns:
            The newest submission that has ended since the last call, if one has.

        Raises:
            StateError: the quorum is required, and was not reached; see `require`.
            StorageError: the disk is full, read-only, or refuses.
        """
        return self.require() if self.mode == "required" and binding else self.collect()

    def require(self) -> Collected:
        """Submit the newest head and wait, within the time-out, until a quorum has cosigned it.

        Raises:
            StateError: it was not reached.
            StateTamperedError: nor can it be, because a witness knows another history.
            StorageError: the disk is full, read-only, or refuses.
        """
        found = self.submit(wait_for_all=False)
        if not found.reached:
            raise _unwitnessed(found)
        return found

    def submit(self, *, wait_for_all: bool = True) -> Collected:
        """Submit the newest head, wait within the time-out, and store it if there is a quorum.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        if self._round is not None:
            # An older head that came after this one would look as if the log had been cut.
            self._round.join()
        found = self._ask(self._note(), wait_for_all=wait_for_all)
        self._keep(found)
        return found

    def collect(self) -> Collected | None:
        """Store what has come, without waiting, and submit the newest head if nothing is on its way."""
        found = None
        if self._round is not None and not self._round.is_alive():
            self._round = None
        while not self._finished.empty():
            found = self._finished.get()
            self._keep(found)
        note = self._note()
        head = parse_note(note).checkpoint
        if self._round is None and head != self._submitted:
            self._submitted = head
            self._round = threading.Thread(target=self._run, args=(note,), name="witnessing", daemon=True)
            self._round.start()
        return found

    def _note(self) -> bytes:
        return read_beginning(self._folder / CHECKPOINT, MAX_NOTE_BYTES + 1)

    def _run(self, note: bytes) -> None:
        self._finished.put(self._ask(note, wait_for_all=True))

    def _ask(self, note: bytes, *, wait_for_all: bool) -> Collected:
        tiles = TileReader(self._folder, parse_note(note).checkpoint.size)
        return self._client.submit(note, tiles.consistency, wait_for_all=wait_for_all)

    def _keep(self, found: Collected) -> None:
        if found.reached:
            keep_cosigned(self._folder, found.note)

    def finish(self) -> Collected | None:
        """Wait for what is on its way and for the newest head: at most two time-outs, at the end of a run."""
        last = None
        while True:
            last = self.collect() or last
            if self._round is None:
                break
            self._round.join()
        return last

    def close(self) -> None:
        """Close the connections; what is on its way is lost."""
        self._client.close()


def _unwitnessed(found: Collected) -> StateError:
    why = "; ".join(found.problems) or "No witness of the policy has a URL."
    if found.disputed:
        return StateTamperedError(
            f"A witness knows another history of this log; needed for a quorum: {found.needed}.",
            why=why,
            hint="Go on with the newest copy of this state, or make this one a log of its own: cryoflux fork "
            "STATE NEW.",
        )
    return StateError(
        f"The newest head of the log is not witnessed; needed: {found.needed}.",
        why=why,
        hint="Until then nothing changes: run it again when they answer, or with --witnessing async.",
    )


def open_witnessing(
    state: Path, policy: Policy, mode: Mode = "async", *, timeout_s: float = 5.0
) -> Witnessing:
    """The witnesses of a state's log.

    Args:
        state: the state directory, once its log is open.
        policy: names the witnesses, and the quorum.
        mode: whether a run waits for them.
        timeout_s: how long one submission may take, s.

    Raises:
        UsageError: there is no log.
    """
    client = WitnessClient(policy, log_key_of(state), timeout_s=timeout_s)
    return Witnessing(state / LOG_FOLDER, client, mode)
