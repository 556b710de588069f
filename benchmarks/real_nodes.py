"""Nodes of the embedded model and data that really trained, offered and pulled: what rounds are made of.

Everything is done by the commands. Somebody trains the embedded model on a tenth of the texts, and that is
what all nodes begin with: eight train one update each on texts of their own, with seeds of their own, have it
witnessed and offer it; `judge` trains too, enters a guest holdout, and pulls them. What it takes is kept in a
folder, so that a second call costs nothing.
"""

from __future__ import annotations

__all__ = ["NODES", "SETTINGS", "Nodes", "make_nodes"]

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import mean
from typing import Any

from cryoflux.data.examples import Example
from cryoflux.data.stdlib_docs import build
from cryoflux.network.publishing import Publisher, publish_all
from cryoflux.registry.composition import Term, list_digest

NODES = 8
"""that offer"""
_GUESTS = 1000
"""texts that the judge's file of guests has, and as many that nobody has but who measures at the end"""
SETTINGS = {
    "CRYOFLUX_NEW_HEAD": "zero",
    "CRYOFLUX_MAX_TOKENS": "64",
    "CRYOFLUX_SPARE_HOLDOUTS": "0",
    "CRYOFLUX_THREADS": "1",
    "CRYOFLUX_RESERVE": "150J",
    "CRYOFLUX_RULE": "whitepaper/v1",  # parts are small, and what the holdout has not judged is not offered
}


@dataclass(frozen=True)
class Nodes:
    """What was made of one recipe."""

    folder: Path
    recipe: str

    @property
    def judge(self) -> Path:
        """State of the node that makes rounds."""
        return self.folder / "judge"

    @property
    def truth(self) -> list[dict[str, str]]:
        """Texts that nobody has seen."""
        with (self.folder.parent / "truth.csv").open(encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def attempt(self, name: str) -> dict[str, Any]:
        """What a run said of its attempt: that of a node, of ``base``, or of ``pooled``."""
        lines = (self.folder / f"{name}.json").read_text("utf-8").splitlines()
        return next(e for e in map(json.loads, lines) if e["event"] == "attempt")

    @property
    def whole_cpu_s(self) -> float:
        """CPU-seconds of an attempt on the embedded data whole, in the mean."""
        lines = (self.folder / "whole.json").read_text("utf-8").splitlines()
        return mean(e["cpu_seconds"] for e in map(json.loads, lines) if e["event"] == "attempt")

    @property
    def by_own_holdout(self) -> list[str]:
        """Adapters of all nodes, the one first that did best on its own holdout."""
        said = [self.attempt(name) for name in ("judge", *_offering())]
        return [one["adapter_hash"] for one in sorted(said, key=lambda one: -one["delta"])]

    def bring(self, name: str, state: Path) -> Term:
        """Lay what was learned elsewhere where a state looks for updates."""
        adapter = self.attempt(name)["adapter_hash"]
        shutil.copytree(self.folder / name / "capsules" / adapter, state / "network" / "incoming" / adapter)
        return Term(weight="1", adapter=adapter, parent=list_digest(()))


def environment() -> dict[str, str]:
    """Of every command: what all nodes share."""
    return {**os.environ, **SETTINGS}


def make_nodes(folder: Path, recipe: str) -> Nodes:
    """Make all nodes of a recipe, or go on with those that are there.

    Args:
        folder: for all recipes.
        recipe: a built-in one.
    """
    nodes = Nodes(folder / recipe, recipe)
    nodes.folder.mkdir(parents=True, exist_ok=True)
    _cut(folder)
    names = ["base", "judge", *_offering(), "pooled"]
    for number, name in enumerate(names):
        if not (nodes.folder / f"{name}.json").is_file():
            _trained(nodes, name, folder / f"{name}.csv", number)
    if not (nodes.folder / "whole.json").is_file():
        _run(nodes, "whole", "--attempts", 3)
    if not (nodes.judge / "network" / "incoming").is_dir():
        _federate(nodes, folder)
    return nodes


def _cut(folder: Path) -> None:
    """A part of the texts for each, by their digests."""
    if (folder / "pooled.csv").is_file():
        return
    texts = sorted(build(), key=lambda one: hashlib.sha256(one.text.encode()).digest())
    _write(folder / "guests.csv", texts[:_GUESTS])
    _write(folder / "truth.csv", texts[_GUESTS : 2 * _GUESTS])
    rest = texts[2 * _GUESTS :]
    size = len(rest) // (NODES + 2)
    for place, name in enumerate(["base", "judge", *_offering()]):
        _write(folder / f"{name}.csv", rest[place * size : (place + 1) * size])
    _write(folder / "pooled.csv", rest[size:])


def _offering() -> list[str]:
    return [f"n{number}" for number in range(1, NODES + 1)]


def _write(path: Path, examples: Sequence[Example]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows((one.text, one.label) for one in examples)


def _ran(*words: object) -> str:
    command = [sys.executable, "-m", "cryoflux", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment()).stdout


def _trained(nodes: Nodes, name: str, train: Path, seed: int) -> None:
    """One attempt on some texts, from the base that all begin with."""
    base = nodes.folder / "base" / "base_model"
    model: tuple[object, ...] = ("--model", base.resolve()) if name != "base" else ()
    _run(nodes, name, "--train", train, *model, "--seed", seed, "--attempts", 1)


def _run(nodes: Nodes, name: str, *words: object) -> None:
    state = nodes.folder / name
    shutil.rmtree(state, ignore_errors=True)
    said = _ran("run", "--state", state, "--recipes", nodes.recipe, "--budget", "1600J", "--json", *words)
    (nodes.folder / f"{name}.json").write_text(said, "utf-8")


def _federate(nodes: Nodes, folder: Path) -> None:
    """Everybody offers and is witnessed; the judge pulls. Of those that offered only what they said stays."""
    names = _offering()
    with _witness(nodes.folder / "witness") as line:
        policy = nodes.folder / "policy.txt"
        policy.write_text(f"{line}\nquorum w\n", "utf-8")
        for name in names:
            state = nodes.folder / name
            _ran("node", "init", "--state", state, "--name", name)
            _ran("capsule", "offer", "#1", "--state", state)
            _ran("witness", "submit", "--policy", policy, "--state", state)
            (state / "network").mkdir(exist_ok=True)
            shutil.copy(policy, state / "network" / "peers.txt")
            publish_all(Publisher(state))
        guests = folder / "guests.csv"
        _ran("node", "init", "--state", nodes.judge, "--name", "judge", "--guest", guests)
        with _served(nodes.folder) as url:
            lines = [policy.read_text("utf-8").rstrip("\n")]
            for name in names:
                key = _ran("witness", "key", "--state", nodes.folder / name).strip()
                lines.append(f"node {name} {key} {url}/{name}/network/public")
            (nodes.judge / "network" / "peers.txt").write_text("\n".join([*lines, ""]), "utf-8")
            _ran("node", "pull", "--state", nodes.judge)
    for name in names:
        shutil.rmtree(nodes.folder / name)


@contextmanager
def _witness(folder: Path) -> Iterator[str]:
    """A witness; yields its line of a policy."""
    command = ["witness", "serve", "--json", "--port", "0", "--accept-new", "--dir", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "cryoflux", *command], stdout=subprocess.PIPE, text=True, env=environment()
    )
    if process.stdout is None:
        raise RuntimeError("a witness says where it is")
    try:
        hello = json.loads(process.stdout.readline())
        yield f"witness w {hello['key']} {hello['url']}"
    finally:
        process.terminate()
        process.wait()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """A static server over all public trees; yields its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
