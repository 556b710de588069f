"""Layer S3: strategies that weights can show, over a tiny encoder and real updates of it, in whole rounds.

    python benchmarks/adversary_models.py                                    # one world: some 80 CPU-s
    python benchmarks/adversary_models.py --seeds 10 --lives 2 --adaptive 5 --out FILE
    python benchmarks/adversary_models.py --report FILE                      # its tables; nothing is run

A world is a genesis and nine proposers who train on it; a life of a node begins at the genesis, with a guest
holdout and a search set that nobody else has, and makes its rounds by `cryoflux.network.rounds.run_round`:
admission, copy screen, search, guard sets, one look, log and account. What an update or a head is truly worth
is measured on 16,384 fresh texts. A life is harmful where a head was adopted whose true Δ is not above zero;
the bound is exact, at 95 %.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from exact_binomial import lower_bound, upper_bound
from strategies.measuring import SPREAD_BY_ROOT
from strategies.model_backdoors import BACKDOORS, Survey
from strategies.model_lives import Counted
from strategies.model_measuring import LONG_PARTS, PARTS, Found, Power, found_in, read_found
from strategies.model_world import ModelWorld

_Kind = TypeVar("_Kind", Counted, Survey, Power)
_BANDS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0)
"""of true Δ by the spread of δ"""


def percent(share: float) -> str:
    """As tables have it."""
    return f"{100 * share:.2f} %"


def _of(found: Sequence[Found], part: str, kind: type[_Kind]) -> dict[str, _Kind]:
    """What all worlds have counted of a part, by name."""
    sums: dict[str, _Kind] = {}
    for one in found:
        if one.part == part and isinstance(one.counted, kind):
            sums[one.name] = sums[one.name] + one.counted if one.name in sums else one.counted
    return sums


def strategies(found: Sequence[Found]) -> Iterator[str]:
    """Each strategy with four honest offers, and those that go on from what they were told."""
    counts = ("lives", "looks", "accepted", "harmful", "at most", "cheats in the head")
    yield from _header("family", "strategy", "cheats, by their first verdict", numbers=counts)
    rows = _of(found, "alone", Counted)
    for part in ("adaptive", "beyond", "spoiling"):
        rows |= {f"{part}/{name}": one for name, one in _of(found, part, Counted).items()}
    for name, one in {**rows, "/all of them": sum(rows.values(), Counted())}.items():
        family, _, strategy = name.partition("/")
        verdicts = ", ".join(f"{verdict} {many}" for verdict, many in sorted(one.verdicts.items()))
        bound = percent(upper_bound(one.harmful, one.lives))
        taken = f"{one.taken} of {one.cheats}" if one.cheats else ""
        counted = f"{one.lives} | {one.looks} | {one.accepted} | {one.harmful} | {bound} | {taken}"
        yield f"| {family} | {strategy} | {verdicts if family else ''} | {counted} |"


def _header(*words: str, numbers: Sequence[str]) -> Iterator[str]:
    yield "| " + " | ".join([*words, *numbers]) + " |"
    yield "|" + "---|" * len(words) + "---:|" * len(numbers)


def rounds(found: Sequence[Found]) -> Iterator[str]:
    """Whole rounds of four honest offers and four cheats of any kind, and all lives with honest offers."""
    mixed = _of(found, "mixed", Counted).get("any", Counted())
    alone = sum(_of(found, "alone", Counted).values(), Counted())
    yield "| two rounds of 4 honest offers | and 4 cheats of any kind | and 1 or 2 of one kind |"
    yield "|---|---:|---:|"
    for what, said in _ROUND_ROWS:
        yield f"| {what} | {said(mixed)} | {said(alone)} |"
    kinds = ", ".join(f"{kind} {many}" for kind, many in sorted(mixed.by_kind.items()))
    yield f"\nCheats in the head, of any kind: {kinds or 'none'}."


def _share(some: int, of: int) -> str:
    low, high = (lower_bound(some, of, 0.975), upper_bound(some, of, 0.975)) if of else (0.0, 1.0)
    return f"{some} of {of} ({100 * low:.1f} to {100 * high:.1f} %)"


def _quantiles(values: Sequence[float]) -> str:
    if not values:
        return "none"
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


_ROUND_ROWS: list[tuple[str, Callable[[Counted], str]]] = [
    ("lives", lambda c: f"{c.lives}"),
    ("rounds, of them accepted", lambda c: f"{c.rounds}, {c.accepted}"),
    ("lives with a head whose true Δ is not above zero", lambda c: f"{c.harmful}"),
    ("lives with one within three standard errors of zero", lambda c: f"{c.unsure}"),
    ("lives with a certified level that the true Δ does not reach", lambda c: f"{c.overstated}"),
    ("true Δ of accepted rounds, nats: median (5 to 95 %)", lambda c: _quantiles(c.gained)),
    ("true Δ of honest offers at their best step", lambda c: _quantiles(c.marginals)),
    ("members without which the head would be better", lambda c: _share(c.negative, c.members)),
    ("detectable honest offers in use after two rounds", lambda c: _share(c.used, c.detectable)),
    ("times a copy was flagged, missed", lambda c: f"{c.flagged}, {c.missed}"),
    ("honest offers called copies", lambda c: f"{c.honest_flagged}"),
    ("copies taken in place of their original", lambda c: f"{c.instead}"),
]


def backdoors(found: Sequence[Found]) -> Iterator[str]:
    """What became of each backdoor beside two honest offers, with guard sets of its words and without."""
    obeyed = ("obeyed by the head", "by the genesis", "after recall")
    counts = ("lives", "alone", "together", "unsafe", "in the head", *obeyed, "honest in use", "norm")
    yield from _header("backdoor", "guard set with its words", numbers=counts)
    sums = _of(found, "backdoor", Survey)
    for name in BACKDOORS:
        for kind in ("unguarded", "guarded"):
            if (one := sums.get(f"{name}, {kind}")) is None:
                continue
            shares = (one.alone, one.joint, one.after, one.before, one.recalled)
            alone, joint, after, before, recalled = (_mean(values) for values in shares)
            unsafe, counted = one.counted.verdicts.get("unsafe", 0), one.counted
            became = f"{unsafe} | {one.adopted} | {after} | {before} | {recalled}"
            known, norm = "yes" if kind == "guarded" else "no", float(np.median(one.norms))
            used = f"{counted.used} of {counted.detectable} | {norm:.1f}"
            yield f"| {name} | {known} | {counted.lives} | {alone} | {joint} | {became} | {used} |"


def _mean(values: Sequence[float]) -> str:
    return f"{100 * np.mean(values):.0f} %" if values else ""


def leak(found: Sequence[Found]) -> Iterator[str]:
    """Whoever has trained on what judges."""
    yield "| known to the proposer | lives | accepted | harmful | true Δ of what was accepted, nats |"
    yield "|---|---:|---:|---:|---|"
    for name, one in _of(found, "leak", Counted).items():
        yield f"| {name} | {one.lives} | {one.accepted} | {one.harmful} | {_quantiles(one.gained)} |"


def power_curve(found: Sequence[Found]) -> Iterator[str]:
    """Real updates beside the drawn ones of layer S1."""
    one = _of(found, "power", Power).get("honest updates", Power())
    shown = ("found by look 1", "normal δ of that spread", "layer S1 at that Δ", "look 2 after an acceptance")
    counts = ("true Δ, nats", "spread by √Δ", *shown)
    yield from _header("Δ by spread of δ", numbers=("updates", *counts))
    delta, spread = np.array(one.delta), np.array(one.spread)
    for low, high in pairwise(_BANDS):
        inside = (delta / spread >= low) & (delta / spread < high)
        if not inside.any():
            continue
        wide = float(np.median(spread[inside] / np.sqrt(delta[inside])))
        columns = (one.first, one.predicted, one.drawn, one.second)
        shares = [float(np.array(column)[inside].mean()) for column in columns]
        said = " | ".join(f"{100 * share:.0f} %" for share in shares)
        sizes = f"{inside.sum()} | {_quantiles(delta[inside].tolist())} | {wide:.2f}"
        yield f"| {low} to {high} | {sizes} | {said} |"
    if one.null:
        mean, worst = percent(float(np.mean(one.null))), percent(max(one.null))
        yield f"\nLayer S1 draws with a spread of {SPREAD_BY_ROOT} √Δ. Updates in full, with their mean taken"
        yield f"off, so that they are worth exactly nothing: Σδ passes the bar of look 1 on {mean} of guest"
        yield f"holdouts, with the worst of {len(one.null)} updates on {worst}; its share is 0.50 %."


TABLES = [strategies, rounds, backdoors, leak, power_curve]


def report(found: Sequence[Found]) -> Iterator[str]:
    """All tables."""
    yield f"{len({one.seed for one in found})} worlds"
    for table in TABLES:
        yield f"\n## {table.__name__}\n"
        yield from table(found)


def _forget(fd: object) -> None:
    """Wait for no disk."""


def _whole_parts(found: list[Found]) -> list[Found]:
    """Without the last part, in which a run may have been stopped."""
    return [one for one in found if (one.seed, one.part) != (found[-1].seed, found[-1].part)]


def play(seeds: Sequence[int], lives: int, adaptive: int, out: Path | None) -> list[Found]:
    """Run worlds one after the other, and say how far it is."""
    torch.set_num_threads(1)
    os.fsync = _forget  # processes may die here, machines do not: nobody waits for the disk
    done = _whole_parts(read_found(out)) if out is not None and out.is_file() else []
    if out is not None:
        out.write_text("".join(one.line for one in done), encoding="utf-8")
    known = {(one.seed, one.part) for one in done}
    for seed in seeds:
        parts = [part for part in PARTS if part not in LONG_PARTS or seed < adaptive]
        if not (parts := [part for part in parts if (seed, part) not in known]):
            continue
        folder = Path(tempfile.mkdtemp(prefix="models-"))
        try:
            world = ModelWorld(seed, folder)
            for one in found_in(world, lives, parts):
                done.append(one)
                print(f"world {seed}: {one.part}, {one.name} ({time.process_time():.0f} CPU-s)", flush=True)
                if out is not None:
                    with out.open("a", encoding="utf-8") as stream:
                        stream.write(one.line)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return done


def main() -> None:
    """Play, and print tables as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1, help="worlds")
    parser.add_argument("--lives", type=int, default=1, help="of a strategy in a world")
    parser.add_argument(
        "--adaptive", type=int, default=1, help="worlds with lives of 40 rounds, the first ones"
    )
    parser.add_argument("--out", type=Path, help="file that is added to; what it has is not run again")
    parser.add_argument("--report", type=Path, help="such a file; nothing is run")
    arguments = parser.parse_args()
    if arguments.report:
        print(*report(read_found(arguments.report)), sep="\n")
        return
    seeds = range(arguments.seeds)
    print(*report(play(seeds, arguments.lives, arguments.adaptive, arguments.out)), sep="\n")
    print(f"\n{time.process_time():.0f} CPU-s")


if __name__ == "__main__":
    main()
