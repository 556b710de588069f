"""Which tensor plays which part in a decoder that CryoFlux can compute itself, and how large each has to be.

Two shapes of layer, both normalised before each half (pre-LN): Llama's (Touvron et al. 2023: RMSNorm, rotary
positions, grouped queries, a gated feed-forward part; Mistral, Qwen2, Qwen3 and SmolLM2 differ in settings)
and GPT-2's (Radford et al. 2019: LayerNorm, learned positions, one projection for query, key and value).
`cryoflux.decoder.families` reads which one a ``config.json`` means.
"""

from __future__ import annotations

__all__ = ["DecoderLayout", "Rotary", "not_its_weights"]

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from cryoflux.errors import ModelError

_BUFFERS = re.compile(r"(^|\.)(rotary_emb\.inv_freq|attn\.bias|attn\.masked_bias)$")
"""what other versions of transformers saved beside the weights, and compute anew"""
_SHOWN = 80
"""characters of a name"""


@dataclass(frozen=True, slots=True)
class Rotary:
    """How queries and keys are turned by where they stand (Su et al. 2021)."""

    theta: float
    llama3: tuple[float, float, float, int] | None = None
    """Llama 3.1's way to longer texts: factor, low and high frequency factor, positions before it"""


@dataclass(frozen=True, slots=True)
class DecoderLayout:
    """Sizes of a decoder, and the names of its tensors."""

    layers: int
    hidden: int
    wide: int
    """width of the feed-forward part"""
    heads: int
    groups: int
    """heads of keys and values"""
    width: int
    """of a head"""
    vocabulary: int
    most_tokens: int
    """of a document: by its positions, and by the window of its attention where it has one"""
    epsilon: float
    """of every norm"""
    activation: str
    """``silu``, ``gelu``, ``gelu-tanh`` or ``relu``"""
    tied: bool
    """whether the head is the embedding"""
    embedding: str
    positions: str = ""
    """of the table of learned positions; none where they are rotary"""
    layer: str = ""
    """name of layer {}"""
    attention_norm: str = ""
    projections: tuple[str, ...] = ()
    """query, key and value within a layer, or the one that gives all three"""
    output: str = ""
    """attention's output projection, within a layer"""
    head_norms: tuple[str, ...] = ()
    """norms of each query and each key, where there are any"""
    wide_norm: str = ""
    gate: str = ""
    """the feed-forward part's gate; none where it has none"""
    up: str = ""
    down: str = ""
    last_norm: str = ""
    head: str = "lm_head"
    biased: frozenset[str] = field(default_factory=frozenset)
    """parts within a layer that have a bias"""
    transposed: bool = False
    """whether weights within a layer are stored (in, out)"""
    rotary: Rotary | None = None
    """none where positions are learned, and norms are then LayerNorms with a bias"""

    def in_layer(self, index: int, part: str) -> str:
        """Full name of a part of layer ``index``, counted from 0."""
        return f"{self.layer.format(index)}.{part}"

    def _products(self) -> Iterator[tuple[str, int, int]]:
        """The matrices of a layer: name, inputs, outputs."""
        sizes = (self.heads * self.width, self.groups * self.width, self.groups * self.width)
        outputs = sizes if len(self.projections) == 3 else (sum(sizes),)
        for part, size in zip(self.projections, outputs, strict=True):
            yield part, self.hidden, size
        yield self.output, sizes[0], self.hidden
        for part in filter(None, (self.gate, self.up)):
            yield part, self.hidden, self.wide
        yield self.down, self.wide, self.hidden

    def of_layer(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name within a layer, and shape, of every tensor of one."""
        for part, inputs, outputs in self._products():
            yield f"{part}.weight", (inputs, outputs) if self.transposed else (outputs, inputs)
            if part in self.biased:
                yield f"{part}.bias", (outputs,)
        norms = {self.attention_norm: self.hidden, self.wide_norm: self.hidden}
        for part, size in {**norms, **dict.fromkeys(self.head_norms, self.width)}.items():
            yield f"{part}.weight", (size,)
            if self.rotary is None:
                yield f"{part}.bias", (size,)

    def outside(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every tensor that belongs to no layer."""
        yield f"{self.embedding}.weight", (self.vocabulary, self.hidden)
        if self.positions:
            yield f"{self.positions}.weight", (self.most_tokens, self.hidden)
        yield f"{self.last_norm}.weight", (self.hidden,)
        if self.rotary is None:
            yield f"{self.last_norm}.bias", (self.hidden,)
        if not self.tied:
            yield f"{self.head}.weight", (self.vocabulary, self.hidden)

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Full name and shape of every tensor."""
        yield from self.outside()
        for index in range(self.layers):
            for name, shape in self.of_layer():
                yield self.in_layer(index, name), shape

    @property
    def head_weight(self) -> str:
        """Full name of the matrix that scores the vocabulary."""
        return f"{self.embedding if self.tied else self.head}.weight"

    @property
    def parameters(self) -> int:
        """Parameters outside embeddings; of the head only where it is one of its own."""
        products = sum(inputs * outputs for _, inputs, outputs in self._products())
        beside = sum(shape[0] for _, shape in self.of_layer() if len(shape) == 1)
        last = self.hidden * (2 if self.rotary is None else 1)
        head = 0 if self.tied else self.vocabulary * self.hidden
        return self.layers * (products + beside) + last + head

    def multiplications(self, tokens: int, targets: int) -> int:
        """Of the matrix products over so many tokens, attention left out; the head reads targets alone."""
        layer = sum(inputs * outputs for _, inputs, outputs in self._products())
        return self.layers * layer * tokens + self.vocabulary * self.hidden * targets

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Hold the sizes to the tensors that there are.

        Args:
            shapes: of the weights, by name.

        Raises:
            ModelError: a tensor is missing, has another shape, or is none of the model's.
        """
        if self.layers > len(shapes):
            raise not_its_weights(f"it says {self.layers} layers, and there are {len(shapes)} tensors")
        due = dict(islice(self.tensors(), len(shapes) + 1))
        for name, shape in due.items():
            if name not in shapes:
                raise not_its_weights(f"they lack {name}")
            if shapes[name] != shape:
                raise not_its_weights(f"{name} has the shape {shapes[name]}, and not {shape}")
        spare = {f"{self.head}.weight"} if self.tied else set()
        for name in sorted(shapes.keys() - due.keys() - spare):
            if not _BUFFERS.search(name):
                raise not_its_weights(f"they have {name[:_SHOWN]}, which no part of the model is")


def not_its_weights(why: str) -> ModelError:
    """The error where weights and settings do not belong together."""
    return ModelError(
        f"The weights of a model are not those that its config.json asks for: {why}.",
        why="Its losses would be those of another model.",
        hint="Restore it from where it came, or name another with --model.",
    )
