"""How much memory an attempt on a language model should take, from sizes alone; all is modelled.

Training keeps the weights, what is trained with its gradient and two moments, and of each token that is
computed at once what the backward pass needs. Making a version adds its changed weights up in float64, and
their sums are kept for the next one; evaluating reads it from the disk, one layer in float64 at a time. Files
that weights were read from stay mapped, and count. docs/reference/benchmarks.md holds these figures to what
was measured.
"""

from __future__ import annotations

__all__ = ["CausalMemory", "Footprint"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryoflux.tasks.causal.four_bit import FOUR_BIT, FOUR_BIT_BYTES
from cryoflux.tasks.causal.recipe import CausalRecipe
from cryoflux.tasks.causal.targets import TARGETS, Targets, find_targets

_PROCESS = 720_000_000
"""bytes of a process with torch, transformers, peft and some thousand documents: measured"""
_CUDA = 600_000_000
"""bytes that CUDA and its libraries take of a GPU; from what others report, not measured here"""
_F32, _BF16, _F64 = 4, 2, 8
_TRAINED = 4 * _F32
"""of a trained number: itself, its gradient, two moments"""
_HIDDEN_KEPT, _WIDE_KEPT = 9, 4
"""vectors of a token that a layer's backward pass reads again: as wide as the model, and as its middle"""
_SCORES_KEPT = 3
"""of each target: its scores over the vocabulary, their logarithms, the gradient"""
_READ_AT_ONCE = 4096
"""tokens of a wave of `decoder.model`"""
_WAVE_KEPT = 6
"""float64 vectors of a token that it holds"""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that an attempt should take at most; modelled."""

    training: int
    """main memory where training is on the CPU, else memory of the GPU"""
    evaluating: int
    """main memory while a version is made and read; the weights that training works on are still there"""


@dataclass(frozen=True, slots=True)
class CausalMemory:
    """The sizes of a language model that its memory follows from."""

    layers: int
    hidden: int
    wide: int
    """width of the feed-forward part"""
    vocabulary: int
    weights: int
    """all numbers of the model"""
    targeted: Mapping[str, Targets]
    """``attention`` or ``all`` → what LoRA goes on"""

    @classmethod
    def of(cls, network: Any) -> CausalMemory:
        """The sizes of a model.

        Args:
            network: of transformers; its weights need not be in memory.

        Raises:
            ModelError: the family has no modules that LoRA could go on.
        """
        said = network.config
        hidden = int(said.hidden_size)
        return cls(
            layers=int(said.num_hidden_layers),
            hidden=hidden,
            wide=int(getattr(said, "intermediate_size", None) or 4 * hidden),
            vocabulary=int(said.vocab_size),
            weights=sum(one.numel() for one in network.parameters()),
            targeted={kind: find_targets(network, kind) for kind in TARGETS},
        )

    def attempt(self, recipe: CausalRecipe, longest: int, *, gpu: bool) -> Footprint:
        """What an attempt of a recipe should take, once an update was kept.

        Args:
            recipe: with its precision.
            longest: tokens of the longest document.
            gpu: whether it is trained on one.
        """
        files = self.weights * _F32
        held = self._held(recipe.precision)
        learning = held + self._learning(recipe, longest)
        changed = self.targeted[recipe.targets].weights
        summed = changed * (2 * _F64 + 2 * _F32)  # before and after; rounded, and as it is written
        wave = _READ_AT_ONCE * (_WAVE_KEPT * self.hidden + 2 * self.wide) * _F64
        beside = _PROCESS + files + (0 if gpu else held)
        return Footprint(
            training=_CUDA + learning if gpu else _PROCESS + files + learning + changed * _F64,
            evaluating=beside + summed + files + wave,
        )

    def _held(self, precision: str) -> int:
        """The weights that training works on."""
        if precision == FOUR_BIT:  # embeddings and head stay as they are
            linear = self.targeted["all"].weights
            return round(linear * FOUR_BIT_BYTES) + (self.weights - linear) * _BF16
        return self.weights * (_BF16 if precision == "bf16" else _F32)

    def _learning(self, recipe: CausalRecipe, longest: int) -> int:
        """Beside the weights: what is trained, and what the backward pass needs."""
        trained = recipe.rank * self.targeted[recipe.targets].sides * _TRAINED
        rounded = self.weights * _BF16 if recipe.precision == "bf16-autocast" else 0
        each = _F32 if recipe.precision == "f32" else _BF16
        tokens = min(max(recipe.batch_tokens, longest), recipe.batch_size * longest)
        layer = (_HIDDEN_KEPT * self.hidden + _WIDE_KEPT * self.wide) * each
        kept = layer * self.layers
        if recipe.checkpointing:
            kept = self.hidden * each * self.layers + layer
        scores = self.vocabulary * (2 * each + _SCORES_KEPT * _F32)
        return trained + rounded + tokens * (kept + scores)
