"""A decoder's layer, in float64: what it makes of documents that stand one after another, without padding."""

from __future__ import annotations

__all__ = ["Before", "Weights", "block", "norm", "turns"]

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn.functional import gelu, linear, relu, silu

from cryoflux.decoder.layout import DecoderLayout, Rotary

Weights = Mapping[str, torch.Tensor]
"""name within a layer → float64"""
Before = tuple[torch.Tensor, torch.Tensor]
"""keys, turned, and values of the tokens before: both (groups, tokens, width)"""

_QUERIES = 256
"""queries of a document whose scores are in memory at once"""
_ROWS = 1024
"""tokens whose feed-forward part is in memory at once, in a document that has more"""
_ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": silu,
    "gelu": gelu,
    "gelu-tanh": lambda x: gelu(x, approximate="tanh"),
    "relu": relu,
}


def norm(layout: DecoderLayout, weights: Weights, x: torch.Tensor, part: str) -> torch.Tensor:
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
        waves = before * speeds / (2 * math.pi)  # how often each goes round within the positions before
        smooth = ((waves - low) / (high - low)).clamp(0, 1)
        speeds = (1 - smooth) * speeds / factor + smooth * speeds
    angles = torch.arange(count, dtype=torch.float64)[:, None] * speeds
    return angles.cos(), angles.sin()


def _product(layout: DecoderLayout, weights: Weights, x: torch.Tensor, part: str) -> torch.Tensor:
    weight, bias = weights[f"{part}.weight"], weights.get(f"{part}.bias")
    return linear(x, weight.T if layout.transposed else weight, bias)


def _turned(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


def block(
    layout: DecoderLayout,
    weights: Weights,
    x: torch.Tensor,
    lengths: Sequence[int],
    before: Before | None = None,
) -> tuple[torch.Tensor, Before]:
    """One layer.

    Args:
        layout: of the decoder.
        weights: of the layer.
        x: (tokens of all documents, hidden).
        lengths: tokens of each document.
        before: of what all documents begin with, and which is not among the tokens.

    Returns:
        the same shape, and keys and values of the last document with what is before it.
    """
    normed = norm(layout, weights, x, layout.attention_norm)
    attended, found = _attention(layout, weights, normed, lengths, before)
    x = x + _product(layout, weights, attended, layout.output)
    return torch.cat([some + _widened(layout, weights, some) for some in x.split(_ROWS)]), found


def _widened(layout: DecoderLayout, weights: Weights, x: torch.Tensor) -> torch.Tensor:
    """What the feed-forward part adds: (tokens, hidden) → the same."""
    x = norm(layout, weights, x, layout.wide_norm)
    act = _ACTIVATIONS[layout.activation]
    wide = _product(layout, weights, x, layout.up)
    wide = wide * act(_product(layout, weights, x, layout.gate)) if layout.gate else act(wide)
    return _product(layout, weights, wide, layout.down)


def _heads(layout: DecoderLayout, weights: Weights, x: torch.Tensor) -> list[torch.Tensor]:
    """Queries, keys and values: (tokens, hidden) → (tokens, heads or groups, width), not turned yet."""
    products = [_product(layout, weights, x, part) for part in layout.projections]
    if len(products) == 1:
        products = list(products[0].chunk(3, -1))
    found = [one.view(len(x), -1, layout.width) for one in products]
    for at, part in enumerate(layout.head_norms):
        found[at] = norm(layout, weights, found[at], part)
    return found


def _attention(
    layout: DecoderLayout, weights: Weights, x: torch.Tensor, lengths: Sequence[int], before: Before | None
) -> tuple[torch.Tensor, Before]:
    """What each token makes of its document up to itself: (tokens, hidden) → (tokens, heads · width)."""
    heads = _heads(layout, weights, x)
    found = torch.empty(len(x), layout.heads, layout.width, dtype=x.dtype)
    first = before[0].shape[1] if before is not None else 0
    angles = turns(layout.rotary, layout.width, first + max(lengths)) if layout.rotary is not None else None
    at = 0
    for length in lengths:
        here = slice(at, at + length)
        q, k, v = (one[here].transpose(0, 1) for one in heads)
        if angles is not None:
            cosine, sine = (one[first : first + length] for one in angles)
            q, k = _turned(q, cosine, sine), _turned(k, cosine, sine)
        if before is not None:
            k, v = (torch.cat(pair, 1) for pair in zip(before, (k, v), strict=True))
        _attend(q, k, v, found[here])
        at += length
    return found.view(len(x), -1), (k, v)


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, into: torch.Tensor) -> None:
    """Attention of one document, some queries at a time.

    Args:
        q: (heads, tokens, width), of its last tokens.
        k: (groups, all tokens, width); each group serves as many heads, one after another.
        v: the same.
        into: (tokens, heads, width).
    """
    heads, length, width = q.shape
    groups, first = len(k), k.shape[1] - length
    for start in range(0, length, _QUERIES):
        end = min(length, start + _QUERIES)
        seen = first + end
        some = q[:, start:end].reshape(groups, -1, width) / math.sqrt(width)
        scores = (some @ k[:, :seen].transpose(1, 2)).view(heads, end - start, seen)
        later = torch.ones(end - start, end - start, dtype=torch.bool).triu(1)
        scores[..., first + start :].masked_fill_(later, -math.inf)
        shares = scores.softmax(-1).view(groups, -1, seen)
        into[start:end] = (shares @ v[:, :seen]).view(heads, end - start, width).transpose(0, 1)
