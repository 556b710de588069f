"""Trains ``lora_delta`` by an order of work and its inputs alone, in a process that judges nothing.

The recipe is the one that was announced, not one of this process's settings; the pool follows from the order.
So what comes out is what the announcing process would have trained, on the same kind of machine to the byte.
"""

from __future__ import annotations

__all__ = ["LoraTrainer"]

from dataclasses import dataclass
from pathlib import Path

import torch

from cryoflux.config import Settings
from cryoflux.data.prepared import LABELS_FILE, PreparedData, prepared_of
from cryoflux.files import MOST_DOCUMENT_BYTES, MOST_FILE_BYTES, read_regular
from cryoflux.registry.versions import Version, Versions
from cryoflux.state import StateFolder
from cryoflux.task_tallies import PoolParts
from cryoflux.tasks.elsewhere import Inputs, Trainer
from cryoflux.tasks.interface import Update, Watch, WorkOrder
from cryoflux.tasks.lora.carrying_out import carry_out
from cryoflux.tasks.lora.compute_words import compute_words
from cryoflux.tasks.lora.head import HeadModel
from cryoflux.tasks.lora.libraries import chosen_device, quieten, require_training
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.lora.retraining import recipe_of
from cryoflux.tasks.pacing import Limits
from cryoflux.tasks.pool import make_pool

_MEGA = 1_000_000
TRAIN_FILE = "train.jsonl"


@dataclass(frozen=True, slots=True)
class _Known:
    """Which examples, in which order: what is in memory serves for the same ones."""

    data: str
    pool: PoolParts
    pool_seed: int
    name: str


class LoraTrainer(Trainer):
    """Carries out orders; what it has read of a head and a data set it keeps for the next one."""

    def __init__(self, state: StateFolder, settings: Settings) -> None:
        require_training(settings.model.device)
        quieten()
        self._state, self._settings = state, settings
        self._versions = Versions(state.path)
        self._known: _Known | None = None
        self._recipes: dict[str, Recipe] = {}
        self._data: PreparedData | None = None
        self._model: HeadModel | None = None
        torch.set_num_threads(settings.model.threads or 1)

    def compute(self) -> str:
        """Device, threads, and how products are computed."""
        if self._model is not None:
            return compute_words(self._model)
        threads = int(torch.get_num_threads())
        device = chosen_device(self._settings.model.device)
        return f"{device}, {threads} thread{'s' if threads > 1 else ''}"

    def train(self, order: WorkOrder, inputs: Inputs, into: Path, limits: Limits, watch: Watch) -> Update:
        """Train LoRA until the joules end, as the order's recipe says."""
        recipe, base = recipe_of(order.recipe), self._versions.open(order.base.digest)
        with limits.preparing():
            model, data = self._at(base, order, recipe, inputs)
        start = base
        if order.chain is not None and order.chain.start.digest != base.digest:
            start = self._versions.open(order.chain.start.digest)
        return carry_out(order, recipe, model, data, start, self._state, into, limits, watch)

    def _at(
        self, base: Version, order: WorkOrder, recipe: Recipe, inputs: Inputs
    ) -> tuple[HeadModel, PreparedData]:
        """The order's base in memory: what is there is kept, as far as it serves."""
        known = _Known(order.data, order.pool, order.pool_seed, inputs.data_name)
        if self._known != known or self._data is None:
            self._known, self._model, self._recipes = known, None, {}
            self._data = self._read(order, inputs)
        if self._recipes.get(order.arm) != recipe:
            self._model, self._recipes = None, {**self._recipes, order.arm: recipe}
        if self._model is None:
            pool = make_pool(order.pool if order.pool.counts else self._data.count("train"), order.pool_seed)
            self._model = HeadModel(
                base,
                self._data,
                self._recipes,
                cache=self._state.cache,
                cache_bytes=self._settings.attempt.cache_mb * _MEGA,
                device=chosen_device(self._settings.model.device),
                pool=pool,
            )
        elif self._model.version.digest != base.digest:
            self._model.adopt(base, self._model.differing(base))
        return self._model, self._data

    def _read(self, order: WorkOrder, inputs: Inputs) -> PreparedData:
        folder = self._state.data(order.data)
        train = read_regular(folder / TRAIN_FILE, MOST_FILE_BYTES)
        labels = read_regular(folder / LABELS_FILE, MOST_DOCUMENT_BYTES)
        return prepared_of({TRAIN_FILE: train, LABELS_FILE: labels}, folder, inputs.data_name)
