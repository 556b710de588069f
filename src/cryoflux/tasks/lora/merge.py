"""Merges an adapter into a base version, in float32, as PEFT does: W + (alpha / rank) · B · A.

`merged_tensors` computes only the weights that change; a test holds it to PEFT's result, bit for bit.
`merge_capsule` lets PEFT itself do it: so whoever verifies does not rely on the code that was used.
"""

from __future__ import annotations

__all__ = ["merge_capsule", "merged_tensors"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryoflux.digests import tensor_shapes
from cryoflux.registry.plain_model import harmless
from cryoflux.state import ADAPTER
from cryoflux.tasks.lora.plain_adapter import adapter_settings, harmless_adapter

_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"


def merged_tensors(base: Mapping[str, Any], capsule: Path) -> dict[str, Any]:
    """The tensors of the base model that an adapter on the disk changes, after merging.

    Args:
        base: name → float32 tensor of the base version.
        capsule: the adapter's folder, as PEFT saves it.
    """
    from safetensors.torch import load_file

    config = adapter_settings(capsule)
    tensor_shapes(capsule / ADAPTER)  # a header that is none is refused before a library sees it
    scale = config["lora_alpha"] / config["r"]
    stored = load_file(capsule / ADAPTER)
    saved = {name.removeprefix(_PREFIX): tensor for name, tensor in stored.items()}
    changed = {}
    for name, tensor in saved.items():
        if name.endswith(_A):
            module = name.removesuffix(_A)
            weight = f"{module}.weight"
            changed[weight] = base[weight] + (saved[module + _B] @ tensor) * scale
        elif not name.endswith(_B):
            changed[name] = tensor
    return changed


def merge_capsule(base: Path, capsule: Path, into: Path) -> None:
    """Write base + adapter as a model that ``from_pretrained`` loads."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with harmless(base) as copy, harmless_adapter(capsule) as adapter:
        model = AutoModelForSequenceClassification.from_pretrained(
            copy, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
        merged.save_pretrained(into)
        tokenizer = AutoTokenizer.from_pretrained(copy, local_files_only=True, trust_remote_code=False)
        tokenizer.save_pretrained(into)
