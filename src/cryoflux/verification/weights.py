"""What the weights of a version are called, read as one who did not make them."""

from __future__ import annotations

__all__ = ["are_weights", "version_digest", "weights_of"]

from collections.abc import Iterable
from pathlib import Path

from cryoflux.digests import CHECKSUMS, Hashing, TensorEntry, file_digest, read_tensor_entries, tensors_digest
from cryoflux.errors import CryoFluxError, ModelError
from cryoflux.files import files_below

_MOST_TENSORS = 500_000
"""of one version; the largest models have a fifth of them"""


def weights_of(paths: Iterable[Path], hashing: Hashing) -> dict[Path, tuple[TensorEntry, ...]]:
    """The tensors of files, however many names lead to the same bytes.

    Raises:
        ModelError: one is no well-formed safetensors file, or they hold more tensors than are looked at.
        OSError: one cannot be read.
    """
    found: dict[Path, tuple[TensorEntry, ...]] = {}
    left = _MOST_TENSORS
    for path in paths:
        found[path] = hashing.tensors(path)
        left -= len(found[path])
        if left < 0:
            raise ModelError(
                f"{path.parent} holds more than {_MOST_TENSORS} tensors.",
                why="Nobody has published a model of so many.",
                hint="Restore the folder from where it came.",
            )
    return found


def version_digest(folder: Path, hashing: Hashing | None = None) -> str:
    """The digest that names a version's folder, or a text that is none where it cannot be read.

    It is over the tensors (``tensors/v1``), or over the files where there are none.
    """
    try:
        files = [path for name, path in files_below(folder).items() if name.endswith(".safetensors")]
        if not files:
            return file_digest(folder / CHECKSUMS)
        found = weights_of(files, hashing or Hashing())
        return tensors_digest(entry for path in files for entry in found[path])
    except (CryoFluxError, OSError, OverflowError, RecursionError) as error:
        return f"unreadable: {error}"


def are_weights(path: Path) -> bool:
    """Whether a file is a well-formed safetensors file with tensors in it."""
    try:
        return bool(list(read_tensor_entries(path)))
    except (CryoFluxError, OSError, OverflowError, RecursionError):
        return False
