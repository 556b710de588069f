"""Peers that misbehave: servers on loopback that answer in ways in which no server should.

Each misbehaviour is a function of an open connection whose request was read; what it does not say itself is
said by nobody. A client has to be done with each of them within its bounds.
"""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

Odd = Callable[["Conversation"], None]
HOST = "127.0.0.1"


class Conversation:
    """A connection of a client that has asked for something."""

    def __init__(self, connected: socket.socket, request: bytes, gone: threading.Event) -> None:
        self._connected, self.request, self._gone = connected, request, gone
        self.sent = 0

    @property
    def path(self) -> str:
        return self.request.split(b" ", 2)[1].decode()

    def say(self, content: bytes) -> None:
        self._connected.sendall(content)
        self.sent += len(content)

    def wait(self, seconds: float) -> None:
        """Until some time is over, or the test."""
        if self._gone.wait(seconds):
            raise ConnectionError


def answer(content: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    said = [f"content-length: {len(content) if length is None else length}", *headers]
    return "\r\n".join([f"HTTP/1.1 {status}", *said, "", ""]).encode() + content


class BadPeer:
    """A server that answers each request by a function of it."""

    def __init__(self, odd: Odd) -> None:
        self.asked: list[str] = []
        self.sent = 0
        self._odd, self._gone = odd, threading.Event()
        self._listener = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._gone.is_set():
            with suppress(OSError):
                connected, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._talk, args=(connected,), daemon=True))
                self._threads[-1].start()

    def _talk(self, connected: socket.socket) -> None:
        with connected, suppress(OSError):
            waiting = b""
            while not self._gone.is_set():
                while b"\r\n\r\n" not in waiting:
                    if not (part := connected.recv(65_536)):
                        return
                    waiting += part
                request, _, waiting = waiting.partition(b"\r\n\r\n")
                said = Conversation(connected, request, self._gone)
                self.asked.append(said.path)
                try:
                    self._odd(said)
                finally:
                    self.sent += said.sent

    def close(self) -> None:
        self._gone.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


@contextmanager
def bad_peer(odd: Odd) -> Iterator[BadPeer]:
    peer = BadPeer(odd)
    try:
        yield peer
    finally:
        peer.close()


# What a peer can do instead of answering


def hang_up(said: Conversation) -> None:
    raise ConnectionError


def silent(said: Conversation) -> None:
    said.wait(1e6)


def half_an_answer(said: Conversation) -> None:
    """It promises more than it sends, and leaves."""
    said.say(answer(b"x" * 10, length=1000))
    raise ConnectionError


def promises_without_end(said: Conversation) -> None:
    said.say(answer(b"x" * 10, length=10**18))
    silent(said)


def no_number(said: Conversation) -> None:
    said.say(answer(b"x", "content-length: 7"))
    silent(said)


def endless(said: Conversation) -> None:
    said.say(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    while True:
        said.say(b"x" * 65_536)


def endless_chunks(said: Conversation) -> None:
    said.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        said.say(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def endless_headers(said: Conversation) -> None:
    said.say(b"HTTP/1.1 200 OK\r\n")
    while True:
        said.say(b"x-more: " + b"x" * 1000 + b"\r\n")


def endless_continues(said: Conversation) -> None:
    """Answers that are none yet, one after the other."""
    while True:
        said.say(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 20)


def dripping_headers(said: Conversation) -> None:
    """A byte now and then, each of them in time."""
    for byte in b"HTTP/1.1 200 OK\r\nx: " + b"x" * 10**6:
        said.say(bytes([byte]))
        said.wait(0.05)


def dripping_body(said: Conversation) -> None:
    said.say(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        said.say(b"x")
        said.wait(0.05)


def elsewhere(said: Conversation) -> None:
    said.say(answer(b"", "location: http://other.example/secret", status="302 Found"))


def to_a_file(said: Conversation) -> None:
    said.say(answer(b"", "location: file:///etc/passwd", status="301 Moved Permanently"))


def packed(said: Conversation) -> None:
    said.say(answer(gzip.compress(b"x" * 10_000_000), "content-encoding: gzip"))


def packed_on_the_way(said: Conversation) -> None:
    said.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n")
    silent(said)


def a_part(said: Conversation) -> None:
    said.say(answer(b"x", "content-range: bytes 0-0/9", status="206 Partial Content"))


def the_same_as_nothing(said: Conversation) -> None:
    """The client has nothing yet that it could be the same as."""
    said.say(b"HTTP/1.1 304 Not Modified\r\n\r\n")


def another_protocol(said: Conversation) -> None:
    said.say(b"SSH-2.0-OpenSSH_9.9\r\n" * 10)
    silent(said)


def not_here(said: Conversation) -> None:
    said.say(answer(b"not here", status="404 Not Found"))


NO_ANSWERS: Sequence[Odd] = (
    *(hang_up, silent, half_an_answer, promises_without_end, no_number, endless, endless_chunks),
    *(endless_headers, endless_continues, dripping_headers, dripping_body, elsewhere, to_a_file, packed),
    *(packed_on_the_way, a_part, the_same_as_nothing, another_protocol, not_here),
)


# A tree whose answers depend on who asks, or when


def telling(stories: Callable[[int], dict[str, bytes]]) -> Odd:
    """Files by their paths, of a story that may be another one at each request.

    Args:
        stories: how many requests there were before → the files.
    """
    count = [0]

    def odd(said: Conversation) -> None:
        content = stories(count[0]).get(said.path)
        count[0] += 1
        if content is None:
            not_here(said)
        else:
            said.say(answer(content))

    return odd


def files_of(folder: Path) -> dict[str, bytes]:
    """A tree as it lies on the disk, by the paths that it is asked for."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {f"/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}
