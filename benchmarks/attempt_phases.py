"""CPU-seconds of an attempt by phase, and the share that is neither training nor evaluation.

    python benchmarks/attempt_phases.py [--budget 720J]

Runs the real command on the embedded defaults in a folder of its own and reads its JSON lines.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from statistics import mean

from cryoflux.attempt.phase_joules import EVALUATE_BASE
from cryoflux.attempt.watch import Step


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", default="720J")
    budget = parser.parse_args().budget
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cryoflux", "run", "--budget", budget, "--state", f"{folder}/state"]
        lines = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True).stdout
    events = [json.loads(line) for line in lines.splitlines()]
    attempts = [e for e in events if e["event"] == "attempt" and e["decision"] != "aborted"]
    total = mean(a["cpu_seconds"] for a in attempts)
    print(f"{len(attempts)} attempts on the embedded defaults, mean CPU-seconds of one:\n")
    print("| phase | CPU-s | share |\n|---|---:|---:|")
    for phase in (EVALUATE_BASE, *Step):
        seconds = mean(a["phases_cpu_seconds"].get(phase, 0.0) for a in attempts)
        print(f"| {phase} | {seconds:.3f} | {100 * seconds / total:.2f} % |")
    named = (EVALUATE_BASE, Step.TRAIN, Step.EVALUATE)
    work = mean(sum(a["phases_cpu_seconds"].get(phase, 0.0) for phase in named) for a in attempts)
    print(f"| **total** | {total:.3f} | 100 % |")
    print(f"\nneither training nor evaluation: {100 * (1 - work / total):.2f} %")
    tier, joules = attempts[0]["tier"], mean(a["joules_spent"] for a in attempts)
    print(f"joules of an attempt: {joules:.1f} J ({tier}), steps: {mean(a['steps'] for a in attempts):.0f}")


if __name__ == "__main__":
    main()
