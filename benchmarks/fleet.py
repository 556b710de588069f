"""Joules, time and Δ of a run with workers, by number of workers, way of merging, and recipe.

    python benchmarks/fleet.py --out DIR [--only prefix-1 shard] [--seeds 0,1]
    python benchmarks/fleet.py --report DIR

Every cell is `cryoflux run --json` on the embedded model and data in a process of its own, each worker with
one thread, and is appended to DIR/runs.jsonl; what is there is not run again. ``own`` is the run without
workers. ``merge-all`` is what a fleet does: an update whose head has moved is merged into the present one and
screened anew. ``best-of`` (`fleet_best_of`) has all workers begin from one head, and judges the best only.

Where there are more workers than free cores, time says nothing, and each step takes more CPU-seconds than on
a quiet machine: ``load`` is how many times as much the same training took as in the quietest run,
and joules of attempts are given as they were charged, and divided by it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from fleet_records import RunOfAFleet, kept_line, read_run, read_runs

HERE = Path(__file__).parent
TARGETS = (1.05, 0.95, 0.85, 0.80)
"""nats on the holdout"""
SHARD = {"slice_size": 1400, "fresh_size": 1400, "max_steps": 128}
"""a quarter of the embedded pool for an attempt: workers draw different examples. ``half`` is the same, and
adds half of what it learned: two of them, from one head, make an average and not a sum"""
CHAIN = {
    "layers": 1,
    "rank": 16,
    "alpha": 32,
    "learning_rate": 3e-3,
    "hidden_dropout": 0.3,
    "first_passes": 4,
    "carry": True,
    "schedule": "constant",
    "average": 0.0,
    "scales": "1",
    "first_look": 32,
    "batch_size": 64,
    "screen_size": 512,
    **dict.fromkeys(("max_steps", "slice_size", "fresh_size"), 1_000_000),
}
"""`carry-1` under a name of its own"""
TABLES = {"shard": {**SHARD, "layers": 1, "rank": 16, "hidden_dropout": 0.3, "scales": "1 0.7 0.5 0.3"}}
TABLES["half"] = {**TABLES["shard"], "scales": "0.5"}
TABLES |= {f"chain-{letter}": CHAIN for letter in "abcd"}
CHAINED = "carry-1"
ALIKE = {"half": "shard", **dict.fromkeys((f"chain-{letter}" for letter in "abcd"), CHAINED)}
"""arm → one whose steps are the same work"""


@dataclass(frozen=True, slots=True)
class Set:
    """Recipes that a run chooses from, and when it ends."""

    recipes: str
    options: tuple[str, ...]


UNIFORM = ("--policy", "uniform/v1", "--budget", "3kJ", "--attempts")
SETS = {
    "prefix-1": Set("prefix-1", (*UNIFORM, "8")),
    "shard": Set("shard", (*UNIFORM, "12")),
    "half": Set("half", (*UNIFORM, "12")),
    "carry-1": Set("carry-1", ("--budget", "2kJ")),
    "two chains": Set("chain-a,chain-b", ("--budget", "2kJ")),
    "chain and shard": Set("carry-1,shard", ("--budget", "2kJ")),
}
CELLS = {
    "prefix-1": ("own", "merge-all 1", "merge-all 2"),
    "carry-1": ("own",),
    "shard": ("own", "merge-all 2", "best-of 2", "merge-all 4"),
    "half": ("own", "merge-all 2", "merge-all 4"),
    "two chains": ("merge-all 2",),
    "chain and shard": ("merge-all 2",),
}


def cells(only: list[str], seeds: list[int]) -> Iterator[tuple[str, str, int, int]]:
    """Recipes, policy, workers and seed: all cells of one seed, then of the next."""
    for seed in seeds:
        for name, policies in CELLS.items():
            for policy in policies if not only or name in only else ():
                way, _, workers = policy.partition(" ")
                yield name, way, int(workers or 0), seed


def run_cell(folder: Path, name: str, policy: str, workers: int, seed: int) -> RunOfAFleet:
    """Run a cell in a folder of its own, which is not kept."""
    place = folder / "cell"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    wanted = SETS[name].recipes.split(",")
    (place / "cryoflux.toml").write_text("".join(table(one) for one in wanted if one in TABLES), "utf-8")
    program = ["-m", "cryoflux"] if policy != "best-of" else [str(HERE / "fleet_best_of.py")]
    command = [sys.executable, *program, "run", "--json", "--state", "state", "--recipes", ",".join(wanted)]
    command += ["--seed", str(seed), "--threads", "1", *SETS[name].options]
    command += ["--workers", str(workers)] if workers else []
    began = time.monotonic()
    with (place / "errors").open("w") as errors:
        done = subprocess.run(
            ["nice", "-n", "10", *command],
            check=False,
            cwd=place,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    wall_s = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"{name}, {policy} {workers}, seed {seed}: {(place / 'errors').read_text()[-2000:]}")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    about = {"recipes": name, "policy": policy, "workers": workers, "seed": seed, "wall_s": wall_s}
    found = read_run(place / "state", events, **about)
    verified = [sys.executable, "-m", "cryoflux", "verify", "state"]
    if subprocess.run(verified, check=False, cwd=place, stdout=subprocess.DEVNULL).returncode:
        raise SystemExit(f"{name}, {policy} {workers}, seed {seed}: its log does not verify")
    shutil.rmtree(place)
    return found


def table(name: str) -> str:
    """A recipe's table in cryoflux.toml."""
    values = "".join(f"{key} = {json.dumps(value)}\n" for key, value in TABLES[name].items())
    return f"[recipe.{name}]\n{values}\n"


