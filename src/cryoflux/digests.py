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
    "COMPOSED",
    "MAX_SUMS_BYTES",
    "Hashing",
    "TensorEntry",
    "checksum_lines",
    "copy_listed",
    "digests_of_lines",
    "file_digest",
    "find_listed",
    "folder_digest",
    "listed_digests",
    "mismatched_files",
    "read_tensor_entries",
    "read_tensor_header",
    "sha256_hex",
    "tensor_entries",
    "tensor_shapes",
    "tensors_digest",
    "write_checksums",
]

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from cryoflux.errors import ModelError
from cryoflux.files import (
    Copying,
    IrregularFileError,
    files_below,
    open_regular,
    read_lines,
    read_regular,
    write_atomic,
)

CHECKSUMS = "SHA256SUMS"
COMPOSED = "COMPOSED"
"""beside a version's files: the updates that its weights are the sum of; no part of what it is called"""
_MAX_HEADER_BYTES = 8_000_000
"""room for the names of fifty thousand tensors"""
MAX_SUMS_BYTES = 1 << 20
"""largest ``SHA256SUMS``"""
_LONGEST_LINE = 8_000_000
_MOST_FOLDERS = 64
"""data sets that are looked through for one that has grown"""
_CHUNK = 1 << 20
_WIDTHS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
"""bytes of one element"""
_FIELDS = {"dtype", "shape", "data_offsets"}
_MOST_DIMENSIONS = 16


def sha256_hex(content: bytes) -> str:
    """SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        IrregularFileError: it is a pipe, a device or the like, or claims more bytes than are read.
        OSError: it cannot be read.
    """
    return Hashing().digest(path)


class Hashing:
    """Digests of files that do not change meanwhile; one that has many names, by links, is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], str] = {}
        self._tensors: dict[tuple[int, ...], tuple[TensorEntry, ...]] = {}

    def digest(self, path: Path) -> str:
        """As `file_digest`; with the same errors."""
        with open_regular(path) as stream:
            one, size = _which(stream)
            if one not in self._known:
                self._known[one] = _digest_of(stream, size)
        return self._known[one]

    def tensors(self, path: Path) -> tuple[TensorEntry, ...]:
        """As `read_tensor_entries`; with the same errors."""
        with _well_formed(path), open_regular(path) as stream:
            one, size = _which(stream)
            if known := self._tensors.get(one):
                return known
            entries = tensor_entries(stream, size)
            # Hardly any file is met again: only of those that are, all this is kept.
            self._tensors[one] = entries if one in self._tensors else ()
        return entries


def _which(stream: BinaryIO) -> tuple[tuple[int, ...], int]:
    """Which file it is and which bytes it has, and how many: who changes them changes the last time."""
    found = os.fstat(stream.fileno())
    size = found.st_size
    return (found.st_dev, found.st_ino, size, found.st_mtime_ns, found.st_ctime_ns), size


def _digest_of(stream: BinaryIO, left: int) -> str:
    digest = hashlib.sha256()
    while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()


def _listed_files(folder: Path) -> list[Path]:
    beside = {folder / CHECKSUMS, folder / COMPOSED}
    return sorted(p for p in files_below(folder).values() if p.is_file() and p not in beside)


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
    """Name → SHA-256 of every file, as the folder's ``SHA256SUMS`` has it; no file is hashed.

    Raises:
        OSError: it cannot be read, or a name in it leads out of the folder, or is one of two for one file.
    """
    listed = _listed_in(folder)
    for name in listed:
        if (path := PurePosixPath(name)).is_absolute() or ".." in path.parts or str(path) != name:
            raise IrregularFileError(errno.EINVAL, "its name leads out of the folder", name)
    return listed


def _listed_in(folder: Path) -> dict[str, str]:
    sums = read_regular(folder / CHECKSUMS, MAX_SUMS_BYTES).decode("utf-8", "surrogateescape")
    rows = (line.partition("  ") for line in sums.removesuffix("\n").split("\n") if sums)
    return {name: digest for digest, _, name in rows}


def mismatched_files(folder: Path) -> list[str]:
    """Names of files that are not what ``SHA256SUMS`` says, are missing, or are not listed."""
    listed = _listed_in(folder)  # a name that leads out of it is wrong, and nothing is read there
    present = {p.relative_to(folder).as_posix(): p for p in _listed_files(folder)}
    hashing = Hashing()
    wrong = [name for name in listed if name not in present]
    wrong += [name for name, path in present.items() if listed.get(name) != hashing.digest(path)]
    return sorted(wrong)


def find_listed(root: Path, digest: str, file: str, content: str) -> Path:
    """The folder of a digest, or one that differs from it in nothing but what one file has come to.

    A training set grows: the folder of its first form is gone, and the one that is there begins with it.

    Args:
        root: where the folders lie.
        digest: of the folder that is looked for.
        file: the file that may have changed.
        content: SHA-256 of that file, in the folder that is looked for.

    Returns:
        the folder of the digest where there is none at all.
    """
    wanted = root / digest
    if wanted.is_dir() or not root.is_dir():
        return wanted
    for number, folder in enumerate(sorted(root.iterdir())):
        if number >= _MOST_FOLDERS:
            break
        try:
            listed = listed_digests(folder)
        except (OSError, UnicodeError):
            continue
        if file in listed and sha256_hex(checksum_lines({**listed, file: content})) == digest:
            return folder
    return wanted


def digests_of_lines(path: Path, counts: Iterable[int]) -> dict[int, str]:
    """So many lines → SHA-256 of the file's first lines, for each count that the file reaches.

    Raises:
        OSError: it cannot be read.
    """
    left, found, digest = sorted(set(counts), reverse=True), dict[int, str](), hashlib.sha256()
    done = 0
    for line, ended in read_lines(path, _LONGEST_LINE):
        if not left:
            break
        digest.update(line + (b"\n" if ended else b""))
        done += bool(line)
        while left and done == left[-1] and line:
            found[left.pop()] = digest.copy().hexdigest()
    return found


def copy_listed(source: Path, target: Path) -> dict[str, str]:
    """Copy the files that a folder's ``SHA256SUMS`` lists, and that file, and nothing else.

    Links are followed; a pipe or a device is not read. What many names lead to is copied once. What the
    copies hold is for the caller to compare.

    Args:
        source: the folder of somebody else.
        target: a folder that is not there yet.

    Returns:
        name → SHA-256, as listed.

    Raises:
        OSError: a file cannot be read or written, or its name leads out of the folder.
    """
    (copying := Copying()).copy(source / CHECKSUMS, target / CHECKSUMS)
    for name in (listed := listed_digests(target)):
        copying.copy(source / name, target / name)
    return listed


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
        OSError: it cannot be read.
    """
    return [*Hashing().tensors(path)]


