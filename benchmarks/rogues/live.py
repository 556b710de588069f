"""A network in a folder: its nodes and witnesses as processes of ``cryoflux``, and what they cost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rogues.gates import NOWHERE, Gate, gate_before

SETTINGS = {
    "CRYOFLUX_NEW_HEAD": "zero",
    "CRYOFLUX_MAX_TOKENS": "64",
    "CRYOFLUX_SPARE_HOLDOUTS": "0",
    "CRYOFLUX_RESERVE": "40J",
    "CRYOFLUX_RECIPES": "carry-1",
}
"""of all nodes, as ``cryoflux node demo`` has them"""
WITNESSES = ("w1", "w2")
TRAIN = ("run", "--budget", "240J", "--attempts", "3")
ROUND = ("node", "round", "--budget", "200J")
Environment = Mapping[str, str]
NOTHING: Environment = {}
_PATIENCE_S = 60
_BENCHMARKS = Path(__file__).parent.parent


def children_cpu_s() -> float:
    """CPU seconds of all processes that this one has started, and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Live:
    """The network of a folder.

    Args:
        folder: with a state a node, and a folder a witness.
        ending: ends its processes.
    """

    def __init__(self, folder: Path, ending: ExitStack) -> None:
        self.folder, self._ending = folder, ending
        self.gates: dict[tuple[str, str], Gate] = {}
        """(reader, peer) → what stands between them"""
        self._urls: dict[str, str] = {}
        self._servers: dict[str, subprocess.Popen[str]] = {}
        path = os.pathsep.join([str(_BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])])
        fixed = {"CRYOFLUX_TRUST": str(folder / "policy"), "PYTHONPATH": path}
        plain = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        self._environment = {**plain, **SETTINGS, **fixed}

    def run(self, *command: str, codes: Sequence[int] = (0,), extra: Environment = NOTHING) -> str:
        """What a command printed.

        Args:
            command: of ``cryoflux``.
            codes: with which it may end.
            extra: environment variables.
        """
        return self.end(self.start(*command, extra=extra), codes)

    def documents(self, *command: str) -> list[dict[str, Any]]:
        """The JSON that a command printed."""
        out = self.run(*command, "--json", codes=(0, 1))
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def start(
        self, *command: str, module: str = "cryoflux", extra: Environment = NOTHING
    ) -> subprocess.Popen[str]:
        """A process of ``cryoflux``, or of another module."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *command],
            cwd=self.folder,
            env={**self._environment, **extra},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def end(process: subprocess.Popen[str], codes: Sequence[int] = (0,)) -> str:
        """What a process printed until its end.

        Raises:
            RuntimeError: it ended with another code.
        """
        out, err = process.communicate()
        if process.returncode not in codes:
            command = " ".join(map(str, process.args[1:]))  # type: ignore[index, union-attr]
            raise RuntimeError(f"{command} ended with {process.returncode}: {(err or out)[-2000:]}")
        return out + (err if process.returncode else "")

    def witness(self, name: str) -> str:
        """Start a witness, at the port that it had before; its line of a policy."""
        place = self.folder / f"{name}.port"
        port = place.read_text() if place.is_file() else "0"
        hello = self._serve(name, "witness", "serve", "--dir", name, "--accept-new", "--port", port)
        place.write_text(hello["url"].rpartition(":")[2])
        return f"witness {name} {hello['key']} {hello['url']}\n"

    def witnesses(self) -> None:
        """Start all of them, and write the policy that needs both."""
        lines = [self.witness(name) for name in WITNESSES]
        policy = "".join([*lines, "group both all w1 w2\n", "quorum both\n"])
        (self.folder / "policy").write_text(policy, encoding="utf-8")

    def serve(self, state: str) -> None:
        """Start the server of a node."""
        self._urls[state] = self._serve(state, "node", "serve", "--state", state, "--port", "0")["url"]

    def serve_files(self, state: str, tree: str) -> None:
        """Serve a folder as any web server does, in place of a node: what it shows nobody checks."""
        command = ("0", "--bind", "127.0.0.1", "--directory", tree)
        process = self.start(*command, module="http.server", extra={"PYTHONUNBUFFERED": "1"})
        self._servers[state] = process
        self._ending.callback(self.stop, state)
        line = process.stdout.readline() if process.stdout is not None else ""
        self._urls[state] = f"http://127.0.0.1:{line.split(' port ')[1].split()[0]}"

    def url(self, state: str) -> str:
        """Where a node's server is."""
        return self._urls[state]

    def _serve(self, name: str, *command: str) -> dict[str, Any]:
        process = self.start(*command, "--json")
        self._servers[name] = process
        self._ending.callback(self.stop, name)
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            raise RuntimeError(f"{' '.join(command)}: {process.communicate()[1][-2000:]}")
        hello: dict[str, Any] = json.loads(line)
        return hello

    def stop(self, name: str) -> None:
        """End a server, if it runs."""
        if (process := self._servers.pop(name, None)) is not None:
            process.terminate()
            process.communicate(timeout=_PATIENCE_S)

    def know(self, reader: str, peer: str, *, state: str = "", verifier: bool = False) -> Gate:
        """Let a node know another one, by a gate of its own.

        Args:
            reader: who knows.
            peer: whom.
            state: whose server he finds behind the gate; the peer's own where it is empty.
            verifier: whether the peer's verdicts count in the reader's books.
        """
        gate = self.gate(self._urls[state or peer])
        key = self.documents("witness", "key", "--state", state or peer)[0]["key"]
        option = ("--verifier",) if verifier else ()
        peers = self.folder / reader / "network/peers.txt"
        if not peers.is_file():
            peers.parent.mkdir(parents=True, exist_ok=True)
            peers.write_bytes((self.folder / "policy").read_bytes())
        self.run("node", "peers", "add", peer, key, gate.url, *option, "--state", reader)
        self.gates[reader, peer] = gate
        return gate

    def gate(self, target: str = NOWHERE) -> Gate:
        """A gate that nobody knows yet.

        Args:
            target: URL of the server behind it.
        """
        return self._ending.enter_context(gate_before(target))

    def behind(self, gate: Gate, state: str) -> None:
        """Put another server behind a gate."""
        gate.target = self._urls[state]

    def offer(self, state: str, attempt: str, *options: str) -> str:
        """Offer an update; its digest."""
        said = self.documents("capsule", "offer", attempt, *options, "--state", state)
        capsule: str = said[0]["capsule"]
        return capsule

    def head(self, state: str) -> str:
        """Digest of a node's head."""
        return (self.folder / state / "base_model").resolve().name

    def rounds(self, state: str) -> list[dict[str, Any]]:
        """What its log says of each of its rounds."""
        rows = self.documents("receipts", "list", "--state", state)[0]["entries"]
        return [row for row in rows if row["kind"] == "round"]

    def books(self, reader: str, of: str) -> dict[str, Any]:
        """What a reader's books say of a node, that is no verifier's own word."""
        nodes = self.documents("node", "books", "--state", reader)[0]["nodes"]
        book: dict[str, Any] = next(one for one in nodes if one["name"] == of)
        return book


def candidates_of(said: str) -> list[str]:
    """Of what ``node round`` printed: what became of each candidate, by round."""
    lines = said.splitlines()
    return [line.strip() for line in lines if line.startswith("         ") and "/" in line.split()[0]]
