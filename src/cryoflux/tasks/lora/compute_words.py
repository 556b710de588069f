"""How and where a classifier is computed, for people."""

from __future__ import annotations

__all__ = ["compute_words"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryoflux.tasks.lora.head import HeadModel


def compute_words(model: HeadModel) -> str:
    """Device, threads, and how products are computed.

    Args:
        model: the head in memory.
    """
    import torch

    threads, backend = int(torch.get_num_threads()), model.backend
    how = f"products in {backend.value}" if backend else "by transformers"
    return f"{model.device}, {threads} thread{'s' if threads > 1 else ''}, {how}"
