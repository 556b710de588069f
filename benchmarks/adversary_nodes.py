"""Layer S4: nodes that cheat, as real processes with the embedded model, over HTTP, with real meters.

    python benchmarks/adversary_nodes.py                    # all of them
    python benchmarks/adversary_nodes.py --only backdoor    # one of them; repeatable
    python benchmarks/adversary_nodes.py --keep DIR         # keep what was trained, and go on from it

Three nodes (`north`, `south`, `rogue`) and two witnesses on this machine. The honest part is trained once,
and each strategy begins with a copy of it: its own witnesses, servers and logs. What rogue forges lies in
``rogues/``; all else is the command line. `south` (where it lies: `north`) is who is to be deceived.

A head's true Δ is measured on the embedded texts that no node trained on or was judged by. CPU seconds are
those of all processes of a strategy, without what this program measures; joules are those of south's rounds,
as its receipts have them; requests and bytes are those that came through the gates before the servers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from cryoflux.network.demo.data import cut_in_three
from rogues.acting import Found, spent_checking
from rogues.lies import lie
from rogues.live import TRAIN, Live, children_cpu_s
from rogues.registry import STRATEGIES
from rogues.truth import Truth, untouched
from rogues.updates import flip

_SEEDS = {"north": "1", "south": "2", "rogue": "3"}
_HEADING = (
    "| strategy | what was done | what the node said | harm | books | CPU-s | J of checking | requests | MB |"
)


@dataclass(frozen=True)
class Row:
    """A strategy, and what it came to."""

    name: str
    found: Found
    cpu_s: float
    checking_j: float
    checking_upper_j: float
    requests: int
    received: int

    def line(self) -> str:
        """As the table has it."""
        one = self.found
        harm = "; ".join(one.harm)
        cells = (
            *(self.name, one.did, one.said, f"**{harm}**" if one.harmful else harm, one.books),
            *(f"{self.cpu_s:.0f}", f"{self.checking_j:.1f} (≤ {self.checking_upper_j:.1f})"),
            *(f"{self.requests:,}", f"{self.received / 1e6:.2f}"),
        )
        return f"| {' | '.join(cells)} |"


def train(live: Live) -> None:
    """The honest part: three nodes with a third of the data each."""
    cut_in_three(live.folder)
    live.witnesses()
    for name, seed in _SEEDS.items():
        live.run(*TRAIN, "--train", f"{name}.csv", "--state", name, "--seed", seed)
        live.run("node", "init", "--name", name, "--guest", f"{name}-guests.csv", "--state", name)


_STAGES: dict[str, tuple[str, Callable[[Live], None]]] = {
    "trained": ("", train),
    "flipped": ("trained", flip),
    "lied": ("flipped", lie),
}
"""stage → the one before it, and what is done"""


class Stages:
    """What several strategies begin with, made once.

    Args:
        folder: for all of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cpu_s: dict[str, float] = {}

    def path(self, stage: str) -> Path:
        """The folder of a stage, made if it is not there."""
        before, make = _STAGES[stage]
        place = self.folder / stage
        if place.is_dir():
            return place
        with self._copied(before, f"{stage}.draft") as (live, cpu_s):
            make(live)
        self.cpu_s[stage] = children_cpu_s() - cpu_s
        live.folder.rename(place)
        return place

    @contextmanager
    def of(self, stage: str, name: str) -> Iterator[Live]:
        """A network that goes on from a stage, in a folder that is removed afterwards."""
        with self._copied(stage, f"run-{name}") as (live, _):
            yield live
        shutil.rmtree(live.folder)

    @contextmanager
    def _copied(self, stage: str, name: str) -> Iterator[tuple[Live, float]]:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        if stage:
            subprocess.run(["cp", "-a", str(self.path(stage)), str(folder)], check=True)
        else:
            folder.mkdir(parents=True)
        cpu_s = children_cpu_s()
        with ExitStack() as ending:
            live = Live(folder, ending)
            if stage:
                live.witnesses()
            yield live, cpu_s


def measured(stages: Stages, name: str, truth: Truth) -> Row:
    """Run one strategy."""
    stage, strategy = STRATEGIES[name]
    stages.path(stage)
    cpu_s = children_cpu_s()
    with stages.of(stage, name) as live:
        found = strategy(live, truth)
        spent = list(spent_checking(live))
        gates = list(live.gates.values())
    used = children_cpu_s() - cpu_s
    joules, upper = (sum(part) for part in zip(*spent, strict=True)) if spent else (0.0, 0.0)
    requests, received = sum(gate.requests for gate in gates), sum(gate.received for gate in gates)
    return Row(name, found, used, joules, upper, requests, received)


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", action="append", choices=sorted(STRATEGIES), help="a strategy; repeatable")
    asked.add_argument("--keep", type=Path, help="folder for what is trained, which is kept")
    asked.add_argument("--out", type=Path, help="file of JSON lines, a strategy each")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        stages = Stages((given.keep or Path(scratch)).resolve())
        begun = stages.path("trained")
        truth = Truth(untouched(begun), begun / "south", stages.folder / "judging")
        print(f"{len(truth.fresh):,} texts that nobody trained on or was judged by", flush=True)
        print(_HEADING, "|---|---|---|---|---|---:|---:|---:|---:|", sep="\n", flush=True)
        for name in given.only or STRATEGIES:
            row = measured(stages, name, truth)
            print(row.line(), flush=True)
            if given.out:
                with given.out.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(asdict(row)) + "\n")
    made = ", ".join(f"{stage} {cpu_s:.0f}" for stage, cpu_s in stages.cpu_s.items())
    print(f"CPU-s of what several begin with: {made or 'none, it was there'}")


if __name__ == "__main__":
    main()
