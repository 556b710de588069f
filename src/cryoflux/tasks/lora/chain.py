"""A chain: one working update that attempt after attempt goes on from, until the screen says it is spent.

1. Restore what the attempt before it left, or begin at the chain's start.
2. Train LoRA and the head at a constant rate after a warm-up, with all averages going along, until the
   joules end. What the frozen layers make of an example is computed when its batch comes.
3. At rungs, a growing number of steps apart, look at the screening examples: of the averages the one that
   is better at its best temperature is the candidate. Training ends where it is worth a look at the
   holdout (`worth`), or where rung after rung gains less than a look could ever prove: a plateau.

Everything follows from the chain's seed and the number of steps: dropout is seeded by the step, batches
by the chain, activations are computed in groups that follow from the pool. So a chain that was cut into
attempts, at whatever steps the joules ended, holds the same bits as one that was not. Source: LoRA, Hu
et al. 2021; AdamW, Loshchilov and Hutter 2019; averaging and temperature, see `averages` and
`temperature`.
"""

from __future__ import annotations

__all__ = ["ChainMaterial", "Chained", "Worth", "next_rung", "train_chain"]

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from cryoflux.data.batching import bucketed, mixed_buckets
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.digests import TensorEntry
from cryoflux.encoder.activations import Activations, Sets
from cryoflux.encoder.linear import Backend
from cryoflux.encoder.model import Encoder
from cryoflux.encoder.threads import seed_torch
from cryoflux.evaluation.scoring import LossesAndHits
from cryoflux.quantities import NANO
from cryoflux.receipts.lifting import SECTION
from cryoflux.receipts.statement import Section
from cryoflux.tasks.lora.adamw import FusedAdamW
from cryoflux.tasks.lora.adapter import save_adapter
from cryoflux.tasks.lora.averages import PolynomialAverage
from cryoflux.tasks.lora.learning import Learning, logits_of
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.lora.temperature import cross_entropies, fitted
from cryoflux.tasks.lora.working import Best, Working
from cryoflux.tasks.pacing import Limits, Progress, TrainingFailedError

_EXPONENTS = (1, 3)
"""of the averages that go along"""
_GROUP = 128
"""examples of the pool whose activations are computed together"""
_SCREEN_BATCH = 64
_RUNG_SHARE = 0.08
_LEAST_RUNG = 16
_PATIENCE = 2
"""rungs in a row that may gain too little"""
_SCREEN_MARGIN = 1.35
"""how much dearer than the last time the last look at the screen may be"""
_UNIT = 1000
_WORST_NANO = 1000 * NANO
_SEEDS = 1_000_003


class Worth(Protocol):
    """Whether a candidate is worth a look at the holdout: a pure function of what the screen shows."""

    def __call__(self, screened: Evidence) -> bool:
        """Whether to look, though the next steps may bring a better candidate.

        Args:
            screened: the candidate against the head, on the screening examples.
        """


@dataclass(frozen=True, slots=True)
class ChainMaterial:
    """The model and the examples that a chain learns from."""

    encoder: Encoder
    """of the version that the chain began with"""
    entries: Sequence[TensorEntry]
    """digests of its tensors"""
    sets: Sets
    labels: torch.Tensor
    """class of each training example, int64"""
    order: Sequence[int]
    """training examples in the order of the pool"""
    screen: Sequence[int]
    """examples that are never trained on"""
    head: LossesAndHits
    """of the head, on these"""
    base: str
    """how the adapter names the version that it is added to"""


@dataclass(frozen=True, slots=True)
class Chained:
    """How the candidate of an attempt came about; its files are written."""

    steps: int
    """of this attempt"""
    working: Working
    """what the next attempt goes on from"""
    stopped_by: str
    """``look``, ``plateau``, ``joules``, ``steps`` or ``interrupt``"""
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


def next_rung(step: int, fixed_steps: int) -> int:
    """The step of the next look at the screen.

    Args:
        step: of the last one; 0 at first.
        fixed_steps: what everything beside its steps costs, in steps.
    """
    return step + max(_LEAST_RUNG, round((fixed_steps + step) * _RUNG_SHARE))


