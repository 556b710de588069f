"""Layer S1: 56 strategies against the real rules, budgets, search, copy screen and books, with drawn losses.

    python benchmarks/adversaries.py                     # 200 lives a strategy
    python benchmarks/adversaries.py --seeds 1000        # as docs/reference/adversaries.md has it
    python benchmarks/adversaries.py --part twins        # one part: table, twins, leak, rounds, quorum, …

A life is one guest holdout and up to 200 looks (*looks*), two rounds with four honest offers (*rounds*), or a
network of ten verifiers (*books*). It is harmful where a head was adopted whose true Δ is not above zero, or
where the books say what is not so. The bound is exact, at 95 %: the share of harmful lives lies below it.
What this layer does not see, it says so, and names what does.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")

from strategies.measuring import (
    Row,
    books_row,
    leak,
    looks_row,
    mixed_federations,
    power_rows,
    quorum_rows,
    rare_harm,
    rounds_row,
    twin_rows,
)
from strategies.registry import STRATEGIES, Entry

_ATTEMPT_CPU_S = 8.47
"""of the embedded model, in the same run as a loss of a round (docs/reference/benchmarks.md)"""
_MODELS = "[models](#models)"
"""layer S3, whose counts its own tables have"""


@dataclass(frozen=True)
class Size:
    """Of a simulation."""

    lives: int
    """of a strategy"""
    looks: int
    """most of a life"""


def rows_of(entry: Entry, seeds: int, looks: int) -> Iterator[Row]:
    """What each layer that sees a strategy counted."""
    if entry.looks is not None:
        yield looks_row(entry, seeds, looks)
    if entry.rounds:
        yield rounds_row(entry, seeds)
    if entry.books:
        yield books_row(entry.books, seeds)


def percent(share: float) -> str:
    """As tables have it."""
    return f"{100 * share:.2f} %"


def table(size: Size) -> Iterator[str]:
    """All strategies."""
    yield "| family | strategy | what it tries | seen by | lives | harmful | at most | what stops it |"
    yield "|---|---|---|---|---:|---:|---:|---|"
    for entry in STRATEGIES:
        head = f"| {entry.family} | {entry.name} | {entry.tries} |"
        seen = list(rows_of(entry, size.lives, size.looks))
        layers = ", ".join([*(row.layer for row in seen), *([_MODELS] if entry.in_models else [])])
        if entry.elsewhere:
            layers = f"{layers}; {_named(entry.elsewhere)}" if layers else _unseen(entry)
        counts = " | ".join(
            ", ".join(said(row) for row in seen)
            for said in (
                lambda row: f"{row.lives:,}",
                lambda row: f"{row.harmful:,}",
                lambda row: percent(row.bound),
            )
        )
        notes = "; ".join(row.note for row in seen if row.note)
        yield f"{head} {layers} | {counts} | {entry.defence}{f' ({notes})' if notes else ''} |"


def _unseen(entry: Entry) -> str:
    where = "[logs](#logs);" if entry.logs else "not seen by this layer:"
    return f"{where} {_named(entry.elsewhere)}"


def _named(elsewhere: str) -> str:
    return f"`{elsewhere}`" if "/" in elsewhere else elsewhere


def twins(size: Size) -> Iterator[str]:
    """What each defence is needed for."""
    yield "| without a defence | lives | harmful | with it |\n|---|---:|---:|---:|"
    for without, broken, whole in twin_rows(size.lives, size.looks):
        held = f"{whole.harmful} (≤ {percent(whole.bound)})"
        yield f"| {without} | {broken.lives:,} | {broken.harmful:,} | {held} |"


def quorums(size: Size) -> Iterator[str]:
    """Lying verifiers that never open, by the quorum."""
    yield "| liars of 10 | quorum 2 | 3 | 4 | 5 | 6 |\n|---:|---:|---:|---:|---:|---:|"
    for liars, rows in quorum_rows(size.lives):
        yield f"| {liars} | " + " | ".join(f"{row.harmful:,} of {row.lives:,}" for row in rows) + " |"


def leaks(size: Size) -> Iterator[str]:
    """The published Δ as an oracle."""
    yield "| null updates | harmful, Δ published | harmful, one bit | lives |\n|---:|---:|---:|---:|"
    for probes, published, bit in leak(size.lives):
        yield f"| {probes} | {published.harmful:,} | {bit.harmful} (≤ {percent(bit.bound)}) | {bit.lives:,} |"


def rounds(size: Size) -> Iterator[str]:
    """Whole rounds, with the copy screen and without it."""
    yield "| two rounds of 4 honest offers and 4 cheats of any kind | | no copy screen | data far apart |"
    yield "|---|---:|---:|---:|"
    counted = [
        mixed_federations(size.lives),
        mixed_federations(size.lives, copies=False),
        mixed_federations(size.lives, apart=2.0),
    ]
    for what, said in (
        ("federations", lambda c: f"{c.federations:,}"),
        ("accepted rounds", lambda c: f"{c.accepted:,}"),
        ("with a true Δ not above zero", lambda c: f"{c.harmful}"),
        ("members of accepted rounds", lambda c: f"{c.members:,}"),
        ("without which the head would be better", lambda c: f"{c.negative}"),
        ("honest capsules that can be detected (95 %)", lambda c: f"{c.detectable:,}"),
        ("in use after two rounds", lambda c: f"{c.used:,} ({percent(c.used / max(1, c.detectable))})"),
        ("times a copy was flagged, missed", lambda c: f"{c.flagged:,}, {c.unflagged:,}"),
        ("rank-1 priority errors: originals called copies of their copy", lambda c: f"{c.wrong_rank}"),
        ("honest offers called copies", lambda c: f"{c.honest_flagged}"),
        ("copies taken in place of their original", lambda c: f"{c.instead}"),
        ("checking an offer, of an attempt's CPU-s", lambda c: percent(c.cpu_s_an_offer / _ATTEMPT_CPU_S)),
        ("cheats taken, by kind", lambda c: ", ".join(f"{k} {v}" for k, v in sorted(c.by_kind.items()))),
    ):
        yield f"| {what} | " + " | ".join(said(one) for one in counted) + " |"


def found_at(_size: Size) -> Iterator[str]:
    """The power curve."""
    yield "| true marginal, nats | n = 512 | | n = 1,024 | | n = 4,096 | |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    yield "| | look 1 | look 2 after an acceptance | look 1 | look 2 | look 1 | look 2 |"
    for delta, row in power_rows():
        yield f"| {delta} | " + " | ".join(f"{100 * found:.0f} %" for found, _ in row) + " |"


def through(size: Size) -> Iterator[str]:
    """What gets through: harm that is rare."""
    yield "| share of examples harmed | harm on each, nats | accepted, n = 512 | accepted, n = 4,096 |"
    yield "|---:|---:|---:|---:|"
    for share, lost, rows in rare_harm(size.lives):
        said = " | ".join(f"{row.harmful:,} of {row.lives:,}" for row in rows)
        yield f"| {share} | {lost:.1f} | {said} |"


PARTS: dict[str, Callable[[Size], Iterator[str]]] = {
    "table": table,
    "twins": twins,
    "leak": leaks,
    "rounds": rounds,
    "quorum": quorums,
    "power": found_at,
    "through": through,
}


def main() -> None:
    """Simulate and print tables as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=200, help="lives of a strategy")
    parser.add_argument("--looks", type=int, default=200, help="most looks of a life")
    parser.add_argument("--part", choices=list(PARTS), help="one part; else all of them")
    arguments = parser.parse_args()
    size = Size(arguments.seeds, arguments.looks)
    for name in [arguments.part] if arguments.part else PARTS:
        start = time.process_time()
        print(f"\n## {name}\n", *PARTS[name](size), sep="\n", flush=True)
        print(f"\n{time.process_time() - start:.1f} CPU-s", flush=True)


if __name__ == "__main__":
    main()
