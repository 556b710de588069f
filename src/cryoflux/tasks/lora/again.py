"""What `cryoflux verify` computes with: the same losses, merge and training as a run."""

from __future__ import annotations

__all__ = ["TorchRecomputer"]

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoflux.data.prepared import load_examples
from cryoflux.decision.evidence import pair_losses
from cryoflux.errors import ModelError
from cryoflux.evaluation.machine import software
from cryoflux.evaluation.scoring import TransformersScorer
from cryoflux.quantities import NANO
from cryoflux.receipts.profiles import PROFILE
from cryoflux.registry.composition import Composition
from cryoflux.registry.cuts import Cut
from cryoflux.registry.parent_lists import no_lists, updates_of
from cryoflux.registry.plain_adapter import adapter_settings
from cryoflux.registry.plain_model import complaints_about
from cryoflux.registry.shards import TensorFolder, read_tensors, write_model
from cryoflux.tasks.again import as_then, composed_again
from cryoflux.tasks.lora.libraries import LIBRARIES, quieten_transformers, shielded
from cryoflux.tasks.lora.merge import beyond_rounding, merged_tensors, room_complaint
from cryoflux.tasks.lora.retraining import (
    recipe_of,
    train_again,
    train_chain_again,
)
from cryoflux.tasks.lora.temperature import cross_entropies, fitted, losses_and_hits
from cryoflux.tasks.pool import make_pool
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.retrain import Retrained
from cryoflux.verification.temperatures import Fit

if TYPE_CHECKING:
    from cryoflux.data.examples import Example
    from cryoflux.verification.recomputer import Models
    from cryoflux.verification.retrain import Plan

_MOST_CHARACTERS = 250_000
"""of one text; more than a novel has in a hundred pages"""


