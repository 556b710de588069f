"""What is judged: a model folder, an id of the hub, or an adapter that is added to the base.

Nothing of it is run: weights are safetensors, settings those that transformers' own class declares
(`registry.plain_model`), an adapter is plain LoRA. What a side is called by is the digest of the files that
are read of it.
"""

from __future__ import annotations

__all__ = ["JudgedModel", "loaded_side", "model_side"]

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryoflux.digests import checksum_lines, file_digest, sha256_hex
from cryoflux.errors import CryoFluxError, ModelError
from cryoflux.files import copy_regular
from cryoflux.receipts.judgement_parts import JudgedSide
from cryoflux.registry.own_files import refuse_foreign_files
from cryoflux.registry.plain_adapter import adapter_settings
from cryoflux.registry.plain_model import harmless, settings_complaints
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.tasks.lora.base_model import resolve
from cryoflux.tasks.lora.libraries import shielded

_READ = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
"""files of a model folder that something is read of"""
_CONFIG = "config.json"
_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
)


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """One of two models, found and not loaded yet."""

    name: str
    folder: Path
    """of the model; of an adapter the one that it is added to"""
    adapter: Path | None = None

    def side(self) -> JudgedSide:
        """What the receipt says of it; hashes its files."""
        # Of a folder its last part: what is signed is for everybody, and tells of nobody's machine.
        name = Path(self.name).resolve().name if Path(self.name).is_dir() else self.name
        if self.adapter is None:
            return JudgedSide(name=name, sha256=_digest(self.folder))
        return JudgedSide(name=name, sha256=_digest(self.adapter), onto=_digest(self.folder))


def model_side(name: str, base: JudgedModel | None = None) -> JudgedModel:
    """The model of a name: a folder, an id of the hub, or an adapter's folder.

    Args:
        name: as it was typed.
        base: what an adapter is added to; none where ``name`` is the base itself.

    Raises:
        ModelError: there is none, or it is an adapter and there is nothing to add it to.
    """
    folder = resolve(name)
    if not (folder / ADAPTER_CONFIG).is_file() or (folder / _CONFIG).is_file():
        return JudgedModel(name, folder)
    if base is None or base.adapter is not None:
        raise ModelError(
            f"{name} is an adapter, and there is no model to add it to.",
            why="The base of a comparison has to be a whole model.",
            hint="Name the model that it was trained on: --base DIR.",
        )
    if not (folder / ADAPTER).is_file():
        raise ModelError(
            f"The adapter {name} has no {ADAPTER}.",
            why="Pickled weights can run code when they are loaded, so they are refused.",
            hint="Save it with model.save_pretrained(DIR), and give that folder.",
        )
    return JudgedModel(name, base.folder, folder)


def _digest(folder: Path) -> str:
    """The digest of the list of a folder's files that are read, in the form of its ``SHA256SUMS``."""
    refuse_foreign_files(folder)
    files = {path.name: path for pattern in _READ for path in folder.glob(pattern) if path.is_file()}
    return sha256_hex(checksum_lines({name: file_digest(path) for name, path in files.items()}))


@contextmanager
def loaded_side(model: JudgedModel, kind: str) -> Iterator[tuple[Any, Any, set[str]]]:
    """A model in memory, float32 on the CPU, with its tokenizer and the tensors that its weights lack.

    Args:
        model: which one.
        kind: ``SequenceClassification`` or ``CausalLM``: the class of transformers that loads it.

    Raises:
        ModelError: it cannot be loaded, or would not be safe to load.
    """
    import torch
    import transformers

    if not any((model.folder / name).is_file() for name in _TOKENIZERS):
        raise ModelError(
            f"{model.name} has no tokenizer.",
            why="Another one would read other tokens, and every loss would be of something else.",
            hint="Save it beside the model: tokenizer.save_pretrained(DIR).",
        )
    if complaints := settings_complaints(model.folder):
        raise ModelError(
            f"{model.name} cannot be judged as what it says it is: {complaints[0]}.",
            why="What is not known here would be left out, and another model judged than was trained.",
            hint="Take it out of that file if nothing follows from it; or evaluate both yourself: --losses.",
        )
    auto = getattr(transformers, f"AutoModelFor{kind}")
    how: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with harmless(model.folder) as copy, shielded():
            network, report = auto.from_pretrained(
                copy, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **how
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(copy, **how)
            lacking = {*report["missing_keys"]}
            if model.adapter is not None:
                network, lacking = _with_adapter(network, model.adapter, kind, lacking)
    except CryoFluxError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, ImportError, TypeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"The model {model.name!r} cannot be loaded for {kind}: {reason[0][:200]}",
            why="It needs a tokenizer, settings that transformers knows, and safetensors weights.",
            hint="Check that AutoModelFor" + kind + ".from_pretrained loads it without remote code.",
        ) from error
    yield network.eval(), tokenizer, lacking


def _with_adapter(network: Any, adapter: Path, kind: str, lacking: set[str]) -> tuple[Any, set[str]]:
    from peft import PeftModel

    task = {"SequenceClassification": "SEQ_CLS", "CausalLM": "CAUSAL_LM"}[kind]
    refuse_foreign_files(adapter)
    settings = adapter_settings(adapter, task)
    with TemporaryDirectory(prefix="cryoflux-adapter-") as place:
        # PEFT sees what was checked, and nothing else that lies in the folder.
        checked = json.dumps({**settings, "peft_type": "LORA", "task_type": task})
        (Path(place) / ADAPTER_CONFIG).write_text(checked)
        copy_regular(adapter / ADAPTER, Path(place) / ADAPTER)
        merged = PeftModel.from_pretrained(network, place).merge_and_unload()
    saved = tuple(settings.get("modules_to_save") or ())
    return merged, {name for name in lacking if not name.startswith(saved)} if saved else lacking
