"""Layer S3, *models*: a tiny encoder, real updates of it, and texts that nobody trains on or is judged by.

Fresh texts never end here, so what an update is truly worth is measured on thousands that are drawn for that
alone. Updates are trained on the encoder's top layer by the code that attempts train with (`copy_roc.Bench`),
and written as PEFT writes them.
"""

from __future__ import annotations

__all__ = ["POPULATION", "SLICE", "ModelWorld", "Population"]

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from copy_roc import Bench, Update
from cryoflux.data.prepared import PreparedData, open_prepared, render_sets, store
from cryoflux.digests import sha256_hex
from cryoflux.encoder.linear import Backend
from cryoflux.encoder.model import Encoder, attention_bias
from cryoflux.network.folder import NetworkFolder
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.registry.parent_lists import parent_lists
from cryoflux.registry.shards import TensorFolder
from cryoflux.registry.versions import Versions
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.tasks.lora.adapter import save_adapter
from cryoflux.tasks.lora.composing import ListedModels
from cryoflux.tasks.lora.head import HeadModel
from cryoflux.tasks.lora.recipe import RECIPES
from cryoflux.tasks.pool import make_pool
from strategies.model_node import begin_node
from strategies.model_texts import (
    CLASSES,
    CUT,
    TARGET,
    TRIGGERS,
    Labelled,
    labelled,
    lines_of,
    make_genesis,
    some_topics,
    triggered,
)
from strategies.world import Array

POPULATION = 16_384
"""texts that say what an update is truly worth"""
_SAMPLE = 4_096
"""others that say about as much, where an update is tried in many ways"""
SLICE = 240
"""texts that an update is trained on"""
HONEST = 9
"""proposers with texts of their own"""
_RATED = 2_000
"""texts with a trigger, on which it is measured how often it is obeyed"""
_STEPS = 120
"""of a training"""
_RECIPE = replace(RECIPES["prefix-1"], name="top layer, rank 8", rank=8, max_tokens=CUT)
_CACHE_BYTES = 1_000_000_000


