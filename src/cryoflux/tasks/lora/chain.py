"""A chain: one working update that attempt after attempt goes on from, until the screen says it is spent.

1. Restore what the attempt before it left, or begin at the chain's start.
2. Train LoRA and the head at a constant rate after a warm-up, with all averages going along, until the
   joules end. What the frozen layers make of an example is computed when its batch comes.
3. At rungs, a growing number of steps apart, look at the screening examples: of the averages the one that
   is better at its best temperature is the candidate. Training ends where a look at the holdout is due
   (`candidates.look_is_due`); where rung after rung gains next to nothing, or what may still come is less
   than a look could prove (a plateau); or where a chain that began at an older version will not catch up
   with the head (`candidates.Prospects`). Before the first rung there are looks at the screen as well,
   each after twice the steps: of them nothing follows but that a look at the holdout may be due.

Everything follows from the chain's seed and the number of steps: dropout is seeded by the step, batches
by the chain, activations are computed in groups that follow from the pool. So a chain that was cut into
attempts, at whatever steps the joules ended, holds the same bits as one that was not. Source: LoRA, Hu
et al. 2021; AdamW, Loshchilov and Hutter 2019; averaging and temperature, see `averages` and
`temperature`.
"""

from __future__ import annotations

__all__ = ["AtItsEnd", "Chained", "IsDue", "early_looks", "next_rung", "train_chain"]

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from cryoflux.data.batching import mixed_buckets
from cryoflux.decision.evidence import Evidence
from cryoflux.encoder.activations import Activations
from cryoflux.encoder.linear import Backend
from cryoflux.encoder.threads import seed_torch
from cryoflux.quantities import NANO
from cryoflux.receipts.lifting import SECTION
from cryoflux.receipts.statement import Section
from cryoflux.tasks.lora.adamw import FusedAdamW
from cryoflux.tasks.lora.averages import PolynomialAverage
from cryoflux.tasks.lora.candidates import Candidates, ChainMaterial
from cryoflux.tasks.lora.learning import Learning, logits_of
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.lora.weighing import training_loss
from cryoflux.tasks.lora.working import Best, Working
from cryoflux.tasks.pacing import Limits, Progress, TrainingFailedError

_EXPONENTS = (1, 3)
"""of the averages that go along"""
_GROUP = 128
"""examples of the pool whose activations are computed together"""
_RUNG_SHARE = 0.08
_LEAST_RUNG = 16
_FEWEST_RUNGS = 4
"""before so many, nothing is said of what a chain may come to"""
_SCREEN_MARGIN = 1.35
"""how much dearer than the last time the last look at the screen may be"""
_SEEDS = 1_000_003


class IsDue(Protocol):
    """Whether a look at the holdout is due: a pure function of what the screen shows."""

    def __call__(self, screened: Evidence, gained_nano: int | None, /, *, last: bool) -> bool:
        """Whether to look, though the next steps may bring a better candidate.

        Args:
            screened: the candidate against the head, on the screening examples.
            gained_nano: mean loss by the last rung, nano-nats; none where none says what comes.
            last: whether the attempt's joules end.
        """


@dataclass(frozen=True, slots=True)
class Chained:
    """How the candidate of an attempt came about; its files are written."""

    steps: int
    """of this attempt"""
    working: Working
    """what the next attempt goes on from"""
    stopped_by: str
    """``look``, ``plateau``, ``behind``, ``joules``, ``steps`` or ``interrupt``"""
    best: Best
    screened: Evidence | None
    """the candidate against the head; none where nothing was set aside"""
    drawn: list[int]
    """training examples that this attempt learned from"""
    reached: int
    """examples of the pool's order that the chain has come to in its first pass"""
    modules: list[str]
    trained_parameters: int
    last_loss_nano: int

    def section(self, backend: Backend | None) -> Section:
        """The part of a receipt that only this task knows."""
        fields: dict[str, int | str | list[str]] = {
            "plannedSteps": self.steps,
            "plannedAtStep": 0,
            "modules": self.modules,
            "trainedParameters": self.trained_parameters,
            "lastTrainLossNanoNat": self.last_loss_nano,
            "backend": backend.value if backend else "",
            "scale": "1",
            "average": str(self.best.exponent),
            "temperatureMilli": self.best.temperature_milli,
        }
        return Section(kind=SECTION, fields=fields)


