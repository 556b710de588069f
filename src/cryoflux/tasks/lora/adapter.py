"""An adapter as training leaves it: the tensors and the configuration that PEFT reads."""

from __future__ import annotations

__all__ = ["Screening", "Trained", "save_adapter"]

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.decision.evidence import Evidence
from cryoflux.receipts.lifting import SECTION
from cryoflux.receipts.statement import Section
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.tasks.lora.recipe import Recipe

_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True)
class Screening:
    """Losses of an update on training-side examples that were not trained on, paired with the base's."""

    evidence: Evidence
    scale: str
    """at which the update was merged, decimal text; one of the recipe's scales"""


@dataclass(frozen=True, slots=True)
class Trained:
    """How an adapter came about; its files are written."""

    drawn: list[int]
    """indices of the training examples that it learned from"""
    fresh: int
    """how many of them no attempt had drawn before"""
    steps: int
    planned_steps: int
    planned_at_step: int
    stopped_by: str
    """``joules``, ``steps``, ``interrupt`` or ``hopeless``"""
    modules: list[str]
    """that carry LoRA"""
    trained_parameters: int
    last_loss_nano_nat: int
    backend: str
    """how products were computed"""
    saved_uj: int
    """joules that stopping early saved, by the cost of the steps made; modelled, µJ"""
    screening: Screening | None

    def section(self) -> Section:
        """The part of a receipt that only this task knows."""
        fields: dict[str, int | str | list[str]] = {
            "plannedSteps": self.planned_steps,
            "plannedAtStep": self.planned_at_step,
            "modules": self.modules,
            "trainedParameters": self.trained_parameters,
            "lastTrainLossNanoNat": self.last_loss_nano_nat,
            "backend": self.backend,
        }
        if self.screening is not None:
            fields["scale"] = self.screening.scale
        return Section(kind=SECTION, fields=fields)


def save_adapter(
    folder: Path,
    recipe: Recipe,
    lora: Mapping[str, tuple[Any, Any]],
    saved: Mapping[str, Any],
    base: str,
) -> None:
    """Write an adapter in PEFT's format.

    Args:
        folder: exists and is empty.
        recipe: gives rank and alpha.
        lora: module → (A, B), float32.
        saved: parameter name → tensor of the modules that were trained in full.
        base: how the configuration names the base model.
    """
    from safetensors.torch import save_file

    tensors = {f"{_PREFIX}{name}": tensor.contiguous() for name, tensor in saved.items()}
    for module, (a, b) in lora.items():
        tensors[f"{_PREFIX}{module}.lora_A.weight"] = a.contiguous()
        tensors[f"{_PREFIX}{module}.lora_B.weight"] = b.contiguous()
    save_file(tensors, folder / ADAPTER, {"format": "pt"})
    config = {
        "alpha_pattern": {},
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": recipe.alpha,
        "lora_dropout": recipe.dropout,
        "modules_to_save": sorted({name.rpartition(".")[0] for name in saved}),
        "peft_type": "LORA",
        "r": recipe.rank,
        "rank_pattern": {},
        "target_modules": sorted(lora),
        "task_type": "SEQ_CLS",
        "use_dora": False,
        "use_rslora": False,
    }
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
