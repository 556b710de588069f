"""Joules to a target under each scheduling policy, on recorded outcomes or live.

    python benchmarks/schedulers.py --record DIR [--state STATE …] [-- OPTIONS OF cryoflux run]
    python benchmarks/schedulers.py --records DIR/records.jsonl [--repeats 300] [--json]
    python benchmarks/schedulers.py --live --budget 2kJ [-- OPTIONS OF cryoflux run]

``--record`` makes live attempts of every arm from several states; ``--records`` replays them under every
policy (`scheduler_replay`); ``--live`` runs the real command with the default policy and with uniform.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from cryoflux.quantities import MICRO, parse_energy
from cryoflux.scheduling.policy import POLICIES, POLICY
from scheduler_replay import PICKS, TARGETS, Replayed, compare, read_records

RECIPES = ("head-first", "prefix-1", "prefix-2", "prefix-3", "lean")


def cryoflux(*arguments: str) -> list[dict[str, Any]]:
    """The JSON events of one run of the command."""
    command = [sys.executable, "-m", "cryoflux", "run", "--json", *arguments]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def saved_states(folder: Path, count: int, budget: str, options: Sequence[str]) -> list[Path]:
    """States of a falling loss: copies of one that is trained a few attempts further each time."""
    state = folder / "state"
    for number in range(count):
        copy = folder / f"state-{number}"
        if not copy.exists():
            print(f"state {number + 1} of {count}", file=sys.stderr)
            # One attempt at first, then twice as many each time: gains shrink.
            cryoflux("--state", str(state), "--budget", budget, "--attempts", str(2**number), *options)
            shutil.copytree(state, copy, symlinks=True)
    return [folder / f"state-{number}" for number in range(count)]


def record_attempts(
    folder: Path,
    states: Sequence[Path],
    recipes: Sequence[str],
    repeats: int,
    budget: str,
    options: Sequence[str],
) -> Path:
    """Live attempts of every arm from every state, each on a copy of it; returns the file of records."""
    file = folder / "records.jsonl"
    with file.open("a", encoding="utf-8") as records:
        for repeat in range(repeats):
            for state in states:
                for recipe in recipes:
                    print(f"recording {recipe} on {state.name}, repeat {repeat + 1}", file=sys.stderr)
                    record = record_attempt(state, recipe, repeat, budget, options)
                    records.write(json.dumps(record) + "\n")
                    records.flush()
    return file


def record_attempt(
    state: Path, recipe: str, seed: int, budget: str, options: Sequence[str]
) -> dict[str, Any]:
    """One live attempt on a copy of a state."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(state, Path(scratch) / "state", symlinks=True)
        given = ("--recipes", recipe, "--attempts", "1", "--seed", str(seed), "--policy", "uniform/v1")
        events = cryoflux("--state", str(copy), "--budget", budget, "--explain", *given, *options)
    kinds = ("choice", "attempt", "summary")
    choice, attempt, summary = (next(e for e in events if e["event"] == kind) for kind in kinds)
    prior_j = next(arm["prior_joules"] for arm in choice["arms"] if arm["name"] == attempt["arm"])
    kept, audit = attempt["accepted"] is True, summary["audit"]
    return {
        "arm": attempt["arm"],
        "state": state.name,
        "head_loss": summary["holdout"]["loss_before"],
        "screen_delta": attempt.get("screen_delta"),
        "holdout_delta": attempt["delta"],
        "audit_delta": audit["loss_before"] - audit["loss_after"] if kept else None,
        "kept": kept,
        "uj": round(attempt["joules_spent"] * MICRO),
        "prior_uj": round(prior_j * MICRO),
    }


def live(budget: str, repeats: int, options: Sequence[str]) -> dict[str, Any]:
    """The default policy and uniform on the real command, each from the start with the same joules."""
    runs: dict[str, list[Replayed]] = {name: [] for name in POLICIES}
    rows: dict[str, Any] = {name: {"unspent": [], "audit_gain": []} for name in POLICIES}
    for seed in range(repeats):
        for name in POLICIES:
            print(f"live: {name}, seed {seed}", file=sys.stderr)
            with tempfile.TemporaryDirectory() as scratch:
                where = ("--state", f"{scratch}/state", "--budget", budget, "--policy", name)
                events = cryoflux(*where, "--seed", str(seed), *options)
            summary = next(event for event in events if event["event"] == "summary")
            runs[name].append(live_run(events, summary["holdout"]["loss_before"]))
            audit = summary["audit"]
            rows[name]["audit_gain"].append(audit["loss_before"] - audit["loss_after"])
            rows[name]["unspent"].append(1 - summary["joules"] / summary["budget_joules"])
    reachable = median(run.gains[-1] for run in runs[POLICY])
    for name, row in rows.items():
        row.update({key: median(values) for key, values in row.items()})
        row |= {
            "joules_to": {str(t): median(r.joules_to(t * reachable) for r in runs[name]) for t in TARGETS}
        }
    return {"budget": budget, "reachable": reachable, "repeats": repeats, "policies": rows}


