"""A decoder's layer, in float64: what it makes of documents that stand one after another, without padding."""

from __future__ import annotations

__all__ = ["Weights", "block", "norm", "turns"]

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn.functional import gelu, linear, relu, silu

from cryoflux.decoder.layout import Layout, Rotary

Weights = Mapping[str, torch.Tensor]
"""name within a layer → float64"""

_QUERIES = 256
"""queries of a document whose scores are in memory at once"""
_ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": silu,
    "gelu": gelu,
    "gelu-tanh": lambda x: gelu(x, approximate="tanh"),
    "relu": relu,
}


def norm(layout: Layout, weights: Weights, x: torch.Tensor, part: str) -> torch.Tensor:
    """RMSNorm over the last dimension where positions are rotary, LayerNorm elsewhere."""
    weight = weights[f"{part}.weight"]
    if layout.rotary is not None:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + layout.epsilon) * weight
    x = x - x.mean(-1, keepdim=True)
    spread = torch.rsqrt(x.square().mean(-1, keepdim=True) + layout.epsilon)
    return x * spread * weight + weights[f"{part}.bias"]


def turns(rotary: Rotary, width: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of the angles of the first places, both (places, width / 2)."""
    steps = torch.arange(0, width, 2, dtype=torch.float64) / width
    speeds = torch.pow(torch.tensor(rotary.theta, dtype=torch.float64), -steps)
    if rotary.llama3 is not None:
        factor, low, high, before = rotary.llama3
        waves = before * speeds / (2 * math.pi)
        """how often an angle goes round within the positions before"""
        smooth = ((waves - low) / (high - low)).clamp(0, 1)
        speeds = (1 - smooth) * speeds / factor + smooth * speeds
    angles = torch.arange(count, dtype=torch.float64)[:, None] * speeds
    return angles.cos(), angles.sin()


def _product(layout: Layout, weights: Weights, x: torch.Tensor, part: str) -> torch.Tensor:
    weight, bias = weights[f"{part}.weight"], weights.get(f"{part}.bias")
    return linear(x, weight.T if layout.transposed else weight, bias)


def _turned(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


def block(layout: Layout, weights: Weights, x: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """One layer.

    Args:
        layout: of the decoder.
        weights: of the layer.
        x: (tokens of all documents, hidden).
        lengths: tokens of each document.

    Returns:
        the same shape.
    """
    normed = norm(layout, weights, x, layout.attention_norm)
    attended = _attention(layout, weights, normed, lengths)
    x = x + _product(layout, weights, attended, layout.output)
    normed = norm(layout, weights, x, layout.wide_norm)
    act = _ACTIVATIONS[layout.activation]
    wide = _product(layout, weights, normed, layout.up)
    wide = wide * act(_product(layout, weights, normed, layout.gate)) if layout.gate else act(wide)
    return x + _product(layout, weights, wide, layout.down)


def _attention(layout: Layout, weights: Weights, x: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """What each token makes of its document up to itself: (tokens, hidden) → (tokens, heads · width)."""
    products = [_product(layout, weights, x, part) for part in layout.projections]
    if len(products) == 1:
        products = list(products[0].chunk(3, -1))
    q, k, v = (one.view(len(x), -1, layout.width) for one in products)
    if layout.head_norms:
        q, k = (norm(layout, weights, one, part) for one, part in zip((q, k), layout.head_norms, strict=True))
    found = torch.empty(len(x), layout.heads, layout.width, dtype=x.dtype)
    angles = turns(layout.rotary, layout.width, max(lengths)) if layout.rotary is not None else None
    at = 0
    for length in lengths:
        here = slice(at, at + length)
        queries, keys, values = (one[here].transpose(0, 1) for one in (q, k, v))
        if angles is not None:
            cosine, sine = (one[:length] for one in angles)
            queries, keys = _turned(queries, cosine, sine), _turned(keys, cosine, sine)
        _attend(queries, keys, values, found[here])
        at += length
    return found.view(len(x), -1)


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, into: torch.Tensor) -> None:
    """Attention of one document, some queries at a time.

    Args:
        q: (heads, tokens, width).
        k: (groups, tokens, width); each group serves as many heads, one after another.
        v: the same.
        into: (tokens, heads, width).
    """
    heads, length, width = q.shape
    groups = len(k)
    for start in range(0, length, _QUERIES):
        end = min(length, start + _QUERIES)
        some = q[:, start:end].reshape(groups, -1, width) / math.sqrt(width)
        scores = (some @ k[:, :end].transpose(1, 2)).view(heads, end - start, end)
        later = torch.ones(end - start, end - start, dtype=torch.bool).triu(1)
        scores[..., start:].masked_fill_(later, -math.inf)
        shares = scores.softmax(-1).view(groups, -1, end)
        into[start:end] = (shares @ v[:, :end]).view(heads, end - start, width).transpose(0, 1)
