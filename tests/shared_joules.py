"""Attempts and sessions whose joules several meters charged, as an honest coordinator writes them."""

from __future__ import annotations

__all__ = ["OWN_UJ", "TRAINED_UJ", "Fleet"]

from dataclasses import dataclass
from pathlib import Path

from cryoflux.attempt.metered_parts import signed_part
from cryoflux.decision.reason import Reason
from cryoflux.energy.interface import lent_request, worker_request
from cryoflux.receipts.charged import EnergyFigure, MeteredPart
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Cause
from cryoflux.signing.keys import load_public_key
from metering import meter_key, sign
from synthetic_parts import RESERVED_UJ, figure
from synthetic_state import SyntheticState, open_state

OWN_UJ, TRAINED_UJ = 20_000_000, 80_000_000
"""what an attempt costs its coordinator, and what it costs its worker"""
_SIGNED = ("log", "reservation", "key", "moved_uj", "machine_uj")
_LENT_UJ = RESERVED_UJ // 2


@dataclass
class Fleet:
    """A state that is a coordinator's, and the meters of its workers in folders beside it."""

    made: SyntheticState

    @classmethod
    def of(cls, path: Path) -> Fleet:
        """One whose log begins."""
        made = open_state(path / "state")
        made.metered, made.policy = True, "uniform/v1"
        return cls(made)

    def folder(self, worker: str) -> Path:
        """Where the key of a meter lies; the coordinator's is its state's."""
        return self.made.path.parent / worker if worker else self.made.path

    def keys(self, *workers: str) -> list:
        """Public keys of the coordinator's meter and of some workers'."""
        return [meter_key(self.folder(worker)).public_key() for worker in ("", *workers)]

    def part(self, worker: str, uj: int, request: str, intent: str = "", **changes: object) -> MeteredPart:
        """What one meter signs of its part; ``changes`` are of the figure, or of what is signed."""
        signing = {name: changes.pop(name) for name in _SIGNED if name in changes}
        said = figure(
            **{
                "microjoules": uj,
                "lo_microjoules": uj * 9 // 10,
                "hi_microjoules": uj * 11 // 10,
                "reserved_microjoules": _LENT_UJ,
                "cpu_microseconds": 6_000_000,
                **changes,
            }
        )
        whose = {"log": self.made.log.origin, "reservation": f"{worker or 'own'}-{request}", **signing}
        taken = worker_request(request, worker) if worker else request
        return signed_part(worker, sign(self.folder(worker), taken, said, intent=intent, **whose))

    def parts(self, intent: Entry, **changes: object) -> list[MeteredPart]:
        """Parts of an attempt: what evaluating cost the coordinator, and what training cost its worker w1."""
        request, leaf = intent.intent.task.id, intent.leaf_hash
        return [self.part("", OWN_UJ, request, leaf), self.part("w1", TRAINED_UJ, request, leaf, **changes)]

    def pay(self, request: str, parts: list[MeteredPart]) -> None:
        """Let the account of the coordinator pay each part under its own request id."""
        for part in parts:
            name = lent_request(request, part.worker) if part.worker else request
            self.made.settle(name, max(0, part.microjoules), self.made.log.origin)

    def conclude(self, intent: Entry, parts: list[MeteredPart], said: EnergyFigure | None = None) -> Entry:
        """Write the receipt of an attempt that was judged, once the account has paid for these parts."""
        self.pay(intent.intent.task.id, parts)
        energy = said or EnergyFigure.of_parts(parts)
        return self.made.conclude_attempt(intent, 0.05, energy=energy, settles=False)

    def lose(self, intent: Entry, parts: list[MeteredPart], **changes: object) -> Entry:
        """Write the receipt of an attempt whose worker was lost."""
        self.pay(intent.intent.task.id, [part for part in parts if part.reserved_microjoules])
        reason = Reason(code="lost", numbers={"worker": "w1"})
        said = {"cause": Cause.LOST, "reason": reason, **changes}
        return self.made.abort(intent, energy=EnergyFigure.of_parts(parts), settles=False, **said)

    def session(self, parts: list[MeteredPart], name: str) -> Entry:
        """Write what a run cost beside its attempts."""
        self.pay(name, parts)
        return self.made.session(energy=EnergyFigure.of_parts(parts), settles=False)

    def key(self):
        """The receipt key of its log."""
        return load_public_key(self.made.path / "keys" / "receipt.pub")
