"""The goals as tables: each contender's loss and cost, and what ours needs for it, cold and warm."""

from __future__ import annotations

__all__ = ["goal_tables", "spread", "table"]

from collections.abc import Iterable, Sequence
from statistics import mean

from contenders.goals import GOALS, SETS, Goal, Verdict, judge, lowest_within, setters_of, their_end
from contenders.points import Cell

Seeds = dict[int, Cell]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A markdown table, the first column left, the rest right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Mean [least – most]; the mean alone of one value."""
    text = f"{mean(values):,.{digits}f}"
    if len(values) > 1:
        text += f" [{min(values):,.{digits}f} – {max(values):,.{digits}f}]"
    return text


def goal_tables(groups: dict[str, Seeds]) -> list[str]:
    """Contender → seed → cell of one data set, as tables; nothing where ours was not run."""
    cold = next((seeds for name, seeds in groups.items() if _is_cold(name)), None)
    warm = next((seeds for name, seeds in groups.items() if name.startswith("ours-warm")), None)
    goals = [goal for goal in GOALS if setters_of(goal, groups)]
    if cold is None or not goals:
        return []
    missing = [goal.name for goal in GOALS if goal not in goals]
    parts = ["CPU-s to the same loss, everything included; the goal is for a cold start:"]
    parts.append(_costs(goals, groups, cold, warm))
    if early := next((goal for goal in goals if goal.best), None):
        parts += [
            "Where ours ends, beside early stopping:",
            _ends(early, setters_of(early, groups), cold, warm),
        ]
    if logistic := next((goal for goal in goals if goal.share == 1.0), None):
        parts += ["What ours has at the cost of cross-validated logistic regression:"]
        parts.append(_at_cost(logistic, setters_of(logistic, groups), cold, warm))
    if missing:
        parts.append(f"Not run on this data, so not judged: {'; '.join(missing)}.")
    return parts


def _is_cold(name: str) -> bool:
    return name.startswith("ours-") and not name.startswith("ours-warm")


def _costs(goals: list[Goal], groups: dict[str, Seeds], cold: Seeds, warm: Seeds | None) -> str:
    head = [
        "the loss of",
        "its seeds",
        "set",
        "loss",
        "its CPU-s",
        "ours cold",
        "ratio",
        "ours warm",
        "ratio",
    ]
    rows = []
    for goal in goals:
        setters = setters_of(goal, groups)
        for on in SETS:
            verdict = judge(goal, on, cold, setters)
            rows.append([
                goal.name, str(len(setters)), on, spread(sorted(set(verdict.losses)), 4),
                spread(sorted(set(verdict.their_cpu_s))), *_reached(verdict),
                *(_reached(judge(goal, on, warm, setters)) if warm else ("not run", "")),
                f"≤ {goal.share:.2f}", _met(verdict.met, len(cold)),
            ])  # fmt: skip
    return table([*head, "goal", "met"], rows)


def _reached(verdict: Verdict) -> tuple[str, str]:
    spent = [s for s in verdict.our_cpu_s if s is not None]
    if not spent:
        return "not reached", "–"
    short = f", {len(spent)}/{len(verdict.our_cpu_s)}" if len(spent) < len(verdict.our_cpu_s) else ""
    return spread(spent) + short, spread([r for r in verdict.ratios if r is not None], 3)


def _met(seeds: int, of: int) -> str:
    return "yes" if seeds == of else f"**{seeds} of {of}**" if seeds else "**no**"


def _ends(goal: Goal, setters: Seeds, cold: Seeds, warm: Seeds | None) -> str:
    rows = []
    for on in SETS:
        key = f"{on}_loss"
        theirs = {seed: their_end(setters.get(seed, setters[min(setters)]), goal)[0][key] for seed in cold}
        low = sum(cell[key] <= theirs[seed] for seed, cell in cold.items())
        ends = [cell[key] for cell in cold.values()]
        warmly = spread([cell[key] for cell in warm.values()], 4) if warm else "not run"
        shown = spread(sorted(set(theirs.values())), 4)
        rows.append([on, shown, spread(ends, 4), warmly, _met(low, len(cold))])
    return table(["set", "early stopping", "ours cold", "ours warm", "at least as low"], rows)


def _at_cost(goal: Goal, setters: Seeds, cold: Seeds, warm: Seeds | None) -> str:
    rows = []
    for on in SETS:
        ends = {seed: their_end(setters.get(seed, setters[min(setters)]), goal) for seed in cold}
        had = {seed: lowest_within(cell, ends[seed][1], on) for seed, cell in cold.items()}
        lower = sum(loss is not None and loss < ends[seed][0][f"{on}_loss"] for seed, loss in had.items())
        theirs = sorted({point[f"{on}_loss"] for point, _ in ends.values()})
        costs = sorted({cost for _, cost in ends.values()})
        warmly = [lowest_within(c, ends.get(s, ends[min(ends)])[1], on) for s, c in (warm or {}).items()]
        rows.append([on, spread(theirs, 4), spread(costs), _had(list(had.values())), _had(warmly),
                     _met(lower, len(cold))])  # fmt: skip
    head = ["set", "its loss", "its CPU-s", "ours cold has by then", "ours warm", "lower"]
    return table(head, rows)


def _had(losses: list[float | None]) -> str:
    there = [loss for loss in losses if loss is not None]
    return spread(there, 4) if there else "nothing kept yet" if losses else "not run"
