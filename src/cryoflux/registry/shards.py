"""A version's weights in one file a layer, so that a new version writes only the layers that changed.

The files and ``model.safetensors.index.json`` are what transformers calls a sharded checkpoint:
``from_pretrained`` loads it like any other. A file that did not change is a hard link to the base
version's, with the same bytes and the same digest, so nothing is copied or hashed again.
"""

from __future__ import annotations

__all__ = ["INDEX", "link_or_copy", "read_tensors", "shard", "shard_names", "write_shard"]

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryoflux.digests import tensor_shapes
from cryoflux.files import read_regular

INDEX = "model.safetensors.index.json"
_LAYER = re.compile(r"\.(\d+)\.")
_READ_ONLY = 0o444
_MAX_INDEX_BYTES = 8_000_000


def _group(name: str) -> tuple[int, int]:
    # embeddings first, then the layers in order, then what lies outside of them
    if found := _LAYER.search(name):
        return 1, int(found[1])
    return (0, 0) if "embed" in name else (2, 0)


def shard(folder: Path) -> None:
    """Split the weights that ``save_pretrained`` has written by layer, in place, if there are any."""
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


def write_shard(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write one weight file; nobody writes to it again, because other versions may share it."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"format": "pt"})
    path.chmod(_READ_ONLY)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        with target.open("rb") as stream:
            os.fsync(stream.fileno())