def train_chain(
    material: ChainMaterial,
    recipe: Recipe,
    limits: Limits,
    into: Path,
    *,
    seed: int,
    working: Working | None,
    worth: Worth,
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
        worth: whether to look at the holdout.
        progress: called after each step.
        preparing: called with (examples done, examples to do) while the screen is prepared.

    Raises:
        JoulesEndedError: nothing is left to train with.
        TrainingFailedError: the loss stopped being finite.
    """
    chain = _Chain(material, recipe, seed, working)
    chain.prepare_screen(preparing)
    limits.check()
    stopped_by, steps, loss = chain.run(limits, worth, progress)
    best = chain.best
    chain.save(into, best)
    return Chained(
        steps=steps,
        working=chain.left(),
        stopped_by=stopped_by,
        best=best,
        screened=chain.screened(),
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
        self._step = self._stale = self._rung_nano = self._ready = 0
        self._best: Best | None = None
        self._best_screen: LossesAndHits = ([], [])
        self._screen_uj = 0
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
        self._step, self._stale, self._rung_nano = working.step, working.stale, working.rung_nano
        self._best = working.best

    def left(self) -> Working:
        """What the next attempt goes on from."""
        return Working(
            step=self._step,
            stale=self._stale,
            rung_nano=self._rung_nano,
            parameters=tuple(p.detach().clone() for p in self.learning.parameters),
            moments=tuple(moment.clone() for moment in self._optimiser.moments),
            averages={a.exponent: tuple(v.clone() for v in a.values) for a in self._averages},
            best=self._best,
        )

    def _all_batches(self) -> Iterator[list[int]]:
        """Positions in the pool's order, from the step on that the chain has come to."""
        lengths = self._material.sets.tokens.lengths(self._material.order).tolist()
        draw = random.Random(f"{self._seed}/batches")  # noqa: S311 - an order that can be repeated
        batches = mixed_buckets(lengths, self._recipe.batch_size, draw, first_as_given=True)
        return islice(batches, self._step, None)

    def prepare_screen(self, preparing: Callable[[int, int], None]) -> None:
        """Compute what the frozen layers make of the screening examples."""
        self._source.prepare(self._material.screen, preparing)
        if self._best is not None:
            self._best_screen = self._losses(self._best.values, self._best.temperature_milli)

    def run(
        self, limits: Limits, worth: Worth, progress: Callable[[Progress], None]
    ) -> tuple[str, int, float]:
        """Train; why it ended, after how many steps, and the last training loss."""
        first, loss, ended = self._step, 0.0, ""
        rung = self._rung_after(first)
        while not ended:
            loss = self._train_step()
            spent_uj = limits.spent_uj()
            progress(Progress(self._step - first, 0, loss, spent_uj))
            if self._step == rung:
                rung = next_rung(rung, self._recipe.fixed_steps)
                ended = self._climb(limits, worth)
            if not ended and limits.stop():
                ended = "interrupt"
            if not ended and self._step >= self._recipe.max_steps:
                ended = "steps"
            if not ended and spent_uj + round(_SCREEN_MARGIN * self._screen_uj) >= limits.limit_uj:
                self._look_at_screen(scheduled=False)
                ended = "look" if self._is_worth(worth) else "joules"
        if ended == "steps":
            self._look_at_screen(scheduled=False)
        return ended, self._step - first, loss

    def _climb(self, limits: Limits, worth: Worth) -> str:
        """Look at the screen as scheduled; why the training ends with it, if it does."""
        start_uj = limits.spent_uj()
        self._look_at_screen(scheduled=True)
        self._screen_uj = limits.spent_uj() - start_uj
        if self._is_worth(worth):
            return "look"
        return "plateau" if self._stale >= _PATIENCE else ""

    def _rung_after(self, step: int) -> int:
        rung = 0
        while rung <= step:
            rung = next_rung(rung, self._recipe.fixed_steps)
        return rung

    def _is_worth(self, worth: Worth) -> bool:
        screened = self.screened()
        return screened is not None and not self.best.judged and worth(screened)

    def _train_step(self) -> float:
        batch = self._next_batch()
        seed_torch((self._seed * _SEEDS + self._step) % 2**63, self._material.encoder.device)
        rate = self._recipe.learning_rate * min(1.0, (self._step + 1) / self._recipe.rising_steps)
        logits = logits_of(
            self._material.encoder, self.learning, self._source.batch(batch), self._recipe.hidden_dropout
        )
        error = cross_entropy(logits, self._material.labels[batch].to(logits.device))
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

    def _next_batch(self) -> list[int]:
        positions, order = next(self._batches), self._material.order
        self._prepare(max(positions))
        batch = [order[position] for position in positions]
        self.drawn += batch
        self.reached = max(self.reached, max(positions) + 1)
        return batch

    def _prepare(self, position: int) -> None:
        """Activations of the pool, in groups, as far as a position."""
        order = self._material.order
        while self._ready <= position:
            group = order[self._ready : self._ready + _GROUP]
            self._source.prepare(group, lambda _done, _count: None)
            self._ready += len(group)

    def _look_at_screen(self, *, scheduled: bool) -> None:
        """Find the better average and its temperature; remember it if it is the best so far."""
        for average in self._averages:
            scores = self._scores(average.values)
            temperature = fitted(scores, self._classes()) if self._recipe.temperature else _UNIT
            found = self._rounded(scores * (temperature / _UNIT))
            mean = sum(found[0]) // len(found[0]) if found[0] else 0
            if self._best is None or mean < self._best.screen_nano:
                values = tuple(value.clone() for value in average.values)
                self._best = Best(values, average.exponent, temperature, mean)
                self._best_screen = found
        if scheduled:
            gained = self._rung_nano - self.best.screen_nano
            enough = not self._rung_nano or gained >= self._recipe.least_gain_nano
            self._stale = 0 if enough else self._stale + 1
            self._rung_nano = self.best.screen_nano

    @property
    def best(self) -> Best:
        """The best candidate so far."""
        if self._best is None:
            self._look_at_screen(scheduled=False)
        if self._best is None:
            raise RuntimeError("there is always an average")
        return self._best

    def screened(self) -> Evidence | None:
        """The best candidate against the head, on the screening examples."""
        if not self._material.screen or self._best is None:
            return None
        (base, was), (new, now) = self._material.head, self._best_screen
        return pair_losses(base, new, was, now)

    def _classes(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return self._material.labels[list(self._material.screen)].numpy()  # type: ignore[no-any-return]

    def _losses(self, values: Sequence[torch.Tensor], temperature: int) -> LossesAndHits:
        return self._rounded(self._scores(values) * (temperature / _UNIT))

    def _rounded(self, scores: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> LossesAndHits:
        classes = self._classes()
        nano = np.rint(cross_entropies(scores, classes) * NANO)
        losses = [min(int(value), _WORST_NANO) for value in nano]
        return losses, (scores.argmax(axis=1) == classes).tolist()

    def _scores(self, values: Sequence[torch.Tensor]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        screen = self._material.screen
        kept = [parameter.detach().clone() for parameter in self.learning.parameters]
        self.learning.load(values)
        rows: list[int] = []
        found = []
        with torch.no_grad():
            for some in bucketed(self._source.lengths(screen), _SCREEN_BATCH):
                batch = self._source.batch([screen[row] for row in some])
                found.append(logits_of(self._material.encoder, self.learning, batch).double().cpu().numpy())
                rows += some
        self.learning.load(kept)
        scores = np.empty((len(screen), self.learning.classes))
        scores[rows] = np.concatenate(found) if found else np.empty((0, self.learning.classes))
        return scores

    def save(self, folder: Path, best: Best) -> None:
        """Write a candidate, its temperature folded into the classifier."""
        learning = self.learning
        kept = [parameter.detach().clone() for parameter in learning.parameters]
        learning.load(best.values)
        learning.scale_scores(best.temperature_milli / _UNIT)
        lora = {
            name: (one.a.detach().cpu().clone(), one.b.detach().cpu().clone())
            for name, one in learning.lora.items()
        }
        whole = {n: t.detach().cpu().clone() for n, t in {**learning.beside, **learning.head}.items()}
        save_adapter(folder, self._recipe, lora, whole, self._material.base)
        learning.load(kept)
