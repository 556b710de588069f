"""A version's weights in two files a layer, so that a new version writes only the parts that changed.

Attention has a file of its own: it is what LoRA learns, and a third of a layer. States that were begun with
one file a layer keep that.

The files and ``model.safetensors.index.json`` are what transformers calls a sharded checkpoint:
``from_pretrained`` loads it like any other. A file that did not change is a hard link to the base
version's, with the same bytes and the same digest, so nothing is copied or hashed again.
"""

from __future__ import annotations

__all__ = [
    "INDEX",
    "TensorFolder",
    "link_or_copy",
    "read_tensors",
    "shard",
    "shard_bytes",
    "shard_names",
    "write_model",
    "write_shard",
    "write_shard_bytes",
]

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryoflux.digests import CHECKSUMS, tensor_shapes
from cryoflux.errors import ModelError
from cryoflux.files import copy_regular, read_regular

INDEX = "model.safetensors.index.json"
_LAYER = re.compile(r"\.(\d+)\.")
_ATTENTION = re.compile(r"attention|attn", re.IGNORECASE)
_WEIGHTS = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.safetensors")
_READ_ONLY = 0o444
_MAX_INDEX_BYTES = 8_000_000
_PLAIN = {".json", ".txt", ".model", ".jinja"}
"""endings of the files beside the weights that are copied: settings, vocabularies, templates; no code"""


def _group(name: str) -> tuple[int, int, int]:
    # embeddings first, then the layers in order, attention before the rest, then what lies outside of them
    if found := _LAYER.search(name):
        return 1, int(found[1]), not _ATTENTION.search(name)
    return (0, 0, 0) if "embed" in name else (2, 0, 0)


def shard(folder: Path) -> None:
    """Split the weights that ``save_pretrained`` has written by part, in place, if there are any."""
    written = sorted(folder.glob("*.safetensors"))
    if not written:
        return
    tensors = {name: tensor for path in written for name, tensor in read_tensors(path).items()}
    for path in written:
        path.unlink()
    groups = sorted({_group(name) for name in tensors})
    files = {g: f"model-{i:05}-of-{len(groups):05}.safetensors" for i, g in enumerate(groups, 1)}
    for group, file in files.items():
        write_shard(folder / file, {n: t for n, t in tensors.items() if _group(n) == group})
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    names = {name: files[_group(name)] for name in sorted(tensors)}
    index = {"metadata": {"total_size": size}, "weight_map": names}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def shard_names(folder: Path) -> dict[str, str]:
    """Tensor name → the file that holds it."""
    if (folder / INDEX).is_file():
        return dict(json.loads(read_regular(folder / INDEX, _MAX_INDEX_BYTES))["weight_map"])
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= dict.fromkeys(tensor_shapes(path), path.name)
    return found


def read_tensors(path: Path) -> dict[str, Any]:
    """The tensors of one file, or of all files of a folder.

    Raises:
        ModelError: a file is not a well-formed safetensors file.
    """
    from safetensors.torch import load_file

    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    for file in files:
        tensor_shapes(file)  # a header that is none is refused before a library sees it
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


class TensorFolder(Mapping[str, Any]):
    """The tensors of a version, each read from the disk when it is asked for."""

    def __init__(self, folder: Path, framework: str = "numpy") -> None:
        """Look into a folder; it must not change as long as this is used.

        Args:
            folder: of the version.
            framework: ``numpy``, or ``pt`` for tensors of torch, which knows bfloat16.

        Raises:
            ModelError: its index cannot be read, or names a file that does not lie in it.
        """
        self._folder, self._where = folder, _inside(_names_in(folder))
        self._framework = framework
        self._looked_at: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        """A tensor; another one each time.

        Raises:
            KeyError: there is none of that name.
            ModelError: its file is no well-formed safetensors file, or holds no such tensor.
        """
        from safetensors import SafetensorError, safe_open

        file = self._where[name]
        if file not in self._looked_at:  # the library would wait for a pipe, and everything with it
            tensor_shapes(self._folder / file)
            self._looked_at.add(file)
        try:
            with safe_open(self._folder / file, framework=self._framework) as stream:
                return stream.get_tensor(name)
        except (SafetensorError, TypeError, AttributeError) as error:  # none of that name, or of a type
            raise ModelError(
                f"{name} cannot be read from {self._folder / file}.",
                why=str(error),
                hint="Restore the file from where it came; cryoflux verify names what is damaged.",
            ) from error

    def __iter__(self) -> Iterator[str]:
        """All names."""
        return iter(self._where)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._where)


def _names_in(folder: Path) -> dict[str, str]:
    try:
        return shard_names(folder)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{folder / INDEX} is no index of weights.",
            why=f"Which file holds which tensor is not known ({error}).",
            hint="Restore the file from where it came; cryoflux verify names what is damaged.",
        ) from error


def _inside(where: dict[str, str]) -> dict[str, str]:
    """The same, if every file lies beside its index: a state may come from a stranger.

    Raises:
        ModelError: one does not.
    """
    for file in where.values():
        if not (isinstance(file, str) and _WEIGHTS.fullmatch(file)):
            raise ModelError(
                f"An index of weights names {file!r}, which is no file beside it.",
                why="It would be read, or written, outside of the model's folder.",
                hint="Take the model from where it came; cryoflux verify names what is damaged.",
            )
    return where


def write_model(base: Path, weights: Path, changed: Mapping[str, Any], into: Path) -> None:
    """Write a model that ``from_pretrained`` loads: files of one folder, weights of another.

    Beside the weights only plain settings and vocabularies are copied: nothing that could be run.

    Args:
        base: where everything but the weights is taken from.
        weights: a version whose weights are taken.
        changed: tensor name → torch tensor, of those that are others.
        into: the folder; it may be missing.

    Raises:
        ModelError: an index names a file that does not lie beside it.
    """
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted(base.iterdir()):
        plain = path.suffix in _PLAIN and path.name not in {INDEX, CHECKSUMS}
        if plain and path.is_file() and not path.is_symlink():
            copy_regular(path, into / path.name)
    where = _inside(shard_names(weights))
    for file in sorted(set(where.values())):
        # a tensor of the same name in another file is not the one that was looked at
        tensors = {n: t for n, t in read_tensors(weights / file).items() if where.get(n) == file}
        write_shard(into / file, {name: changed.get(name, tensor) for name, tensor in tensors.items()})
    if (weights / INDEX).is_file():
        copy_regular(weights / INDEX, into / INDEX)


def write_shard(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write one weight file; nobody writes to it again, because other versions may share it."""
    write_shard_bytes(path, shard_bytes(tensors))


def shard_bytes(tensors: Mapping[str, Any]) -> bytes:
    """What a weight file of some torch tensors holds, to the byte."""
    from safetensors.torch import save

    content: bytes = save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"format": "pt"})
    return content


def write_shard_bytes(path: Path, content: bytes) -> None:
    """Write what `shard_bytes` gave."""
    path.write_bytes(content)
    path.chmod(_READ_ONLY)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        copy_regular(source, target)
        with target.open("rb") as stream:
            os.fsync(stream.fileno())
