"""What PEFT itself makes of base and adapter: the oracle that our own merging is held to."""

from __future__ import annotations

from pathlib import Path


def merge_with_peft(base: Path, capsule: Path, into: Path) -> None:
    """Write base + adapter as a model that from_pretrained loads, in float32."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(
        base, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    PeftModel.from_pretrained(model, capsule).merge_and_unload().save_pretrained(into)
    AutoTokenizer.from_pretrained(base, local_files_only=True).save_pretrained(into)
