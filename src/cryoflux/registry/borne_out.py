"""Whether a model's weights bear out what its settings say, and all of it, before any of it is made.

transformers makes what the settings ask for, and fills at random what the weights lack. So settings alone
could take any memory, and half a model would get losses that depend on a seed. Here the class is made on
torch's ``meta`` device, where a tensor has a name and a shape and takes no room, and is compared with the
headers of the weights. Even that takes time for every layer, so it is done only

- for kinds of model of which the tests show that nothing but layers, dimensions and classes makes them
  larger, and that this comparison finds what was saved;
- after every number among the settings has been held to the tensors that have bytes.
"""

from __future__ import annotations

__all__ = ["KINDS", "class_complaint", "load_classifier", "too_large"]

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from math import prod
from pathlib import Path
from typing import Any

from cryoflux.errors import ModelError

Shapes = Mapping[str, tuple[int, ...]]

_FAR = frozenset(
    {
        *("eurobert", "gemma", "gemma2", "gpt_neox", "llama", "mistral", "modernbert", "olmo", "olmo2"),
        *("phi", "qwen2", "qwen3"),
    }
)
"""kinds that turn vectors by where they stand, so that no tensor has a row for each place"""
KINDS = _FAR | {
    *("albert", "bart", "bert", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2"),
    *("distilbert", "electra", "ernie", "gpt2", "megatron-bert", "mpnet", "opt", "rembert", "roberta"),
    *("roberta-prelayernorm", "t5", "xlm-roberta", "xlm-roberta-xl"),
}
"""kinds of model, as ``model_type`` names them, that are made and compared"""
_MOST_LAYERS = 256
"""twice what the deepest of these kinds have; each takes some 20 ms to make, also without memory"""
_FLOOR = 2**13
"""numbers that need no tensor: positions, buckets, windows"""
_LENIENT = 2**24
_COUNTS = re.compile(
    r"layers?$|layers_|_groups$|^inner_group_num$|^block_sizes$|^block_repeats$|^depths$|blocks$"
)
_LISTS_OF_COUNTS = frozenset({"block_sizes", "block_repeats", "depths"})
_NO_COUNT = re.compile(r"norm|max_window_layers|attn_every")
_NO_SIZE = re.compile(r"_token_id$|theta|window|_base_freq$")
"""of these numbers nothing is made: ids of tokens, angles, how far attention looks"""
_BUFFERS = re.compile(r"(^|\.)(position_ids|token_type_ids|inv_freq|masked_bias)$")
"""what other versions of transformers saved beside the weights, and compute anew"""
_ROOM = 2**20
"""elements of buffers that no tensor has to bear out"""


def _with_bytes(shapes: Shapes) -> list[tuple[int, ...]]:
    return [shape for shape in shapes.values() if prod(shape)]


def _whole(value: Any) -> list[int]:
    return [one for one in (value if isinstance(value, list) else [value]) if type(one) is int]


def _most(name: str, kind: object, shapes: list[tuple[int, ...]]) -> int:
    """The largest number that a setting may have."""
    if _COUNTS.search(name) and not _NO_COUNT.search(name):
        return min(_MOST_LAYERS, len(shapes))
    widest = max((length for shape in shapes for length in shape), default=0)
    if "position" in name or name == "num_labels":
        lenient = kind in _FAR and name == "max_position_embeddings"
    else:
        lenient = kind not in KINDS or _NO_SIZE.search(name) is not None
    return max(_LENIENT if lenient else _FLOOR, widest)


def too_large(config: Mapping[str, Any], shapes: Shapes) -> list[str]:
    """Numbers among a model's settings that its tensors do not bear out; one without bytes bears out nothing.

    Args:
        config: its settings.
        shapes: of its tensors by name.
    """
    filled, complaints = _with_bytes(shapes), []
    for name, value in config.items():
        numbers = _whole(value)
        if not numbers or name.endswith("_token_id"):
            continue
        most = _most(name, config.get("model_type"), filled)
        said = sum(numbers) if name in _LISTS_OF_COUNTS else max(numbers)
        if max(said, *numbers) > most:
            complaints.append(f"its config.json says {name} = {said}, which its weights do not bear out")
    return complaints


def _tensors_of_a_layer(kind: str) -> int:
    """How many a layer of a kind has at the least."""
    return 5 if kind in _FAR else 8 if kind == "t5" else 12


def _layers_complaint(config: Mapping[str, Any], filled: int) -> str:
    """Why there are too few tensors for so many layers."""
    if config["model_type"] == "albert":  # its layers share tensors, its groups do not
        said = [config.get("num_hidden_groups", 1), config.get("inner_group_num", 1)]
        layers = prod(number for number in said if type(number) is int)
    else:
        counts = [n for n in config if _COUNTS.search(n) and not _NO_COUNT.search(n)]
        layers = max((number for name in counts for number in _whole(config[name])), default=0)
    if layers > max(1, filled // _tensors_of_a_layer(config["model_type"])):
        return (
            f"its config.json says {layers} layers, and its weights have {filled} tensors that are not empty"
        )
    return ""


def class_complaint(config: Mapping[str, Any], shapes: Shapes) -> str:
    """Why a model is not its weights, all of them and nothing else; empty where it is.

    Args:
        config: its settings, of which `too_large` has nothing to say.
        shapes: of the tensors that would be loaded, by name.
    """
    kind = config.get("model_type")
    if kind not in KINDS:
        return f"what a model of the kind {str(kind)[:80]!r} is made of is not held to its weights here"
    if complaint := _layers_complaint(config, len(_with_bytes(shapes))):
        return complaint
    try:
        made = _on_meta(config)
    except Exception as error:  # noqa: BLE001 - the library's own, whatever its settings make of it
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"no model can be made of its config.json: {reason[:120]}"
    return _difference(made, shapes)


def _on_meta(config: Mapping[str, Any]) -> Any:
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    asked = CONFIG_MAPPING[config["model_type"]].from_dict(deepcopy(dict(config)))
    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(asked, trust_remote_code=False)


def _difference(made: Any, shapes: Shapes) -> str:
    """What of a made class and of stored tensors the other lacks, or has in another shape."""
    due = {name: tuple(value.shape) for name, value in made.state_dict().items()}
    same = {name: others for others in _tied(made) for name in others}
    for name, shape in due.items():
        if name in shapes:
            if shapes[name] != shape:
                return f"{name} has the shape {shapes[name]} in its weights, and {shape} by its config.json"
        elif not (same.get(name, set()) & shapes.keys() or _BUFFERS.search(name)):
            return f"its weights lack {name}, which its config.json asks for"
    ignored = [re.compile(one) for one in getattr(made, "_keys_to_ignore_on_load_unexpected", None) or ()]
    for name in shapes:
        if name not in due and not any(one.search(name) for one in (_BUFFERS, *ignored)):
            return f"its weights have {name[:80]}, which its config.json does not ask for"
    room = sum(buffer.numel() for buffer in made.buffers())
    if room > max(_ROOM, sum(map(prod, shapes.values()))):
        return f"its config.json asks for buffers of {room} numbers, which its weights do not bear out"
    return ""


def _tied(made: Any) -> Iterator[set[str]]:
    """Names of one and the same tensor."""
    names: dict[int, set[str]] = {}
    for name, value in made.named_parameters(remove_duplicate=False):
        names.setdefault(id(value), set()).add(name)
    return (some for some in names.values() if len(some) > 1)


def load_classifier(copy: Path) -> Any:
    """The classifier of a harmless copy of a model folder, in float32, with nothing in it made at random.

    Raises:
        ModelError: its weights lack a tensor, have it in another shape, or have more.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    model, report = AutoModelForSequenceClassification.from_pretrained(
        copy,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    names = [*report["missing_keys"], *report["mismatched_keys"], *report["unexpected_keys"]]
    wrong = sorted(name if isinstance(name, str) else name[0] for name in names)
    if wrong := [name for name in wrong if not _BUFFERS.search(name)]:
        raise ModelError(
            f"The weights of a model are not those that its config.json asks for: {wrong[0][:120]}.",
            why="What they lack would be filled at random, and its losses would be those of a random model.",
            hint="Restore it from where it came, or name another with --model.",
        )
    return model
