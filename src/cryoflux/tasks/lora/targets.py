"""Which modules of an architecture are adapted.

LoRA goes on the attention projections (the whitepaper's choice): every linear layer whose path runs
through an attention block. Whatever lies outside the encoder, the classification head, is trained in
full and saved with the adapter.
"""

from __future__ import annotations

__all__ = ["attention_projections", "head_modules"]

import re
from typing import Any

from cryoflux.errors import ModelError

_ATTENTION = ("attention", "attn")
_LAYER = re.compile(r"\.(\d+)\.")


def attention_projections(model: Any, *, layers: int) -> list[str]:
    """Names of the linear layers inside attention blocks, in model order.

    Args:
        model: a transformers model for sequence classification.
        layers: only so many of the uppermost layers.

    Raises:
        ModelError: the architecture has none.
    """
    import torch

    head = tuple(f"{name}." for name in head_modules(model))
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and any(word in part.lower() for part in name.split(".") for word in _ATTENTION)
        and not name.startswith(head)
    ]
    if not names:
        raise ModelError(
            f"{type(model).__name__} has no attention projections that LoRA could go on.",
            why="LoRA is applied to linear layers inside attention blocks; this model has none.",
            hint="Choose an encoder such as the embedded one: --model all-MiniLM-L6-v2.",
        )
    indices = sorted({int(found[1]) for name in names if (found := _LAYER.search(name))})
    upper = set(indices[-layers:])
    return [name for name in names if not (found := _LAYER.search(name)) or int(found[1]) in upper]


def head_modules(model: Any) -> list[str]:
    """Names of the top-level modules outside the encoder that have parameters."""
    return [
        name
        for name, module in model.named_children()
        if name != model.base_model_prefix and any(True for _ in module.parameters())
    ]
