"""Which modules of a language model LoRA goes on, by the names that families give them.

``attention`` is queries and values; where a family computes queries, keys and values in one matrix, that.
``all`` is every linear layer below the head.
"""

from __future__ import annotations

__all__ = ["TARGETS", "Targets", "find_targets"]

import re
from dataclasses import dataclass
from typing import Any

from cryoflux.errors import ModelError

TARGETS = ("attention", "all")
_QUERY_VALUE = frozenset({"q_proj", "v_proj", "query", "value", "q_lin", "v_lin"})
_FUSED = frozenset({"qkv_proj", "c_attn", "query_key_value", "Wqkv", "W_pack", "in_proj_qkv"})
_LAYER = re.compile(r"\.\d+\.")


@dataclass(frozen=True, slots=True)
class Targets:
    """Modules that carry LoRA."""

    names: tuple[str, ...]
    """last parts of their names, sorted, as an adapter lists them"""
    modules: int
    transposed: bool
    """whether their weights are kept as (inputs, outputs), as those of GPT-2"""
    weights: int
    """of all of them, without LoRA"""
    sides: int
    """inputs and outputs of all of them: times the rank, the numbers that LoRA trains"""


def find_targets(network: Any, wanted: str) -> Targets:
    """The modules of a model that LoRA goes on.

    Args:
        network: of transformers.
        wanted: one of `TARGETS`.

    Raises:
        ModelError: the family has none that are known here.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    head = network.get_output_embeddings()
    linear = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head and _LAYER.search(name)
    }
    if wanted == "attention":
        known = {_last(name) for name in linear} & _QUERY_VALUE
        known = known or {_last(name) for name in linear} & _FUSED
        linear = {name: module for name, module in linear.items() if _last(name) in known}
    kinds = {isinstance(module, Conv1D) for module in linear.values()}
    if len(kinds) != 1:
        what = "both kinds of linear layers" if kinds else f"no {wanted} layers"
        raise ModelError(
            f"{type(network).__name__} has {what} that LoRA could go on.",
            why="LoRA is added to linear layers, and is merged in one way.",
            hint="Choose a model of the Llama, Qwen, Mistral, Gemma, SmolLM, GPT-2 or Phi family, "
            'or a recipe with targets = "all".',
        )
    return Targets(
        tuple(sorted({_last(name) for name in linear})),
        len(linear),
        kinds.pop(),
        sum(module.weight.numel() for module in linear.values()),
        sum(sum(module.weight.shape) for module in linear.values()),
    )


def _last(name: str) -> str:
    return name.rpartition(".")[2]
