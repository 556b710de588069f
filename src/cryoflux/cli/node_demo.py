"""``cryoflux node demo``: a network on one machine, with real processes, in a few minutes.

Two witnesses, and three nodes with a third of the embedded data each: `north`, `south`, and `rogue`, which
offers a copy and an update that harms, and then tells another history. Every line that it shows is printed by
the command above it, which anybody can type again in the same folder.
"""

from __future__ import annotations

__all__ = ["attempt_to_offer", "demonstrate", "train_to_offer"]

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer

from cryoflux.cli.console import stdout
from cryoflux.errors import StateError, UsageError

_SETTINGS = {
    "CRYOFLUX_NEW_HEAD": "zero",
    "CRYOFLUX_MAX_TOKENS": "64",
    "CRYOFLUX_SPARE_HOLDOUTS": "0",
    "CRYOFLUX_RESERVE": "40J",
    "CRYOFLUX_RECIPES": "carry-1",
}
"""of all nodes: they begin with one version, and train the same layers"""
_TRAIN = ("--budget", "240J", "--attempts", "3")
_ROGUE = "cryoflux.network.demo.rogue"
_PATIENCE_S = 60
_HONEST = ("north", "south")
_NOTHING = ("\0",)
"""begins no line"""


def demonstrate(
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="New folder for all of it.")] = Path(
        "network-demo"
    ),
) -> None:
    """Show a network of three nodes and two witnesses on this machine; one of the nodes cheats."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} holds something already.",
            why="The demonstration begins with an empty folder.",
            hint=f"Name another one: cryoflux node demo --dir {shlex.quote(str(_beside(folder)))}.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with ExitStack() as processes:
        _Demo(folder.resolve(), processes).run()
    stdout.print("")
    stdout.print(f"done in {time.monotonic() - began:.0f} s; all of it lies in {folder}")


def attempt_to_offer(entries: Sequence[Mapping[str, Any]]) -> int | None:
    """Number of the newest attempt that was kept, or else of the newest that the holdout has judged.

    Args:
        entries: rows of ``cryoflux receipts list --json``, oldest first.

    Returns:
        none where no attempt was judged: what was never measured cannot be offered.
    """
    judged = [row for row in entries if row["kind"] == "receipt" and row.get("delta") is not None]
    kept = [row for row in judged if row["outcome"] == "kept"]
    return next((int(row["attempt"]) for row in reversed(kept or judged)), None)


def train_to_offer(
    names: Sequence[str],
    train: Callable[[Sequence[str]], None],
    offer_of: Callable[[str], int | None],
    anew: Callable[[str], None],
) -> dict[str, int | None]:
    """Let nodes train until each has something to offer; one that has nothing begins once more.

    Args:
        names: of the nodes.
        train: begins some of them, and trains them.
        offer_of: number of the attempt that a node can offer; none where its holdout judged none.
        anew: takes away what a node has begun, and the seed that it draws by that.

    Returns:
        node → its attempt; none where it has nothing the second time either.
    """
    train(names)
    found = {name: offer_of(name) for name in names}
    again = [name for name in names if found[name] is None]
    for name in again:
        anew(name)
    if again:
        train(again)
    return found | {name: offer_of(name) for name in again}


def _beside(folder: Path) -> Path:
    """A folder beside this one that is not there yet."""
    beside = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(one for one in beside if not one.exists())


class _Demo:
    """The demonstration, step after step."""

    def __init__(self, folder: Path, processes: ExitStack) -> None:
        self._folder, self._processes = folder, processes
        said = {name: value for name, value in os.environ.items() if name != "COLUMNS"}  # wrapped here, once
        self._environment = {**said, **_SETTINGS, "CRYOFLUX_TRUST": str(folder / "policy")}
        self._urls: dict[str, str] = {}
        self._servers: dict[str, subprocess.Popen[str]] = {}

    def run(self) -> None:
        """All of it."""
        self._begin()
        offered = self._offer(self._train())
        self._cheat(offered)
        self._pull_and_round()
        self._two_histories()
        self._open()
        self._check_as_a_stranger()
        self._take_back()

    # ---- the steps

    def _begin(self) -> None:
        from cryoflux.network.demo.data import cut_in_three

        self._title("Two witnesses; the embedded data cut in three by SHA-256(text), south young")
        counts = cut_in_three(self._folder)
        stdout.print(", ".join(f"{name}: {count} texts" for name, count in counts.items()))
        lines = []
        for name in ("w1", "w2"):
            hello = self._serve("witness", "serve", "--dir", name, "--accept-new", "--port", "0")[1]
            lines.append(f"witness {name} {hello['key']} {hello['url']}\n")
        policy = "".join([*lines, "group both all w1 w2\n", "quorum both\n"])
        (self._folder / "policy").write_text(policy, encoding="utf-8")
        for name in counts:
            self._trusting(name)

    def _train(self) -> dict[str, int | None]:
        self._title("north and south begin, and train, each on its own data; witnesses see every receipt")
        return train_to_offer(_HONEST, self._begin_and_train, self._to_offer, self._anew)

    def _anew(self, name: str) -> None:
        stdout.print(f"No attempt of {name} was judged: it begins anew, and draws another seed by that.")
        shutil.rmtree(self._folder / name)
        self._trusting(name)

    def _begin_and_train(self, names: Sequence[str]) -> None:
        for name in names:
            files = ("--train", f"{name}.csv", "--guest", f"{name}-guests.csv")
            self._say("node", "init", "--name", name, *files, "--state", name)
        running = []
        for name in names:
            command = ("run", "--state", name, *_TRAIN)
            self._show(command)
            running.append(self._start(command))
        for name, process in zip(names, running, strict=True):
            out, err = process.communicate()
            self._require(process.returncode, err)
            self._tell(out, ("#", "holdout", "audit"), name)

    def _offer(self, attempts: Mapping[str, int | None]) -> str:
        self._title("Both offer what they trained: it was witnessed, so others may have it")
        for name, number in attempts.items():
            if number is None:
                raise StateError(
                    f"{name} has nothing that it could offer, though it began twice.",
                    why="Its holdout judged none of its attempts, so no Δ is known of them.",
                    hint=f"Show it in a fresh folder, where nodes draw other seeds: "
                    f"cryoflux node demo --dir {shlex.quote(str(_beside(self._folder)))}.",
                )
            self._say("capsule", "offer", f"#{number}", "--state", name, keep=_NOTHING)
            self._serve_node(name)
        self._know("south", "north")
        self._know("north", "south")
        offered = self._documents("capsule", "list", "--state", "north")[0]["capsules"][0]
        capsule: str = offered["capsule"]
        return capsule

    def _cheat(self, capsule: str) -> None:
        self._title("rogue offers north's update in another gauge, and one with its sign turned")
        source = self._folder / "taken"
        self._fetch(f"{self._urls['north']}/capsules/{capsule}", source)
        for kind in ("Copying", "Flipping"):
            command = ("run", "--task", f"{_ROGUE}:{kind}Task", "--train", "rogue.csv", "--state", "rogue")
            self._show(command)
            process = self._start((*command, "--budget", "100J", "--attempts", "1"), DEMO_NODE_SOURCE=source)
            out, err = process.communicate()
            self._require(process.returncode, err)
            self._tell(out, ("#",), "rogue")
        stdout.print("  The Δ of #2 is invented: no model has the losses that rogue has signed there.")
        guests = "rogue-guests.csv"
        self._say("node", "init", "--name", "rogue", "--guest", guests, "--state", "rogue", keep=("node",))
        shutil.copytree(self._folder / "rogue", self._folder / "rogue-2", symlinks=True)
        for number in ("#1", "#2"):
            self._say("capsule", "offer", number, "--state", "rogue", keep=_NOTHING)
        self._serve_node("rogue")
        for name in _HONEST:
            self._know(name, "rogue", verifier=False)

    def _pull_and_round(self) -> None:
        self._title("Each pulls the others, and makes a round of what they offer")
        for name in ("south", "north"):
            self._say("node", "pull", "--state", name)
        for name in ("south", "north"):
            said = (f"{' ' * 9}{what}" for what in ("north/", "south/", "rogue/", "reweighted: "))
            keep = ("round ", *said, "rounds")
            self._say("node", "round", "--budget", "200J", "--state", name, keep=keep, who=name)

    def _two_histories(self) -> None:
        from cryoflux.network.demo.fork import show_other_history

        self._title("rogue shows south another history than the one that witnesses have seen")
        for number in ("#2", "#1"):
            self._run(("capsule", "offer", number, "--state", "rogue-2"))
        show_other_history(
            self._folder / "rogue/network/public", self._folder / "rogue-2", self._folder / "lie"
        )
        _end(self._servers.pop("rogue"))
        self._serve_files("lie", self._urls["rogue"].rpartition(":")[2])
        pulled = self._say(
            "node", "pull", "--state", "south", codes=(0, 1), keep=("rogue", "       evidence:")
        )
        said, _, evidence = pulled.partition("evidence: ")
        self._require(0 if evidence else 1, said)
        key = self._documents("witness", "key", "--state", "rogue")[0]["key"]
        proof = shlex.split(evidence.splitlines()[0])[0]
        self._say("witness", "check-evidence", proof, "--log", key)
        self._title("south's books: what was adopted alone is confirmed, whatever was offered beside it")
        self._say("node", "books", "--state", "south")

    def _take_back(self) -> None:
        if (adopted := self._adopted("south")) is None:
            return
        self._title("An update turns out poisoned: the head is as if it had never been adopted")
        self._say("capsule", "recall", adopted, "--reason", "it was poisoned", "--state", "south")
        self._say("verify", "south", "--no-memory", keep=("✓ 17", "✗", "✓ VERIFIED"))

    def _open(self) -> None:
        self._title("south opens its guest holdout: anybody can make its sealed verdicts again")
        self._say("node", "retire", "--state", "south")
        time.sleep(2)  # its server looks for what is new once a second
        self._say("node", "pull", "--state", "north", codes=(0, 1), keep=("south",))
        self._say("node", "books", "--state", "north")

    def _check_as_a_stranger(self) -> None:
        self._title("A stranger, who trained nothing, makes all adoptions and looks of south again")
        stranger = self._folder / "stranger"
        self._trusting("stranger")
        genesis = self._genesis("south")
        shutil.copytree(self._folder / "south/models" / genesis, stranger / "models" / genesis)
        for name in ("south", "north"):
            self._know("stranger", name)
        self._say("node", "pull", "--state", "stranger")
        rows = self._documents("receipts", "list", "--state", "south")[0]["entries"]
        every = str(sum(row["kind"] == "round" for row in rows))  # each has a look and a version at most
        audit = ("node", "audit", "south", "--recompute", every, "--state", "stranger")
        self._say(*audit, keep=("✓ 17", "✓ 11", "✓ 12", "?", "✗", "south:"))

    # ---- how they are taken

    def _genesis(self, name: str) -> str:
        """Digest of the version that all lists begin at; its files are in no public tree."""
        rows = self._documents("receipts", "list", "--intents", "--state", name)[0]["entries"]
        genesis: str = next(row["genesis_model_hash"] for row in rows if row["kind"] == "node")
        return genesis

    def _adopted(self, name: str) -> str | None:
        found = self._documents("capsule", "list", "--state", name)[0]["capsules"]
        adopted = (one["capsule"] for one in found if any(u["verdict"] == "adopted" for u in one["used"]))
        return next(adopted, None)

    def _to_offer(self, name: str) -> int | None:
        return attempt_to_offer(self._documents("receipts", "list", "--state", name)[0]["entries"])

    def _trusting(self, name: str) -> None:
        """Let a node that has not begun go by the policy of all."""
        network = self._folder / name / "network"
        network.mkdir(parents=True)
        shutil.copyfile(self._folder / "policy", network / "peers.txt")

    def _know(self, name: str, other: str, *, verifier: bool = True) -> None:
        key = self._documents("witness", "key", "--state", other)[0]["key"]
        option = ("--verifier",) if verifier else ()
        command = ("node", "peers", "add", other, key, self._urls[other], *option, "--state", name)
        self._run(command)

    def _serve_node(self, name: str, port: str = "0") -> None:
        process, hello = self._serve("node", "serve", "--state", name, "--port", port)
        self._servers[name], self._urls[name] = process, hello["url"]

    def _serve_files(self, folder: str, port: str) -> None:
        """Serve a folder as any web server does: `node serve` shows no head that witnesses did not cosign."""
        command = ("-u", "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", folder)
        stdout.print(f"$ {shlex.join(['python', *command])}")
        process = self._start_python(command)
        self._processes.callback(_end, process)
        if not (process.stdout is not None and process.stdout.readline()):
            self._require(1, process.communicate()[1])

    def _serve(self, *command: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        self._show(command)
        process = self._start((*command, "--json"))
        self._processes.callback(_end, process)
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            self._require(1, process.communicate()[1])
        hello: dict[str, Any] = json.loads(line)
        return process, hello

    @staticmethod
    def _fetch(url: str, into: Path) -> None:
        from cryoflux.network.fetching import Fetcher
        from cryoflux.state import ADAPTER, ADAPTER_CONFIG

        into.mkdir()
        with Fetcher() as fetcher:
            for name in (ADAPTER, ADAPTER_CONFIG):
                (into / name).write_bytes(fetcher.fetch(f"{url}/{name}", 8_388_608).content)

    def _say(
        self, *command: str, codes: Sequence[int] = (0,), keep: Sequence[str] = ("",), who: str = ""
    ) -> str:
        """Show a command, run it, and show what of it matters here; all that it printed."""
        self._show(command)
        out, err, code = self._run(command, codes)
        self._tell(out + (err if code else ""), keep, who)
        return out

    def _run(self, command: Sequence[str], codes: Sequence[int] = (0,)) -> tuple[str, str, int]:
        process = self._start(command)
        out, err = process.communicate()
        self._require(0 if process.returncode in codes else process.returncode, err or out)
        return out, err, process.returncode

    def _documents(self, *command: str) -> list[dict[str, Any]]:
        out = self._run((*command, "--json"))[0]
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def _start(self, command: Sequence[str], **extra: object) -> subprocess.Popen[str]:
        return self._start_python(("-m", "cryoflux", *command), **extra)

    def _start_python(self, command: Sequence[str], **extra: object) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - this very program, or a module of Python
            [sys.executable, *command],
            cwd=self._folder,
            env={**self._environment, **{name: str(value) for name, value in extra.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def _require(code: int, said: str) -> None:
        if code:
            raise StateError(
                f"A command of the demonstration ended with {code}: {said.strip()[-400:]}",
                why="What comes after it needs what it was to make.",
                hint="Type the command by itself, in the folder of the demonstration.",
            )

    @staticmethod
    def _title(text: str) -> None:
        stdout.print("")
        stdout.print(text)

    @staticmethod
    def _show(command: Sequence[str]) -> None:
        stdout.print(f"$ {shlex.join(['cryoflux', *command])}")

    @staticmethod
    def _tell(out: str, keep: Sequence[str], who: str = "") -> None:
        lead = f"  {who}  " if who else "  "
        for line in out.splitlines():
            if line.strip() and line.startswith(tuple(keep)):
                stdout.print(f"{lead}{line}", indent=len(lead) + 9)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(_PATIENCE_S)
