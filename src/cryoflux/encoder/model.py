"""The encoder's arithmetic: embeddings, layers, and a last layer that computes only what is read.

A classification head reads the first token alone. So in the last layer only that token has a query, and
keys and values need not be computed for the others: with W_k folded into the query and W_v applied after
the weighted sum, the layer costs a few products *an example* instead of twelve *a token*:

    scores = (W_kᵀ q) · x_t        the key's bias shifts all scores alike and drops out
    value  = W_v (Σ a_t x_t) + b_v because the weights a_t sum to one

The result is the same function; a test compares output and gradients with transformers and PEFT.
"""

from __future__ import annotations

__all__ = ["Adapters", "Encoder", "Lora", "attention_bias"]

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn.functional import dropout, embedding, gelu, layer_norm, linear, scaled_dot_product_attention

from cryoflux.encoder.layout import Layout
from cryoflux.encoder.linear import Backend, FrozenLinear


@dataclass(slots=True)
class Lora:
    """One low-rank update: ΔW = scale · B · A (Hu et al. 2021)."""

    a: torch.Tensor
    """(rank, in), float32"""
    b: torch.Tensor
    """(out, rank), float32"""
    scale: float
    dropout: float = 0.0

    def delta(self) -> torch.Tensor:
        """ΔW, (out, in)."""
        return self.scale * (self.b @ self.a)

    def added(self, x: torch.Tensor) -> torch.Tensor:
        """What the update adds to x · Wᵀ, in x's dtype."""
        inner = linear(dropout(x, self.dropout, self.dropout > 0), self.a.to(x.dtype))
        return linear(inner, (self.scale * self.b).to(x.dtype))


Adapters = Mapping[str, Lora]
"""Full module name → its update."""


