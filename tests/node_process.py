"""A node's server as a process of its own, with the real command."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from running import python
from waiting import CEILING_S


class NodeProcess:
    def __init__(self, state: Path, *options: str) -> None:
        serve = ("-m", "cryoflux", "node", "serve", "--json", "--port", "0", "--state", state)
        self.process = python(*serve, *options, light=True)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.hello = json.loads(line)
        self.url = self.hello["url"]
        self._http = httpx2.Client(trust_env=False, timeout=CEILING_S)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self.ask("GET", path, **headers)

    def ask(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._http.request(method, f"{self.url}/{path}", content=content, headers=named)

    def raw(self, request: bytes) -> bytes:
        """What comes back for bytes that no client would send."""
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=CEILING_S) as connected:
            connected.sendall(request)
            found = b""
            while part := connected.recv(65_536):
                found += part
        return found

    def end(self, how: int = signal.SIGTERM) -> int:
        self._http.close()
        self.process.send_signal(how)
        code = self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@contextmanager
def serving_node(state: Path, *options: str) -> Iterator[NodeProcess]:
    running = NodeProcess(state, *options)
    try:
        yield running
    finally:
        running.end()
