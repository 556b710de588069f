"""Merges an adapter from disk into a base version from disk, in float32, as PEFT does."""

from __future__ import annotations

__all__ = ["merge_capsule"]

from pathlib import Path


def merge_capsule(base: Path, capsule: Path, into: Path) -> None:
    """Write base + adapter as a model that ``from_pretrained`` loads."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(
        base, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    merged = PeftModel.from_pretrained(model, capsule).merge_and_unload()
    merged.save_pretrained(into)
    AutoTokenizer.from_pretrained(base, local_files_only=True).save_pretrained(into)
