"""``causal-lm``: LoRA on a causal language model of any family that transformers knows.

Losses are the cross-entropy of each document, summed over the tokens that the model has to say, in float64 by
our own decoder where it knows the layout, else in float32 (`tasks.causal.scoring`). A document is neither
right nor wrong. What an update has to gain is asked for a target token; the rule asks a document for as many
times that as an average one of the holdout has target tokens.
"""

from __future__ import annotations

__all__ = ["CausalTask"]

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cryoflux.config import Sourced
from cryoflux.digests import file_digest
from cryoflux.errors import CryoFluxError, ModelError
from cryoflux.evaluation.scoring import Scorer
from cryoflux.receipts.per_token import TARGET_TOKENS
from cryoflux.receipts.statement import Metric, Rule, Section
from cryoflux.registry.composition import COMPOSE, Composition
from cryoflux.registry.cuts import tokens_of
from cryoflux.registry.parent_lists import lists_of
from cryoflux.registry.shards import TensorFolder
from cryoflux.registry.versions import Version
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.tasks.causal.four_bit import FOUR_BIT, require_four_bit
from cryoflux.tasks.causal.inputs import check_same_inputs, make_beginning
from cryoflux.tasks.causal.packing import packs_exactly
from cryoflux.tasks.causal.prices import CausalPrices
from cryoflux.tasks.causal.recipe import CausalRecipe, as_carried_out, causal_recipes
from cryoflux.tasks.causal.rows import TokenRows
from cryoflux.tasks.causal.scoring import LARGEST_DOCUMENT, CausalScorer, open_losses, profile_of
from cryoflux.tasks.causal.screening import HeadOnScreen
from cryoflux.tasks.causal.section import METRIC, SECTION, SECTIONS
from cryoflux.tasks.interface import Beginning, Offer, Origin, Task, Update, Watch, WorkOrder, Workplace
from cryoflux.tasks.lora.libraries import LIBRARIES, chosen_device, quieten_transformers, require_training
from cryoflux.tasks.pacing import Limits, Progress, TrainingFailedError
from cryoflux.tasks.pool import Pool, make_pool
from cryoflux.verification.sections import Sections

if TYPE_CHECKING:
    from cryoflux.tasks.causal.training import CausalTrained
    from cryoflux.tasks.lora.merge import HeadSums


