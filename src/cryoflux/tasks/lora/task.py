"""``lora_delta``: LoRA on a text classifier, and the head beside it.

Own loop where the model's layout is known, else transformers and PEFT. Losses are the cross-entropy of each
text's class in nats, in float64 unless the model is too large for that; a text is right if its class scores
highest.
"""

from __future__ import annotations

__all__ = ["LoraTask"]

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cryoflux.config import Settings, Sourced
from cryoflux.digests import file_digest
from cryoflux.encoder.layout import read_layout
from cryoflux.errors import CryoFluxError, ModelError
from cryoflux.evaluation.scoring import Scorer, TransformersScorer
from cryoflux.files import MOST_DOCUMENT_BYTES, read_regular
from cryoflux.receipts.profiles import F32, profile_for
from cryoflux.receipts.statement import Section
from cryoflux.registry.composition import COMPOSE, Composition
from cryoflux.registry.cuts import Cut, tokens_of
from cryoflux.registry.parent_lists import lists_of
from cryoflux.registry.shards import TensorFolder
from cryoflux.registry.versions import Version
from cryoflux.state import ADAPTER
from cryoflux.tasks.interface import Beginning, Offer, Origin, Task, Update, Watch, WorkOrder, Workplace
from cryoflux.tasks.lora.base_model import check_tokens
from cryoflux.tasks.lora.composing import ComposedHeads
from cryoflux.tasks.lora.compute_words import compute_words
from cryoflux.tasks.lora.inputs import check_same, kept_cut, make_beginning, said_cut
from cryoflux.tasks.lora.libraries import (
    LIBRARIES,
    chosen_device,
    quieten,
    quieten_transformers,
    require_training,
)
from cryoflux.tasks.lora.prices import Prices
from cryoflux.tasks.lora.recipe import ALL_LAYERS, Method, Recipe, chosen_recipes, ladder
from cryoflux.tasks.lora.section import SECTIONS
from cryoflux.tasks.pacing import Limits, TrainingFailedError
from cryoflux.tasks.pool import make_pool
from cryoflux.tasks.startup import StartupClock
from cryoflux.verification.sections import Sections

if TYPE_CHECKING:
    from cryoflux.tasks.elsewhere import Elsewhere
    from cryoflux.tasks.lora.head import HeadModel
    from cryoflux.tasks.lora.merge import HeadSums

_MEGA = 1_000_000


