"""Signatures of a long log, checked on all processors while the log is read.

A worker gets exact payloads and signatures and says which do not belong together; it knows nothing else.
Where no worker can be started, or one dies, its part is checked by this process: slower, with the same end.
"""

from __future__ import annotations

__all__ = ["SigningPool"]

import multiprocessing
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.signing.envelope import Envelope, pae
from cryoflux.signing.keys import raw_public_key

_CHUNK = 1_024
_MOST_WAITING = 3
"""chunks a worker, so that memory stays small"""
_Signed = tuple[int, bytes, bytes]


def _wrong(key: bytes, signed: Sequence[_Signed]) -> list[int]:
    """The numbers of those whose signature is not of their payload."""
    public, wrong = Ed25519PublicKey.from_public_bytes(key), []
    for number, payload, signature in signed:
        try:
            public.verify(signature, pae(payload))
        except InvalidSignature:
            wrong.append(number)
    return wrong


class SigningPool:
    """Checks signatures meanwhile; `wrong` has the numbers of the bad ones once it is left.

    Args:
        workers: processes beside this one; one a processor, unless it is said.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.wrong: list[int] = []
        self._workers = os.cpu_count() or 1 if workers is None else workers
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: deque[tuple[bytes, list[_Signed], Future[list[int]] | None]] = deque()
        self._key = b""
        self._chunk: list[_Signed] = []

    def __enter__(self) -> Self:
        if self._workers:
            try:
                # Started anew, not forked: a copy of a process with threads may hang.
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(self._workers, mp_context=context)
            except (OSError, ImportError, NotImplementedError):
                self._pool = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def check(self, number: int, signed: Envelope, key: Ed25519PublicKey) -> None:
        """Check one more, some time."""
        raw = raw_public_key(key)
        if raw != self._key or len(self._chunk) >= _CHUNK:
            self._send()
            self._key = raw
        self._chunk.append((number, signed.payload, signed.signature))

    def finish(self) -> list[int]:
        """Wait for all; the numbers of the bad ones, in order."""
        self._send()
        while self._waiting:
            self._take()
        return sorted(self.wrong)

    def _send(self) -> None:
        if not self._chunk:
            return
        chunk, self._chunk, future = self._chunk, [], None
        if self._pool is not None:
            try:
                future = self._pool.submit(_wrong, self._key, chunk)
            except (BrokenProcessPool, OSError, RuntimeError):
                future = None
        self._waiting.append((self._key, chunk, future))
        while len(self._waiting) > _MOST_WAITING * max(1, self._workers):
            self._take()

    def _take(self) -> None:
        key, chunk, future = self._waiting.popleft()
        try:
            wrong = None if future is None else future.result()
        except (BrokenProcessPool, OSError):
            wrong = None
        self.wrong += _wrong(key, chunk) if wrong is None else wrong