class CausalTask(Task):
    """LoRA on a causal language model."""

    name: ClassVar[str] = "causal-lm"
    metric: ClassVar[Metric] = METRIC
    largest: ClassVar[int] = LARGEST_DOCUMENT
    read_again: ClassVar[int] = 0
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    sections: ClassVar[Sections] = SECTIONS

    def __init__(self, sourced: Sourced) -> None:
        causal_recipes(sourced.settings)  # a slip of the pen is refused before anything is written
        self._sourced = sourced
        self._cut = sourced.settings.model.max_tokens
        self._part = "holdout"
        """the holdout in use"""
        self._unpacked = ""
        """family whose documents cannot be packed, though a recipe would; empty where there is none"""
        self._network: tuple[str, Any] | None = None
        """the head, and how its weights are rounded"""
        self._tokenizer: Any = None
        self._rows: dict[str, TokenRows] = {}
        """set → the tokens of its documents"""
        self._screened: dict[str, HeadOnScreen] = {}
        """how weights are rounded → what the head scores on the screen"""
        self._composed: tuple[Composition, Composition] | None = None
        """what the last update was added to, and the candidate, as lists"""
        self._made: tuple[str, dict[str, Any]] = ("", {})
        """digest of the last candidate, and its tensors that are not those of the head"""

    @classmethod
    def from_settings(cls, sourced: Sourced) -> Self:
        """The task that some settings describe.

        Raises:
            ConfigError: a recipe is unknown, or cannot be used.
            UsageError: the libraries that training needs are not installed, or a GPU is asked for and cannot
                be used.
        """
        device = sourced.settings.model.device
        require_training(device)
        require_four_bit([one.precision for one in causal_recipes(sourced.settings).values()], device)
        return cls(sourced)

    def beginning(self, progress: Callable[[str, int, int], None]) -> Beginning:
        """What a new state of this task starts from."""
        beginning = make_beginning(self._sourced, progress)
        self._cut = tokens_of(beginning.cut)
        return beginning

    def confirm(self, origin: Origin) -> None:
        """Make sure that the settings do not name something else than the state was begun with."""
        check_same_inputs(self._sourced, origin)
        self._cut = tokens_of(origin.cut)

    @property
    def cut(self) -> int:
        """Tokens of a document that are read."""
        return self._cut

    def open(self, place: Workplace, head: Version) -> None:
        """Read the documents' tokens, and get ready to add updates up."""
        quieten_transformers()
        from cryoflux.tasks.causal.network import open_tokenizer
        from cryoflux.tasks.lora.merge import HeadSums

        super().open(place, head)
        self._device = chosen_device(self._sourced.settings.model.device)
        self._sums: HeadSums = HeadSums(self._genesis, place.state.capsule, *lists_of(place.state.path))
        self._tokenizer = open_tokenizer(head.folder, head.digest[:16])
        self._prices = CausalPrices(head.folder)
        self.recipes = as_carried_out(
            causal_recipes(self._sourced.settings),
            screen=len(self._pool().screen),
            device=self._device,
            parameters=self._prices.parameters,
        )

    def _pool(self) -> Pool:
        return make_pool(self.place.parts, self.place.pool_seed)

    def _genesis(self, digest: str) -> Mapping[str, Any]:
        head = self.head if self.head.digest == digest else self.place.versions.open(digest)
        return TensorFolder(head.folder)

    def rows(self, part: str) -> TokenRows:
        """The tokens of the documents of a set."""
        if part not in self._rows:
            self._rows[part] = TokenRows(self.place.data.sets[part], self._tokenizer, self.cut)
        return self._rows[part]

    def _said(self, part: str) -> int:
        """Target tokens of a set."""
        return sum(len(ids) - first for ids, first in self.rows(part))

    def judged_by(self, asked: Rule) -> Rule:
        """The rule with its smallest Δ of a document: that of a target token, times those that one has."""
        part = self.place.data.holdouts[0]
        least = asked.min_delta * self._said(part) // len(self.rows(part))
        return asked.but(min_delta=max(1, least) if asked.min_delta else 0, min_accuracy_gain_ppm=0)

    def warm_up(self, part: str) -> None:
        """Load the head, the libraries and the tokens: no attempt is charged for what a run does once."""
        import peft  # noqa: F401 - seconds, once

        if (composed := self.place.composed) is not None and composed.terms:
            with suppress(CryoFluxError, OSError):
                self._sums.of(composed)  # what cannot be added up here begins a list anew
        self.arms(0, part)  # tokenizes what prices go by, the screen and the set that judges
        network = self._loaded(_rounded(next(iter(self.recipes.values()))))
        if any(recipe.packing for recipe in self.recipes.values()) and not packs_exactly(network):
            self._unpacked = type(network).__name__
            self.recipes = {name: replace(recipe, packing=0) for name, recipe in self.recipes.items()}

    def _loaded(self, rounded: str) -> Any:
        """The head in memory, with its weights rounded as a recipe trains beside them."""
        from cryoflux.tasks.causal.network import open_network

        if self._network is None or self._network[0] != rounded:
            self._network = None  # the old one goes before the new one comes
            bf16, four_bit = rounded == "bf16", rounded == FOUR_BIT
            name, device = self.head.digest[:16], self._device
            found = open_network(self.head.folder, name, bf16=bf16, four_bit=four_bit, device=device)
            self._network = rounded, found
        return self._network[1]

    def arms(self, drawn: int, part: str) -> list[Offer]:  # noqa: ARG002 - costs are the same throughout
        """One arm a recipe."""
        self._part = part
        return [self._offer(recipe, part) for recipe in self.recipes.values()]

    def _offer(self, recipe: CausalRecipe, part: str) -> Offer:
        train, holdout = self.rows("train"), self.rows(part)
        screen = [train[at] for at in self._pool().screen[: recipe.screen_size]]
        return Offer(
            recipe.name,
            {**recipe.as_receipt(), "max_tokens": self.cut},
            self._prices.attempt_uj(recipe, train, screen, holdout),
            screens=recipe.screen_size > 0,
            least_uj=self._prices.least_uj(recipe, train, screen, holdout, self._apply_uj),
        )

    def aside_uj(self, arm: str, part: str, reserve_uj: int) -> int:  # noqa: ARG002
        """What evaluating an update should cost by its products, and merging it, µJ."""
        return self._prices.aside_uj(self.rows(part), self._apply_uj, reserve_uj)

    def evaluation_uj(self, part: str) -> int:
        """What evaluating a version on a set should cost by its products, µJ."""
        return self._prices.evaluation_uj(self.rows(part))

    def evaluated(self, arm: str, part: str, uj: int, share: float) -> None:  # noqa: ARG002
        """Learn what evaluations cost; a small one says little of what a whole one does."""
        self._prices.learn(self.rows(part), uj, share)

    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:
        """Train LoRA until the joules end, as the recipe says."""
        import torch

        from cryoflux.tasks.causal.training import Exercise, train_causal

        recipe, pool, train = self.recipes[order.arm], self._pool(), self.rows("train")
        drawn = pool.fresh(order.drawn, recipe.max_steps * recipe.batch_size)
        screen = [train[at] for at in pool.screen[: recipe.screen_size]]
        pad, rounded = self._tokenizer.pad_token_id, _rounded(recipe)
        lesson = Exercise(train.picked(drawn), screen, 0 if pad is None else pad)

        def progress(done: Progress) -> None:
            watch.trained(done, order.reserve_microjoules)

        trained = train_causal(
            self._loaded(rounded),
            lesson,
            recipe,
            limits,
            into,
            seed=order.seed,
            base=self.head.digest,
            progress=progress,
            screened=self._screened.setdefault(rounded, HeadOnScreen()),
        )
        return Update(
            files=(ADAPTER, ADAPTER_CONFIG),
            section=self._section(order, recipe, trained, into),
            drawn=tuple(drawn[: trained.used]),
            fresh=trained.used,
            steps=trained.steps,
            stopped_by=trained.stopped_by,
            screening=trained.screening,
            threads=torch.get_num_threads(),
            device=self._device,
        )

    def _section(self, order: WorkOrder, recipe: CausalRecipe, trained: CausalTrained, into: Path) -> Section:
        """What a receipt says of an adapter, with the list of the version that it makes."""
        candidate = self._sums.following(order.composed, order.base.digest, file_digest(into / ADAPTER))
        self._composed = (order.composed, candidate)
        fields: dict[str, Any] = {
            "rank": recipe.rank,
            "alpha": recipe.alpha,
            "precision": recipe.precision,
            "targets": recipe.targets,
            "names": list(trained.targets.names),
            "modules": trained.targets.modules,
            "trainedParameters": trained.parameters,
            "tokens": trained.tokens,
            "targetTokens": trained.said,
            TARGET_TOKENS: self._said(self._part),
            "plannedSteps": trained.planned_steps,
            "plannedAtStep": trained.planned_at_step,
            "lastTrainLossNanoNat": trained.last_loss_nano_nat,
            "merge": COMPOSE,
            "genesis": candidate.genesis,
            "list": candidate.digest,
        }
        return Section(kind=SECTION, fields=fields)

    def apply(self, base: Version, capsule: Path, update: Update) -> Version:  # noqa: ARG002 - all is in its files
        """Add an adapter to the head; what that makes stays in memory, and the draft is its list.

        Raises:
            TrainingFailedError: its weights are no numbers, or too large.
            RuntimeError: it is not the update that was trained last.
        """
        if self._composed is None:
            raise RuntimeError("nothing was trained")
        try:
            changed = self._sums.candidate(*self._composed, capsule)
        except ModelError as error:
            raise TrainingFailedError(error.what, why=error.why, hint=error.hint) from error
        draft = self.place.versions.compose(base, changed, self._composed[1])
        self._made = draft.digest, changed
        return draft

    def scorer(self, version: Version, part: str) -> Scorer:
        """What scores the documents of a set with a version: a candidate by the tensors that were hashed."""
        made, changed = self._made
        folder, changed = (self.head.folder, changed) if made == version.digest else (version.folder, {})
        losses = open_losses(folder, self.profile(part), device=self._device, changed=changed)
        return CausalScorer(losses, self.rows(part))

    def discard(self, version: Version, part: str) -> None:  # noqa: ARG002 - as the interface has it
        """A candidate was not kept: its tensors go."""
        self._made = "", {}

    def profile(self, part: str) -> str:
        """The arithmetic that model and set are evaluated in."""
        return profile_of(self.head.folder, sum(len(ids) for ids, _ in self.rows(part)))

    def adopt(self, version: Version) -> None:
        """Go on from another head, which is on the disk from now on."""
        made, changed = self._made
        if made == version.digest:
            self.place.versions.write(version, self.head, changed)
        self._made = "", {}
        super().adopt(version)
        self._screened.clear()
        if self._network is not None:
            rounded, self._network = self._network[0], None
            self._loaded(rounded)

    def compute(self) -> str:
        """Device, threads, and in which precision is trained and judged."""
        import torch

        threads = int(torch.get_num_threads())
        precisions: Sequence[str] = sorted({recipe.precision for recipe in self.recipes.values()})
        judged = self.profile(self.place.data.holdouts[0])
        padded = f"; not packed, since {self._unpacked} mixes documents up" if self._unpacked else ""
        return (
            f"{self._device}, {threads} thread{'s' if threads > 1 else ''}, trained in "
            f"{' and '.join(precisions)}, judged in {judged}{padded}"
        )

    def facts(self) -> dict[str, Any]:
        """How much is read and said, and how many threads compute."""
        import torch

        part = self.place.data.holdouts[0]
        return {
            "cut": self.cut,
            "holdout_target_tokens": self._said(part),
            "threads": int(torch.get_num_threads()),
        }


def _rounded(recipe: CausalRecipe) -> str:
    """How the weights are rounded that a recipe trains beside; empty where they are whole float32."""
    return recipe.precision if recipe.precision in {"bf16", FOUR_BIT} else ""