def live_run(events: Sequence[dict[str, Any]], start: float) -> Replayed:
    """Joules and holdout gain after each attempt of a live run."""
    run, spent = Replayed([], []), 0.0
    for event in events:
        if event["event"] == "attempt":
            spent += event["joules_spent"] * MICRO
            run.spent.append(round(spent))
            run.gains.append(start - (event["holdout_loss"] or start))
    return run


def show(found: dict[str, Any]) -> None:
    """The table, in Markdown."""
    shown, repeats = ("gain_at", "audit_gain"), found["repeats"]
    print(f"budget {found['budget']}, reachable gain {found['reachable']:.4f} nats, {repeats} repeats\n")
    columns = " | ".join(f"J to {t:.0%} | × uniform" for t in TARGETS)
    print(f"| policy | {columns} | gain at the end, nats | joules unspent |")
    print("|---|" + "---:|" * (2 * len(TARGETS) + 2))
    for name, row in found["policies"].items():
        cells = [f"{uj:.0f} | {ratio(row, found, t)}" for t, uj in row["joules_to"].items()]
        gain = next(row[key] for key in shown if key in row)
        gain = gain["1.0"] if isinstance(gain, dict) else gain
        print(f"| {name} | {' | '.join(cells)} | {gain:.4f} | {row['unspent']:.0%} |")


def ratio(row: dict[str, Any], found: dict[str, Any], target: str) -> str:
    """Joules to a target over those of uniform."""
    uniform = found["policies"]["uniform/v1"]["joules_to"][target]
    return f"{row['joules_to'][target] / uniform:.2f}" if uniform < float("inf") else "–"


def parse() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    job = parser.add_mutually_exclusive_group(required=True)
    job.add_argument("--record", type=Path, metavar="DIR", help="make the recordings")
    job.add_argument("--records", type=Path, metavar="FILE", help="replay recordings")
    job.add_argument("--live", action="store_true", help="run the real command")
    parser.add_argument("--state", type=Path, action="append", default=[], help="record from this state")
    parser.add_argument("--states", type=int, default=5, help="states to make where none is named")
    parser.add_argument("--recipes", default=",".join(RECIPES), help="arms to record")
    parser.add_argument("--budget", help="joules of a run; by default ten attempts of each arm, or 2kJ live")
    parser.add_argument("--min-delta", type=float, default=0.002, help="smallest Δ that is kept, nats")
    parser.add_argument("--repeats", type=int, help="repeats; by default 300 replayed, 3 live or recorded")
    parser.add_argument("--quick", action="store_true", help="few repeats, few states")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("options", nargs="*", help="options of cryoflux run, after --")
    return parser.parse_args()


def main() -> None:
    """Record, replay or run live, and print what was found."""
    asked = parse()
    repeats = asked.repeats or (300 if asked.records else 3)
    if asked.quick:
        repeats = 20 if asked.records else 1
    if asked.record:
        asked.record.mkdir(parents=True, exist_ok=True)
        budget = asked.budget or "2kJ"
        made = asked.state or saved_states(
            asked.record, 2 if asked.quick else asked.states, budget, asked.options
        )
        print(record_attempts(asked.record, made, asked.recipes.split(","), repeats, budget, asked.options))
        return
    if asked.live:
        found = live(asked.budget or "2kJ", repeats, asked.options)
    else:
        budget_uj = parse_energy(asked.budget) if asked.budget else None
        found = compare(read_records(asked.records), repeats, budget_uj, asked.min_delta, list(PICKS))
    if asked.json:
        print(json.dumps(found, indent=2, default=str))
    else:
        show(found)


if __name__ == "__main__":
    main()
