"""Layer S2: strategies over real signed logs, which real readers pull, believe, and make books of.

    python benchmarks/adversary_logs.py                            # a life a strategy, 12 honest offers each
    python benchmarks/adversary_logs.py --seeds 10 --offers 24     # as docs/reference/adversaries.md has it
    python benchmarks/adversary_logs.py --part table --only fork   # one strategy

Keys, entries, tiles, checkpoints, three witnesses and their memories, published trees, pulls, following,
claims and books are those of the source; misbehaving peers are servers on loopback. Made up is what entries
say: there are no models behind them. What differs only in weights is for the layers S1 and S3.

A life is harmful where a copy stands before its original or takes its place, two readers believe two
histories or their books differ, books say what is not so, an honest log is accused, or bytes count that
nobody signed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from strategies.log_lives import Life
from strategies.log_measuring import LIVES, LYING, THROUGH, TWINS_OF_LOGS, LogRow, lived
from strategies.log_world import Defences
from strategies.registry import STRATEGIES


@dataclass(frozen=True)
class Size:
    """Of a simulation."""

    lives: int
    """of a strategy"""
    offers: int
    """of honest nodes, in a life"""
    only: str = ""
    """one strategy; else all of them"""


def percent(share: float) -> str:
    """As tables have it."""
    return f"{100 * share:.1f} %"


def notes(row: LogRow) -> str:
    """What else there is to say of a strategy."""
    said = [f"{what} in {lives}" for what, lives in sorted(row.harms.items())]
    said += [f"convicted in {row.convicted}"] if row.convicted else []
    said += [f"{what}: {times:,}" for what, times in sorted(row.told.items()) if times]
    return "; ".join(said)


def counts(row: LogRow) -> str:
    """The numbers of a row."""
    return f"{row.lives:,} | {row.harmful:,} | {percent(row.bound)} | {row.through:,} of {row.due:,}"


def table(size: Size) -> Iterator[str]:
    """All strategies that a log can show."""
    yield "| family | strategy | lives | harmful | at most | honest offers that came through | besides |"
    yield "|---|---|---:|---:|---:|---:|---|"
    families = {entry.name: entry.family for entry in STRATEGIES if entry.logs}
    if lifeless := families.keys() - LIVES.keys():
        raise SystemExit(f"these strategies have no life in logs: {', '.join(sorted(lifeless))}")
    entries, began_s = 0, time.process_time()
    for name, life in LIVES.items():
        if size.only and size.only != name:
            continue
        row = lived(name, life, size.lives, size.offers)
        entries += row.entries
        yield f"| {families.get(name, 'log')} | {name} | {counts(row)} | {notes(row)} |"
    cpu_s = time.process_time() - began_s
    yield f"\n{entries:,} entries written, cosigned, published and pulled: {entries / cpu_s:,.0f} a CPU-s."
    unseen = [f"{entry.family}: {entry.name}" for entry in STRATEGIES if not entry.logs]
    yield f"\nWhat differs only in weights or losses is not seen here: {', '.join(unseen)}."


def twins(size: Size) -> Iterator[str]:
    """What each defence is needed for."""
    yield "| without a defence | strategy | lives | harmful | with it | what happens |"
    yield "|---|---|---:|---:|---:|---|"
    for twin in TWINS_OF_LOGS:
        life = LIVES[twin.strategy]
        broken = lived(twin.strategy, life, size.lives, size.offers, twin.lacking)
        whole = lived(twin.strategy, life, size.lives, size.offers, twin.same)
        held = f"{whole.harmful} (≤ {percent(whole.bound)})"
        numbers = f"{broken.lives:,} | {broken.harmful:,} | {held} | {notes(broken)}"
        yield f"| {twin.without} | {twin.strategy} | {numbers} |"


def lying(size: Size) -> Iterator[str]:
    """What a witness that lies comes to, by how many witnesses there are."""
    yield from lives_of(LYING, size)


def through(size: Size) -> Iterator[str]:
    """What logs cannot show."""
    yield from lives_of(THROUGH, size)


def lives_of(some: Sequence[tuple[str, Life, Defences]], size: Size) -> Iterator[str]:
    """A table of some lives."""
    yield "| what | lives | harmful | at most | honest offers that came through | besides |"
    yield "|---|---:|---:|---:|---:|---|"
    for what, life, defences in some:
        row = lived(what, life, size.lives, size.offers, defences)
        yield f"| {what} | {counts(row)} | {notes(row)} |"


PARTS: dict[str, Callable[[Size], Iterator[str]]] = {
    "table": table,
    "twins": twins,
    "lying": lying,
    "through": through,
}


def main() -> None:
    """Simulate and print tables as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1, help="lives of a strategy")
    parser.add_argument("--offers", type=int, default=12, help="updates that honest nodes offer in a life")
    parser.add_argument("--part", choices=list(PARTS), help="one part; else all of them")
    parser.add_argument("--only", choices=list(LIVES), default="", help="one strategy of the table")
    given = parser.parse_args()
    size = Size(given.seeds, given.offers, given.only)
    for name in [given.part] if given.part else PARTS:
        start_s = time.process_time()
        print(f"\n## {name}\n", flush=True)
        for line in PARTS[name](size):
            print(line, flush=True)
        print(f"\n{time.process_time() - start_s:.1f} CPU-s", flush=True)


if __name__ == "__main__":
    main()
