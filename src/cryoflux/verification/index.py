"""The index of a model that is spread over several files: it leads a loader to all of them, and to no other.

A loader reads the files that the index names, wherever they lie, and makes up the weights of a file that it
leaves out. The digest of the tensors says nothing of either, because it is over the files of the folder.
"""

from __future__ import annotations

__all__ = ["INDEX", "index_complaint"]

import json
from collections.abc import Mapping
from pathlib import Path

from cryoflux.digests import Hashing
from cryoflux.errors import CryoFluxError
from cryoflux.files import read_regular
from cryoflux.verification.weights import weights_of

INDEX = "model.safetensors.index.json"
_MAX_BYTES = 8_000_000


def index_complaint(folder: Path, listed: Mapping[str, str], hashing: Hashing) -> str:
    """What is wrong with the index of a model folder; empty where nothing is, or where there is none.

    Args:
        folder: the model's folder, which is as it was signed.
        listed: its files.
        hashing: what was read of weights before.
    """
    if INDEX not in listed:
        return ""
    try:
        named = json.loads(read_regular(folder / INDEX, _MAX_BYTES))["weight_map"]
        pairs = {(str(tensor), str(file)) for tensor, file in named.items()}
        return _compare(folder, pairs, listed, hashing)
    except (CryoFluxError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "is no index of weight files"


def _compare(folder: Path, pairs: set[tuple[str, str]], listed: Mapping[str, str], hashing: Hashing) -> str:
    if elsewhere := sorted({file for _, file in pairs} - listed.keys()):
        return f"names {elsewhere[0]!r}, which is no file of the folder"
    files = [folder / name for name in listed if name.endswith(".safetensors")]
    found = weights_of(files, hashing)
    present = {(entry.name, path.relative_to(folder).as_posix()) for path in files for entry in found[path]}
    if pairs != present:
        tensor, file = min(pairs ^ present)
        return f"and the weight files disagree on where the tensor {tensor!r} is ({file})"
    return ""
