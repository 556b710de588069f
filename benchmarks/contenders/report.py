"""The comparison as markdown tables, with the curves drawn beside them."""

from __future__ import annotations

__all__ = ["report"]

from pathlib import Path
from statistics import mean

from contenders.cells import SWEEP, finished
from contenders.cost import WATTS, joules
from contenders.goal_tables import goal_tables, spread, table
from contenders.points import TARGETS, Cell, Cost, Target, cold, cost_to, points

_NOTES = f"""\
- CPU-s: user and system seconds of a whole process, one thread. Joules are **modelled**:
  CPU-s × {WATTS:g} W, the same factor for every contender.
- Losses of the competitors are plain mean cross-entropy in float32 (of scikit-learn's probabilities where it
  classifies), in nats; ours are CryoFlux's own, in float64 on the merged, saved and re-loaded model.
- "everything" is start-up, data, loading, training and the holdout evaluations; audit evaluations, which
  decide nothing, are left out for all alike.
- "ours" starts with a fresh state and empty caches; "ours-warm" with another state on the same data, and with
  the token ids and activations of the run before.
- mean over seeds [least – most]; "k/n" where only k of n seeds reached the loss; – where none did.
"""
_SCORES = ("holdout_loss", "holdout_accuracy", "audit_loss", "audit_accuracy")
_SWEEP_NAMES = [f"hf-lr-{rate}" for rate in SWEEP]


def report(folder: Path) -> str:
    """All tables of the cells in ``folder``; the curves are drawn into it."""
    from contenders.curves import draw

    cells = finished(folder)
    parts = ["# Learning per joule", _NOTES]
    for data in sorted({c["data"] for c in cells}):
        done = [c for c in cells if c["data"] == data and "failed" not in c]
        parts.append(f"## {data}")
        parts += _mixed(done)
        parts += _sweep([c for c in done if c["contender"] in _SWEEP_NAMES])
        trained = [c for c in done if points(c) and c["contender"] not in _SWEEP_NAMES]
        if trained:
            parts += [_outcomes(trained), *_to_target(trained)]
            parts += goal_tables(_grouped(trained))
            picture = draw(data, trained, folder)
            parts.append(f"![Loss over modelled joules]({picture.name})")
        parts += _cycles([c for c in done if c["contender"] == "whitepaper"])
        parts += _steps([c for c in done if "step" in c])
        parts += _failures([c for c in cells if c["data"] == data and "failed" in c])
    return "\n\n".join(parts)


def _grouped(cells: list[Cell]) -> dict[str, dict[int, Cell]]:
    """Contender → seed → cell, ours last."""
    groups: dict[str, dict[int, Cell]] = {}
    for cell in sorted(cells, key=lambda c: (c["contender"].startswith("ours"), c["contender"], c["seed"])):
        groups.setdefault(cell["contender"], {})[cell["seed"]] = cell
    return groups


def _everything(cell: Cell) -> float:
    return float(cell["cpu_s"] - cell["phases"]["audit"])


def _outcomes(cells: list[Cell]) -> str:
    rows = []
    for name, seeds in _grouped(cells).items():
        group = list(seeds.values())
        scores = {key: [c[key] for c in group] for key in _SCORES}
        shown = [spread(values, 4 if key.endswith("loss") else 3) for key, values in scores.items()]
        steps = spread([c["steps"] for c in group]) if "steps" in group[0] else "–"
        spent = [_everything(c) for c in group]
        trained = spread([c["phases"]["train"] for c in group])
        rows.append([name, str(len(group)), steps, spread(spent), trained, spread(_joules(spent)), *shown])
        if name.startswith("ours") and all(_last_kept(c) for c in group):
            last = [(c, _last_kept(c) or {}) for c in group]
            spent = [cold(c, p) for c, p in last]
            steps = spread([p["step"] for _, p in last])
            trained = spread([p["train_cpu_s"] for _, p in last])
            same = ["the same"] * len(shown)
            until = f"{name}, until it last improved"
            rows.append(
                [until, str(len(group)), steps, spread(spent), trained, spread(_joules(spent)), *same]
            )
    head = ["contender", "seeds", "steps", "CPU-s, everything", "of it training", "joules, modelled"]
    return table([*head, *(key.replace("_", " ") for key in _SCORES)], rows)


def _joules(spent: list[float]) -> list[float]:
    return [joules(s) for s in spent]


def _last_kept(cell: Cell) -> dict[str, float] | None:
    return next((p for p in reversed(points(cell)) if p["kept"]), None)


