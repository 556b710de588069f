"""The head model in memory, and everything that is computed from it once and used by many attempts.

Frozen weights made ready for training and for float64, token ids, and the activations below the layers
that learn. A new head exchanges the tensors that changed and keeps the rest.
"""

from __future__ import annotations

__all__ = ["HeadModel"]

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from cryoflux.data.prepared import GUEST_SET, MONITOR_SET, SEARCH_SET, PreparedData
from cryoflux.encoder.activations import Activations, Sets
from cryoflux.encoder.layout import Layout, read_layout
from cryoflux.encoder.linear import Backend, choose_backend
from cryoflux.encoder.model import Encoder
from cryoflux.encoder.prefix import PrefixCache
from cryoflux.encoder.tokens import TokenCache, Tokens
from cryoflux.evaluation.scoring import EncoderScorer, LossesAndHits, Scorer, TransformersScorer
from cryoflux.files import MOST_DOCUMENT_BYTES, read_regular
from cryoflux.receipts.profiles import parameters_in
from cryoflux.registry.shards import read_tensors, shard_names
from cryoflux.registry.versions import Version
from cryoflux.tasks.lora.candidates import ChainMaterial
from cryoflux.tasks.lora.lean import TrainingMaterial
from cryoflux.tasks.lora.libraries import quieten_transformers
from cryoflux.tasks.lora.prices import F64_FACTOR, UJ_PER_GFLOP
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.lora.weighing import class_weights
from cryoflux.tasks.pool import Pool

_BESIDE = 64
"""texts at once where only the uppermost layers are computed: each layer's weights are read once for them"""
_STEP_GFLOP = 0.4
"""what a training step costs beside its products, as if it were products"""


