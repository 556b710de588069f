"""A crew's workers without a process: they say what a test has them say, signed by meters of their own."""

from __future__ import annotations

__all__ = ["INTENT", "LENT_UJ", "LOG", "FakeDispatcher", "FakeStation", "lease_of"]

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cryoflux.fleet.documents import Delivery, Lease, SessionTerms, WorkerFacts, WorkerState
from cryoflux.fleet.failing import FleetError
from cryoflux.quantities import Tier
from cryoflux.signing.keys import raw_public_key
from cryoflux.tasks.elsewhere import Inputs
from metering import meter_key, sign
from synthetic_parts import digest_of, figure

LOG, LENT_UJ = "cryoflux.dev/0011223344556677", 50_000_000
INTENT = digest_of("an announcement")


def lease_of(attempt: str, worker: str) -> Lease:
    """A lease; of its order nothing is read."""
    return Lease(
        id=attempt,
        worker=worker,
        log=LOG,
        intent=INTENT,
        lent_microjoules=LENT_UJ,
        silence_seconds=10,
        order=msgspec.UNSET,
        inputs=Inputs(files={}, data_name=""),
    )


class FakeStation:
    """A worker that says what it is told to say.

    Args:
        name: of the worker.
        folder: where the key of its meter lies.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.asked = self.closed = 0
        self.answers: list[WorkerState | Exception | None] = []
        """to the next questions; after them it is idle"""

    def signed(self, request: str, uj: int = 7_000_000, **changes: object) -> str:
        """What its meter signs."""
        intent = changes.pop("intent", "" if request.startswith("session/") else INTENT)
        signing = {name: changes.pop(name) for name in ("key", "log", "moved_uj") if name in changes}
        reserved_uj = 5_000_000 if request.startswith("session/") else LENT_UJ
        fields = {"microjoules": uj, "lo_microjoules": uj // 2, "hi_microjoules": 2 * uj}
        said = figure(**{**fields, "reserved_microjoules": reserved_uj, **changes})
        return sign(self.folder, request, said, intent=intent, **{"log": LOG, **signing})

    def facts(self) -> WorkerFacts:
        key = meter_key(self.folder).public_key()
        raw = b64encode(raw_public_key(key)).decode()
        return WorkerFacts(
            name=self.name,
            host="here",
            pid=1,
            boot="boot",
            meter_key=raw,
            tier=Tier.MODELLED,
            sources=["cpu"],
            compute="cpu",
        )

    def open_session(self, terms: SessionTerms) -> None:
        pass

    def warm_up(self, task: str) -> None:
        pass

    def close_session(self, request: str) -> str:
        return self.signed(request)

    def give(self, inputs: Inputs, state: Path) -> int:
        return 0

    def begin(self, lease: Lease) -> None:
        pass

    def state(self) -> WorkerState | None:
        self.asked += 1
        if not self.answers:
            return WorkerState(doing="idle")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def delivers(self, attempt: str, **changes: object) -> None:
        """Have it say that it is done."""
        said = Delivery(id=attempt, settlement=self.signed(attempt, **changes), phases=[])
        self.answers = [WorkerState(doing="done", lease=attempt, delivery=said)]

    def dies(self) -> None:
        """Have it be found dead."""
        self.answers = [FleetError(f"The worker {self.name} is lost.")]

    def forget(self, lease: str) -> None:
        self.answers = []

    def stop(self) -> None:
        pass

    def close(self) -> None:
        self.closed += 1


class FakeDispatcher:
    """Starts them, and settles what they have reserved, where a test does not say otherwise."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder, self._names = folder, names
        self.stations: dict[str, FakeStation] = {}
        self.away: set[str] = set()
        """requests that nobody can settle"""

    def _started(self, name: str) -> FakeStation:
        self.stations[name] = FakeStation(name, self._folder / name)
        return self.stations[name]

    def start(self) -> list[FakeStation]:
        return [self._started(name) for name in self._names]

    def settle(self, worker: str, request: str) -> str:
        if request in self.away:
            raise FleetError("Its node is away.")
        return self.stations[worker].signed(request)

    def replace(self, worker: str) -> FakeStation:
        place, _, generation = worker.partition(".")
        return self._started(f"{place}.{int(generation or 1) + 1}")

    def close(self) -> None:
        pass
