"""Two nodes on the tiny model that have trained, joined and pulled: what rounds are made of.

`north` has just begun, and has learned nothing; `south` has made two updates, one on the other, and offers
the first. So each of them helps north, and a wide bar stands between that and chance.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny
from contract_world import WITNESS_KEY, witnessed
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.guest import open_guest
from cryoflux.network_state import NodeState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.receipts.reading import read_entries
from cryoflux.runs.recovery import LogState
from cryoflux.witness.cosigned import log_key_of
from node_process import serving_node
from running import Outcome, cryoflux, ended, environment, python, trained

TASK = "lora_delta"
POLICY = f"witness w1 {WITNESS_KEY}\nquorum w1\n"
SETTINGS = {
    "CRYOFLUX_NEW_HEAD": "zero",
    "CRYOFLUX_SPARE_HOLDOUTS": "0",
    "CRYOFLUX_RESERVE": "40J",
    "CRYOFLUX_LEARNING_RATE": "0.01",
    "CRYOFLUX_RECIPES": "lean",
    "CRYOFLUX_MAX_STEPS": "400",
    "CRYOFLUX_POLICY": "prior-eta/v1",
}
BUDGET = ("--budget", "90J")
SEEDS = {"north": 1, "south": 3}
"""by which both attempts of south are kept"""
LONG_AGO_S = 40_000
KILLER = Path(__file__).with_name("killed_moves.py")


@dataclass(frozen=True)
class RoundNode:
    """A node's state."""

    state: Path

    def ran(self, *words: object, code: int = 0, **extra: str) -> Outcome:
        """What a command on the state came to."""
        command = trained if words[0] == "run" else cryoflux
        found = command(*words, "--state", self.state, **{**SETTINGS, **extra})
        assert found.code == code, (words, found.stdout, found.stderr)
        return found

    def round(self, **extra: str) -> Outcome:
        return self.ran("node", "round", *BUDGET, "--json", **extra)

    def killed(self, where: str, *words: object) -> None:
        """A command that dies where a function is called (`killed_moves`)."""
        asked = words or ("node", "round", *BUDGET)
        died = ended(python(KILLER, where, *asked, "--state", self.state, env=environment(**SETTINGS)))
        assert died.code == -9, (where, died.stdout, died.stderr)

    def verified(self, *options: object) -> str:
        found = cryoflux("verify", self.state, "--recompute", "1", *options)
        assert found.code == 0, found.stdout + found.stderr
        return found.stdout

    @property
    def entries(self) -> list[Entry]:
        return list(read_entries(self.state))

    @property
    def rounds(self) -> list[RoundResult]:
        return [entry.round for entry in self.entries if entry.round is not None]

    @property
    def told(self) -> LogState:
        found = LogState()
        for entry in self.entries:
            found.take(entry)
        return found

    @property
    def node(self) -> NodeState:
        return self.told.nodes[TASK]

    @property
    def head(self) -> str:
        """That links lead to, which the log says too."""
        found = (self.state / "base_model").readlink().name
        assert found == self.told.tasks[TASK].head.digest
        return found

    @property
    def network(self) -> NetworkFolder:
        return NetworkFolder.of(self.state)

    @property
    def looks(self) -> list[dict[str, Any]]:
        """What is kept of each look, secret."""
        return [json.loads(path.read_bytes()) for path in self.network.guests.glob("*/*.json")]

    @property
    def guests(self) -> list[str]:
        """Texts of the guest holdout in use."""
        guest = self.node.guest
        assert guest is not None
        return [json.loads(one)["text"] for one in open_guest(self.network, guest.said.root).examples]

    def require_balance(self) -> None:
        """Nothing is reserved, and attempts, rounds and sessions were charged what the account has lost."""
        said = json.loads(cryoflux("energy", "ledger", "--state", self.state, "--json").stdout)["entries"]
        figures = [entry.receipt or entry.round or entry.session for entry in self.entries]
        charged_uj = [one.energy.microjoules for one in figures if one is not None]
        assert said[-1]["reserved_uj"] == 0
        settled_uj = [-one["balance_change_uj"] for one in said if one["kind"] == "settle"]
        # Who died before anything was reserved was charged nothing, and nothing was settled.
        assert sorted(filter(None, settled_uj)) == sorted(filter(None, charged_uj))

    @property
    def offered(self) -> str:
        """The newest update that it offers."""
        return list(self.node.offers)[-1]

    def witnessed(self, time_s: int | None = None) -> None:
        witnessed(self.state, time_s if time_s is not None else int(time.time()))

    def pulls(self, *others: RoundNode) -> None:
        """It knows others beside those that it knew, and pulls all that are named here."""
        peers = self.network.known_peers
        lines = [line for line in peers.read_text().splitlines() if line]
        with ExitStack() as servers:
            for other in others:
                name, server = other.state.name, servers.enter_context(serving_node(other.state))
                lines = [line for line in lines if name not in line.split()[:2]]
                lines += [f"node {name} {log_key_of(other.state)} {server.url}", f"verifier {name}"]
            peers.write_text("\n".join([*lines, ""]))
            self.ran("node", "pull")

    def joins(self, *options: object) -> None:
        self.network.path.mkdir(exist_ok=True)
        self.network.known_peers.write_text(POLICY)
        self.ran("node", "init", "--name", self.state.name, *options)

    def offers(self, attempt: str, time_s: int | None = None) -> None:
        self.ran("capsule", "offer", attempt)
        self.witnessed(time_s)


@dataclass(frozen=True)
class RoundNodes:
    """All nodes, below one folder."""

    folder: Path

    def __getitem__(self, name: str) -> RoundNode:
        return RoundNode(self.folder / name)

    def copied(self, folder: Path) -> RoundNodes:
        shutil.copytree(self.folder, folder, symlinks=True)
        return RoundNodes(folder)


def make_nodes(folder: Path) -> RoundNodes:
    """North and south: trained, joined, and north has pulled south."""
    nodes, rows = RoundNodes(folder), tiny.sentences(6600, 7)
    model = tiny.make_model(folder / "encoder", spread=0.3)
    data = {
        "north": rows[2400:3200],
        "south": rows[800:2400],
    }
    began_s = int(time.time()) - LONG_AGO_S
    for number, (name, texts) in enumerate(data.items(), 1):
        train = tiny.write_csv(folder / f"{name}.csv", texts)
        node = nodes[name]
        node.ran(
            *("run", "--train", train, "--model", model, "--seed", SEEDS[name], *BUDGET),
            *("--attempts", number),
            CRYOFLUX_MAX_STEPS="8" if name == "north" else "400",
        )
        guests = tiny.write_csv(
            folder / f"{name}-guests.csv", rows[4800:6000] if number == 1 else rows[6000:6600]
        )
        node.joins("--guest", guests)
        if name != "north":
            node.offers("#1", began_s + 1000 * number)
    nodes["north"].pulls(nodes["south"])
    return nodes
