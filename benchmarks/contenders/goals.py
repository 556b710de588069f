"""What ours is asked to do beside each contender, and whether it did."""

from __future__ import annotations

__all__ = ["GOALS", "SETS", "Goal", "Verdict", "cost_of", "judge", "lowest_within", "setters_of", "their_end"]

from dataclasses import dataclass

from contenders.points import Cell, Point, cold, points

SETS = ("holdout", "audit")


@dataclass(frozen=True, slots=True)
class Goal:
    """The loss of one contender, at a share of its cost."""

    name: str
    contender: str
    share: float
    best: bool = False
    """its best point on the holdout rather than its last one"""


GOALS = (
    Goal("HF, 200 steps", "hf-200", 0.10),
    Goal("HF, 200 steps, tuned", "hf-tuned-200", 0.15),
    Goal("HF, early stopping, its best point", "hf-early", 0.06, best=True),
    Goal("embeddings + logistic regression, cross-validated", "embed-lr-cv", 1.0),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One goal on one set: the contender's figures, and ours on each of our seeds."""

    goal: Goal
    on: str
    """``holdout`` or ``audit``"""
    losses: tuple[float, ...]
    """of the contender, in nats; one a seed of ours"""
    their_cpu_s: tuple[float, ...]
    our_cpu_s: tuple[float | None, ...]
    """until ours was as low; none where it never was"""

    @property
    def ratios(self) -> tuple[float | None, ...]:
        """Our cost over theirs, seed by seed."""
        pairs = zip(self.our_cpu_s, self.their_cpu_s, strict=True)
        return tuple(None if ours is None else ours / theirs for ours, theirs in pairs)

    @property
    def met(self) -> int:
        """On how many seeds ours was as low for its share of the cost."""
        return sum(ratio is not None and ratio <= self.goal.share for ratio in self.ratios)


def their_end(cell: Cell, goal: Goal) -> tuple[Point, float]:
    """The point that sets a goal, and the CPU-seconds that it took; a last point needs one evaluation."""
    curve = points(cell)
    if goal.best:
        return _best(cell), cold(cell, _best(cell))
    point = curve[-1]
    return point, cell["phases"]["setup"] + point["train_cpu_s"] + point["holdout_cpu_s"] / len(curve)


def cost_of(cell: Cell, loss: float, on: str) -> float | None:
    """CPU-seconds, everything included, to the first point that is no worse on the set ``on``."""
    return next((cold(cell, p) for p in points(cell) if p[f"{on}_loss"] <= loss), None)


def lowest_within(cell: Cell, cpu_s: float, on: str) -> float | None:
    """Loss on the set ``on`` of what ``cell`` had when so many CPU-seconds were spent, if anything."""
    had = [p[f"{on}_loss"] for p in points(cell) if cold(cell, p) <= cpu_s]
    return had[-1] if had else None


def setters_of(goal: Goal, groups: dict[str, dict[int, Cell]]) -> dict[int, Cell]:
    """Seed → the run that sets the goal; of runs at several learning rates the one with the best point."""
    if not goal.best:
        return groups.get(goal.contender, {})
    runs = [seeds for name, seeds in groups.items() if name.startswith(goal.contender)]
    seeds = sorted({seed for run in runs for seed in run})
    return {
        seed: min((run[seed] for run in runs if seed in run), key=lambda cell: _best(cell)["holdout_loss"])
        for seed in seeds
    }


def _best(cell: Cell) -> Point:
    return min(points(cell), key=lambda p: p["holdout_loss"])


def judge(goal: Goal, on: str, ours: dict[int, Cell], setters: dict[int, Cell]) -> Verdict:
    """One goal on one set, over our seeds; its first seed where it lacks ours."""
    rows = []
    for seed, cell in ours.items():
        point, cost = their_end(setters.get(seed, setters[min(setters)]), goal)
        loss = point[f"{on}_loss"]
        rows.append((loss, cost, cost_of(cell, loss, on)))
    losses, theirs, found = zip(*rows, strict=True)
    return Verdict(goal, on, losses, theirs, found)
