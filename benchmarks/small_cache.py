"""A run on many short rows under a small cache: disk, CPU-seconds, and how often activations are computed.

The rows are made here: two words are of the topic of their label, one of any topic, the rest of none.
Two runs in one state, each a process of its own. What it has on the disk is looked at four times a second:
its cache, and the files without a name that it holds open.

    OMP_NUM_THREADS=1 python benchmarks/small_cache.py
    OMP_NUM_THREADS=1 python benchmarks/small_cache.py --rows 20000 --cache-mb 16 --budget 200J
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryoflux import verify
from cryoflux.cache_files import bytes_on_disk, cached_files

_TOPICS = (
    "train station ticket flight hotel luggage journey map passport harbour island ferry",
    "soup onion oven butter recipe spoon pepper dough garlic pan bread salt",
    "bank loan invoice tax budget salary interest account payment debt fund price",
    "rose hedge soil seed lawn spade rain compost bee tulip shovel tree",
    "piano violin chord melody singer drum tempo concert album choir flute note",
)
_FILLER = (
    "the a of my very old new we had saw some in on with that is was one last next about need find lost good"
)
_PROGRAM = """
import json, sys, time
from collections import Counter
from cryoflux.encoder.activations import Activations
from cryoflux.runs.calling import run
from cryoflux.runs.watch import RunObserver

computed, compute = Counter(), Activations._compute
def counted(self, batch):
    computed.update((self.keys.get(self.depth), index) for index in batch)
    return compute(self, batch)
Activations._compute = counted

class Watch(RunObserver):
    def opened(self, opening):
        self.opened_s = time.process_time()

watch, (state, rows, budget, cache_mb) = Watch(), sys.argv[1:]
settings = {"train": rows, "cache_mb": int(cache_mb), "threads": 1}
summary = run(budget, state=state, observers=[watch], **settings)
print(json.dumps({
    "start_cpu_s": round(watch.opened_s, 1), "cpu_s": round(time.process_time(), 1),
    "attempts": summary.attempts, "ended": summary.reason,
    "texts": len(computed), "computed": sum(computed.values()),
}))
"""


def write_rows(path: Path, count: int) -> None:
    """So many different rows of ``text,label``."""
    rng, rows = random.Random(7), dict[str, str]()  # noqa: S311 - texts, no secrets
    while len(rows) < count:
        own, other = rng.choice(_TOPICS).split(), rng.choice(_TOPICS).split()
        words = [
            *rng.choices(own, k=2),
            rng.choice(other),
            *rng.choices(_FILLER.split(), k=rng.randint(4, 9)),
        ]
        rng.shuffle(words)
        rows.setdefault(" ".join(words), own[0])
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows.items()])


def unnamed_bytes(process: int) -> int:
    """Bytes of the files that a process holds open and that have no name any more."""
    total = 0
    for link in Path(f"/proc/{process}/fd").glob("*"):
        try:
            status = os.stat(link)  # noqa: PTH116 - what it leads to has no path
        except OSError:  # closed meanwhile
            continue
        total += bytes_on_disk(status) if status.st_nlink == 0 else 0
    return total


def measure(folder: Path, rows: int, budget: str, cache_mb: int) -> dict[str, object]:
    """Two runs in one state, one after the other, and what they took."""
    write_rows(folder / "rows.csv", rows)
    found: dict[str, object] = {}
    for which in ("first", "again"):
        command = [sys.executable, "-c", _PROGRAM, "state", "rows.csv", budget, str(cache_mb)]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)  # it prints a line
        named = unnamed = 0
        while process.poll() is None:
            named = max(named, sum(one.size for one in cached_files(folder / "state" / "cache")))
            unnamed = max(unnamed, unnamed_bytes(process.pid))
            time.sleep(0.25)
        said = json.loads(process.communicate()[0].splitlines()[-1])
        found[which] = {**said, "cache_mb": round(named / 1e6, 1), "unnamed_mb": round(unnamed / 1e6, 1)}
    return {**found, "verified": verify(folder / "state").ok}


def main() -> None:
    """Print what was found, a line a run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--budget", default="450J")
    parser.add_argument("--cache-mb", type=int, default=64)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, value in measure(Path(folder), chosen.rows, chosen.budget, chosen.cache_mb).items():
            print(f"{name}: {json.dumps(value)}")


if __name__ == "__main__":
    main()
