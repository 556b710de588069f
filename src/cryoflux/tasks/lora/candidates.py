"""The candidates of a chain: which average the screen likes best, at which temperature, and what it gains.

Only the screening examples decide here, which are training-side and never trained on. Where none could be
set aside, the candidate is the average of the newest steps as it stands.
"""

from __future__ import annotations

__all__ = ["Candidates", "ChainMaterial", "IsWorth", "Prospects", "look_is_due"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from cryoflux.data.batching import bucketed
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.digests import TensorEntry, file_digest
from cryoflux.encoder.activations import Activations, Sets
from cryoflux.encoder.model import Encoder
from cryoflux.evaluation.scoring import LossesAndHits
from cryoflux.state import ADAPTER
from cryoflux.tasks.lora.adapter import save_adapter
from cryoflux.tasks.lora.averages import PolynomialAverage
from cryoflux.tasks.lora.learning import Learning, logits_of
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.lora.temperature import fitted, losses_and_hits
from cryoflux.tasks.lora.working import Best, Working
from cryoflux.tasks.pacing import TrainingFailedError

_SCREEN_BATCH = 64
_UNIT = 1000
_COMING = 2
"""rungs like the last one that a chain may still hope for"""
_REST = 0.5
"""of what a rung gained, what all that follow may be counted on to gain"""
_LOSS_LEFT = 0.25
"""of a candidate's loss, what its chain may be counted on to gain after its first looks"""


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
    ends: tuple[int, ...] = ()
    """places in the order where batches of examples end that joined one after another"""
    weights: torch.Tensor | None = None
    """of the classes while it learns; none where all are equal"""


class Prospects:
    """What a chain may still come to; asked at rungs that gained something, one after another."""

    def __init__(self, could_prove: Callable[[Evidence], bool], *, looked: bool) -> None:
        """Begin an attempt.

        Args:
            could_prove: whether a candidate would be worth a look if the chain ended with it.
            looked: whether the holdout has seen anything of the chain. Before, all that it learned is still
                to be proven, and what some more rungs bring is not foreseen well enough to give that up.
        """
        self._could_prove = could_prove
        self._looked = looked
        self._was_poor = False

    def __call__(self, screened: Evidence, gained_nano: int) -> str:
        """Why the chain is at its end, ``behind`` or ``plateau``; empty where it goes on.

        Gains of rungs shrink: what would take more than two rungs like the last one is dear, or never comes
        (measured: docs/explanation/scheduler.md). A chain that began at an older version is at its end where
        even these leave it behind the head. A chain that the holdout has seen is where they show too little
        for another look, twice in a row, because what one rung gained is noisy.

        Args:
            screened: its best candidate against the head.
            gained_nano: mean loss on the screen by its last rung, nano-nats.
        """
        hoped = screened.shifted(_COMING * gained_nano)
        if hoped.delta < 0:
            return "behind"
        was_poor, self._was_poor = self._was_poor, not self._could_prove(hoped)
        return "plateau" if self._looked and was_poor and self._was_poor else ""


class IsWorth(Protocol):
    """Whether a candidate is worth a look at the holdout, by what the screen shows."""

    def __call__(self, screened: Evidence, /, *, ended: bool) -> bool:
        """Whether to look.

        Args:
            screened: the candidate against the head, on the screening examples.
            ended: whether there will be no better candidate; less is enough then.
        """


def look_is_due(screened: Evidence, gained_nano: int | None, *, last: bool, is_worth: IsWorth) -> bool:
    """Whether a chain shows its candidate to the holdout now.

    What a look proves begins anew at the head that it makes. So a look on the way has to leave something that
    a later one can prove: half of what the last rung gained, or a quarter of the candidate's loss where no
    rung says what comes. Else it waits for the end of the chain, where all is judged at once.

    Args:
        screened: the best candidate against the head.
        gained_nano: mean loss on the screen by the last rung, nano-nats; none before the second rung.
        last: whether the attempt is at its end, so that nothing better comes of its joules.
        is_worth: whether the rule would look.
    """
    if not is_worth(screened, ended=False):
        return False
    if last:
        return True
    coming = _LOSS_LEFT * screened.new_loss / screened.count if gained_nano is None else _REST * gained_nano
    rest = screened.shifted(round(coming) - screened.delta // screened.count)
    return is_worth(rest, ended=True)


class Candidates:
    """What a chain has to show, as far as it has come."""

    def __init__(
        self, material: ChainMaterial, recipe: Recipe, learning: Learning, source: Activations
    ) -> None:
        self._material, self._recipe, self._learning, self._source = material, recipe, learning, source
        self._best: Best | None = None
        self._losses: LossesAndHits = ([], [])
        """of the best candidate on the screen"""
        self._judged = False
        """whether the holdout has seen it"""
        self.stale = 0
        """scheduled looks at the screen in a row that gained too little"""
        self.rung_nano = 0
        """lowest loss on the screen at the last scheduled look, nano-nats; 0 before the first"""
        self.gained_nano: int | None = None
        """by the last scheduled look, nano-nats; none before the second one"""

    def restore(self, working: Working, judged: str, into: Path) -> None:
        """Go on from what an attempt left.

        Args:
            working: what it left.
            judged: digest of the adapter that the holdout saw last; empty where it saw none.
            into: folder in which a candidate may be written.
        """
        self._best, self.stale, self.rung_nano = working.best, working.stale, working.rung_nano
        if judged and self._best is not None:
            self.save(into, self._best)
            self._judged = file_digest(into / ADAPTER) == judged

    def prepare(self, preparing: Callable[[int, int], None]) -> None:
        """Compute what the frozen layers make of the screening examples."""
        self._source.prepare(self._material.screen, preparing)
        if self._best is not None:
            scores = self._scores(self._best.values) * (self._best.temperature_milli / _UNIT)
            self._losses = losses_and_hits(scores, self._classes())

    def look(self, averages: Sequence[PolynomialAverage], *, scheduled: bool) -> None:
        """Find the better average and its temperature; remember it if it is the best so far.

        Raises:
            TrainingFailedError: its scores are no numbers.
        """
        if not self._material.screen:
            newest = averages[-1]
            values = tuple(value.clone() for value in newest.values)
            self._best, self._judged = Best(values, newest.exponent, _UNIT, 0), False
            return
        for average in averages:
            scores = self._scores(average.values)
            temperature = fitted(scores, self._classes()) if self._recipe.temperature else _UNIT
            found = losses_and_hits(scores * (temperature / _UNIT), self._classes())
            mean = sum(found[0]) // len(found[0])
            if self._best is None or mean < self._best.screen_nano:
                values = tuple(value.clone() for value in average.values)
                self._best, self._judged = Best(values, average.exponent, temperature, mean), False
                self._losses = found
        if scheduled:
            self._climb(self.best.screen_nano)

    def _climb(self, screen_nano: int) -> None:
        first = not self.rung_nano
        self.gained_nano = None if first else self.rung_nano - screen_nano
        enough = self.gained_nano is None or self.gained_nano >= self._recipe.least_gain_nano
        self.stale = 0 if enough else self.stale + 1
        self.rung_nano = screen_nano

    @property
    def are_spent(self) -> bool:
        """Whether rung after rung has gained less than a look could ever prove."""
        return self.stale >= self._recipe.patience

    @property
    def best(self) -> Best:
        """The best candidate so far.

        Raises:
            RuntimeError: there was no look at the screen yet.
        """
        if self._best is None:
            raise RuntimeError("no candidate was looked at")
        return self._best

    @property
    def known(self) -> Best | None:
        """The best candidate so far; none before the first look."""
        return self._best

    @property
    def are_news(self) -> bool:
        """Whether the holdout has not seen the best candidate."""
        return not self._judged

    def screened(self) -> Evidence | None:
        """The best candidate against the head, on the screening examples; none where there are none."""
        if not self._material.screen or self._best is None:
            return None
        (base, was), (new, now) = self._material.head, self._losses
        return pair_losses(base, new, was, now)

    def _classes(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return self._material.labels[list(self._material.screen)].numpy()  # type: ignore[no-any-return]

    def _scores(self, values: Sequence[torch.Tensor]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        screen = self._material.screen
        kept = [parameter.detach().clone() for parameter in self._learning.parameters]
        self._learning.load(values)
        rows: list[int] = []
        found = []
        with torch.no_grad():
            for some in bucketed(self._source.lengths(screen), _SCREEN_BATCH):
                batch = self._source.batch([screen[row] for row in some])
                found.append(logits_of(self._material.encoder, self._learning, batch).double().cpu().numpy())
                rows += some
        self._learning.load(kept)
        scores = np.empty((len(screen), self._learning.classes))
        scores[rows] = np.concatenate(found) if found else np.empty((0, self._learning.classes))
        if not np.isfinite(scores).all():
            raise TrainingFailedError(
                "The scores of the screening examples are no numbers any more.",
                why="The last steps have ruined the weights, though the training loss was still one.",
                hint="Lower the learning rate: --learning-rate 1e-4.",
            )
        return scores

    def save(self, folder: Path, best: Best) -> None:
        """Write a candidate, its temperature folded into the classifier."""
        learning = self._learning
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
