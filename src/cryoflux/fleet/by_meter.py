"""What each worker's meter of a log has charged, and what came of it: folded from entries, one at a time."""

from __future__ import annotations

__all__ = ["MeterFold", "MeterTally"]

from dataclasses import dataclass, field

from cryoflux.energy.account.settlement import parse_settlement
from cryoflux.errors import VerificationError
from cryoflux.quantities import Energy
from cryoflux.receipts.charged import EnergyFigure, MeteredPart
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Cause, Intent, Outcome, Receipt


@dataclass(slots=True)
class MeterTally:
    """What a meter charged one worker."""

    boot: str = ""
    """boot id of its machine, as the newest entry has it; empty where it is not known"""
    attempts: int = 0
    kept: int = 0
    lost: int = 0
    """attempts that were lost with it"""
    delta_nano: int = 0
    """Σ mean Δ of what was kept, billionths of its unit"""
    units: set[str] = field(default_factory=set)
    """of these"""
    charged: Energy | None = None
    """by its meter, for attempts"""
    whole: Energy | None = None
    """these attempts in all: with what the coordinator's meter charged"""
    beside: Energy | None = None
    """by its meter, in sessions"""
    examples: int = 0
    """that it trained on, each time that it saw one"""

    @property
    def uj_per_example(self) -> float | None:
        """What it takes to train on an example once, µJ; none where nothing was trained."""
        if self.charged is None or not self.examples:
            return None
        return self.charged.uj / self.examples


class MeterFold:
    """Goes on entry by entry; nothing is verified here."""

    def __init__(self) -> None:
        self.tallies: dict[tuple[str, str], MeterTally] = {}
        """by the meter's raw key in base64, empty where nothing was ever signed, and the worker's name"""
        self.size = 0
        """entries that were taken"""
        self._announced: dict[str, Intent] = {}

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        self.size += 1
        if (intent := entry.intent) is not None:
            self._announced[entry.leaf_hash] = intent
        elif (receipt := entry.receipt) is not None:
            self._attempt(receipt, self._announced.pop(receipt.intent, None))
        elif (session := entry.session) is not None:
            for part in _workers(session.energy):
                tally = self._tally(part)
                tally.beside = _sum(tally.beside, part.energy)

    def _tally(self, part: MeteredPart) -> MeterTally:
        tally = self.tallies.setdefault((_key(part), part.worker), MeterTally())
        tally.boot = part.boot or tally.boot
        return tally

    def uj_per_example(self, meter_key: str) -> float | None:
        """What it takes to train on an example once by one meter, µJ; none where it charged none.

        Args:
            meter_key: its raw key in base64.
        """
        known = [tally for (key, _), tally in self.tallies.items() if key == meter_key]
        charged_uj = sum(tally.charged.uj for tally in known if tally.charged is not None)
        examples = sum(tally.examples for tally in known)
        return charged_uj / examples if examples else None

    def _attempt(self, receipt: Receipt, intent: Intent | None) -> None:
        for part in _workers(receipt.energy):
            tally = self._tally(part)
            tally.attempts += 1
            tally.lost += receipt.cause is Cause.LOST
            tally.charged = _sum(tally.charged, part.energy)
            tally.whole = _sum(tally.whole, receipt.energy.energy)
            if receipt.training is not None and intent is not None:
                batch = intent.recipe.get("batch_size")
                tally.examples += receipt.training.steps * (batch if isinstance(batch, int) else 0)
            found = receipt.evaluation
            if receipt.outcome is Outcome.ACCEPTED and found is not None:
                tally.kept += 1
                tally.delta_nano += found.delta_sum // max(1, found.read)
                tally.units.add(found.metric.unit)


def _workers(figure: EnergyFigure) -> list[MeteredPart]:
    return [part for part in figure.parts if part.worker]


def _key(part: MeteredPart) -> str:
    try:
        return parse_settlement(part.settlement).statement.meter_key if part.settlement else ""
    except VerificationError:
        return ""


def _sum(one: Energy | None, other: Energy) -> Energy:
    return other if one is None else one + other