def _sweep(cells: list[Cell]) -> list[str]:
    if not cells:
        return []
    rows = [
        [f"{c['learning_rate']:g}", str(c["seed"]), f"{_everything(c):,.0f}", f"{c['holdout_loss']:.4f}"]
        for c in cells
    ]
    total = sum(_everything(c) for c in cells)
    best = min(cells, key=lambda c: c["holdout_loss"])["learning_rate"]
    spent = f"{total:,.0f} CPU-s ({joules(total):,.0f} J, modelled)"
    lead = f"The sweep took {spent}, which no `hf-tuned-*` or `hf-early` includes; best of it: {best:g}."
    return [lead, table(["200 steps, learning rate", "seed", "CPU-s, everything", "holdout loss"], rows)]


def _costs(seeds: dict[int, Cell], setters: dict[int, Cell], target: Target) -> list[Cost | None]:
    return [cost_to(cell, target, setters[seed]) for seed, cell in seeds.items() if seed in setters]


def _spent(costs: list[Cost | None], kind: str) -> str:
    reached = [getattr(c, kind) for c in costs if c]
    if not reached:
        return "–" if costs else ""
    text = f"{spread(reached)} ({joules(mean(reached)):,.0f} J)"
    return text if len(reached) == len(costs) else f"{text} {len(reached)}/{len(costs)}"


def _to_target(cells: list[Cell]) -> list[str]:
    groups = _grouped(cells)
    targets = [t for t in TARGETS if t.contender in groups]
    if not targets:
        return []
    parts = []
    for kind, title in (("cold", "everything included"), ("train", "training only")):
        rows = [
            [name, *(_spent(_costs(seeds, groups[t.contender], t), kind) for t in targets)]
            for name, seeds in groups.items()
        ]
        parts += [
            f"CPU-s (joules, modelled) to target, {title}; the first point at which a contender looked:",
            table(["contender", *(_named(t, groups) for t in targets)], rows),
        ]
    return parts


def _named(target: Target, groups: dict[str, dict[int, Cell]]) -> str:
    setters = list(groups[target.contender].values())
    best = [min(p["holdout_loss"] for p in points(c)) for c in setters]
    losses = best if target.best else [points(c)[-1]["holdout_loss"] for c in setters]
    text = f"{target.name}: {mean(losses):.4f}"
    return f"{text}, {mean(c['audit_loss'] for c in setters):.4f}" if target.audit else text


def _cycles(cells: list[Cell]) -> list[str]:
    if not cells:
        return []
    rows = [
        [f"seed {c['seed']}, cycle {number}", f"{v['delta']:+.4f}", f"{v['accuracy_gain']:+.4f}", kept]
        for c in cells
        for number, v in enumerate(c["cycles"], 1)
        for kept in ["kept" if v["kept"] else "rejected"]
    ]
    head = ["whitepaper loop", "Δ holdout", "accuracy gain", "verdict"]
    return ["The whitepaper's loop, the same 204 samples in every cycle:", table(head, rows)]


def _steps(cells: list[Cell]) -> list[str]:
    if not cells:
        return []
    rows = []
    for cell in cells:
        sides = cell["step"]
        for name, took in sides.items():
            ratio = f"{took['median'] / sides['hf']['median']:.3f}"
            span = f"{took['median']:.4f} [{took['least']:.4f} – {took['most']:.4f}]"
            rows.append([name, str(cell["seed"]), span, f"{joules(took['median']):.2f}", ratio])
    tokens = mean(c["mean_tokens"] for c in cells)
    head = ["training step", "seed", "CPU-s, median of passes", "joules, modelled", "ratio to hf"]
    lead = f"One training step of 32 texts, {tokens:.1f} tokens on average: eager fp32 in random batches"
    return [f"{lead} against ours, interleaved in one process:", table(head, rows)]


def _mixed(cells: list[Cell]) -> list[str]:
    parts = []
    if len({c["digest"] for c in cells if "digest" in c}) > 1:
        parts.append("**Not comparable: some of these cells were run on other examples.**")
    if any(c.get("rotated") for c in cells):
        parts.append(
            "**A spare holdout took over in ours: its later points are not on the others' holdout.**"
        )
    if any(c.get("trial") for c in cells):
        parts.append("**A trial: a few steps on a few texts; no figure here means anything.**")
    return parts


def _failures(cells: list[Cell]) -> list[str]:
    lines = [f"- {c['contender']}, seed {c['seed']}: `{c['failed'].splitlines()[-1][:200]}`" for c in cells]
    return ["Failed:\n\n" + "\n".join(lines)] if lines else []
