"""What more workers would do than a machine has cores for: a simulation on the attempts of `fleet.py`.

    python benchmarks/fleet_simulation.py --records DIR [--recipes shard] [--workers 1,2,4,8,16,32,64]

Events by their time: a worker trains from the head that there was when it began; the coordinator judges one
update after another, and a worker waits for its verdict before it begins again, as in `fleet.attempts`. What
an attempt gains is drawn from what was measured at the same loss of the head. An update whose head has moved
loses the share ``overlap`` of what was merged meanwhile, fitted to the stale attempts of the records (1: all
that others learned it had learned too), and is no better than one that begins at the head of now. Every
worker has cores of its own. Nothing here looks at a clock; the same seed gives the same figures.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

from fleet import loads
from fleet_records import Made, RunOfAFleet, read_runs
from scheduler_replay import Levels

FIRST_S, SLOPE = 0.009, 0.035
"""standard error of Δ on 1,024 holdout examples: of an update that changes little, and its growth with Δ; as
seen at 1.03 nats (0.043) and 0.02 (0.011), and so that one worker keeps as many updates as were kept"""
SCREEN = math.sqrt(2)
"""the screen has half as many examples"""
SEEN = FIRST_S * math.sqrt(2 / 3)
"""of a Δ seen on both: their examples together"""
LEAST = 0.005
"""least spread of Δ between attempts, nats"""
Z_SCREEN, Z_HOLDOUT = 1.7, 3.2
"""what an update has to show on the screen and on the holdout; the bar moves by some tenths with looks"""
POLICIES = ("merge-all", "eager", "best-of")
"""``eager``: as merge-all, but a worker begins again before its update is judged"""


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU-seconds of a worker and of the coordinator, and what one costs."""

    start_s: float
    """a worker's start"""
    prepare_s: float
    """what frozen layers make of the pool, once for each worker"""
    portions: int
    """attempts of a worker over which that is spread"""
    train_s: float
    judge_s: float
    screen_s: float
    """of an update whose head has moved"""
    joules_a_second: float
    besides_j: float
    """start-up, data and audit of the run"""


