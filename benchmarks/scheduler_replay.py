"""A replay of recorded attempts, and the scheduling policies that are compared on it.

A record is one attempt: ``{"arm", "head_loss", "screen_delta", "holdout_delta", "audit_delta", "kept",
"uj"}``, nats and µJ, optionally ``prior_uj``. The replay interpolates Δ and joules of each arm over the
head loss and adds the residuals of one record drawn from the two nearest losses, all of the same record,
so that a lucky screen and a lucky holdout go together as they did. Every policy sees what the scheduler
sees: verdict, the screen's Δ and joules. It is judged by the audit Δ of what was kept.
"""

from __future__ import annotations

__all__ = ["PICKS", "Record", "Replayed", "compare", "read_records"]

import json
import math
import random
import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from cryoflux.quantities import MICRO, NANO, format_energy
from cryoflux.scheduling.efficiency import Lesson, Memory
from cryoflux.scheduling.policy import POLICIES, Arm, Choice, choose

TASK = "lora_delta"
TARGETS = (0.5, 0.8, 0.9, 0.95)
"""fractions of the gain that an oracle reaches"""
WIDTH = 1.35
"""reservation over expected joules"""
PRIOR_ERROR = 0.25
"""spread of the logarithm of how wrong an arm's cost prior is"""
MOST_ATTEMPTS = 5000


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded attempt; Δ in nats."""

    arm: str
    head_loss: float
    screen: float
    holdout: float
    audit: float
    kept: bool
    uj: float
    prior_uj: float

    @classmethod
    def read(cls, said: dict[str, Any]) -> Record:
        """A line of the file; what an attempt did not measure is taken from what it did: screen, holdout."""
        screen, holdout, audit = (said.get(f"{name}_delta") for name in ("screen", "holdout", "audit"))
        screen = 0.0 if screen is None else screen
        holdout = screen if holdout is None else holdout
        audit = holdout if audit is None else audit
        uj = float(said["uj"])
        return cls(
            arm=str(said["arm"]),
            head_loss=float(said["head_loss"]),
            screen=float(screen),
            holdout=float(holdout),
            audit=float(audit),
            kept=bool(said["kept"]),
            uj=uj,
            prior_uj=float(said.get("prior_uj") or uj),
        )


@dataclass(frozen=True, slots=True)
class Levels:
    """The mean of a measure at each recorded head loss, by head loss."""

    losses: tuple[float, ...]
    means: tuple[float, ...]

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]]) -> Levels:
        """From (head loss, value)."""
        losses = sorted({loss for loss, _ in pairs})
        return cls(tuple(losses), tuple(mean(v for at, v in pairs if at == loss) for loss in losses))

    def at(self, loss: float, *, falling: bool = False) -> float:
        """Between the levels a straight line; ``falling``: below the lowest it goes on, but never upwards."""
        if len(self.losses) == 1 or loss >= self.losses[-1]:
            return self.means[-1]
        if loss <= self.losses[0]:
            slope = (self.means[1] - self.means[0]) / (self.losses[1] - self.losses[0])
            return self.means[0] + (max(0.0, slope) * (loss - self.losses[0]) if falling else 0.0)
        right = bisect_left(self.losses, loss)
        share = (loss - self.losses[right - 1]) / (self.losses[right] - self.losses[right - 1])
        return self.means[right - 1] + share * (self.means[right] - self.means[right - 1])

    def near(self, loss: float) -> set[float]:
        """The levels on either side: noise differs between levels."""
        right = min(max(1, bisect_left(self.losses, loss)), len(self.losses) - 1)
        return {self.losses[max(0, right - 1)], self.losses[right]}


class ArmModel:
    """What an arm does to a model of some loss, as it was recorded."""

    def __init__(self, name: str, records: Sequence[Record], cutoff: float) -> None:
        self.name = name
        self.cutoff = cutoff
        self.screen = Levels.of([(r.head_loss, r.screen) for r in records])
        self.holdout = Levels.of([(r.head_loss, r.holdout) for r in records])
        self.audit = Levels.of([(r.head_loss, r.audit) for r in records])
        self.uj = Levels.of([(r.head_loss, r.uj) for r in records])
        self.prior = Levels.of([(r.head_loss, r.prior_uj) for r in records])
        self.residuals = [
            (
                r.head_loss,
                r.screen - self.screen.at(r.head_loss),
                r.holdout - self.holdout.at(r.head_loss),
                r.audit - self.audit.at(r.head_loss),
                r.uj / max(1.0, self.uj.at(r.head_loss)),
            )
            for r in records
        ]

    def outcomes(self, loss: float) -> list[tuple[float, bool, float, int]]:
        """Every outcome that can be drawn: screen Δ, kept, true Δ, µJ."""
        screen, holdout, audit = (c.at(loss, falling=True) for c in (self.screen, self.holdout, self.audit))
        cost, near = self.uj.at(loss), self.audit.near(loss)
        return [
            (screen + s, holdout + h >= self.cutoff, audit + a, max(1, round(cost * ratio)))
            for level, s, h, a, ratio in self.residuals
            if level in near
        ]

    def pull(self, loss: float, rng: random.Random) -> tuple[float, bool, float, int]:
        """One outcome."""
        return rng.choice(self.outcomes(loss))

    def eta(self, loss: float) -> tuple[float, float]:
        """Expected true η and Δ of an attempt; only an oracle knows them."""
        drawn = self.outcomes(loss)
        gain = mean(true if kept else 0.0 for _, kept, true, _ in drawn)
        return gain / mean(uj for *_, uj in drawn), gain


def read_records(file: Path) -> list[Record]:
    """The records of a JSONL file."""
    return [Record.read(json.loads(line)) for line in file.read_text("utf-8").splitlines() if line.strip()]


def read_models(records: Sequence[Record]) -> dict[str, ArmModel]:
    """A model of each arm; the holdout Δ that separates kept from not kept best stands for the rule."""
    cuts = sorted({r.holdout for r in records if r.kept} | {max(r.holdout for r in records) + 1e-9})
    cutoff = min(cuts, key=lambda cut: sum((r.holdout >= cut) != r.kept for r in records))
    names = sorted({r.arm for r in records})
    return {name: ArmModel(name, [r for r in records if r.arm == name], cutoff) for name in names}


@dataclass(slots=True)
class World:
    """A replayed run so far, as a policy may see it; ``loss`` is for the oracle only."""

    models: dict[str, ArmModel]
    bias: dict[str, float]
    """how wrong each arm's cost prior is"""
    loss: float
    bucket_uj: int
    seed: int
    rng: random.Random
    min_delta: float
    log: list[Lesson]

    def arms(self) -> list[Arm]:
        """The arms with their cost priors at this state."""
        return [
            Arm(
                TASK,
                name,
                round(model.uj.at(self.loss) * WIDTH),
                round(model.prior.at(self.loss) * self.bias[name]),
            )
            for name, model in self.models.items()
        ]

    def affordable(self) -> list[str]:
        """Names of the arms that the bucket pays for."""
        return [arm.name for arm in self.arms() if arm.reserve_uj <= self.bucket_uj]

    def of(self, name: str) -> list[Lesson]:
        """What the attempts of one arm taught."""
        return [o for o in self.log if o.arm == name]


