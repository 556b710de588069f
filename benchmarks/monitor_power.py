"""How fast a monitor finds a degradation, and how often it leaves a head without a reason.

    python benchmarks/monitor_power.py [--runs 1000] [--checks 200] [--seed 0]

Quiet runs: heads that do no worse than the versions before them, in four kinds of differences whose mean is
zero as `monitor/v1` cuts them off, and in one that improves by 0.01 nats. A slice of 256 examples sees a new
head at each check, with differences drawn anew; a fed file of 8 more examples a check sees a new head at each
fifth. A run counts if any head of it is ever left.

Degradations: by 0.01, 0.05 and 0.2 nats in the mean, with the same kinds of scatter, found on slices of
256, 512 and 2,048 examples (share of heads that are left at the first check), and on a file that is fed 64
examples a check (median of 25: examples and checks until then). The head is the fifth of its log, and has
four versions before it; the evidence is that against one of them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np

from cryoflux.decision.monitor import ALPHA_PPM, BETS, cap_of, evidence_milli, needed_milli
from cryoflux.quantities import NANO, NATS

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

CAP = cap_of(NATS) / NANO
KINDS: dict[str, Draw] = {
    "normal, 0.3 nats": lambda rng, shape: rng.normal(0, 0.3, shape),
    "heavy-tailed, t of 3": lambda rng, shape: np.clip(0.3 * rng.standard_t(3, shape), -CAP, CAP),
    "skewed: 2 % lose 3.92": lambda rng, shape: np.where(rng.random(shape) < 0.02, 3.92, -0.08),
    "skewed: 2 % gain 3.92": lambda rng, shape: np.where(rng.random(shape) < 0.02, -3.92, 0.08),
}
COMPARED, HEAD_NUMBER = 4, 5
FED = 64
SLICES = (256, 512, 2048)
MOST_FED = 60_000


def evidence(differences: Array) -> Array:
    """Logarithm of the evidence after each example; differences are in the last axis, nats, cut off."""
    logs = np.stack([np.cumsum(np.log1p(bet / CAP * differences), axis=-1) for bet in BETS])
    return np.logaddexp.reduce(logs, axis=0) - math.log(len(BETS))


def last_evidence(differences: Array) -> Array:
    """The same after the last example."""
    logs = np.stack([np.log1p(bet / CAP * differences).sum(axis=-1) for bet in BETS])
    return np.logaddexp.reduce(logs, axis=0) - math.log(len(BETS))


def check_that_it_is_the_same(rng: np.random.Generator) -> None:
    """These are the figures that a run decides by.

    Raises:
        RuntimeError: they are not.
    """
    drawn = np.clip(rng.normal(0.1, 1, 300), -CAP, CAP)
    head = np.round((drawn + 5) * NANO).astype(np.int64)
    said = evidence_milli(head.tolist(), [5 * NANO] * 300, cap_of(NATS))
    if not -1 <= 1000 * float(last_evidence(drawn)) - said <= 2:
        raise RuntimeError("the evidence here is not that of cryoflux.decision.monitor")


def needed(head_number: int, compared: int) -> float:
    """Logarithm of the evidence that is needed."""
    return needed_milli(ALPHA_PPM, head_number, compared) / 1000


def quiet_slice(rng: np.random.Generator, draw: Draw, checks: int, shift: float) -> bool:
    """Whether a run of as many heads, each looked at once on 256 examples, leaves one."""
    for number in range(2, checks + 2):
        found = last_evidence(draw(rng, (COMPARED, SLICES[0])) - shift)
        if found.max() >= needed(number, COMPARED):
            return True
    return False


def quiet_fed(rng: np.random.Generator, draw: Draw, checks: int, shift: float) -> bool:
    """The same on a file that grows by 8 examples a check, with a new head each fifth check."""
    for number, first in enumerate(range(0, checks, 5), 2):
        looks = [8 * (check + 1) for check in range(first, min(first + 5, checks))]
        found = evidence(draw(rng, (COMPARED, looks[-1])) - shift)
        if max(found[:, look - 1].max() for look in looks) >= needed(number, COMPARED):
            return True
    return False


def examples_needed(rng: np.random.Generator, draw: Draw, worse: float) -> int:
    """Examples after which a degradation is found on a fed file; `MOST_FED` where it was not by then."""
    bar, count = needed(HEAD_NUMBER, COMPARED), 4 * FED
    sums = np.zeros(len(BETS))
    done = 0
    while done < MOST_FED:
        drawn = np.clip(draw(rng, (count,)) + worse, -CAP, CAP)
        steps = np.stack([np.cumsum(np.log1p(bet / CAP * drawn)) for bet in BETS]) + sums[:, None]
        now = np.logaddexp.reduce(steps, axis=0) - math.log(len(BETS))
        for look in range(FED, count + 1, FED):
            if now[look - 1] >= bar:
                return done + look
        sums, done = steps[:, -1], done + count
    return MOST_FED


def show_quiet(rng: np.random.Generator, runs: int, checks: int) -> None:
    """The table of quiet runs."""
    print(f"{runs} quiet runs of {checks} checks; at most {ALPHA_PPM / 10_000:g} % may leave a head\n")
    print(
        "| differences | slice of 256, a head a check | fed 8 a check, a head each fifth |\n|---|---:|---:|"
    )
    kinds = [(name, draw, 0.0) for name, draw in KINDS.items()]
    for name, draw, shift in [*kinds, ("normal, improving by 0.01", KINDS["normal, 0.3 nats"], 0.01)]:
        left = [sum(one(rng, draw, checks, shift) for _ in range(runs)) for one in (quiet_slice, quiet_fed)]
        print(f"| {name} | {' | '.join(f'{100 * count / runs:.1f} %' for count in left)} |", flush=True)


def show_power(rng: np.random.Generator, runs: int) -> None:
    """The table of degradations."""
    bar = needed(HEAD_NUMBER, COMPARED)
    print(
        f"\nhead {HEAD_NUMBER}, {COMPARED} versions before it: ln of the evidence that is needed {bar:.1f}\n"
    )
    heads = " | ".join(f"found on {count:,}" for count in SLICES)
    print(f"| worse by | differences | {heads} | fed {FED} a check: examples, checks |")
    print(f"|---|---|{'---:|' * (len(SLICES) + 1)}")
    for worse in (0.2, 0.05, 0.01):
        for name, draw in KINDS.items():
            shares = []
            for count in SLICES:
                drawn = np.clip(draw(rng, (runs, count)) + worse, -CAP, CAP)
                shares.append(f"{100 * float((last_evidence(drawn) >= bar).mean()):.0f} %")
            median = int(np.median([examples_needed(rng, draw, worse) for _ in range(25)]))
            fed = f"{median:,}, {median // FED}" if median < MOST_FED else f"more than {MOST_FED:,}"
            print(f"| {worse} | {name} | {' | '.join(shares)} | {fed} |", flush=True)


def main() -> None:
    """Simulate, and print both tables."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    options.add_argument("--runs", type=int, default=1_000, help="quiet runs of each kind")
    options.add_argument("--checks", type=int, default=200, help="checks of a quiet run")
    options.add_argument("--seed", type=int, default=0)
    said = options.parse_args()
    rng = np.random.default_rng(said.seed)
    check_that_it_is_the_same(rng)
    show_power(rng, min(200, said.runs))
    print()
    show_quiet(rng, said.runs, said.checks)


if __name__ == "__main__":
    main()
