"""The files of a machine by their digests: each is fetched once, however many workers the machine has.

A file is believed once its bytes have the digest that it was asked for by; until then it lies beside. Its
name in a worker's state is a link to it.
"""

from __future__ import annotations

__all__ = ["FileStore"]

import os
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from cryoflux.digests import file_digest
from cryoflux.energy.clock import BILLION
from cryoflux.files import storage_errors
from cryoflux.fleet.failing import FleetError
from cryoflux.tasks.elsewhere import Inputs

_CHUNK = 4 * 2**20
_UNUSED_NS = 3600 * BILLION
"""a file that was sent is placed soon after"""


class FileStore:
    """Files by digest, below one folder; several processes may use it at once.

    Args:
        folder: where they lie.
        monotonic_ns: the time.
    """

    def __init__(self, folder: Path, *, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._folder, self._now_ns = folder, monotonic_ns
        self._unused: dict[str, tuple[int, int]] = {}
        """file without a link → when it was last asked for, by its own label, and since when that is known"""
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the file of a digest lies, or would."""
        return self._folder / digest

    def draft(self, digest: str) -> Path:
        """Where this process gathers the pieces of a file before it is kept."""
        return self._folder / f".{digest}.{os.getpid()}"

    def lacks(self, digests: Iterable[str]) -> list[str]:
        """Those that are not here; the others stay for a while, for somebody is about to use them."""
        return sorted({digest for digest in digests if not self._touched(digest)})

    def _touched(self, digest: str) -> bool:
        try:
            os.utime(self.path(digest))
        except FileNotFoundError:
            return False
        return True

    def add(self, digest: str, chunks: Iterable[bytes]) -> None:
        """Keep a file.

        Args:
            digest: SHA-256 of all its bytes.
            chunks: its bytes, in order.

        Raises:
            FleetError: they have another digest; nothing is kept.
            StorageError: the disk is full, read-only, or refuses.
        """
        draft = self._folder / f".{digest}.{secrets.token_hex(4)}"
        with storage_errors(draft):
            try:
                with draft.open("wb") as stream:
                    for chunk in chunks:
                        stream.write(chunk)
                    stream.flush()
                    os.fsync(stream.fileno())
                if file_digest(draft) != digest:
                    raise FleetError(
                        f"What was sent as {digest[:16]}… has other bytes.",
                        why="A file is used only by the digest that the log names.",
                        hint="Run the same command again: it is sent anew.",
                    )
                draft.rename(self.path(digest))
            finally:
                draft.unlink(missing_ok=True)

    def place(self, inputs: Inputs, state: Path) -> None:
        """Link the inputs of an order to where a task looks for them.

        Args:
            inputs: all of them are here.
            state: the worker's state directory.

        Raises:
            FleetError: a path leads out of it.
            StorageError: the disk is full, read-only, or refuses.
        """
        for name, digest in inputs.files.items():
            below = PurePosixPath(name)
            if below.is_absolute() or ".." in below.parts:
                raise FleetError(f"An order names a file outside of the state: {name!r}.")
            target = state / below
            if target.exists():
                continue
            with storage_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(self.path(digest), target)
                except FileExistsError:
                    continue

    def prune(self) -> None:
        """Throw away what no worker of the machine has a link to, once it has lain here for a while."""
        before, self._unused = self._unused, {}
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another worker was first
                found = path.stat()
                if found.st_nlink > 1:
                    continue
                # The label is compared with itself alone: a clock may go wrong between two of them.
                label, since_ns = before.get(path.name, (None, 0))
                if label is None or label != found.st_mtime_ns:
                    self._unused[path.name] = (found.st_mtime_ns, self._now_ns())
                elif self._now_ns() - since_ns > _UNUSED_NS:
                    path.unlink()
                else:
                    self._unused[path.name] = (label, since_ns)

    def read(self, digest: str) -> Iterable[bytes]:
        """The bytes of a file, piece by piece."""
        with self.path(digest).open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
