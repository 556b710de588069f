"""An adapter's settings, as far as they are those of a plain LoRA.

PEFT does many things when ``adapter_config.json`` asks for them: it imports modules, makes layers anew,
repeats layers, or fetches a base model. None of it is LoRA as it is recorded here, so a file that says more
than a plain one is refused, and PEFT never reads one.
"""

from __future__ import annotations

__all__ = ["adapter_settings", "parse_adapter_settings"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryoflux.errors import ModelError
from cryoflux.registry.plain_json import parse_object, read_object
from cryoflux.state import ADAPTER_CONFIG

_MAX_BYTES = 1_000_000
CAUSAL_LM = "CAUSAL_LM"
_TEXTS = {"target_modules", "modules_to_save"}
_NOTES = {"base_model_name_or_path", "revision", "peft_version", "inference_mode", "lora_dropout"}
"""settings from which nothing follows once an adapter is trained"""
_PLAIN: Mapping[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "init_lora_weights": (True, False),
    "use_dora": (False,),
    "use_rslora": (False,),
    "use_qalora": (False,),
    "fan_in_fan_out": (False,),
    "lora_bias": (False,),
    "qalora_group_size": (16,),
    "megatron_core": ("megatron.core", None),
    "ensure_weight_tying": (False,),
}
_MOST = 1_000_000


def adapter_settings(capsule: Path, task_type: str = "") -> dict[str, Any]:
    """The settings of a plain LoRA adapter, and nothing else that its file says.

    Args:
        capsule: the adapter's folder.
        task_type: what kind of model it is for, as PEFT calls it; empty for what the file says, if that is
            a text classifier or a causal language model.

    Raises:
        ModelError: the file cannot be read, or asks for more than plain LoRA.
    """
    return _plain(read_object(capsule / ADAPTER_CONFIG, _MAX_BYTES, _refused), task_type)


def parse_adapter_settings(content: bytes, task_type: str = "") -> dict[str, Any]:
    """The same from the bytes of the file, of which there may be no more than memory has room for.

    Raises:
        ModelError: as for `adapter_settings`.
    """
    return _plain(parse_object(content, _refused), task_type)


def _plain(found: Mapping[str, Any], task_type: str) -> dict[str, Any]:
    if not task_type:
        task_type = CAUSAL_LM if found.get("task_type") == CAUSAL_LM else "SEQ_CLS"
    for name, value in found.items():
        if complaint := _complaint(name, value, task_type):
            raise _refused(complaint)
    if not {"r", "lora_alpha", "target_modules"} <= found.keys():
        raise _refused("names no rank, alpha or modules")
    known = {"r", "lora_alpha", "task_type", *_TEXTS, *_PLAIN}
    return {name: value for name, value in found.items() if name in known} | {"inference_mode": True}


def _complaint(name: str, value: Any, task_type: str) -> str:
    if name == "fan_in_fan_out" and task_type == CAUSAL_LM:
        return "" if isinstance(value, bool) else f"has no usable {name}"  # GPT-2 keeps weights transposed
    if name == "task_type":
        return "" if not value or value == task_type else f"is for {str(value)[:60]!r}, not for {task_type}"
    if name in {"r", "lora_alpha"}:
        usable = type(value) in {int, float} and 0 < value <= _MOST and (name != "r" or type(value) is int)
        return "" if usable else f"has no usable {name}"
    if name in _TEXTS:
        usable = value is None or (isinstance(value, list) and all(isinstance(one, str) for one in value))
        return "" if usable else f"has no list of {name}"
    if name in _NOTES or not value or (name in _PLAIN and value in _PLAIN[name]):
        return ""
    return f"asks for {name[:60]!r}, which is not plain LoRA"


def _refused(why: str) -> ModelError:
    return ModelError(
        f"The adapter's {ADAPTER_CONFIG} {why}.",
        why="Only plain LoRA adapters are merged; anything else could run code, or mean another arithmetic.",
        hint="Restore it from where it came.",
    )
