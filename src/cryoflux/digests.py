"""What an artefact is called: digests of bytes, of folders, and of a model's tensors.

- A file is named by the SHA-256 of its bytes.
- A folder is named by the SHA-256 of its ``SHA256SUMS`` file, which lists every file in it in the
  format of ``sha256sum``, so that ``sha256sum -c SHA256SUMS`` checks it without CryoFlux.
- A model is named by its tensors (``tensors/v1``): SHA-256 over one line a tensor, sorted by name,
  each with name, dtype, shape and the SHA-256 of its bytes. File layout does not matter.

safetensors files are read here directly (eight bytes of length, a JSON header, raw bytes), so that
checking an artefact runs no code of the one who made it and needs no library.
"""

from __future__ import annotations

__all__ = [
    "CHECKSUMS",
    "TensorEntry",
    "checksum_lines",
    "file_digest",
    "folder_digest",
    "listed_digests",
    "mismatched_files",
    "read_tensor_entries",
    "read_tensor_header",
    "sha256_hex",
    "tensors_digest",
    "write_checksums",
]

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cryoflux.errors import ModelError
from cryoflux.files import write_atomic

CHECKSUMS = "SHA256SUMS"
_MAX_HEADER_BYTES = 100_000_000
_CHUNK = 1 << 20


def sha256_hex(content: bytes) -> str:
    """SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _listed_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / CHECKSUMS)


def write_checksums(folder: Path) -> str:
    """Write a folder's ``SHA256SUMS`` and return its digest, which is the folder's name."""
    content = checksum_lines(
        {p.relative_to(folder).as_posix(): file_digest(p) for p in _listed_files(folder)}
    )
    write_atomic(folder / CHECKSUMS, content)
    return sha256_hex(content)


def checksum_lines(digests: Mapping[str, str]) -> bytes:
    """The content of a ``SHA256SUMS`` file that lists name → SHA-256."""
    lines = (f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return "".join(lines).encode("utf-8", "surrogateescape")


def folder_digest(folder: Path) -> str:
    """The digest of a folder's ``SHA256SUMS``; what that file lists is not read."""
    return file_digest(folder / CHECKSUMS)


def listed_digests(folder: Path) -> dict[str, str]:
    """Name → SHA-256 of every file, as the folder's ``SHA256SUMS`` has it; no file is hashed."""
    sums = (folder / CHECKSUMS).read_bytes().decode("utf-8", "surrogateescape")
    rows = (line.partition("  ") for line in (sums.removesuffix("\n").split("\n") if sums else ()))
    return {name: digest for digest, _, name in rows}


def mismatched_files(folder: Path) -> list[str]:
    """Names of files that are not what ``SHA256SUMS`` says, are missing, or are not listed."""
    listed = listed_digests(folder)
    present = {p.relative_to(folder).as_posix(): p for p in _listed_files(folder)}
    wrong = [name for name in listed if name not in present]
    wrong += [name for name, path in present.items() if listed.get(name) != file_digest(path)]
    return sorted(wrong)


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of a safetensors file."""

    name: str
    dtype: str
    """safetensors' own word: ``F32``, ``F64``, ``BF16``, ``I64``, …"""
    shape: tuple[int, ...]
    sha256: str
    """of the tensor's bytes, little-endian, row-major"""


def read_tensor_entries(path: Path) -> list[TensorEntry]:
    """The tensors of one safetensors file, hashed.

    Raises:
        ModelError: the file is not a well-formed safetensors file.
    """
    with path.open("rb") as stream:
        size = path.stat().st_size
        try:
            header, start = read_tensor_header(stream, size)
            return [_read_entry(stream, name, spec, start, size) for name, spec in header.items()]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(
                f"{path} is not a well-formed safetensors file.",
                why=f"Its weights cannot be identified ({error}).",
                hint="Restore the file from where it came.",
            ) from error


def read_tensor_header(stream: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """What the header of a safetensors file says of each tensor, and where their bytes begin.

    Args:
        stream: the file, at its start.
        size: of the file, bytes.

    Raises:
        ValueError, TypeError, AttributeError, RecursionError: there is no such header.
    """
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
        raise ValueError("header length")
    header: dict[str, Any] = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    return header, 8 + length


def _read_entry(stream: BinaryIO, name: str, spec: dict[str, Any], start: int, size: int) -> TensorEntry:
    first, last = spec["data_offsets"]
    if not 0 <= first <= last <= size - start:
        raise ValueError(f"tensor {name!r} lies outside the file")
    dtype, shape = spec["dtype"], spec["shape"]
    if not isinstance(dtype, str) or not isinstance(shape, list) or not all(_is_length(n) for n in shape):
        raise ValueError(f"tensor {name!r} has no usable dtype and shape")
    stream.seek(start + first)
    digest = hashlib.sha256()
    left = last - first
    while left and (chunk := stream.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    return TensorEntry(name, dtype, tuple(shape), digest.hexdigest())


def _is_length(n: object) -> bool:
    return type(n) is int and n >= 0


def tensors_digest(entries: Iterable[TensorEntry]) -> str:
    """The digest of a model by its tensors (``tensors/v1``)."""
    lines = (
        json.dumps([e.name, e.dtype, list(e.shape), e.sha256], separators=(",", ":"), ensure_ascii=True)
        for e in sorted(entries, key=lambda e: e.name)
    )
    return sha256_hex(("cryoflux tensors/v1\n" + "".join(f"{line}\n" for line in lines)).encode())