def report(runs: list[RunOfAFleet]) -> None:
    """The tables, in Markdown; means over seeds, and each seed's value where they differ."""
    for name in SETS:
        ours = [run for run in runs if run.recipes == name]
        if not ours:
            continue
        print(f"\n**{name}**: seeds {', '.join(str(s) for s in sorted({run.seed for run in ours}))}\n")
        head = " | ".join(f"J ÷ load, s to {target:g}" for target in TARGETS)
        print(
            f"| | attempts: kept, not kept, passed over; stale | Δ holdout | load | J attempts, ÷ load "
            f"| J besides | Δ/kJ attempts ÷ load | all-in | idle | {head} |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|---:|---:|" + "---:|" * len(TARGETS))
        for policy, workers in dict.fromkeys((run.policy, run.workers) for run in ours):
            same = [run for run in ours if (run.policy, run.workers) == (policy, workers)]
            print(row(f"{policy} {workers}" if workers else policy, same, runs))


def trained_j(run: RunOfAFleet) -> dict[str, float]:
    """What training an attempt took, J, by the arm whose work it is."""
    found: dict[str, list[float]] = {}
    for one in run.made:
        if "train" in one.phases:
            found.setdefault(ALIKE.get(one.arm, one.arm), []).append(one.phases["train"])
    return {arm: median(some) for arm, some in found.items()}


def loads(runs: Sequence[RunOfAFleet], among: Sequence[RunOfAFleet]) -> list[float]:
    """How busy the machine was in some runs: what equal work took, over the least that it took in any.

    Attempts of a chain are of different length; where a run has others beside them, those tell.
    """
    least: dict[str, float] = {}
    for run in among:
        for arm, joules in trained_j(run).items():
            least[arm] = min(joules, least.get(arm, joules))
    found = []
    for run in runs:
        took = trained_j(run)
        told = [arm for arm in took if arm != CHAINED] or list(took)
        found.append(median(took[arm] / least[arm] for arm in told))
    return found


def row(name: str, runs: list[RunOfAFleet], among: list[RunOfAFleet]) -> str:
    """One line of a table."""
    busy = loads(runs, among)

    def each(values: list[float], digits: int = 0) -> str:
        texts = [f"{value:.{digits}f}" for value in values]
        return texts[0] if len(set(texts)) == 1 else f"{mean(values):.{digits}f} ({', '.join(texts)})"

    counts = "; ".join(map(counted, runs))
    to = []
    for target in TARGETS:
        found = [(run.to(target), load) for run, load in zip(runs, busy, strict=True)]
        reached = [f"{one[0] / load:.0f} J, {one[1]:.0f} s" if one else "–" for one, load in found]
        to.append("; ".join(reached))
    cells = [
        name,
        counts,
        each([run.gain for run in runs], 3),
        each(busy, 2),
        "; ".join(
            f"{r.attempts_j:.0f}, {r.attempts_j / load:.0f}" for r, load in zip(runs, busy, strict=True)
        ),
        each([run.besides_j for run in runs]),
        each([run.gain / run.attempts_j * load * 1000 for run, load in zip(runs, busy, strict=True)], 1),
        each([run.gain / (run.attempts_j + run.besides_j) * 1000 for run in runs], 1),
        "; ".join(f"{run.idle:.0%}" if run.workers else "–" for run in runs),
        *to,
    ]
    return f"| {' | '.join(cells)} |"


def counted(run: RunOfAFleet) -> str:
    """What became of a run's attempts."""
    kept = sum(one.outcome == "kept" for one in run.made)
    passed = sum(one.outcome == "aborted" for one in run.made)
    stale = sum(one.moved > 0 and one.outcome != "aborted" for one in run.made)
    return f"{kept}, {len(run.made) - kept - passed}, {passed}; {stale}"


def main() -> None:
    """Run cells, or print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("fleet"), metavar="DIR")
    parser.add_argument("--only", nargs="*", default=[], choices=list(SETS), metavar="RECIPES")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--report", type=Path, metavar="DIR", help="print the tables of what is there")
    given = parser.parse_args()
    if given.report:
        report(read_runs(given.report))
        return
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "runs.jsonl"
    done = (
        {(r.recipes, r.policy, r.workers, r.seed) for r in read_runs(given.out)} if file.exists() else set()
    )
    for cell in cells(given.only, [int(seed) for seed in given.seeds.split(",")]):
        if cell in done:
            continue
        print(", ".join(map(str, cell)), file=sys.stderr)
        found = run_cell(given.out, *cell)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(kept_line(found))


if __name__ == "__main__":
    main()
