"""A chain trained again: attempt by attempt from its start, each as long as it is recorded to have lasted.

Batches, dropout and activations follow from the chain's seed, its pool and the number of steps, so no file
that an attempt left is needed. What each attempt leaves has the digest that its receipt names, or training
departed there. Of joules and verdicts only what they came to is played back: where an attempt stopped, and
whether it stopped for a look.
"""

from __future__ import annotations

__all__ = ["Playing", "play_back"]

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cryoflux.decision.evidence import Evidence
from cryoflux.tasks.again import CannotRetrainError
from cryoflux.tasks.pacing import Limits, Progress
from cryoflux.tasks.pool import slice_digest

if TYPE_CHECKING:
    from cryoflux.receipts.statement import Training
    from cryoflux.tasks.lora.candidates import ChainMaterial
    from cryoflux.tasks.lora.chain import Chained
    from cryoflux.tasks.lora.recipe import Recipe
    from cryoflux.tasks.lora.working import Working
    from cryoflux.verification.retrain import Played

_LIMIT = 1
_BY_JOULES = frozenset({"joules", "look"})
_BY_PROSPECTS = frozenset({"plateau", "behind"})
_BY_STOPPING = _BY_PROSPECTS | {"interrupt"}
"""a plateau is found again where all is the same; where it is not, the attempt still ends there"""
_ENDS = _BY_JOULES | _BY_STOPPING | {"steps"}


class Playing:
    """What ends one attempt where its receipt says that it ended.

    Raises:
        CannotRetrainError: no attempt of a chain ends so.
    """

    def __init__(self, training: Training) -> None:
        if training.stopped_by not in _ENDS or not training.steps:
            raise CannotRetrainError(f"No attempt of a chain ends by {training.stopped_by!r} after no step.")
        self._training = training
        self._asked = 0
        self.steps = 0

    def limits(self) -> Limits:
        """For `tasks.lora.chain.train_chain`."""
        return Limits(_LIMIT, self._spent_uj, self._stop)

    def _spent_uj(self) -> int:
        self._asked += 1
        # First asked before the first step; then when a step is done, before it is counted here.
        ended = self._asked > 1 and self.steps + 1 >= self._training.steps
        return _LIMIT if ended and self._training.stopped_by in _BY_JOULES else 0

    def _stop(self) -> bool:
        return self._training.stopped_by in _BY_STOPPING and self.steps >= self._training.steps

    def is_due(self, screened: Evidence, gained_nano: int | None, *, last: bool) -> bool:  # noqa: ARG002
        """Whether it went to the holdout."""
        return self._training.stopped_by == "look" and self.steps >= self._training.steps

    def at_its_end(self, screened: Evidence, gained_nano: int) -> str:  # noqa: ARG002 - it is recorded
        """Why the chain was at its end by what it might have come to, where that ended the attempt."""
        ended = self.steps >= self._training.steps
        return self._training.stopped_by if ended and self._training.stopped_by in _BY_PROSPECTS else ""

    def progress(self, _done: Progress) -> None:
        """Count a step.

        Raises:
            CannotRetrainError: it goes on beyond where it is recorded to have ended.
        """
        self.steps += 1
        if self.steps > self._training.steps:
            raise CannotRetrainError(
                f"It says that {self._training.stopped_by} ended it after {self._training.steps} steps, and "
                "nothing ends it there."
            )


def play_back(
    played: Sequence[Played],
    recipes: Sequence[Recipe],
    seed: int,
    material: Callable[[Training, Recipe], ChainMaterial],
    into: Path,
) -> str:
    """Train a chain again and write the candidate of its last attempt.

    Args:
        played: its attempts, oldest first.
        recipes: of each.
        seed: of the chain.
        material: what an attempt learns from, with products computed as they were then.
        into: folder for the adapter.

    Returns:
        which attempt departs first from what is recorded of it, and how; empty where none does.

    Raises:
        CannotRetrainError: an attempt is recorded to have ended where none can.
    """
    working: Working | None = None
    departed = ""
    for attempt, recipe in zip(played, recipes, strict=True):
        training, last = attempt.training, attempt is played[-1]
        with TemporaryDirectory(dir=into.parent) as folder:
            place = into if last else Path(folder)
            done = _attempt(training, recipe, seed, material(training, recipe), working, place)
            how = _departs(training, done, Path(folder))
        if how and not departed:
            departed = f"{attempt.name} {how}"
        working = done.working
    return departed


def _attempt(
    training: Training,
    recipe: Recipe,
    seed: int,
    material: ChainMaterial,
    working: Working | None,
    into: Path,
) -> Chained:
    from cryoflux.tasks.lora.chain import train_chain

    playing = Playing(training)
    # What the head lost on the screen only says whether to look, which is recorded.
    nothing = [0] * len(material.screen), [False] * len(material.screen)
    return train_chain(
        replace(material, head=nothing),
        recipe,
        playing.limits(),
        into,
        seed=seed,
        working=working,
        is_due=playing.is_due,
        at_its_end=playing.at_its_end,
        progress=playing.progress,
        preparing=lambda _done, _count: None,
    )


def _departs(training: Training, done: Chained, folder: Path) -> str:
    """How an attempt differs from what is recorded of it; empty where it does not."""
    from cryoflux.tasks.lora.working import write_working

    if done.steps != training.steps or done.stopped_by != training.stopped_by:
        said = f"{training.steps} steps by {training.stopped_by}"
        return f"ends after {done.steps} steps by {done.stopped_by}, where {said} are recorded"
    if slice_digest(done.drawn) != training.slice_sha256:
        return "draws other examples than recorded"
    if training.working and write_working(folder, done.working) != training.working:
        return "leaves another working update than recorded"
    return ""
