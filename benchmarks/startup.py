"""What starting a run costs on the embedded defaults: CPU-seconds by phase, in a new state and again in it.

Each start is a process of its own; its figures end when its first attempt could begin. With ``--attempts``
the first run of a round makes some, and the second finds what they have left; by themselves both make none.

    python benchmarks/startup.py
    python benchmarks/startup.py --attempts 3 --rounds 1
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cryoflux.runs.calling import run
from cryoflux.runs.disk_use import disk_use
from cryoflux.runs.watch import Opening, RunObserver
from cryoflux.state import StateFolder


class _Watch(RunObserver):
    """When the state was open, and what that took."""

    opened_s = 0.0
    startup: object = None

    def opened(self, opening: Opening) -> None:
        """The first attempt could begin."""
        self.opened_s = time.process_time()
        self.startup = opening.tasks[0].facts["startup"]


def one_start(state: Path, attempts: int) -> dict[str, Any]:
    """A start in this process, and what it cost."""
    watch = _Watch()
    summary = run(
        "240J",
        state=state,
        observers=[watch],
        stop=lambda: bool(watch.opened_s) and not attempts,
        attempts=attempts or None,
    )
    return {
        "cpu_s": watch.opened_s,
        "startup": watch.startup,
        "audit_cpu_s": summary.audit_cpu_seconds,
        "spent_j": summary.spent.joules if summary.spent else 0.0,
        "beside_j": summary.overhead.joules if summary.overhead else None,
    }


def start(state: Path, attempts: int) -> dict[str, Any]:
    """One run in a process of its own; without attempts it ends once its state is open."""
    command = [sys.executable, str(Path(__file__).resolve()), "--inside", str(state)]
    command += ["--attempts", str(attempts)]
    done = subprocess.run(command, cwd=state.parent, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(attempts: int, cycles: int) -> list[list[dict[str, Any]]]:
    """Rounds of a first start, and a second one in the same state."""
    rounds = []
    for _ in range(cycles):
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state"
            both = [start(state, attempts), start(state, 0)]
            places = {place.name: place.size for place in disk_use(StateFolder(state)).places}
            rounds.append([{**one, "cache_bytes": places["cache"]} for one in both])
    return rounds


def main() -> None:
    """Print a line a start, and the phases of the last round."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--attempts", type=int, default=0, help="of the first run of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        print(json.dumps(one_start(chosen.inside, chosen.attempts)))
        return
    rounds = measure(chosen.attempts, chosen.rounds)
    for which, name in enumerate(("first", "again")):
        costs = [found[which]["cpu_s"] for found in rounds]
        print(f"{name}: {statistics.median(costs):.2f} CPU-s in the median of {costs}")
        print(f"       {json.dumps(rounds[-1][which])}")


if __name__ == "__main__":
    main()