Pick = Callable[[World], str | None]


def gain_of(lesson: Lesson) -> float:
    """What a policy may count as gained, nats."""
    return max(0, lesson.screen_delta_nano or 0) / NANO if lesson.kept else 0.0


def ours(policy: str) -> Pick:
    """A policy of the package; none at its plateau."""

    def pick(world: World) -> str | None:
        memory = Memory(round(world.min_delta * NANO))
        for lesson in world.log:
            memory.learn(lesson)
        choice = choose(
            world.arms(),
            {TASK: memory},
            len(world.log),
            bucket_uj=world.bucket_uj,
            seed=world.seed,
            policy=policy,
        )
        return choice.arm.name if isinstance(choice, Choice) else None

    return pick


def round_robin(world: World) -> str | None:
    """Each in turn."""
    return min(world.affordable(), key=lambda name: (len(world.of(name)), name), default=None)


def mean_eta(world: World, name: str) -> float:
    """Discounted η of an arm; infinite before its first attempt."""
    gain = joules = 0.0
    for outcome in world.of(name):
        gain, joules = 0.8 * gain + gain_of(outcome), 0.8 * joules + outcome.hi_uj
    return gain / joules if joules else math.inf


def greedy(world: World) -> str | None:
    """The best discounted η; every arm once first."""
    return max(world.affordable(), key=lambda name: (mean_eta(world, name), name), default=None)


def epsilon_greedy(world: World) -> str | None:
    """Greedy, but one choice in ten is drawn."""
    names = world.affordable()
    return world.rng.choice(names) if names and world.rng.random() < 0.1 else greedy(world)


def ucb(world: World) -> str | None:
    """UCB1 on η, its scale the best η seen."""
    scale = max((gain_of(o) / o.hi_uj for o in world.log), default=0.0)

    def bound(name: str) -> float:
        tries = len(world.of(name))
        width = math.sqrt(math.log(len(world.log)) / tries) if tries else math.inf
        return mean_eta(world, name) + scale * width if tries else math.inf

    return max(world.affordable(), key=lambda name: (bound(name), name), default=None)


def thompson(world: World) -> str | None:
    """A draw from a normal posterior of each arm's η."""

    def draw(name: str) -> float:
        etas = [gain_of(o) / o.hi_uj for o in world.of(name)]
        if not etas:
            return math.inf
        centre = mean_eta(world, name)
        spread = math.sqrt(mean((eta - centre) ** 2 for eta in etas) + (centre / 2) ** 2)
        return world.rng.gauss(centre, spread / math.sqrt(len(etas)))

    return max(world.affordable(), key=lambda name: (draw(name), name), default=None)


