"""What `cryoflux run --task causal-lm --dry-run` expects, beside what the run takes: memory and joules.

    python benchmarks/causal_expected.py --state DIR -- --budget 900J --reserve 280J --attempts 2 …

Whatever comes after ``--`` goes to both. Memory is the largest resident set while training, and while a
version is made and read, looked at five times a second; joules are those of the phases of the dearest attempt
that came to its end. Each line has what was expected, what was found, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

_EVERY_S = 0.2
_PHASES = {"training": {"train"}, "evaluating": {"evaluate", "decide", "merge"}}


def resident_bytes(pid: int) -> int:
    """Main memory that a process has now; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def run(arguments: list[str]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The attempts of a run, and the most memory that it had by kind of phase."""
    most = dict.fromkeys(_PHASES, 0)
    step = ""
    command = [sys.executable, "-m", "cryoflux", "run", "--task", "causal-lm", "--json", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:

        def look() -> None:
            while process.poll() is None:
                now = resident_bytes(process.pid)
                for kind, steps in _PHASES.items():
                    if step in steps:
                        most[kind] = max(most[kind], now)
                time.sleep(_EVERY_S)

        threading.Thread(target=look, daemon=True).start()
        attempts = []
        for line in process.stdout or ():
            event = json.loads(line)
            if event["event"] == "step":
                step = event["step"]
            elif event["event"] == "attempt":
                attempts.append(event)
    return attempts, most


def plan(arguments: list[str]) -> dict[str, Any]:
    """What is expected of the same run."""
    command = [sys.executable, "-m", "cryoflux", "run", "--task", "causal-lm", "--json", "--dry-run"]
    done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def joules_of(attempt: dict[str, Any], phase: str) -> float:
    """Joules of a phase of an attempt."""
    return sum(one["joules"] for one in attempt["phases"] if one["phase"] == phase)


def main() -> None:
    """Print expected, found and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--state", required=True, help="a folder that is not there yet")
    parser.add_argument("rest", nargs="+", help="options of the run, after --")
    given = parser.parse_args()
    arguments = [*given.rest, "--state", given.state]
    expected = plan(arguments)
    attempts, memory = run(arguments)
    by_recipe = {one["recipe"]: one for one in expected["attempts_expected"]}
    done = max(attempts, key=lambda one: len(one["phases"]) * 1e9 + one["joules_spent"])
    due = by_recipe[done["arm"]]
    training_j = due["training_joules"] + due["screening_joules"]
    rows = [
        ("memory, training (GB)", due["training_bytes"] / 1e9, memory["training"] / 1e9),
        ("memory, merging and evaluating (GB)", due["evaluating_bytes"] / 1e9, memory["evaluating"] / 1e9),
        ("training with screening (J)", training_j, joules_of(done, "train")),
        ("evaluation (J)", due["evaluation_joules"], joules_of(done, "evaluate")),
        ("attempt (J)", due["joules"], done["joules_spent"]),
    ]
    for name, should, was in rows:
        ratio = f"{was / should:.2f}" if should and was else "-"
        print(f"{name:<36} expected {should:8.2f}  found {was:8.2f}  found/expected {ratio}")


if __name__ == "__main__":
    main()
