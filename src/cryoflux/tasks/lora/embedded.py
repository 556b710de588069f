"""Version 0 of the embedded model, written without loading transformers.

Its files are known by their digest, so nothing has to be found out about them: weights get the names that a
classifier has, the head is zero, and ``config.json`` says so. transformers reads the result as it reads what
it would have written itself; a test compares the two. The head says of every text how often each class is.
"""

from __future__ import annotations

__all__ = ["EmbeddedBase", "load_embedded"]

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryoflux.tasks.lora.base_model import resolve, source_digest

_NOT_OURS = ("_name_or_path", "transformers_version")
"""what the authors' configuration says of their own copy"""
_BUFFER = "embeddings.position_ids"
"""stored by transformers of that time; it is 0, 1, 2, …"""


@dataclass(frozen=True, slots=True)
class EmbeddedBase:
    """The embedded model with a head that says nothing of any text yet."""

    name: str
    source_digest: str
    """``tensors/v1`` digest of the published weights"""
    folder: Path
    config: dict[str, Any]
    """of version 0"""
    prior: Mapping[str, float] = field(default_factory=dict)
    """class → what the head scores it, whatever the text; 0 of those that are none of them"""

    def save(self, folder: Path) -> None:
        """Write version 0 in the format of ``from_pretrained``."""
        import torch
        from safetensors.torch import load_file, save_file

        published = load_file(self.folder / "model.safetensors")
        tensors = {f"bert.{name}": tensor for name, tensor in published.items() if name != _BUFFER}
        classes, hidden = self.config["label2id"], self.config["hidden_size"]
        tensors |= {
            "classifier.weight": torch.zeros(len(classes), hidden),
            "classifier.bias": torch.tensor([self.prior.get(label, 0.0) for label in classes]),
        }
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(json.dumps(self.config, indent=2, sort_keys=True) + "\n", "utf-8")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(self.folder / name, folder / name)


def load_embedded(
    name: str, labels: tuple[str, ...], *, prior: Mapping[str, float] | None = None
) -> EmbeddedBase:
    """The embedded model with a head for ``labels``.

    Args:
        name: of the model.
        labels: the classes.
        prior: class → what a new head scores it, whatever the text; all alike where it is none.

    Raises:
        ModelError: it is not installed, or altered.
    """
    folder = resolve(name)
    published = json.loads((folder / "config.json").read_bytes())
    config = {
        **{key: value for key, value in published.items() if key not in _NOT_OURS},
        "architectures": ["BertForSequenceClassification"],
        "dtype": "float32",
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
        "problem_type": "single_label_classification",
    }
    return EmbeddedBase(name, source_digest(name, folder), folder, config, prior or {})
