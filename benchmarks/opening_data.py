"""How much CPU time and memory it takes to read files of examples to their end.

Each file is read row by row in a process of its own, and nothing is kept; so a memory that does not grow with
the rows shows that the reader holds none of them. It is what comes on top of the interpreter and its modules.
The last lines are all of ``cryoflux data check``, which keeps the examples to split them, and of a plan.

    python benchmarks/opening_data.py
    python benchmarks/opening_data.py --rows 20000 200000
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_BEFORE = """
import re, sys, time
from pathlib import Path
from cryoflux.config import load_settings
from cryoflux.data.formats import open_examples
from cryoflux.runs.data_check import check_data
from cryoflux.runs.dry_run import make_plans
if sys.argv[1].endswith(".parquet"):
    from pyarrow import parquet
def most_kb():  # of this process alone: what getrusage says begins with its parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before, began = most_kb(), time.process_time()
"""
_AFTER = """
print(count, time.process_time() - began, most_kb() - before)
"""
_READ = "count = sum(1 for _ in open_examples(sys.argv[1]))"
_CHECK = 'count = sum(check_data(load_settings({"train": sys.argv[1]}).settings).classes.values())'
_PLAN = (
    '(plan,) = make_plans(load_settings({"train": sys.argv[1], "state": "none"}), None); '
    "count = sum(plan.examples.values())"
)
_Row = tuple[str, str]


def _rows(count: int) -> Iterator[_Row]:
    draw = random.Random(1)  # noqa: S311 - a draw, no secret
    words = [f"word{at}" for at in range(5000)]
    for at in range(count):
        text = " ".join(draw.choices(words, k=draw.randrange(5, 40)))
        yield f"{text}, café {at}", f"class {at % 7}"


def _csv(path: Path, count: int, encoding: str = "utf-8") -> None:
    with path.open("w", newline="", encoding=encoding) as out:
        writer = csv.writer(out)
        writer.writerow(("text", "label"))
        writer.writerows(_rows(count))


def _tsv_packed(path: Path, count: int) -> None:
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=6) as out:
        out.write("text\tlabel\n")
        out.writelines(f"{text}\t{label}\n" for text, label in _rows(count))


def _jsonl(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps({"text": text, "label": label}) + "\n" for text, label in _rows(count))


def _array(path: Path, count: int) -> None:
    path.write_text(json.dumps([{"text": text, "label": label} for text, label in _rows(count)]), "utf-8")


def _parquet(path: Path, count: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    texts, labels = zip(*_rows(count), strict=True)
    parquet.write_table(pa.table({"text": texts, "label": labels}), path)


_FILES: dict[str, Callable[[Path, int], None]] = {
    "utf-8.csv": _csv,
    "cp1252.csv": lambda path, count: _csv(path, count, "cp1252"),
    "utf-16.csv": lambda path, count: _csv(path, count, "utf-16"),
    "packed.tsv.gz": _tsv_packed,
    "lines.jsonl": _jsonl,
    "array.json": _array,
    "table.parquet": _parquet,
}


def _measure(code: str, path: Path) -> tuple[int, float, int]:
    """Rows, seconds of CPU, and kB of memory that came on top."""
    words = [sys.executable, "-c", _BEFORE + code + _AFTER, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    rows, seconds, grown = done.stdout.split()
    return int(rows), float(seconds), int(grown)


def _figures(seconds: float, grown: int) -> str:
    return f" {seconds:>5.2f} CPU-s {grown / 1e3:>6.1f} MB on top"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 200_000])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, write in _FILES.items():
            for count in asked.rows:
                path = Path(folder) / f"{count}-{name}"
                write(path, count)
                rows, seconds, grown = _measure(_READ, path)
                size = path.stat().st_size / 1e6
                print(f"{name:<15} {rows:>7} rows {size:>6.1f} MB {_figures(seconds, grown)}")
                if name != "utf-8.csv":
                    path.unlink()
        for count in asked.rows:
            for name, code in (("data check", _CHECK), ("run --dry-run", _PLAN)):
                rows, seconds, grown = _measure(code, Path(folder) / f"{count}-utf-8.csv")
                print(f"{name:<15} {rows:>7} rows           {_figures(seconds, grown)}")


if __name__ == "__main__":
    main()
