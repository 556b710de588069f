"""A gate before a node's server: what one reader gets of it, counted, and what its owner keeps from him.

Each reader knows each peer by a gate of its own. So a node can show each of them another history, and
withhold a file from one; and requests and bytes are those of one reader.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_OF_A_CONNECTION = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive", "host"})
NOWHERE = "http://127.0.0.1:9"
"""where nobody answers"""
_PATIENCE_S = 60


@dataclass
class Gate:
    """What stands between a reader and a server."""

    target: str
    """URL of the server"""
    url: str = ""
    withheld: Callable[[str], bool] = lambda _: False
    """path → whether it is answered as if nothing were there"""
    requests: int = 0
    received: int = 0
    """bytes of bodies"""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, received: int) -> None:
        """Count an answer."""
        with self.lock:
            self.requests += 1
            self.received += received


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of a reader that hung up."""


@contextmanager
def gate_before(target: str) -> Iterator[Gate]:
    """A gate, open as long as the block runs.

    Args:
        target: URL of the server behind it.
    """
    gate = Gate(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Pass a request on, unless it is for what is withheld."""
            status, headers, body = 404, [("Content-Type", "text/plain")], b"Not Found."
            if not gate.withheld(self.path):
                status, headers, body = _asked(gate.target, self.path, dict(self.headers))
            gate.answered(len(body))
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _Quiet(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        gate.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield gate
        finally:
            server.shutdown()
            thread.join()


def _asked(target: str, path: str, headers: dict[str, str]) -> tuple[int, list[tuple[str, str]], bytes]:
    there = urlsplit(target)
    connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=_PATIENCE_S)
    try:
        passed = {name: value for name, value in headers.items() if name.lower() not in _OF_A_CONNECTION}
        connection.request("GET", path, headers=passed)
        reply = connection.getresponse()
        body = reply.read()
        kept = [(name, value) for name, value in reply.getheaders() if name.lower() not in _OF_A_CONNECTION]
        return reply.status, kept, body
    except OSError:
        return 502, [("Content-Type", "text/plain")], b"Nobody answers."
    finally:
        connection.close()
