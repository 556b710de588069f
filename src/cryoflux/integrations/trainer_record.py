"""What a trainer's callback has measured, as the document that it leaves: ``cryoflux-energy.json``.

Losses in it are the trainer's own, as it evaluates: there is no interval around them, and no verdict on them.
"""

from __future__ import annotations

__all__ = ["SCHEMA", "Evaluated", "TrainingRecord"]

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryoflux.integrations.beside import MeterBeside, PartCost
from cryoflux.quantities import MICRO
from cryoflux.report.attempt_words import energy_document

SCHEMA = "cryoflux.trainer/1"
_AS_MEASURED = "as the trainer measured it"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One evaluation of the trainer."""

    step: int
    losses: Mapping[str, float]
    """those of its metrics that are losses, by their names"""

    @classmethod
    def of(cls, step: int, metrics: Mapping[str, Any]) -> Evaluated:
        """What of a trainer's metrics is a finite loss."""
        numbers = {
            name: float(value)
            for name, value in metrics.items()
            if name.endswith("loss") and isinstance(value, int | float) and not isinstance(value, bool)
        }
        return cls(step, {name: value for name, value in numbers.items() if math.isfinite(value)})


@dataclass(slots=True)
class TrainingRecord:
    """One training: what was asked for, what was seen, what went wrong."""

    budget_uj: int | None
    before: Evaluated | None = None
    """the last evaluation before the first step; none where there was none"""
    after: Evaluated | None = None
    """the last one after it"""
    stopped_at_step: int | None = None
    """the step at which the budget ended the training; none where it did not"""
    steps: int = 0
    problems: list[str] = field(default_factory=list)

    def evaluated(self, found: Evaluated, *, first_step: int) -> None:
        """Take an evaluation."""
        if not found.losses:
            return
        if found.step <= first_step:
            self.before = found
        else:
            self.after = found

    def deltas(self) -> dict[str, tuple[float, float]]:
        """Each loss that is known before and after: name → both."""
        if self.before is None or self.after is None:
            return {}
        last = self.after.losses
        return {name: (first, last[name]) for name, first in self.before.losses.items() if name in last}

    def document(self, meter: MeterBeside) -> dict[str, Any]:
        """The whole of it: a measurement, as `cryoflux judge --joules` reads one, and more."""
        seen, problems = meter.seen, list(self.problems)
        if meter.problem:
            problems.append(f"The meter ended early: {meter.problem}")
        if meter.dropped:
            problems.append(f"{meter.dropped} marks were lost, so phases and epochs are not whole.")
        return {
            "schema": SCHEMA,
            "complete": seen.final and not meter.dropped,
            "problems": problems,
            "budget_joules": None if self.budget_uj is None else self.budget_uj / MICRO,
            "ended_by": "trainer" if self.stopped_at_step is None else "budget",
            "steps": self.steps,
            **({"energy": None} if seen.measured is None else seen.measured.to_dict()),
            "phases": [_part(one) for one in seen.parts if one.track == "phase"],
            "epochs": [_part(one) for one in seen.parts if one.track == "epoch"],
            "losses": [
                {
                    "name": name,
                    "unit": "of the trainer",
                    "loss_before": first,
                    "loss_after": last,
                    "delta": first - last,
                    "measured": _AS_MEASURED,
                }
                for name, (first, last) in sorted(self.deltas().items())
            ],
        }

    def sentence(self, meter: MeterBeside) -> str:
        """The same in a line, for a person."""
        said = [str(meter.seen.measured) if meter.seen.measured is not None else "no joules were measured"]
        if self.stopped_at_step is not None:
            said.append(f"its budget ended it at step {self.stopped_at_step}")
        for name, (first, last) in sorted(self.deltas().items()):
            said.append(f"{name} {first:.4f} → {last:.4f} {_AS_MEASURED}")
        return "; ".join(said)


def _part(one: PartCost) -> dict[str, Any]:
    return {
        "name": one.name,
        "stretches": one.stretches,
        "seconds": one.seconds,
        **(energy_document(one.energy) or {}),
    }
