"""How often the interval of a process's net energy holds the truth while children come and go, no cgroup.

    python benchmarks/children_coverage.py [--trials 4000] [--seed 1]

The machine, its errors and the children are those of ``tests/drawn_family.py``, which says what is drawn.
Printed are the coverage, the mean error of the estimate, and the CPU time that was not found; then the
same of the trials in which some of the time was not found or was flagged.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from cryoflux.energy.sources import rapl
from drawn_family import Family, Trial, trials

KINDS = {
    "all waited for": {"orphaned": 0.0},
    "a third orphaned, adopted by the process": {"orphaned": 1 / 3, "adopts": True},
    "a third orphaned, to another parent": {"orphaned": 1 / 3},
}
MISSED_S = 0.1
"""more than what ticks of a few processes explain"""


def row(name: str, of: Sequence[Trial]) -> str:
    """One line of the table."""
    if not of:
        return f"| {name} | 0 | | | | | |"
    count, inside = len(of), sum(trial.inside for trial in of)
    above = sum(trial.truth_uj > trial.hi_uj for trial in of)
    errors = [trial.error for trial in of]
    missed = sum(trial.missed_s for trial in of) / count
    width = sorted((trial.hi_uj - trial.lo_uj) / 2 / trial.truth_uj for trial in of)[count // 2]
    shares = f"{inside / count:.1%} | {(count - inside - above) / count:.1%} | {above / count:.1%}"
    return f"| {name} | {count} | {shares} | {mean(errors):+.2%} | {missed:.3f} | {width:.1%} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=4000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rapl.standing_still = lambda *_: frozenset()  # files turned by hand count only when they are turned
    print("| children | trials | held | truth below | truth above | mean error | CPU-s not found | ± |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, kind in KINDS.items():
        rng = random.Random(options.seed)  # noqa: S311 - a trial is no secret
        with tempfile.TemporaryDirectory() as folder:
            done = list(trials(Family(Path(folder), rng, **kind), options.trials))
        print(row(name, done))
        print(row("– of these, all time found", [one for one in done if one.missed_s <= MISSED_S]))
        print(
            row(f"– of these, over {MISSED_S} s not found", [one for one in done if one.missed_s > MISSED_S])
        )
        for flag in sorted({flag for one in done for flag in one.flags}):
            print(row(f"– of these, `{flag}`", [one for one in done if flag in one.flags]))


if __name__ == "__main__":
    main()
