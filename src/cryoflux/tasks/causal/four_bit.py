"""A base in four bits (NF4, Dettmers et al. 2023, through bitsandbytes): a large model on a small GPU.

It is in four bits for training and for its screen alone. An update is learned beside rounded weights, and is
added to the full ones: what that comes to is what the holdout decides on, read from the version as it lies on
the disk.
"""

from __future__ import annotations

__all__ = ["FOUR_BIT", "FOUR_BIT_BYTES", "four_bit_settings", "require_four_bit"]

from collections.abc import Collection
from importlib.util import find_spec
from typing import Any

from cryoflux.errors import ConfigError, UsageError
from cryoflux.tasks.lora.libraries import chosen_device

FOUR_BIT = "nf4"
"""the precision of a recipe"""
FOUR_BIT_BYTES = 0.52
"""of a weight: half a byte, and the scales of its block, which are themselves rounded"""
_LIBRARY = "bitsandbytes"


def require_four_bit(precisions: Collection[str], device: str) -> None:
    """Make sure that a base in four bits can be used where a recipe wants one.

    Args:
        precisions: of the recipes of a run.
        device: ``auto``, ``cpu`` or ``cuda``, as asked for.

    Raises:
        ConfigError: only some of them want it: one base is in memory, in one precision.
        UsageError: bitsandbytes is not installed, or there is no GPU.
    """
    if FOUR_BIT not in precisions:
        return
    if set(precisions) != {FOUR_BIT}:
        raise ConfigError(
            f"Some recipes train in {FOUR_BIT}, and others do not.",
            why="All of them train on one base in memory, which is in four bits or is not.",
            hint="Name those alone that belong together, or give them one precision.",
        )
    if find_spec(_LIBRARY) is None:
        raise UsageError(
            f"A base in four bits needs {_LIBRARY}, which is not installed.",
            why=f'A recipe says precision = "{FOUR_BIT}".',
            hint="Install it: pip install 'cryoflux[gpu]'; or let the recipe say precision = \"bf16\".",
        )
    if chosen_device(device) != "cuda":
        raise UsageError(
            "A base in four bits needs a CUDA device, and none can be used here.",
            why=f'A recipe says precision = "{FOUR_BIT}".',
            hint='Let the recipe say precision = "bf16", or see what is missing with `cryoflux doctor`.',
        )


def four_bit_settings() -> Any:
    """How transformers reads weights in four bits: NF4, scales rounded too, products in bfloat16."""
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
