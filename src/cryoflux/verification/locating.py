"""Where a file that is not the signed one differs, as finely as what was signed allows.

A digest of a whole file says that it differs and not where. Two things can say more without being believed,
because what they find is held against the signed digest again:

- One flipped bit in a small file is found by flipping each bit back: `flipped_bit`. It is also the repair.
- A model is named by its tensors. Its next version shares those that no LoRA touched; if putting one of them
  in gives the signed digest again, that tensor is the damaged one: `damaged_tensor`.

Nothing else is located here. Where neither finds anything, the file is all that can be named.
"""

from __future__ import annotations

__all__ = [
    "Searching",
    "Span",
    "damaged_tensor",
    "example_of",
    "flipped_bit",
    "part_of",
    "said_where",
    "tensor_spans",
]

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from cryoflux.digests import TensorEntry, read_tensor_header, tensors_digest
from cryoflux.errors import ModelError
from cryoflux.files import open_regular, read_regular

_MAX_SEARCHED_BYTES = 12_000
"""every bit is tried, so the time goes with the square: about a second for these"""
_MOST_TRIED_BYTES = 3_000_000_000
"""hashed to locate damage, in all files of a state together: some seconds"""
_BYTES_PER_TRY = 500
"""hashing a few bytes takes as long as hashing so many"""
_BYTES_PER_EXAMPLE = 18


class Searching:
    """How much is still tried to locate damage; what comes later is named, and not located.

    Without it, many small files that are not what was signed would cost a second each.
    """

    def __init__(self, most: int = _MOST_TRIED_BYTES) -> None:
        self._left = most

    def allows(self, size: int) -> bool:
        """Whether a file of so many bytes may be searched; if so, that is taken off."""
        self._left -= (cost := 8 * size * (size // 2 + _BYTES_PER_TRY))
        if self._left < 0:
            self._left += cost
            return False
        return True


@dataclass(frozen=True, slots=True)
class Span:
    """A tensor and its bytes in a safetensors file."""

    name: str
    elements: int
    start: int
    end: int


def tensor_spans(path: Path) -> list[Span]:
    """The tensors of a safetensors file by their header; no weight is read.

    Raises:
        ModelError: the header is malformed.
        OSError: the file cannot be read.
    """
    with open_regular(path) as stream:
        try:
            header, start = read_tensor_header(stream, os.fstat(stream.fileno()).st_size)
            spans = [_span(name, spec, start) for name, spec in header.items()]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(
                f"{path} is not a well-formed safetensors file.",
                why=f"Its header cannot be read ({error}).",
                hint="Restore the file from where it came.",
            ) from error
    return sorted(spans, key=lambda span: span.start)


def _span(name: str, spec: dict[str, list[int]], start: int) -> Span:
    first, last = spec["data_offsets"]
    return Span(name, prod(spec["shape"]), start + first, start + last)


def flipped_bit(content: bytes, digest: str) -> int | None:
    """The bit, counted from 0, that has to be flipped back for the content to have its signed digest.

    None where one bit is not all that differs, or where the content is too long to try each.
    """
    if len(content) > _MAX_SEARCHED_BYTES:
        return None
    wanted, before = bytes.fromhex(digest), hashlib.sha256()
    for place, byte in enumerate(content):
        rest = content[place + 1 :]
        for bit in range(8):
            tried = before.copy()
            tried.update(bytes([byte ^ 1 << bit]))
            tried.update(rest)
            if tried.digest() == wanted:
                return 8 * place + bit
        before.update(content[place : place + 1])
    return None


def said_where(path: Path, digest: str, searching: Searching | None = None) -> str:
    """Where the one flipped bit of a file lies, in words; empty where there is none such.

    Args:
        path: of a file that does not have its signed digest.
        digest: that it should have.
        searching: how much may still be tried.
    """
    try:
        content = read_regular(path, _MAX_SEARCHED_BYTES)
    except OSError:
        return ""
    if not content or (searching is not None and not searching.allows(len(content))):
        return ""
    bit = flipped_bit(content, digest)
    if bit is None:
        return ""
    example = example_of(path.name, content, bit // 8)
    belongs = f", which belongs to example {example}" if example is not None else ""
    return f"; it would be with bit {bit % 8} of byte {bit // 8} flipped back{belongs}"


def example_of(name: str, content: bytes, place: int) -> int | None:
    """Number of the example, from 0, that a byte belongs to; none where the file holds no examples.

    Args:
        name: of the file; it says what is in it.
        content: of the file.
        place: of the byte.
    """
    if name.endswith(".jsonl"):
        return content.count(b"\n", 0, place)
    if not name.endswith(".bin"):
        return None
    count = len(content) // _BYTES_PER_EXAMPLE
    return place // 8 % count if place < 16 * count else (place - 16 * count) % count


def part_of(spans: Sequence[Span], place: int) -> str:
    """Name of the tensor that a byte of a safetensors file belongs to; ``header`` for those before them."""
    return next((span.name for span in spans if span.start <= place < span.end), "header")


def damaged_tensor(entries: Sequence[TensorEntry], digest: str, others: Iterable[TensorEntry]) -> str | None:
    """The one tensor of a model, or its line in the header, that another version still has as it was signed.

    Args:
        entries: of the damaged model.
        digest: that its tensors should have.
        others: tensors of other versions.
    """
    here = {entry.name: entry for entry in entries}
    for other in others:
        found = here.get(other.name)
        if found is None or found == other:
            continue
        if tensors_digest({**here, other.name: other}.values()) == digest:
            return other.name
    return None