def tensor_entries(stream: BinaryIO, size: int) -> tuple[TensorEntry, ...]:
    """The tensors of a safetensors file that is open, or is in memory, hashed.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: it is no well-formed one.
    """
    header, start = read_tensor_header(stream, size)
    return tuple(_read_entry(stream, name, spec, start) for name, spec in header.items())


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors of one safetensors file by name; only its header is read.

    Raises:
        ModelError: the file is not a well-formed safetensors file.
        OSError: it cannot be read.
    """
    with _well_formed(path), open_regular(path) as stream:
        header, _ = read_tensor_header(stream, os.fstat(stream.fileno()).st_size)
        return {name: tuple(spec["shape"]) for name, spec in header.items()}


@contextmanager
def _well_formed(path: Path) -> Iterator[None]:
    try:
        yield
    except (IrregularFileError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path} is not a well-formed safetensors file.",
            why=f"Its weights cannot be identified ({error}).",
            hint="Restore the file from where it came.",
        ) from error


def read_tensor_header(stream: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """What the header of a safetensors file says of each tensor, and where their bytes begin.

    Every byte of the file belongs to the header or to exactly one tensor, and each tensor has the bytes that
    its type and shape ask for. So it costs no more to read all tensors than to read the file.

    Args:
        stream: the file, at its start.
        size: of the file, bytes.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: there is no such header.
    """
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
        raise ValueError("header length")
    header = json.loads(stream.read(length), object_pairs_hook=_without_doubles)
    if not isinstance(header, dict):
        raise TypeError("the header is no object")
    _check_notes(header.pop("__metadata__", {}))
    at = 0
    for first, last in sorted(_place(name, spec) for name, spec in header.items()):
        if first != at:
            raise ValueError("its tensors overlap, or leave a hole")
        at = last
    if at != size - 8 - length:
        raise ValueError("its tensors are not the rest of the file")
    return header, 8 + length


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the header has a name twice")
    return found


def _check_notes(notes: object) -> None:
    if not isinstance(notes, dict) or not all(isinstance(text, str) for text in notes.values()):
        raise TypeError("its notes are no texts")


def _place(name: str, spec: dict[str, Any]) -> tuple[int, int]:
    """Where a tensor begins and ends behind the header, which its type and shape have to ask for."""
    if spec.keys() != _FIELDS:
        raise ValueError(f"tensor {name!r} is described in another way")
    first, last = spec["data_offsets"]
    dtype, shape = spec["dtype"], spec["shape"]
    if not _is_length(first) or not _is_length(last):
        raise TypeError(f"tensor {name!r} has no usable place")
    if not isinstance(dtype, str) or not isinstance(shape, list) or not all(_is_length(n) for n in shape):
        raise TypeError(f"tensor {name!r} has no usable dtype and shape")
    if dtype not in _WIDTHS or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"tensor {name!r} has a dtype or a shape that is not known here")
    wanted = _WIDTHS[dtype]
    for length in shape:
        wanted *= length
    if last - first != wanted:
        raise ValueError(f"tensor {name!r} has not the bytes that its dtype and shape ask for")
    return first, last


def _read_entry(stream: BinaryIO, name: str, spec: dict[str, Any], start: int) -> TensorEntry:
    first, last = spec["data_offsets"]
    stream.seek(start + first)
    digest = hashlib.sha256()
    left = last - first
    while left and (chunk := stream.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    return TensorEntry(name, spec["dtype"], tuple(spec["shape"]), digest.hexdigest())


def _is_length(n: object) -> bool:
    return type(n) is int and 0 <= n < 2**63


def tensors_digest(entries: Iterable[TensorEntry]) -> str:
    """The digest of a model by its tensors (``tensors/v1``)."""
    lines = (
        json.dumps([e.name, e.dtype, list(e.shape), e.sha256], separators=(",", ":"), ensure_ascii=True)
        for e in sorted(entries, key=lambda e: e.name)
    )
    return sha256_hex(("cryoflux tensors/v1\n" + "".join(f"{line}\n" for line in lines)).encode())