class TorchRecomputer:
    """Evaluates, merges and trains on the CPU, in the profile of the receipts."""

    def __init__(self, *, max_tokens: Cut, threads: int = 1) -> None:
        import torch

        quieten_transformers()
        torch.set_num_threads(threads)
        self._max_tokens = max_tokens
        self._threads = threads

    def evaluate(self, model: Path, holdout: Path) -> tuple[list[int], list[bool]]:
        """Per-example losses in nano-nats, and which examples are classified correctly."""
        return self.evaluate_some(model, holdout, None, PROFILE)

    def evaluate_some(
        self, model: Path, holdout: Path, indices: Sequence[int] | None, profile: str
    ) -> tuple[list[int], list[bool]]:
        """The same for some examples, or for all, in the arithmetic of a profile."""
        _ask_about(model)
        examples = load_examples(holdout)
        wanted = range(len(examples)) if indices is None else range(len(indices))
        chosen = examples if indices is None else [examples[index] for index in indices]
        _ask_about_texts(chosen)
        try:
            with shielded():
                scorer = TransformersScorer(model, chosen, max_tokens=self._max_tokens, profile=profile)
                return scorer.score(wanted, lambda _done: None)
        except ModelError as error:  # another version of a library may have read it
            raise OpenQuestion(error.what.removesuffix(".")) from error

    def fit(
        self,
        base: Path,
        model: Path,
        train: Path,
        *,
        pool_seed: int,
        first: int,
        screen_size: int,
        profile: str,
    ) -> Fit:
        """The factor that suits the screening examples best, what the factor 1 costs, and their losses."""
        examples = load_examples(train)
        screen = [examples[index] for index in make_pool(first, pool_seed).screen[:screen_size]]
        _ask_about_texts(screen)
        before, _ = self._scores(base, screen, profile)
        scores, classes = self._scores(model, screen, profile)
        best = fitted(scores, classes)
        at_one, at_best = (cross_entropies(scores * f, classes).mean() for f in (1.0, best / 1000))
        (base_losses, was_right), (losses, right) = (losses_and_hits(s, classes) for s in (before, scores))
        screened = pair_losses(base_losses, losses, was_right, right)
        return Fit(best, round(float(at_one - at_best) * NANO), screened)

    def _scores(self, model: Path, examples: Sequence[Example], profile: str) -> Any:
        _ask_about(model)
        try:
            with shielded():
                scorer = TransformersScorer(model, examples, max_tokens=self._max_tokens, profile=profile)
                return scorer.scores()
        except ModelError as error:
            raise OpenQuestion(error.what.removesuffix(".")) from error

    def merge(self, base: Path, capsule: Path, into: Path) -> Path:
        """Merge an adapter into a base version in float32, as receipts that name no list did."""
        _ask_about(base)
        _ask_about_adapter(capsule)
        write_model(base, base, merged_tensors(read_tensors(base), capsule), into)
        return into

    def compose(self, composed: Composition, models: Models, into: Path) -> Path:
        """Add a list of updates up, from its genesis on, with nothing that the run had in memory."""
        _ask_about(models.base)
        for term in updates_of(composed.terms, models.list_of or no_lists):
            _ask_about_adapter(models.capsule(term.adapter))
        return composed_again(composed, models, into)

    def with_update(self, base: Path, update: Path, into: Path) -> Path:
        """A base model with an update that was trained here."""
        return self.merge(base, update, into)

    def as_kept(self, base: Path, capsule: Path, kept: Path, into: Path) -> Path | None:
        """A kept model with the settings of its base, if float32 may have made it of base and adapter."""
        if beyond_rounding(TensorFolder(base), capsule, TensorFolder(kept)):
            return None
        if complaint := room_complaint(TensorFolder(base), capsule):
            raise OpenQuestion(complaint)
        write_model(base, kept, {}, into)
        return into

    def software(self) -> dict[str, str]:
        """Versions of what computes here."""
        return software(LIBRARIES)

    def distances(self, base: Path, ours: Path, theirs: Path) -> dict[str, tuple[float, float]]:
        """Tensor → ‖ours - theirs‖ and ‖theirs - base‖ of two adapters merged into a base model.

        A tensor that only one of them changes is the base's in the other.
        """
        before = read_tensors(base)
        mine, other = merged_tensors(before, ours), merged_tensors(before, theirs)
        far = {}
        for name in sorted(mine.keys() | other.keys()):
            start = before[name].double()
            end, their_end = (found.get(name, start).double() for found in (mine, other))
            far[name] = float((end - their_end).norm()), float((their_end - start).norm())
        return far

    def retrain(self, plan: Plan, into: Path) -> Retrained:
        """Train an adapter as a plan says, with the schedule that joules made then.

        Raises:
            CannotRetrainError: the receipt says too little, or this machine lacks what it used.
        """
        recipe = recipe_of(plan.drawn.recipe)
        (folder := into / "retrained").mkdir()
        with as_then(plan, self._threads) as (data, version):
            _ask_about(version.folder)
            _ask_about_texts(data.examples("train"))
            if plan.chain:
                return Retrained(folder, train_chain_again(plan, data, version, into / "cache", folder))
            train_again(plan, recipe, data, version, into / "cache", folder)
        return Retrained(folder)


def _ask_about(model: Path) -> None:
    """Leave the question open where a model may mean something else than what is computed of it here.

    Raises:
        OpenQuestion: it says why.
    """
    if complaints := complaints_about(model):
        raise OpenQuestion(complaints[0])


def _ask_about_texts(examples: Iterable[Example]) -> None:
    """Leave the question open where a text is longer than anybody writes one.

    Raises:
        OpenQuestion: it says how long.
    """
    if (longest := max((len(example.text) for example in examples), default=0)) > _MOST_CHARACTERS:
        raise OpenQuestion(f"a text has {longest} characters, and at most {_MOST_CHARACTERS} are read here")


def _ask_about_adapter(capsule: Path) -> None:
    try:
        adapter_settings(capsule)
    except ModelError as error:
        raise OpenQuestion(error.what.removesuffix(".")) from error