class AtItsEnd(Protocol):
    """Whether a chain may still come to something (`candidates.Prospects`)."""

    def __call__(self, screened: Evidence, gained_nano: int, /) -> str:
        """Why it is at its end; empty where it goes on.

        Args:
            screened: its best candidate against the head, on the screening examples.
            gained_nano: mean loss by its last rung, nano-nats.
        """


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who is asked at each rung."""

    is_due: IsDue
    at_its_end: AtItsEnd


def next_rung(step: int, fixed_steps: int) -> int:
    """The step of the next look at the screen.

    Args:
        step: of the last one; 0 at first.
        fixed_steps: what everything beside its steps costs, in steps.
    """
    return step + max(_LEAST_RUNG, round((fixed_steps + step) * _RUNG_SHARE))


def early_looks(recipe: Recipe) -> frozenset[int]:
    """The steps of the looks at the screen before the first rung."""
    first_rung, step = next_rung(0, recipe.fixed_steps), recipe.first_look
    found = set()
    while 0 < step < first_rung:
        found.add(step)
        step *= 2
    return frozenset(found)


def _rungs(fixed_steps: int) -> Iterator[int]:
    step = 0
    while True:
        step = next_rung(step, fixed_steps)
        yield step


def train_chain(
    material: ChainMaterial,
    recipe: Recipe,
    limits: Limits,
    into: Path,
    *,
    seed: int,
    working: Working | None,
    judged: str = "",
    is_due: IsDue,
    at_its_end: AtItsEnd,
    progress: Callable[[Progress], None],
    preparing: Callable[[int, int], None],
) -> Chained:
    """Train one attempt of a chain and write its candidate.

    Args:
        material: what to learn from.
        recipe: how.
        limits: joules, and whether to stop.
        into: folder for the candidate's files.
        seed: of the chain, the same for all of its attempts.
        working: what the attempt before left; none where the chain begins.
        judged: digest of the adapter of the chain that the holdout saw last; empty where it saw none.
        is_due: whether to look at the holdout.
        at_its_end: whether the chain may still come to something, by its rungs.
        progress: called after each step.
        preparing: called with (examples done, examples to do) while the screen is prepared.

    Raises:
        JoulesEndedError: nothing is left to train with.
        TrainingFailedError: the loss stopped being finite.
    """
    chain = _Chain(material, recipe, seed, working)
    candidates = chain.candidates
    if working is not None:
        candidates.restore(working, judged, into)
    with limits.preparing():
        candidates.prepare(preparing)
    limits.check()
    stopped_by, steps, loss = chain.run(limits, _Asked(is_due, at_its_end), progress)
    best = candidates.best
    candidates.save(into, best)
    return Chained(
        steps=steps,
        working=chain.left(),
        stopped_by=stopped_by,
        best=best,
        screened=candidates.screened(),
        drawn=list(dict.fromkeys(chain.drawn)),
        reached=chain.reached,
        modules=list(chain.learning.lora),
        trained_parameters=sum(p.numel() for p in chain.learning.parameters),
        last_loss_nano=round(loss * NANO),
    )


class _Chain:
    """A chain at work."""

    def __init__(self, material: ChainMaterial, recipe: Recipe, seed: int, working: Working | None) -> None:
        self._material, self._recipe, self._seed = material, recipe, seed
        self.learning = Learning(material.encoder, recipe, seed)
        parameters = self.learning.parameters
        self._optimiser = FusedAdamW(parameters, weight_decay=recipe.weight_decay)
        self._averages = [PolynomialAverage(exponent, parameters) for exponent in _EXPONENTS]
        self._source = Activations(material.encoder, material.entries, material.sets, self.learning.depth)
        self.candidates = Candidates(material, recipe, self.learning, self._source)
        self._step = self._ready = self._screen_uj = 0
        self.reached = 0
        self.drawn: list[int] = []
        if working is not None:
            self._restore(working)
        self._batches = self._all_batches()

    def _restore(self, working: Working) -> None:
        self.learning.load(working.parameters)
        self._optimiser.load(working.moments)
        for average in self._averages:
            average.values = [value.clone() for value in working.averages[average.exponent]]
        self._step = working.step

    def left(self) -> Working:
        """What the next attempt goes on from."""
        candidates = self.candidates
        return Working(
            step=self._step,
            stale=candidates.stale,
            rung_nano=candidates.rung_nano,
            parameters=tuple(p.detach().clone() for p in self.learning.parameters),
            moments=tuple(moment.clone() for moment in self._optimiser.moments),
            averages={a.exponent: tuple(v.clone() for v in a.values) for a in self._averages},
            best=candidates.known,
        )

    def _all_batches(self) -> Iterator[list[int]]:
        """Positions in the pool's order, from the step on that the chain has come to."""
        lengths = self._material.sets.tokens.lengths(self._material.order).tolist()
        draw = random.Random(f"{self._seed}/batches")  # noqa: S311 - an order that can be repeated
        batches = mixed_buckets(
            lengths,
            self._recipe.batch_size,
            draw,
            first_as_given=True,
            first_passes=self._recipe.first_passes,
        )
        return islice(batches, self._step, None)

    def run(
        self, limits: Limits, asked: _Asked, progress: Callable[[Progress], None]
    ) -> tuple[str, int, float]:
        """Train; why it ended, after how many steps, and the last training loss."""
        first, loss, ended = self._step, 0.0, ""
        rungs = _rungs(self._recipe.fixed_steps)
        passed = next(n for n, rung in enumerate(rungs) if rung > first)
        coming = islice(_rungs(self._recipe.fixed_steps), passed, None)
        rung, early = next(coming), early_looks(self._recipe)
        while not ended:
            loss = self._train_step(limits)
            spent_uj = limits.spent_uj()
            progress(Progress(self._step - first, 0, loss, spent_uj))
            if self._step == rung:
                rung, passed = next(coming), passed + 1
                ended = self._climb(limits, asked, passed)
            elif self._step in early:
                ended = self._look(limits, asked.is_due)
            if not ended and limits.stop():
                ended = "interrupt"
            if not ended and self._step >= self._recipe.max_steps:
                ended = "steps"
            if not ended and spent_uj + round(_SCREEN_MARGIN * self._screen_uj) >= limits.limit_uj:
                ended = self._look(limits, asked.is_due, last=True) or "joules"
        if ended == "steps" or self.candidates.known is None:
            self.candidates.look(self._averages, scheduled=False)
        return ended, self._step - first, loss

    def _climb(self, limits: Limits, asked: _Asked, passed: int) -> str:
        """Look at the screen as scheduled; why the training ends with it, if it does."""
        candidates = self.candidates
        if self._look(limits, asked.is_due, scheduled=True):
            return "look"
        if candidates.are_spent:
            return "plateau"
        screened, gained_nano = candidates.screened(), candidates.gained_nano or 0
        if screened is None or passed < _FEWEST_RUNGS or gained_nano <= 0:
            return ""
        return asked.at_its_end(screened, gained_nano)

    def _look(self, limits: Limits, is_due: IsDue, *, scheduled: bool = False, last: bool = False) -> str:
        """Look at the screen; ``look`` where the training ends with it, because the holdout is to be read."""
        start_uj, candidates = limits.spent_uj(), self.candidates
        candidates.look(self._averages, scheduled=scheduled)
        self._screen_uj = limits.spent_uj() - start_uj
        screened, gained_nano = candidates.screened(), candidates.gained_nano if scheduled else None
        if screened is None or not candidates.are_news:
            return ""
        return "look" if is_due(screened, gained_nano, last=last) else ""

    def _train_step(self, limits: Limits) -> float:
        batch = self._next_batch(limits)
        seed_torch((self._seed * _SEEDS + self._step) % 2**63, self._material.encoder.device)
        rate = self._recipe.learning_rate * min(1.0, (self._step + 1) / self._recipe.rising_steps)
        logits = logits_of(
            self._material.encoder, self.learning, self._source.batch(batch), self._recipe.hidden_dropout
        )
        classes = self._material.labels[batch].to(logits.device)
        error = training_loss(logits, classes, self._material.weights)
        error.backward()
        self._optimiser.step(rate)
        self._step += 1
        for average in self._averages:
            average.add(self.learning.parameters, self._step)
        loss = float(error.detach())
        if not np.isfinite(loss):
            raise TrainingFailedError(
                f"The training loss became {loss}.",
                why="From here on the weights would be worthless.",
                hint="Lower the learning rate: --learning-rate 1e-4.",
            )
        return loss

    def _next_batch(self, limits: Limits) -> list[int]:
        positions, order = next(self._batches), self._material.order
        self._prepare(max(positions), limits)
        batch = [order[position] for position in positions]
        self.drawn += batch
        self.reached = max(self.reached, max(positions) + 1)
        return batch

    def _prepare(self, position: int, limits: Limits) -> None:
        """Activations of the pool, in groups, as far as a position."""
        order = self._material.order
        while self._ready <= position:
            # No group holds examples of two batches: it is the same whether the second has joined or not.
            end = next((end for end in self._material.ends if end > self._ready), len(order))
            group = order[self._ready : min(self._ready + _GROUP, end)]
            with limits.preparing():
                self._source.prepare(group, lambda _done, _count: None)
            self._ready += len(group)