def successive_halving(world: World) -> str | None:
    """Twice each, then twice each of the better half, and so on; then again from the start."""
    names, start = sorted(world.models), 0
    while True:
        pulls = 2 * len(names)
        if len(world.log) < start + pulls:
            turn = names[(len(world.log) - start) % len(names)]
            affordable = world.affordable()
            return turn if turn in affordable else next(iter(affordable), None)
        start += pulls
        names = sorted(names, key=lambda n: -mean_eta(world, n))[: math.ceil(len(names) / 2)]
        if len(names) == 1:
            names = sorted(world.models)


def oracle(world: World) -> str | None:
    """The best true expected η; stops where nothing is to be gained."""
    etas = {name: world.models[name].eta(world.loss) for name in world.affordable()}
    best = max(etas, key=lambda name: etas[name], default=None)
    return best if best is not None and etas[best][1] > world.min_delta / 20 else None


PICKS: dict[str, Pick] = {
    **{name: ours(name) for name in POLICIES},
    "round-robin": round_robin,
    "greedy-eta": greedy,
    "epsilon-greedy": epsilon_greedy,
    "ucb-eta": ucb,
    "thompson-eta": thompson,
    "successive-halving": successive_halving,
    "oracle": oracle,
}


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replayed run: µJ spent and true gain after each attempt."""

    spent: list[int]
    gains: list[float]

    def joules_to(self, gain: float) -> float:
        """Joules until a gain was reached; infinite where it never was, or is none."""
        steps = zip(self.spent, self.gains, strict=True)
        return next((uj / MICRO for uj, gained in steps if gained >= gain > 0), math.inf)

    def gain_at(self, uj: float) -> float:
        """True gain when so much was spent, nats."""
        steps = zip(self.spent, self.gains, strict=True)
        return [0.0, *(gained for spent, gained in steps if spent <= uj)][-1]


def replay(models: dict[str, ArmModel], pick: Pick, budget_uj: int, seed: int, min_delta: float) -> Replayed:
    """One run of a policy on the outcome model; every policy has the same luck with the same seed."""
    rng = random.Random(seed)  # noqa: S311 - reproducible
    bias = {name: math.exp(rng.gauss(0, PRIOR_ERROR)) for name in sorted(models)}
    start = max(model.audit.losses[-1] for model in models.values())
    world = World(models, bias, start, budget_uj, seed, random.Random(-seed), min_delta, [])  # noqa: S311
    run = Replayed([], [])
    while (name := pick(world)) is not None and len(world.log) < MOST_ATTEMPTS:
        prior = next(arm.prior_uj for arm in world.arms() if arm.name == name)
        screen, kept, true, uj = models[name].pull(world.loss, rng)
        world.log.append(Lesson(TASK, name, kept, round(screen * NANO), prior, uj))
        world.bucket_uj -= uj
        world.loss -= true if kept else 0.0
        run.spent.append(budget_uj - world.bucket_uj)
        run.gains.append(start - world.loss)
    return run


def compare(
    records: Sequence[Record], repeats: int, budget_uj: int | None, min_delta: float, policies: Sequence[str]
) -> dict[str, Any]:
    """Every policy on the same recorded outcomes and the same joules."""
    models = read_models(records)
    budget_uj = budget_uj or round(10 * sum(m.uj.at(math.inf) for m in models.values()))
    best = [replay(models, oracle, budget_uj, seed, min_delta) for seed in range(1, repeats + 1)]
    reachable = median(run.gain_at(math.inf) for run in best)
    rows: dict[str, Any] = {}
    for name in policies:
        print(f"replaying {name} {repeats} times", file=sys.stderr)
        pick = PICKS[name]
        runs = [replay(models, pick, budget_uj, seed, min_delta) for seed in range(1, repeats + 1)]
        rows[name] = {
            "joules_to": {str(t): median(r.joules_to(t * reachable) for r in runs) for t in TARGETS},
            "reached": {str(t): mean(r.joules_to(t * reachable) < math.inf for r in runs) for t in TARGETS},
            "gain_at": {str(f): median(r.gain_at(f * budget_uj) for r in runs) for f in (0.05, 0.2, 1.0)},
            "attempts": median(len(r.spent) for r in runs),
            "unspent": median(1 - r.spent[-1] / budget_uj if r.spent else 1.0 for r in runs),
        }
    for row in rows.values():
        base = rows.get("uniform/v1", row)["joules_to"]
        row["ratio"] = {t: uj / base[t] if base[t] < math.inf else None for t, uj in row["joules_to"].items()}
    return {"budget": format_energy(budget_uj), "reachable": reachable, "repeats": repeats, "policies": rows}