class LoraTask(Task):
    """LoRA on a text classifier."""

    name: ClassVar[str] = "lora_delta"
    read_again: ClassVar[int] = 0
    hits: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    trained_by: ClassVar[str] = "cryoflux.tasks.lora.trainer:LoraTrainer"
    sections: ClassVar[Sections] = SECTIONS

    def __init__(self, sourced: Sourced) -> None:
        # A slip of the pen is refused before anything is written.
        chosen_recipes(sourced.settings, known=True, count=0)
        self._cut = said_cut(sourced.settings)
        self._startup = StartupClock()
        self._sourced = sourced
        self._prices = Prices()
        self._changed: dict[str, Mapping[str, Any]] = {}
        """digest of a draft → its tensors that differ from the head's, as read back from the disk"""
        self.recipes: dict[str, Recipe] = {}
        """arm name → recipe"""
        self._named: dict[str, Recipe] = {}
        self._fixed: dict[tuple[str, int], int] = {}
        """(arm, examples of its chain's pool) → what it costs beside its steps, in steps"""
        self._model: HeadModel | None = None
        self._sums: HeadSums | None = None
        self._candidate: tuple[Composition, Composition] | None = None
        """what the last update was added to, and the candidate, as lists"""
        self._changed_since: frozenset[str] = frozenset()
        """tensors that differ between the head and what the last update was added to"""

    @classmethod
    def from_settings(cls, sourced: Sourced) -> Self:
        """The task that some settings describe.

        Raises:
            ConfigError: a recipe is unknown, or cannot be used.
            UsageError: the training libraries are not installed, or a GPU is asked for and cannot be used.
        """
        require_training(sourced.settings.model.device)
        return cls(sourced)

    @property
    def _settings(self) -> Settings:
        return self._sourced.settings

    @property
    def model(self) -> HeadModel:
        """The head in memory; a RuntimeError where the task was not opened."""
        if self._model is None:
            raise RuntimeError("the task is not open")
        return self._model

    @property
    def sums(self) -> HeadSums:
        """The head as sums, for merging; a RuntimeError where the task was not opened."""
        if self._sums is None:
            raise RuntimeError("the task is not open")
        return self._sums

    def beginning(self, progress: Callable[[str, int, int], None]) -> Beginning:
        """What a new state of this task starts from."""
        with self._startup.phase("examples and model"):
            beginning = make_beginning(self._settings, progress)
        self._cut = beginning.cut
        return beginning

    def confirm(self, origin: Origin) -> None:
        """Make sure that the settings do not name something else than the state was begun with."""
        check_same(self._sourced, origin)
        self._cut = kept_cut(self._sourced, origin)

    def open(self, place: Workplace, head: Version) -> None:
        """Read the head into memory; what is computed from it is kept in the state's cache."""
        quieten()
        with self._startup.phase("weights"):
            self._open(place, head)

    def _open(self, place: Workplace, head: Version) -> None:
        from cryoflux.tasks.lora.head import HeadModel
        from cryoflux.tasks.lora.merge import HeadSums

        super().open(place, head)
        self._sums = HeadSums(self._genesis, place.state.capsule, *lists_of(place.state.path))
        config = json.loads(read_regular(head.folder / "config.json", MOST_DOCUMENT_BYTES))
        check_tokens(config, tokens_of(self.cut))
        known = read_layout(head.folder) is not None  # by the first count: arms are the same for good
        recipes = chosen_recipes(self._settings, known=known, count=place.parts.counts[0], cut=self.cut)
        pool = make_pool(place.parts, place.pool_seed)
        if not pool.screen:  # too few examples to set any aside
            recipes = {name: replace(recipe, screen_size=0) for name, recipe in recipes.items()}
        self._model = HeadModel(
            head,
            place.data,
            recipes,
            cache=place.state.cache,
            cache_bytes=self._settings.attempt.cache_mb * _MEGA,
            device=chosen_device(self._settings.model.device),
            pool=pool,
        )
        self._named, self._fixed = recipes, {}
        self._refresh()

    def _refresh(self) -> None:
        self.recipes = {n: self._with_rungs(n, self.place.data.holdouts[0]) for n in self._named}

    def _with_rungs(self, name: str, part: str) -> Recipe:
        recipe = self._named[name]
        if not recipe.carry or recipe.fixed_steps:
            return recipe
        place = name, self.place.pool_of(name)
        self._fixed[place] = self._fixed.get(place) or self.model.fixed_steps(recipe, part, place[1])
        return replace(recipe, fixed_steps=self._fixed[place])

    def _genesis(self, digest: str) -> Mapping[str, Any]:
        head = self.head if self.head.digest == digest else self.place.versions.open(digest)
        return TensorFolder(head.folder)

    def warm_up(self, part: str) -> None:
        """Tokenise the examples, add up the head's list, and load what the first attempt would load."""
        if (composed := self.place.composed) is not None and composed.terms:
            with self._startup.phase("weights"), suppress(CryoFluxError, OSError):
                self.sums.of(composed)  # what cannot be added up here begins a list anew
        with self._startup.phase("token ids"):
            for name in ("train", part):
                self.model.examples(name)
        slow = [recipe for recipe in self.recipes.values() if recipe.method is Method.PEFT]
        if slow:
            quieten_transformers()
            from cryoflux.tasks.lora.with_peft import warm_up

            warm_up(self.head.folder, slow[0], self.model.device)

    def arms(self, drawn: int, part: str) -> list[Offer]:
        """One arm a recipe; a deeper one waits for the cheaper one before it."""
        before = ladder(self._settings)
        self._refresh()
        return [
            Offer(
                name,
                recipe.as_receipt(),
                self.model.prior_uj(recipe, drawn, part),
                screens=recipe.screen_size > 0,
                carries=recipe.carry,
                after=before.get(name, ""),
                least_uj=self._prices.least_reserve_uj(self._evaluation_gflop(name, part), self._apply_uj),
            )
            for name, recipe in self.recipes.items()
        ]

    def _evaluation_gflop(self, arm: str, part: str) -> float:
        return self.model.evaluation_gflop(part, self.recipes[arm].layers if arm else ALL_LAYERS)

    def aside_uj(self, arm: str, part: str, reserve_uj: int) -> int:
        """What evaluating an update of an arm should cost by its products, and merging it, µJ."""
        return self._prices.aside_uj(self._evaluation_gflop(arm, part), self._apply_uj, reserve_uj)

    def evaluation_uj(self, part: str) -> int:
        """What evaluating all layers on a set should cost by its products, µJ."""
        return self._prices.evaluation_uj(self._evaluation_gflop("", part))

    def share_to_compute(self, part: str) -> float:
        """What the kept activations of a set leave to be computed, as a share of its products."""
        whole = self._evaluation_gflop("", part)
        return self.model.gflop_to_compute(part) / whole if whole else 0.0

    def evaluated(self, arm: str, part: str, uj: int, share: float) -> None:
        """Learn what evaluations cost; a small one says little of what a whole one does."""
        gflop = share * self._evaluation_gflop(arm, part)
        self._prices.learn(uj, gflop, self._evaluation_gflop("", part))

    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:
        """Train LoRA until the joules end, as the recipe says."""
        from cryoflux.tasks.lora.carrying_out import carry_out

        recipe, model, place = self.recipes[order.arm], self.model, self.place
        update = carry_out(
            order, recipe, model, place.data, self._start(order), place.state, into, limits, watch
        )
        return self._taken_up(order, update, into)

    def _start(self, order: WorkOrder) -> Version:
        """The version that an update is added to."""
        link = order.chain
        if link is None or link.start.digest == self.head.digest:
            return self.head
        return self.place.versions.open(link.start.digest)

    def _taken_up(self, order: WorkOrder, update: Update, into: Path) -> Update:
        """Be ready to apply an update to the head, and name the list of the version that it makes."""
        start = self._start(order)
        self._changed_since = frozenset() if start is self.head else self.head.differing(start)
        candidate = self.sums.following(order.composed, start.digest, file_digest(into / ADAPTER))
        self._candidate = (order.composed, candidate)
        merged = {"merge": COMPOSE, "genesis": candidate.genesis, "list": candidate.digest}
        section = Section(kind=update.section.kind, fields={**update.section.fields, **merged})
        return replace(update, section=section)

    def elsewhere(self) -> Elsewhere:
        """What takes over updates that other processes train."""
        from cryoflux.tasks.lora.elsewhere import LoraElsewhere

        place = self.place
        return LoraElsewhere(self.model, place.data, place.state, self._taken_up)

    def can_go_on(self, working: str) -> bool:
        """Whether a working update is here, and is the one of its name."""
        path = self.place.state.working(working)
        try:
            return file_digest(path) == working
        except OSError:
            return False

    def apply(self, base: Version, capsule: Path, update: Update) -> Version:  # noqa: ARG002 - all is in its files
        """Add an adapter to the head; only the files that change are written.

        Raises:
            TrainingFailedError: its weights are no numbers, or too large.
            RuntimeError: it is not the update that was trained last.
        """
        if self._candidate is None:
            raise RuntimeError("nothing was trained")
        try:
            changed = self.sums.candidate(*self._candidate, capsule, also=self._changed_since)
        except ModelError as error:
            raise TrainingFailedError(error.what, why=error.why, hint=error.hint) from error
        draft = self.place.versions.derive(base, changed)
        self._changed = {draft.digest: self.model.reread(draft, list(changed))}
        return draft

    def scorer(self, version: Version, part: str) -> Scorer:
        """What scores a set with the head, a draft made from it, or any kept version."""
        if self.profile(part) == F32:
            quieten_transformers()
            examples, device = self.place.data.examples(part), self.model.device
            return TransformersScorer(
                version.folder, examples, max_tokens=self.cut, device=device, profile=F32
            )
        if (changed := self._changed.get(version.digest)) is not None:
            return self.model.scorer(part, version, changed)
        return self.model.scorer_of(version, part)

    def composing(self) -> ComposedHeads:
        """What composes versions of lists of updates."""
        return ComposedHeads(self.model, self.place)

    def profile(self, part: str) -> str:
        """The arithmetic that model and set are evaluated in, by their size."""
        tokens = int(self.model.examples(part)[1].starts[-1])
        return profile_for(self.model.parameters(), tokens)

    @property
    def cut(self) -> Cut:
        """How much of a text is read: the same for every recipe, so that losses can be compared."""
        return self._cut

    def adopt(self, version: Version) -> None:
        """Go on from another head."""
        changed = self._changed.pop(version.digest, None)
        if changed is None:
            changed = self.model.differing(version)
        self.model.adopt(version, changed)
        super().adopt(version)

    def discard(self, version: Version, part: str) -> None:
        """Forget a draft's tensors, and the activations that were computed for it alone."""
        self._changed.pop(version.digest, None)
        self.model.forget(version, part)

    def compute(self) -> str:
        """Device, threads, and how products are computed."""
        return compute_words(self.model)

    def facts(self) -> dict[str, Any]:
        """Classes, cut and threads; what starting has cost; the bound of what is kept."""
        import torch

        return {
            "classes": len(self.place.data.labels),
            "cut": self.cut,
            "threads": int(torch.get_num_threads()),
            "startup": self._startup.done().document(),
            "cache": {"most_bytes": self._settings.attempt.cache_mb * _MEGA},
        }
