"""Names of documents in their order: 32 bytes of memory each, whatever is asked of them."""

from __future__ import annotations

__all__ = ["NAME_BYTES", "Digests", "Names", "Places", "as_digests"]

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

NAME_BYTES = 32
"""of a SHA-256"""
_AT_ONCE = 4096

Digests = np.ndarray[Any, np.dtype[np.bytes_]]
Places = np.ndarray[Any, np.dtype[np.int64]]


def as_digests(content: bytes | bytearray) -> Digests:
    """Digests that stand one after the other."""
    kind = np.dtype(f"S{NAME_BYTES}")
    return np.frombuffer(content, kind) if content else np.zeros(0, kind)


class Names:
    """Names of documents, each once, in their order."""

    __slots__ = ("digests",)

    def __init__(self, digests: Digests) -> None:
        """Take digests that are in their order already, each once."""
        self.digests = digests

    @classmethod
    def of(cls, names: Iterable[bytes] = ()) -> Names:
        """Names of any order."""
        return cls(np.unique(as_digests(b"".join(names))))

    def __len__(self) -> int:
        return len(self.digests)

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self.digests), _AT_ONCE):
            content = self.digests[start : start + _AT_ONCE].tobytes()
            for at in range(0, len(content), NAME_BYTES):
                yield content[at : at + NAME_BYTES]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, bytes) and self.place(name) >= 0

    def digest(self) -> str:
        """SHA-256 of all of them: what a folder holds, by one name."""
        return hashlib.sha256(self.digests.tobytes()).hexdigest()

    def between(self, start: int, end: int) -> Names:
        """Those from one place to before another one."""
        return Names(self.digests[start:end])

    def place(self, name: bytes) -> int:
        """Where a name stands; -1 where it does not."""
        return int(self.places(as_digests(name))[0])

    def places(self, digests: Digests) -> Places:
        """Where each of some names stands; -1 where it does not."""
        if not len(self.digests):
            return np.full(len(digests), -1, np.int64)
        found = np.searchsorted(self.digests, digests)
        found[found == len(self.digests)] = 0
        return np.where(self.digests[found] == digests, found, -1)

    def without(self, others: Names) -> Names:
        """Those that are not among others."""
        return Names(self.digests[others.places(self.digests) < 0])

    def count_without(self, others: Names) -> int:
        """How many are not among others."""
        return int(np.count_nonzero(others.places(self.digests) < 0))
