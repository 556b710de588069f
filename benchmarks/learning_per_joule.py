"""What a user would run instead of CryoFlux, side by side: loss over CPU-seconds and modelled joules.

    python benchmarks/learning_per_joule.py --data stdlib-docs --seeds 0,1,2 --out DIR
    python benchmarks/learning_per_joule.py --report DIR

Every cell (data, contender, seed) runs in a process of its own with one thread and is appended to
DIR/cells.jsonl; what is there is not run again. The packages are those of requirements/bench.txt.
Joules are modelled: CPU-seconds × the watts that CryoFlux guesses for one busy CPU.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from contenders.cells import Options, names, run_all, run_cell
from contenders.data import DATA_SETS
from contenders.report import report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=list(DATA_SETS), default="stdlib-docs")
    parser.add_argument("--seeds", default="0", help="comma-separated; all contenders of one, then the next")
    parser.add_argument("--only", default="", help=f"of {', '.join(names('stdlib-docs'))}")
    parser.add_argument("--out", type=Path, default=Path("cells"))
    parser.add_argument("--budget", default="2kJ", help="of ours")
    parser.add_argument("--ours", default="", help="further options of `cryoflux run`, in one argument")
    parser.add_argument("--again", action="store_true", help="run cells that are there once more")
    parser.add_argument("--trial", action="store_true", help="a few steps on a few texts, to see it run")
    parser.add_argument("--report", type=Path, metavar="DIR", help="print the tables and draw the curves")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--learning-rate", type=float, default=0.0, help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Run cells, one cell, or the report."""
    parser = _parser()
    given = parser.parse_args()
    if given.report:
        print(report(given.report))
        return
    seeds = [int(seed) for seed in given.seeds.split(",")]
    only = [name for name in given.only.split(",") if name]
    if unknown := set(only) - set(names("stdlib-docs")):
        parser.error(f"--only: there is no contender {min(unknown)}")
    options = Options(
        data=given.data,
        out=given.out,
        budget=given.budget,
        ours=tuple(given.ours.split()),
        learning_rate=given.learning_rate,
        again=given.again,
        trial=given.trial,
    )
    if given.cell:
        given.result.write_text(json.dumps(run_cell(given.cell, seeds[0], options)), "utf-8")
    else:
        run_all(options, seeds, only)


if __name__ == "__main__":
    main()
