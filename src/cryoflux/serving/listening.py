"""The socket that a server listens on: a port, or a file that only its owner can open.

It is made before anything else is begun, so that an address that is taken is said at once.
"""

from __future__ import annotations

__all__ = ["ACCEPTED_AT_ONCE", "BACKLOG", "bind", "listen_on_file", "make_room", "url_of"]

import errno
import os
import resource
import shlex
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryoflux.errors import UsageError

BACKLOG = 512
"""So many connections wait in the kernel until they are accepted."""
ACCEPTED_AT_ONCE = 32
_RESERVE = 256
"""Descriptors that no connection keeps: for those that just came or went, and the server's own files."""
_MOST_CONNECTIONS = 4096
_FEWEST_CONNECTIONS = 16


def make_room() -> int:
    """Raise the limit on open files as far as it goes; how many connections may be open then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, soft - _RESERVE))


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 finds a free one.

    Raises:
        UsageError: the address is taken, or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, or asyncio leaves Nagle on for what is accepted here: 45 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}.",
            why="Another process may listen there already.",
            hint="Choose another port with --port N, or 0 for any free one.",
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """The address of a socket that listens on a port: ``http://127.0.0.1:8787``."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def listen_on_file(path: Path, *, otherwise: str = "Connect to it at") -> Iterator[socket.socket]:
    """A listening Unix socket that only this user can connect to; its file is removed at the end.

    What a server that crashed left behind is replaced; nothing else is.

    Args:
        path: of the file.
        otherwise: what to do with the address of one that is there already.

    Raises:
        UsageError: another process listens there, or there can be no socket.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            _clear(path, otherwise)
            with _only_ours():
                listener.bind(str(path))
            ours = path.lstat().st_ino
            listener.listen(BACKLOG)
        except OSError as error:
            raise UsageError(
                f"{path} cannot be listened on: {error.strerror or error}.",
                why="A Unix socket is a file that is made where one listens, with a short path.",
                hint="Choose another path with --socket PATH, or leave it out for a port.",
            ) from error
        try:
            yield listener
        finally:
            # Another process may have put its own there since.
            with suppress(OSError):
                if path.lstat().st_ino == ours:
                    path.unlink()


@contextmanager
def _only_ours() -> Iterator[None]:
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def _clear(path: Path, otherwise: str) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UsageError(
            f"{path} is there already, and is no socket.",
            why="It would have to be deleted.",
            hint="Choose another path with --socket PATH.",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        found = probe.connect_ex(str(path))
    if found != errno.ECONNREFUSED:
        raise UsageError(
            f"{path} is listened on already.",
            why="Whoever listens there would lose its clients.",
            hint=f"{otherwise} {shlex.quote(f'unix://{path}')}, or choose another path with --socket PATH.",
        )
    path.unlink()
