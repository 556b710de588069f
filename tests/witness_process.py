"""A witness as a process of its own, with the real command."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from running import python
from waiting import PLAINLY


class WitnessProcess:
    def __init__(
        self,
        folder: Path,
        *options: str,
        program: tuple[str, ...] = ("-m", "cryoflux"),
        cold: bool = False,
    ) -> None:
        strict = ("-W", "error") if cold else ()
        serve = ("witness", "serve", "--json", "--port", "0", "--dir", folder)
        self.folder = folder
        self.process = python(*strict, *program, *serve, *options, cold=cold, light=True)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.hello = json.loads(line)
        self.url = self.hello["url"]

    def policy_line(self, name: str) -> str:
        return f"witness {name} {self.hello['key']} {self.url}"

    def post(self, body: bytes) -> httpx2.Response:
        return httpx2.post(f"{self.url}/add-checkpoint", content=body, **PLAINLY)

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"{self.url}/{path}", **PLAINLY)

    def end(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)  # which does nothing to one that was waited for
        code = self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@contextmanager
def witness(folder: Path, *options: str, cold: bool = False) -> Iterator[WitnessProcess]:
    running = WitnessProcess(folder, *options, cold=cold)
    try:
        yield running
    finally:
        running.end()