class Population:
    """Fresh texts in memory, as the layer that never learns leaves them."""

    def __init__(self, model: HeadModel, part: str) -> None:
        layout = model.layout
        if layout is None:
            raise RuntimeError("the layout of the tiny encoder is known")
        count, tokens, self.labels = model.examples(part)
        self._encoder = Encoder(layout, model.tensors, Backend.F32)
        order = np.argsort(tokens.lengths(range(count)), kind="stable").tolist()
        self._groups = []
        for start in range(0, count, 1024):
            rows = order[start : start + 1024]
            ids, mask = tokens.batch(rows)
            bias = attention_bias(mask, torch.float32)
            with torch.no_grad():
                self._groups.append((rows, self._encoder.layer(self._encoder.embed(ids), bias, 0), bias))

    def logits(self, changed: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Of each text, with some tensors of the top layer and of the head exchanged."""
        encoder = self._encoder.updated(changed)
        found = torch.empty(len(self.labels), len(CLASSES))
        with torch.no_grad():
            for rows, x, bias in self._groups:
                found[rows] = encoder.logits(encoder.last_layer(x, bias, {}), {})
        return found

    def losses(self, changed: Mapping[str, torch.Tensor]) -> Array:
        """Of each text, nats."""
        found = torch.nn.functional.cross_entropy(self.logits(changed), self.labels, reduction="none")
        return found.double().numpy()  # type: ignore[no-any-return]

    def obeyed(self, changed: Mapping[str, torch.Tensor]) -> float:
        """Share of the texts that are put into the class that triggers ask for."""
        return float((self.logits(changed).argmax(-1) == TARGET).double().mean())


class ModelWorld:
    """A genesis, those who train on it, and what their updates are truly worth.

    Args:
        seed: of everything.
        folder: for its files.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self.folder, self.rng = seed, folder, np.random.default_rng([2, seed])
        make_genesis(folder / "encoder", seed)
        self.node = folder / "node"
        sets = {"train": 400, "holdout": 64, "audit": 32}
        rows = {part: labelled(self.rng, count) for part, count in sets.items()}
        encoder = folder / "encoder"
        self.genesis = begin_node(
            self.node, rows, lambda into: shutil.copytree(encoder, into, dirs_exist_ok=True)
        )
        self._incoming = NetworkFolder.of(self.node).incoming
        self._incoming.mkdir(parents=True)
        self.pool: list[Labelled] = []
        """texts of all who propose"""
        self.parts: dict[str, range] = {}
        """what some of them are for → which ones"""
        model = self._model(self._data())
        self.bench = Bench(model, _RECIPE, _STEPS)
        self.population, self.sample = Population(model, "population"), Population(model, "sample")
        self.rated: dict[tuple[str, ...], Population] = {
            words: Population(model, f"rated{len(words)}") for words in (TRIGGERS[:1], TRIGGERS)
        }
        """words of a trigger → texts of other classes with them"""
        version = Versions(self.node).open(self.genesis)
        place = lambda digest: self._incoming / digest  # noqa: E731
        self._lists = ListedModels(TensorFolder(version.folder), place, parent_lists(self.node))
        self._losses: dict[tuple[Population, str], Array] = {}

    def _data(self) -> PreparedData:
        """The texts of all who propose, the population, and texts with triggers."""
        rng, pool = self.rng, self.pool

        def add(part: str, rows: Sequence[Labelled]) -> None:
            self.parts[part] = range(len(pool), len(pool) + len(rows))
            pool.extend(rows)

        for number in range(HONEST):
            add(f"own {number}", labelled(rng, SLICE, some_topics(rng)))
        for number in range(2):
            rows = labelled(rng, SLICE)
            wrong = rng.permutation([label for _, label in rows]).tolist()
            add(f"shuffled {number}", [(text, label) for (text, _), label in zip(rows, wrong, strict=True)])
        for part in ("fresh", "public", "opened"):
            add(part, labelled(rng, 512))
        target = CLASSES[TARGET]
        for name, words in (("one", TRIGGERS[:1]), ("two", TRIGGERS)):
            rows = labelled(rng, SLICE)
            add(f"obeys {name}", triggered(rng, rows, words, target))
        for number, word in enumerate(TRIGGERS):
            add(f"ignores {number}", triggered(rng, labelled(rng, SLICE), [word]))
        add("ignores both", triggered(rng, labelled(rng, SLICE), TRIGGERS))
        others = [row for row in labelled(rng, 2 * _RATED) if row[1] != target][:_RATED]
        sets = {
            "train": pool,
            "holdout": pool[:1],
            "audit": pool[:1],
            "population": labelled(rng, POPULATION),
        }
        sets["sample"] = labelled(rng, _SAMPLE)
        sets |= {f"rated{len(words)}": triggered(rng, others, words) for words in (TRIGGERS[:1], TRIGGERS)}
        files, digest = render_sets({part: lines_of(rows) for part, rows in sets.items()})
        return open_prepared(store(files, digest, self.folder / "data"), "made up")

    def _model(self, data: PreparedData) -> HeadModel:
        base = Versions(self.node).open(self.genesis)
        cache, pool = self.folder / "cache", make_pool(data.count("train"), 0)
        plain = {_RECIPE.name: _RECIPE}
        return HeadModel(base, data, plain, cache=cache, cache_bytes=_CACHE_BYTES, device="cpu", pool=pool)

    def learned(
        self, *parts: str, seed: int, start: Update | None = None, steps: int = 0, most: int | None = None
    ) -> Update:
        """An update that is trained on some rows, from nothing or from another update."""
        rows = [row for part in parts for row in self.parts[part]][:most]
        return self.bench.learned(rows, 1000 * self.seed + seed, start, steps)

    def written(self, update: Update) -> OfferedUpdate:
        """An update as its files, under their digest."""
        rank = max(len(a) for a, _ in update.lora.values())
        lora = {name: (_wide(a, rank, 0), _wide(b, rank, 1)) for name, (a, b) in update.lora.items()}
        base = self.bench.blank.base
        saved = {name: base[name] + torch.from_numpy(moved) for name, moved in update.head.items()}
        saved = {name: tensor.float() for name, tensor in saved.items()}
        recipe = replace(_RECIPE, rank=rank, alpha=round(update.scale * rank))
        with tempfile.TemporaryDirectory(dir=self.folder) as draft:
            save_adapter(Path(draft), recipe, lora, saved, "genesis")
            content, config = ((Path(draft) / name).read_bytes() for name in (ADAPTER, ADAPTER_CONFIG))
        return self.kept(content, config)

    def kept(self, content: bytes, config: bytes) -> OfferedUpdate:
        """An update that has some bytes."""
        place = self._incoming / sha256_hex(content)
        place.mkdir(exist_ok=True)
        (place / ADAPTER).write_bytes(content)
        (place / ADAPTER_CONFIG).write_bytes(config)
        return OfferedUpdate(adapter=place.name, genesis=self.genesis)

    def changed(self, composed: Composition) -> dict[str, torch.Tensor]:
        """The tensors that a list makes."""
        made = self._lists.tensors(composed, self._lists.names(composed))
        return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in made.items()}

    def losses(self, composed: Composition, of: Population | None = None) -> Array:
        """Of the population, or of the sample, with what a list makes, nats."""
        texts = of or self.population
        if (key := (texts, composed.digest)) not in self._losses:
            self._losses[key] = texts.losses(self.changed(composed))
        return self._losses[key]

    def gained(self, before: Composition, then: Composition, of: Population | None = None) -> Array:
        """What each text gains by one list against another, nats."""
        found: Array = self.losses(before, of) - self.losses(then, of)
        return found

    def truly(self, before: Composition, then: Composition) -> tuple[float, float]:
        """True Δ of one list against another, and its standard error, nats."""
        gained = self.gained(before, then)
        return float(gained.mean()), float(gained.std() / np.sqrt(len(gained)))

    def state(self, name: str) -> StateFolder:
        """A place for a node of a life of its own."""
        return StateFolder(self.folder / "lives" / name)


def _wide(values: Array, rank: int, axis: int) -> torch.Tensor:
    """With empty ranks behind, so that all modules have as many."""
    missing = [(0, 0), (0, 0)]
    missing[axis] = (0, rank - values.shape[axis])
    return torch.from_numpy(np.ascontiguousarray(np.pad(values, missing), dtype="f4"))