class HeadModel:
    """A head in memory."""

    def __init__(
        self,
        version: Version,
        data: PreparedData,
        recipes: Mapping[str, Recipe],
        *,
        cache: Path,
        cache_bytes: int,
        device: str,
        pool: Pool,
    ) -> None:
        """Read a version's weights; activations and token ids are kept below ``cache``."""
        self.version = version
        self.layout = read_layout(version.folder)
        self.device = device
        self.pool = pool
        self._data = data
        self._cut = next(iter(recipes.values())).max_tokens
        self._token_cache = TokenCache(cache / "tokens", quieten_transformers)
        self._prefixes = PrefixCache(cache / "prefix", cache_bytes)
        self._tokens: dict[str, Tokens] = {}
        self._labels: dict[str, torch.Tensor] = {}
        self.tensors = read_tensors(version.folder)
        self._encoders: dict[Backend, Encoder] = {}
        self._starts: dict[str, Encoder] = {}
        """digest of a version that a chain began with → its encoder for training"""
        self._screened: tuple[str, LossesAndHits] | None = None
        """digest of the head, and its losses on the screening examples"""
        self._kept_below: dict[tuple[str, str, int], Activations] = {}
        """(digest of the head, set, depth) → what its first layers make of the set"""
        layers = self.layout.layers if self.layout else 0
        depths = {layers - min(recipe.layers, layers) for recipe in recipes.values()}
        self._depths = tuple(sorted({*depths, max(0, layers - 1)} - {0}))

    @property
    def backend(self) -> Backend | None:
        """How training computes its products; none where transformers does."""
        return choose_backend(self.device, self.layout.hidden) if self.layout else None

    def adopt(self, version: Version, changed: Mapping[str, torch.Tensor]) -> None:
        """Make another version the head; ``changed`` are its tensors that differ, as read from the disk."""
        self.version = version
        self.tensors = {**self.tensors, **changed}
        self._encoders = {b: encoder.updated(changed) for b, encoder in self._encoders.items()}

    def reread(self, version: Version, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """Tensors of a version by name, from the disk."""
        where = shard_names(version.folder)
        files = sorted({where[name] for name in names})
        found = {n: t for file in files for n, t in read_tensors(version.folder / file).items()}
        return {name: found[name] for name in names}

    def examples(self, part: str) -> tuple[int, Tokens, torch.Tensor]:
        """Number, token ids and classes of ``train``, ``audit`` or a holdout."""
        if part not in self._tokens:
            examples = self._data.examples(part)
            folder, digest = self.version.folder, self._data.file_digests[part]
            self._tokens[part] = self._token_cache.get(folder, examples, digest, self._cut)
            classes = json.loads(read_regular(folder / "config.json", MOST_DOCUMENT_BYTES))["label2id"]
            self._labels[part] = torch.tensor([classes[e.label] for e in examples])
        return len(self._labels[part]), self._tokens[part], self._labels[part]

    def _sets(self, part: str) -> Sets:
        return Sets(
            self.examples(part)[1],
            self._prefixes,
            self._depths,
            lasting=part.startswith(("holdout", MONITOR_SET, GUEST_SET, SEARCH_SET)),
        )

    def _encoder(self, layout: Layout, backend: Backend) -> Encoder:
        if backend not in self._encoders:
            self._encoders[backend] = Encoder(layout, self.tensors, backend, self.device)
        return self._encoders[backend]

    def material(self, recipe: Recipe, drawn: int, needed: float = 0.0) -> TrainingMaterial:
        """What an attempt learns from.

        Args:
            recipe: how it will learn.
            drawn: examples that earlier attempts drew as fresh ones.
            needed: evidence that the update will have to show, by example of the holdout.

        Raises:
            RuntimeError: the layout is not known; such a model is trained through PEFT.
        """
        if self.layout is None or self.backend is None:
            raise RuntimeError("the layout of this model is not known")
        seen, fresh = self.pool.draw(drawn, fresh=recipe.fresh_size, most=recipe.slice_size)
        screen = list(self.pool.screen[: recipe.screen_size])
        return TrainingMaterial(
            encoder=self._encoder(self.layout, self.backend),
            entries=self.version.entries,
            sets=self._sets("train"),
            labels=self.examples("train")[2],
            seen=seen,
            fresh=fresh,
            screen=screen,
            base=self.version.digest,
            evidence=needed * len(screen),
            weights=self._weights(recipe),
        )

    def chain_material(self, start: Version, recipe: Recipe, count: int = 0) -> ChainMaterial:
        """What a chain learns from.

        Args:
            start: the version that it began with; the head, or an older one.
            recipe: how it learns.
            count: training examples that there were when it began; 0 for all.

        Raises:
            RuntimeError: the layout is not known.
        """
        if self.layout is None or self.backend is None:
            raise RuntimeError("the layout of this model is not known")
        pool = self.pool.first(count)
        return ChainMaterial(
            encoder=self._start(self.layout, self.backend, start),
            entries=start.entries,
            sets=self._sets("train"),
            labels=self.examples("train")[2],
            order=pool.order,
            ends=pool.ends,
            screen=pool.screen[: recipe.screen_size],
            head=self._screen(self.layout, self.backend, recipe.screen_size),
            base=start.digest,
            weights=self._weights(recipe),
        )

    def _weights(self, recipe: Recipe) -> torch.Tensor | None:
        first = self.examples("train")[2][: self.pool.counts[0]]
        return class_weights(recipe.class_weights, first, len(self._data.labels))

    def _start(self, layout: Layout, backend: Backend, start: Version) -> Encoder:
        if start.digest not in self._starts:
            encoder = self._encoder(layout, backend)
            if start.digest != self.version.digest:
                encoder = encoder.updated(self.differing(start))
            self._starts[start.digest] = encoder
        return self._starts[start.digest]

    def _screen(self, layout: Layout, backend: Backend, size: int) -> LossesAndHits:
        """Losses of the head on the screening examples, in the arithmetic of training."""
        screen, digest = self.pool.screen[:size], self.version.digest
        if self._screened is None or self._screened[0] != digest or len(self._screened[1][0]) != len(screen):
            encoder = self._encoder(layout, backend)
            depth = layout.layers - 1
            source = Activations(encoder, self.version.entries, self._sets("train"), depth)
            scorer = EncoderScorer(encoder, source, self.examples("train")[2])
            self._screened = digest, scorer.score(screen, lambda _done: None)
        return self._screened[1]

    def screened(
        self,
        size: int,
        version: Version | None = None,
        changed: Mapping[str, torch.Tensor] | None = None,
    ) -> LossesAndHits:
        """Losses on the screening examples, in the arithmetic of training.

        Args:
            size: how many of them.
            version: the head, unless it is one that differs from it.
            changed: in these tensors.

        Raises:
            RuntimeError: the layout is not known.
        """
        if self.layout is None or self.backend is None:
            raise RuntimeError("the layout of this model is not known")
        if version is None or not changed:
            return self._screen(self.layout, self.backend, size)
        encoder = self._encoder(self.layout, self.backend).updated(changed)
        depth = self.layout.lowest(changed)
        below = self._encoder(self.layout, self.backend) if depth else encoder
        entries = self.version.entries if depth else version.entries
        source = Activations(below, entries, self._sets("train"), depth)
        scorer = EncoderScorer(encoder, source, self.examples("train")[2])
        return scorer.score(self.pool.screen[:size], lambda _done: None)

    def fixed_steps(self, recipe: Recipe, part: str, most: int = 0) -> int:
        """What preparing examples and evaluating a candidate cost, in training steps of a recipe.

        Args:
            recipe: the recipe.
            part: name of the holdout.
            most: so many of the training examples, the first ones; 0 for all.
        """
        if self.layout is None:
            return 0
        layout = self.layout
        count, tokens, _ = self.examples("train")
        count = min(most, count) or count
        upper = min(recipe.layers, layout.layers)
        layer = layout.layer_flops(int(tokens.starts[count])) / count / 1e9
        step = 3 * recipe.batch_size * ((upper - 1) * layer + layout.layer_flops(4) / 1e9) + _STEP_GFLOP
        prepared = count * (layout.layers - upper) * layer
        return round((prepared + F64_FACTOR * self.evaluation_gflop(part, layout.layers)) / step)

    def scorer(
        self,
        part: str,
        version: Version | None = None,
        changed: Mapping[str, torch.Tensor] | None = None,
    ) -> EncoderScorer | TransformersScorer:
        """What scores a set with the head, or with a candidate that differs from it in ``changed``."""
        version = version or self.version
        _, _, labels = self.examples(part)
        if self.layout is None:
            quieten_transformers()
            folder, examples = version.folder, self._data.examples(part)
            return TransformersScorer(folder, examples, max_tokens=self._cut, device=self.device)
        encoder = self._encoder(self.layout, Backend.F64)
        if changed:
            encoder = encoder.updated(changed)
        activations = self._activations(encoder, version, part)
        # an attempt goes on with a candidate; of the audit set nothing is needed ahead
        return EncoderScorer(encoder, activations, labels, ahead=part != "audit")

    def scorer_beside(self, part: str, changed: Mapping[str, torch.Tensor]) -> EncoderScorer:
        """What scores a set with the head but for some tensors, and keeps nothing of it.

        What the layers below the changed ones make of the set is the head's, computed once.

        Raises:
            RuntimeError: the layout is not known.
        """
        if self.layout is None:
            raise RuntimeError("the layout of this model is not known")
        encoder = self._encoder(self.layout, Backend.F64).updated(changed)
        below = self._below(part, self.layout.lowest(changed), encoder)
        return EncoderScorer(encoder, below, self.examples(part)[2], batch_size=_BESIDE)

    def _below(self, part: str, depth: int, encoder: Encoder) -> Activations:
        """What the head's first layers make of a set."""
        if not depth:
            return Activations(encoder, (), self._sets(part), 0)  # embeddings may be others
        key = self.version.digest, part, depth
        if key not in self._kept_below:
            entries = self.version.entries
            self._kept_below = {k: v for k, v in self._kept_below.items() if k[0] == self.version.digest}
            head = self._encoder(encoder.layout, Backend.F64)
            self._kept_below[key] = Activations(head, entries, self._sets(part), depth)
        return self._kept_below[key]

    def scorer_of(self, version: Version, part: str) -> Scorer:
        """What scores a set with any kept version."""
        return self.scorer(part, version, self.differing(version) or None)

    def differing(self, version: Version) -> dict[str, torch.Tensor]:
        """The tensors of a kept version that differ from the head's, from the disk."""
        names = sorted(version.differing(self.version))
        return self.reread(version, names) if names else {}

    def _activations(self, encoder: Encoder, version: Version, part: str) -> Activations:
        depth = encoder.layout.layers - 1
        found = Activations(encoder, version.entries, self._sets(part), depth)
        if version.digest == self.version.digest:
            return found
        ours = Activations(encoder, self.version.entries, self._sets(part), depth)
        if found.keys == ours.keys:
            return found
        # most candidates are thrown away, and what is kept of the head is not to make room for them
        return Activations(encoder, version.entries, self._sets(part), depth, lasting=False)

    def forget(self, candidate: Version, part: str) -> None:
        """Throw away what was computed for a candidate alone."""
        if self.layout is not None and candidate.digest != self.version.digest:
            encoder = self._encoder(self.layout, Backend.F64)
            kept = self._activations(encoder, self.version, part)
            self._activations(encoder, candidate, part).forget(set(kept.keys.values()))

    def parameters(self) -> int:
        """Parameters outside embeddings."""
        return parameters_in({name: tuple(tensor.shape) for name, tensor in self.tensors.items()})

    def evaluation_gflop(self, part: str, layers: int) -> float:
        """Products of evaluating a set with a model whose upper ``layers`` are new, GFLOP."""
        count, tokens, _ = self.examples(part)
        total = int(tokens.starts[-1])
        if self.layout is None:
            return 2e-9 * total * self.parameters()
        layers = min(layers, self.layout.layers)
        # the last layer is computed for one token, and costs about as much as four tokens' worth
        flops = self.layout.layer_flops(total) * (layers - 1) + self.layout.layer_flops(4 * count)
        return flops / 1e9

    def gflop_to_compute(self, part: str) -> float:
        """Products of evaluating the head on a set that are not kept from before, GFLOP."""
        count, tokens, _ = self.examples(part)
        if self.layout is None:
            return self.evaluation_gflop(part, 0)
        encoder = self._encoder(self.layout, Backend.F64)
        absent = self._activations(encoder, self.version, part).absent(range(count))
        lower = self.layout.layer_flops(int(tokens.starts[-1])) * (self.layout.layers - 1) * absent / count
        top = 0.0 if encoder.silent_logits() is not None else self.layout.layer_flops(4 * count)
        return (lower + top) / 1e9

    def prior_uj(self, recipe: Recipe, drawn: int, holdout: str) -> int:
        """What an attempt may cost by its floating-point operations, µJ: modelled, before it is tried."""
        evaluated = F64_FACTOR * self.evaluation_gflop(holdout, recipe.layers)
        if self.layout is None:
            tokens = self.examples("train")[1]
            mean = int(tokens.starts[-1]) / len(tokens)
            trained = 6e-9 * self.parameters() * mean * recipe.max_steps * recipe.batch_size
            return round((trained + evaluated) * UJ_PER_GFLOP)
        return round((self._training_gflop(self.layout, recipe, drawn) + evaluated) * UJ_PER_GFLOP)

    def _training_gflop(self, part: Layout, recipe: Recipe, drawn: int) -> float:
        count, tokens, _ = self.examples("train")
        upper = min(recipe.layers, part.layers)
        layer = part.layer_flops(int(tokens.starts[-1])) / count / 1e9
        each = (upper - 1) * layer + part.layer_flops(4) / 1e9
        material = self.material(recipe, drawn)
        source = Activations(material.encoder, material.entries, material.sets, part.layers - upper)
        wanted = [*material.screen, *material.seen, *material.fresh]
        missing = source.absent(wanted) * (part.layers - upper) * layer
        steps = recipe.steps_for(len(wanted))
        looks = 1 + len(recipe.scales.split())
        trained = steps * (3 * recipe.batch_size * each + _STEP_GFLOP)
        return missing + trained + looks * len(material.screen) * each