def attention_bias(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor | None:
    """(batch, tokens) of 0 and 1 → (batch, 1, 1, tokens) to be added to scores; none without padding."""
    if bool(mask.all()):
        return None
    zero = torch.zeros((), dtype=dtype, device=mask.device)
    return torch.where(mask.bool(), zero, torch.finfo(dtype).min)[:, None, None, :]


class Encoder:
    """Frozen encoder weights, ready for one backend."""

    def __init__(
        self, layout: Layout, tensors: Mapping[str, torch.Tensor], backend: Backend, device: str = "cpu"
    ) -> None:
        """Take float32 tensors by name; each is made ready for the backend when it is first used."""
        self.layout = layout
        self.backend = backend
        self.device = device
        self._tensors = tensors
        self._linears: dict[str, FrozenLinear] = {}
        self._cast: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def updated(self, changed: Mapping[str, torch.Tensor]) -> Encoder:
        """The encoder with some tensors exchanged; what was made ready for the others is shared."""
        new = Encoder(self.layout, {**self._tensors, **changed}, self.backend, self.device)
        touched = {name.rpartition(".")[0] for name in changed}
        new._linears = {n: made for n, made in self._linears.items() if n not in touched}
        new._cast = {key: made for key, made in self._cast.items() if key[0] not in changed}
        return new

    def silent_logits(self) -> torch.Tensor | None:
        """The scores of the classes, (classes), where they are the same for every text; none elsewhere.

        So it is where the classifier's weights are zero, as before anything was learned: what is multiplied
        by them is a number as long as all tensors are, and no layer norm divides by zero.
        """
        name = self.layout.classifier
        silent = self.layout.epsilon > 0 and not self._tensors[f"{name}.weight"].any()
        if not silent or not all(bool(t.isfinite().all()) for t in self._tensors.values()):
            return None
        return self.tensor(f"{name}.bias", self.backend.dtype)

    def _linear(self, name: str) -> FrozenLinear:
        if name not in self._linears:
            weight, bias = self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias")
            self._linears[name] = FrozenLinear(weight, bias, self.backend)
        return self._linears[name]

    def tensor(self, name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """A frozen tensor in a dtype, on the encoder's device."""
        found = self._tensors[name]
        if dtype == found.dtype and self.device == "cpu":
            return found
        if (name, dtype) not in self._cast:
            self._cast[name, dtype] = found.to(self.device, dtype)
        return self._cast[name, dtype]

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self.tensor(f"{name}.weight", x.dtype), self.tensor(f"{name}.bias", x.dtype)
        return layer_norm(x, weight.shape, weight, bias, self.layout.epsilon)

    def _project(self, x: torch.Tensor, name: str, adapters: Adapters) -> torch.Tensor:
        y = self._linear(name)(x)
        return y + adapters[name].added(x) if name in adapters else y

    @property
    def positions(self) -> int:
        """Most tokens of a text that it reads."""
        return int(self.tensor(f"{self.layout.embeddings}.position_embeddings.weight").shape[0])

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids (batch, tokens) → (batch, tokens, hidden)."""
        name, dtype = self.layout.embeddings, self.backend.dtype
        x = embedding(ids, self.tensor(f"{name}.word_embeddings.weight")).to(dtype)
        x = x + self.tensor(f"{name}.position_embeddings.weight")[: ids.shape[1]].to(dtype)
        types = f"{name}.token_type_embeddings.weight"
        if types in self._tensors:
            x = x + self.tensor(types)[0].to(dtype)
        return self._norm(x, f"{name}.LayerNorm")

    def layer(
        self,
        x: torch.Tensor,
        bias: torch.Tensor | None,
        index: int,
        adapters: Adapters | None = None,
        hidden_dropout: float = 0.0,
    ) -> torch.Tensor:
        """One layer: (batch, tokens, hidden) → the same."""
        part = self.layout
        name = part.layer.format(index)
        adapters = adapters or {}
        q, k, v = (self._project(x, f"{name}.{which}", adapters) for which in part.projections[:3])
        shape = (*x.shape[:2], part.heads, part.hidden // part.heads)
        q, k, v = (t.view(shape).transpose(1, 2) for t in (q, k, v))
        if x.dtype == torch.bfloat16 and torch.is_grad_enabled():
            # attention with gradients in bfloat16 is four times slower on CPUs than in float32
            q, k, v = q.float(), k.float(), v.float()
        mask = bias.to(q.dtype) if bias is not None else None
        context = scaled_dot_product_attention(q, k, v, attn_mask=mask).to(x.dtype)
        context = context.transpose(1, 2).reshape(x.shape)
        attended = self._project(context, f"{name}.{part.output}", adapters)
        x = self._norm(x + _drop(attended, hidden_dropout), f"{name}.{part.attention_norm}")
        wide = gelu(self._linear(f"{name}.{part.up}")(x))
        narrow = self._linear(f"{name}.{part.down}")(wide)
        return self._norm(x + _drop(narrow, hidden_dropout), f"{name}.{part.output_norm}")

    def last_layer(
        self,
        x: torch.Tensor,
        bias: torch.Tensor | None,
        weights: Mapping[str, torch.Tensor],
        hidden_dropout: float = 0.0,
    ) -> torch.Tensor:
        """The first token after the last layer: (batch, tokens, hidden) → (batch, hidden).

        Args:
            x: activations before the layer.
            bias: of `attention_bias`, or none.
            weights: full name → tensor for the projections' weights where they are not the frozen ones.
            hidden_dropout: of both residual branches.
        """
        part = self.layout
        name = part.layer.format(part.layers - 1)
        width = part.hidden // part.heads

        def parameter(which: str, kind: str) -> torch.Tensor:
            full = f"{name}.{which}.{kind}"
            return weights[full].to(x.dtype) if full in weights else self.tensor(full, x.dtype)

        first = x[:, 0]
        q = linear(first, parameter(part.query, "weight"), parameter(part.query, "bias"))
        keys = parameter(part.key, "weight").view(part.heads, width, part.hidden)
        folded = torch.einsum("bhw,hwd->bhd", q.view(-1, part.heads, width), keys)
        scores = torch.einsum("bhd,btd->bht", folded, x) / math.sqrt(width)
        if bias is not None:
            scores = scores + bias[:, :, 0, :].to(x.dtype)
        sums = torch.einsum("bht,btd->bhd", scores.softmax(-1), x)
        values = parameter(part.value, "weight").view(part.heads, width, part.hidden)
        context = torch.einsum("bhd,hwd->bhw", sums, values).reshape(first.shape)
        context = context + parameter(part.value, "bias")
        attended = linear(context, parameter(part.output, "weight"), parameter(part.output, "bias"))
        y = self._norm(first + _drop(attended, hidden_dropout), f"{name}.{part.attention_norm}")
        wide = gelu(linear(y, parameter(part.up, "weight"), parameter(part.up, "bias")))
        narrow = linear(wide, parameter(part.down, "weight"), parameter(part.down, "bias"))
        return self._norm(y + _drop(narrow, hidden_dropout), f"{name}.{part.output_norm}")

    def logits(self, first: torch.Tensor, weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Scores of the classes from the first token: (batch, hidden) → (batch, classes)."""
        part = self.layout

        def dense(x: torch.Tensor, name: str) -> torch.Tensor:
            w, b = f"{name}.weight", f"{name}.bias"
            return linear(x, *(weights[n] if n in weights else self.tensor(n, x.dtype) for n in (w, b)))

        pooled = dense(first, part.pooler)
        pooled = pooled.tanh() if part.pooler_activation == "tanh" else pooled.relu()
        return dense(pooled, part.classifier)


def _drop(x: torch.Tensor, probability: float) -> torch.Tensor:
    return dropout(x, probability) if probability > 0 else x
