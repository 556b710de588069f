"""Signatures of a long log, checked on all processors while the log is read.

A worker is a process that gets keys, messages and signatures through a pipe and answers a byte for each. It
imports what checks a signature and nothing else. Where no worker can be started, or one dies, its part is
checked by this process: slower, with the same end.
"""

from __future__ import annotations

__all__ = ["SignaturePool"]

import os
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

from cryoflux.signing.ed25519 import verify_signature

_CHUNK = 512
_MOST_WAITING = 4
"""chunks a worker, so that memory stays small"""
_LENGTH = struct.Struct("<I")
_Item = tuple[bytes, bytes, bytes, Callable[[], None]]
"""key, message, signature, and what is called where they do not belong together"""


def _check_here(chunk: list[_Item]) -> bytes:
    return bytes(verify_signature(key, message, signature) for key, message, signature, _ in chunk)


class _Worker:
    """One process, and a thread that talks to it."""

    def __init__(self) -> None:
        # -P: the folder that somebody stands in may be the one that is verified, with modules of its own.
        command = [sys.executable, "-P", "-m", "cryoflux.verification.signature_worker"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        self._thread = ThreadPoolExecutor(1)
        self.waiting = 0

    def submit(self, chunk: list[_Item]) -> Future[bytes]:
        self.waiting += 1
        return self._thread.submit(self._ask, chunk)

    def _ask(self, chunk: list[_Item]) -> bytes:
        """A byte for each item; checked here where the process does not answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            return _check_here(chunk)
        parts = [_LENGTH.pack(len(chunk))]
        for key, message, signature, _ in chunk:
            parts += [_LENGTH.pack(len(message)), key, signature, message]
        try:
            stdin.write(b"".join(parts))
            stdin.flush()
            answer = stdout.read(len(chunk))
        except (OSError, ValueError):
            answer = b""
        return answer if len(answer) == len(chunk) else _check_here(chunk)

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):  # it died with something unread
                    stream.close()
        self._process.wait()


class SignaturePool:
    """Checks signatures meanwhile.

    Args:
        workers: processes beside this one; none for few signatures.
    """

    def __init__(self, workers: int = 0) -> None:
        self._count = workers
        self._workers: list[_Worker] = []
        self._waiting: deque[tuple[list[_Item], Future[bytes], _Worker]] = deque()
        self._chunk: list[_Item] = []

    @classmethod
    def for_entries(cls, count: int) -> SignaturePool:
        """A pool that suits a log of so many entries."""
        return cls(os.cpu_count() or 1 if count > 4 * _CHUNK else 0)

    def __enter__(self) -> Self:
        try:
            for _ in range(self._count):
                self._workers.append(_Worker())
        except OSError:  # as many as could be started
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.close()

    def check(self, key: bytes, message: bytes, signature: bytes, bad: Callable[[], None]) -> None:
        """Check one more, some time.

        Args:
            key: 32 bytes.
            message: what was signed.
            signature: 64 bytes.
            bad: called, at the latest by `finish`, if the signature is not of the message by the key.
        """
        self._chunk.append((key, message, signature, bad))
        if len(self._chunk) >= _CHUNK:
            self._send()

    def finish(self) -> None:
        """Wait for all."""
        self._send()
        while self._waiting:
            self._take()

    def _send(self) -> None:
        chunk, self._chunk = self._chunk, []
        if not chunk:
            return
        if not self._workers:
            _tell(chunk, _check_here(chunk))
            return
        worker = min(self._workers, key=lambda one: one.waiting)
        self._waiting.append((chunk, worker.submit(chunk), worker))
        while len(self._waiting) > _MOST_WAITING * len(self._workers):
            self._take()

    def _take(self) -> None:
        chunk, answer, worker = self._waiting.popleft()
        _tell(chunk, answer.result())
        worker.waiting -= 1


def _tell(chunk: list[_Item], answer: bytes) -> None:
    for (_, _, _, bad), good in zip(chunk, answer, strict=True):
        if not good:
            bad()