@dataclass(frozen=True, slots=True)
class Learned:
    """What attempts gain."""

    first_loss: float
    gains: Levels
    """by loss of the head"""
    spread: float
    """standard deviation of an attempt's true Δ, nats"""
    overlap: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is simulated."""

    workers: int
    policy: str
    attempts: int
    """most"""
    target: float = -math.inf
    lost: float = 0.0
    """share of attempts whose worker is lost half way"""
    shared: bool = False
    """whether what frozen layers make of an example is computed once for all workers"""


@dataclass(slots=True)
class Life:
    """A run so far."""

    loss: float
    joules: float
    end_s: float = 0.0
    kept: int = 0
    made: int = 0
    stale: int = 0
    lost: int = 0
    busy_s: float = 0.0
    reached: bool = False
    moves: int = 0


def losses_before(run: RunOfAFleet) -> list[tuple[Made, float]]:
    """Attempts with the loss of the head that they were judged against."""
    before = [run.first_loss, *(one.head_loss for one in run.made)]
    return list(zip(run.made, before, strict=False))


def loss_at(run: RunOfAFleet, second: float) -> float:
    """Loss of the head at some time."""
    known = [one.head_loss for one in run.made if one.finished_s <= second]
    return known[-1] if known else run.first_loss


def learned(runs: Sequence[RunOfAFleet]) -> Learned:
    """Gains and overlap, fitted to measured attempts."""
    pairs = [
        (run, one, before)
        for run in runs
        for one, before in losses_before(run)
        if one.screen is not None and run.policy != "best-of"  # those were chosen for what they gained
    ]
    fresh = [(before, gained(one)) for _, one, before in pairs if not one.moved]
    gains = Levels.of(binned(fresh))
    top = over = 0.0
    for run, one, before in pairs:
        if one.moved:
            began = loss_at(run, one.announced_s)
            merged, lacking = began - before, gains.at(began, falling=True) - gained(one)
            top, over = top + merged * lacking, over + merged**2
    first = mean(run.first_loss for run in runs)
    rests = [found - gains.at(at) for at, found in fresh if at < first]
    beyond = mean(rest**2 for rest in rests) - SEEN**2
    return Learned(first, gains, math.sqrt(max(beyond, LEAST**2)), top / over if over else 1.0)


def gained(one: Made) -> float:
    """Δ of an attempt: of screen and holdout, weighted by their examples, where both are known."""
    screen = one.screen or 0.0
    return screen if one.delta is None else (screen + 2 * one.delta) / 3


def binned(pairs: Sequence[tuple[float, float]], width: float = 0.05) -> list[tuple[float, float]]:
    """(loss, Δ) with losses that lie close together made one: their mean."""
    bins: dict[int, list[tuple[float, float]]] = {}
    for loss, value in pairs:
        bins.setdefault(round(loss / width), []).append((loss, value))
    found = []
    for some in bins.values():
        centre = mean(loss for loss, _ in some)
        found += [(centre, value) for _, value in some]
    return found


def costs(runs: Sequence[RunOfAFleet], start_s: float = 1.9) -> Costs:
    """What phases cost, from the same."""
    made = [one for run in runs for one in run.made]
    rate = sum(run.attempts_j + run.besides_j for run in runs) / sum(run.cpu_s for run in runs)
    own = [one for run in runs if run.workers for one in run.made]
    moved = [one.own_cpu_s for one in own if one.moved and one.delta is None]
    judged = [one.own_cpu_s for one in own if not one.moved and one.delta is not None]
    alone = [run.besides_j for run in runs if not run.workers]
    alike = [run for run in runs if run.workers < 2]
    prepared = [sum(one.phases.get("prepare", 0.0) for one in run.made) for run in alike or runs]
    portions = [sum(one.phases.get("prepare", 0.0) > 1.0 for one in run.made) for run in alike or runs]
    trained = sorted(one.phases.get("train", 0.0) for one in made if one.screen is not None)
    return Costs(
        start_s=start_s,
        prepare_s=mean(prepared) / rate,
        portions=max(1, round(mean(portions))),
        train_s=trained[len(trained) // 4] / rate,  # the rest was beside more load of others
        judge_s=median(judged or [0.3]),
        screen_s=median(moved or [0.3]),
        joules_a_second=rate,
        besides_j=mean(alone or [run.besides_j for run in runs]),
    )


class Simulation:
    """One run of a fleet.

    Args:
        known: what attempts gain.
        costs: and cost.
        fleet: who makes them.
        seed: of all that is drawn.
    """

    def __init__(self, known: Learned, costs: Costs, fleet: Fleet, seed: int) -> None:
        self._known, self._costs, self._fleet = known, costs, fleet
        self._rng = random.Random(f"{seed}/{fleet.policy}/{fleet.workers}")  # noqa: S311 - a simulation
        self._prepared: dict[int, int] = {}
        """worker → portions of the pool that it has prepared; of all together where that is shared"""
        started_j = fleet.workers * costs.start_s * costs.joules_a_second
        self.life = Life(known.first_loss, costs.besides_j + started_j)

    def run(self) -> Life:
        """Until the target, or as many attempts as there may be."""
        return self._batches() if self._fleet.policy == "best-of" else self._events()

    def _pay(self, seconds: float) -> None:
        self.life.joules += seconds * self._costs.joules_a_second

    def _train_s(self, worker: int) -> float:
        """How long a worker is at an attempt."""
        took_s = self._costs.train_s * self._rng.uniform(0.93, 1.07)
        whose = 0 if self._fleet.shared else worker
        if (done := self._prepared.get(whose, 0)) < self._costs.portions:
            took_s += self._costs.prepare_s / self._costs.portions
            self._prepared[whose] = done + 1
        if self._rng.random() < self._fleet.lost:
            took_s *= 0.5
            self.life.lost += 1
            self._pay(took_s + self._costs.start_s)
            return -took_s - self._costs.start_s
        self._pay(took_s)
        return took_s

    def _events(self) -> Life:
        """Each update is judged as it comes, against the head as it is by then."""
        life, costs = self.life, self._costs
        at_work: list[tuple[float, int, float, int]] = []
        judge_free_s, begun = 0.0, 0

        def begin(worker: int, now_s: float) -> None:
            nonlocal begun
            begun += 1
            took_s = self._train_s(worker)
            number = worker if took_s >= 0 else -worker - 1  # below none: it is lost
            life.busy_s += abs(took_s)
            heapq.heappush(at_work, (now_s + abs(took_s), number, life.loss, life.moves))

        for worker in range(min(self._fleet.workers, self._fleet.attempts)):
            begin(worker, 0.0)
        while at_work and not life.reached:
            done_s, number, began_at, moves = heapq.heappop(at_work)
            life.made += 1
            now_s = max(done_s, judge_free_s)
            worker = number if number >= 0 else -number - 1
            goes_on = begun < self._fleet.attempts
            if goes_on and self._fleet.policy == "eager":
                begin(worker, done_s)
            if number >= 0:
                took_s = self._judged(began_at, moved=life.moves > moves)
                self._pay(took_s)
                now_s += took_s
            life.end_s = judge_free_s = now_s
            life.reached = life.loss <= self._fleet.target
            if goes_on and self._fleet.policy != "eager":
                begin(worker, now_s)
        for done_s, _, _, _ in at_work:  # what was open at the target is paid as far as it was
            left_s = max(0.0, min(done_s - life.end_s, costs.train_s))
            self._pay(-left_s)
            life.busy_s -= left_s
        return life

    def _batches(self) -> Life:
        """All begin at one head; the best is judged once the last is there."""
        life, costs = self.life, self._costs
        while life.made < self._fleet.attempts and not life.reached:
            count = min(self._fleet.workers, self._fleet.attempts - life.made)
            took = [self._train_s(worker) for worker in range(count)]
            life.made += count
            life.busy_s += sum(map(abs, took))
            life.end_s += max(map(abs, took)) + costs.judge_s
            self._pay(costs.judge_s)
            gains = [self._drawn(life.loss) for one in took if one >= 0]
            screens = [(gain + self._noise(gain) * SCREEN, gain) for gain in gains]
            if screens:
                self._shown(*max(screens))
            life.reached = life.loss <= self._fleet.target
        return life

    def _drawn(self, loss: float) -> float:
        gain = self._known.gains.at(loss, falling=True)
        return gain + self._rng.gauss(0, self._known.spread)

    def _noise(self, gain: float) -> float:
        return self._rng.gauss(0, FIRST_S + SLOPE * abs(gain))

    def _judged(self, began_at: float, *, moved: bool) -> float:
        """Judge an update; how long that takes."""
        life, costs = self.life, self._costs
        gain = self._drawn(began_at) - self._known.overlap * (began_at - life.loss)
        if moved:  # it is no better than one that begins at the head of now
            gain = min(gain, self._drawn(life.loss))
        life.stale += moved
        looked = self._shown(gain + self._noise(gain) * SCREEN, gain)
        return costs.screen_s * moved + costs.judge_s * looked

    def _shown(self, screen: float, gain: float) -> bool:
        """Whether an update is shown to the holdout; it is kept where that bears it out."""
        deviation = FIRST_S + SLOPE * abs(gain)
        if screen < Z_SCREEN * deviation * SCREEN:
            return False
        if gain + self._rng.gauss(0, deviation) > Z_HOLDOUT * deviation:
            self.life.loss -= gain
            self.life.kept += 1
            self.life.moves += 1
        return True


def lives(known: Learned, paid: Costs, fleet: Fleet, repeats: int, seed: int) -> list[Life]:
    """Some runs of a fleet."""
    return [Simulation(known, paid, fleet, seed + number).run() for number in range(repeats)]


def check(runs: Sequence[RunOfAFleet], known: Learned, paid: Costs, repeats: int, seed: int) -> None:
    """The measured cells beside the simulated ones, in Markdown; joules at the load of the quietest run."""
    print("| | kept, stale of attempts | Δ | J attempts | simulated: kept, stale | Δ (80 % of runs) | J |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for run, load in zip(runs, loads(runs, runs), strict=True):
        policy = "merge-all" if run.policy == "own" else run.policy
        fleet = Fleet(max(1, run.workers), policy, len(run.made))
        found = lives(known, replace(paid, besides_j=0.0, start_s=0.0), fleet, repeats, seed)
        gains = sorted(run.first_loss - one.loss for one in found)
        low, high = gains[len(gains) // 10], gains[-1 - len(gains) // 10]
        kept = sum(one.outcome == "kept" for one in run.made)
        stale = sum(one.moved > 0 and one.outcome != "aborted" for one in run.made)
        name = f"{run.policy} {run.workers or ''}".strip()
        print(
            f"| {name}, seed {run.seed} | {kept}, {stale} of {len(run.made)} | {run.gain:.3f} "
            f"| {run.attempts_j / load:.0f} | {mean(one.kept for one in found):.1f}, "
            f"{mean(one.stale for one in found):.1f} | {mean(gains):.3f} ({low:.3f}–{high:.3f}) "
            f"| {mean(one.joules for one in found):.0f} |"
        )


def table(known: Learned, paid: Costs, asked: argparse.Namespace) -> None:
    """Time and joules to a target, by workers and policy, in Markdown."""
    print("| workers | policy | reached | s | J all-in | × J of one | attempts | stale | kept | idle |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    alone = 0.0
    for workers in map(int, asked.workers.split(",")):
        for policy in POLICIES if workers > 1 else POLICIES[:1]:
            fleet = Fleet(workers, policy, asked.attempts, asked.target, asked.lost, asked.shared)
            found = lives(known, paid, fleet, asked.repeats, asked.seed)
            reached = [one for one in found if one.reached]
            some = reached or found
            joules = mean(one.joules for one in some)
            alone = alone or joules
            idle = mean(1 - one.busy_s / max(1e-9, one.end_s * workers) for one in some)
            print(
                f"| {workers} | {policy} | {len(reached) / len(found):.0%} "
                f"| {mean(o.end_s for o in some):.0f} | {joules:.0f} | {joules / alone:.2f} "
                f"| {mean(o.made for o in some):.0f} "
                f"| {mean(o.stale for o in some):.0f} | {mean(o.kept for o in some):.1f} "
                f"| {max(0.0, idle):.0%} |"
            )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=Path, required=True, metavar="DIR", help="of fleet.py --out")
    parser.add_argument("--recipes", default="shard", help="of which cells")
    parser.add_argument("--workers", default="1,2,4,8,16,32,64")
    parser.add_argument("--target", type=float, default=0.98, help="holdout loss, nats")
    parser.add_argument("--attempts", type=int, default=400, help="most of them")
    parser.add_argument("--lost", type=float, default=0.01, help="share of attempts whose worker is lost")
    parser.add_argument("--shared", action="store_true", help="activations are computed once for all workers")
    parser.add_argument("--overlap", type=float, help="instead of the fitted one")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    runs = [run for run in read_runs(asked.records) if run.recipes == asked.recipes]
    known, paid = learned(runs), costs(runs)
    print(f"overlap {known.overlap:.2f}, spread of gains {known.spread:.0%}; gains by loss of the head:")
    print(", ".join(f"{a:.2f}: {g:+.3f}" for a, g in zip(known.gains.losses, known.gains.means, strict=True)))
    print(f"{paid}\n")
    check(runs, known, paid, asked.repeats, asked.seed)
    print()
    if asked.overlap is not None:
        known = replace(known, overlap=asked.overlap)
    table(known, paid, asked)


if __name__ == "__main__":
    main()
