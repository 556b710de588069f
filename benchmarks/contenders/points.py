"""What the tables and pictures are made of: loss at a cost, and the cost of a loss."""

from __future__ import annotations

__all__ = ["TARGETS", "Cell", "Cost", "Point", "Target", "cold", "cost_to", "points"]

from dataclasses import dataclass
from typing import Any

Cell = dict[str, Any]
Point = dict[str, float]


@dataclass(frozen=True, slots=True)
class Target:
    """A loss that one contender reached and the others are measured against."""

    name: str
    contender: str
    """who sets it, on each seed"""
    best: bool = False
    """its best point on the holdout rather than its last one"""
    audit: bool = False
    """whether the audit loss has to be reached as well"""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU-seconds until a loss was reached."""

    train: float
    cold: float
    """with start-up, data, loading and the holdout evaluations up to there; not the audit set's"""


TARGETS = (
    Target("HF 200 steps, holdout", "hf-200"),
    Target("tuned HF 200 steps, holdout", "hf-tuned-200"),
    Target("HF 1,000 steps, holdout", "hf-1000"),
    Target("HF 1,000 steps, holdout and audit", "hf-1000", audit=True),
    Target("HF 1,000 steps, best point on the holdout", "hf-1000", best=True),
)


def points(cell: Cell) -> list[Point]:
    """The curve of a cell; one that has none is its own only point."""
    if cell.get("curve"):
        return list(cell["curve"])
    if "holdout_loss" not in cell:
        return []
    scores = {k: v for k, v in cell.items() if k.endswith(("_loss", "_accuracy"))}
    costs = {f"{kind}_cpu_s": cell["phases"][kind] for kind in ("train", "holdout", "audit")}
    return [{"step": cell.get("steps", 0), **costs, **scores}]


def cold(cell: Cell, point: Point) -> float:
    """CPU-seconds from the start of the process to this point, without the audit set."""
    return float(cell["phases"]["setup"] + point["train_cpu_s"] + point["holdout_cpu_s"])


def _set_by(cell: Cell, target: Target) -> Point:
    curve = points(cell)
    return min(curve, key=lambda p: p["holdout_loss"]) if target.best else curve[-1]


def cost_to(cell: Cell, target: Target, setter: Cell) -> Cost | None:
    """The cost of the first point of ``cell`` that is no worse than what ``setter`` reached, if any."""
    wanted = _set_by(setter, target)
    for point in points(cell):
        low = point["holdout_loss"] <= wanted["holdout_loss"]
        if target.audit:
            low = low and point.get("audit_loss", float("inf")) <= wanted["audit_loss"]
        if low:
            return Cost(point["train_cpu_s"], cold(cell, point))
    return None
