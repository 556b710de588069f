"""A contract over real updates: the buyer composes what was offered, looks once, and opens."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import tiny
from contract_world import policy_text, witnessed
from cryoflux.receipts.reading import read_entries
from cryoflux.verification.result import Status
from cryoflux.witness.cosigned import log_key_of
from round_world import RoundNode
from running import Outcome, cryoflux, trained
from verifying import verify_target

pytestmark = pytest.mark.process
RECIPE = [
    "--learning-rate",
    "0.01",
    "--reserve",
    "40J",
    "--recipes",
    "prefix-1",
    "--max-steps",
    "60",
    "--seed",
    "0",
]
"""Without a seed each node draws its own, and by some of them no attempt is shown to the holdout."""


class States:
    """A seller and a buyer that began at one version, and the heads that witnesses see of them."""

    def __init__(self, folder: Path, inputs: list[str]) -> None:
        self.folder, self.inputs = folder, inputs
        self.seller, self.buyer = folder / "seller", folder / "buyer"
        tiny.write_csv(folder / "guest.csv", tiny.sentences(300, 29))
        for state, name, more in (
            (self.seller, "north", []),
            (self.buyer, "south", ["--guest", folder / "guest.csv"]),
        ):
            # Neither has trained: what the seller made before the contract nobody was charged for by it.
            self.ran("node", "init", "--name", name, "--state", state, *inputs, *more)

    def ran(self, *words: object, code: int = 0) -> Outcome:
        found = trained(*words) if words[0] == "run" else cryoflux(*words)
        assert found.code == code, (words, found.stderr, found.stdout)
        return found

    def judged(self, state: Path) -> str:
        """The number of an attempt that is made now and shown to the holdout."""
        self.ran("run", "--state", state, "--budget", "160J", "--attempts", 1, *self.inputs, *RECIPE)
        *_, last = json.loads(self.ran("receipts", "list", "--state", state, "--json").stdout)["entries"]
        assert last["delta"] is not None, last
        return f"#{last['attempt']}"

    def seen(self, time_s: int) -> None:
        for state in (self.seller, self.buyer):
            witnessed(state, time_s)


def require_metered(buyer: Path, said: dict[str, Any]) -> None:
    """The look is on the log behind a session that was charged what the look says, as the account has it."""
    *_, session, entry = read_entries(buyer)
    assert session.session is not None
    assert entry.index == said["entry"]
    assert said["joules_spent"] == session.session.energy.microjoules / 1e6 > 0
    RoundNode(buyer).require_balance()


@pytest.mark.slow
def test_a_buyer_looks_once_at_what_was_offered_and_opens_it(tmp_path: Path, inputs: list[str]) -> None:
    states = States(tmp_path, inputs)
    seller, buyer, first = states.seller, states.buyer, int(time.time()) + 7200
    key = {state: log_key_of(state) for state in (seller, buyer)}
    policy = tmp_path / "deal.policy"
    policy.write_text(policy_text(key[seller], key[buyer]))
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first))
    states.ran(
        *("contract", "new", "--state", buyer, "--seller", key[seller].name, "--policy", policy),
        *("--first", start, "--window", "1h", "--windows", 1, "--delta", 0.5, "--spread", 0.1),
        *("--clause", "delta >= 0.01 nats", "--clause", "available", "--clause", "eta >= 0.001 nats/kJ"),
        *("--joules", "300J", "--tier", "modelled"),
    )
    (contract,) = (buyer / "network/contracts").iterdir()
    states.ran("contract", "accept", contract, "--state", seller)
    states.seen(first - 60)
    states.ran("capsule", "offer", states.judged(seller), "--state", seller)
    witnessed(seller, first + 60)
    states.seen(first + 3660)
    logs = ["--log", seller, "--log", buyer]
    look = ["contract", "look", contract, *logs, "--state", buyer]
    refused = states.ran(*look, code=2)
    assert "node pull" in refused.stderr
    shutil.copytree(seller / "capsules", buyer / "network/incoming", dirs_exist_ok=True)
    said = json.loads(states.ran(*look, "--json").stdout)
    require_metered(buyer, said)
    assert [one["clause"] for one in said["clauses"]][1] == "available"
    assert said["clauses"][1]["kept"]
    again = states.ran(*look, code=2)
    assert "No window of the contract is to be looked at now" in again.stderr
    witnessed(buyer, first + 3700)
    evaluate = ["contract", "evaluate", contract, *logs, "--json", "--state", buyer]
    attested = json.loads(cryoflux(*evaluate).stdout)["windows_found"][0]["clauses"]
    assert [one["known"] for one in attested] == ["attested"] * 3, attested
    pledged = states.ran("node", "retire", "--state", buyer, code=2)
    assert "that contracts are judged by" in pledged.stderr
    root = pledged.stderr.partition("--root ")[2].split()[0]
    states.ran("node", "retire", "--root", root, "--state", buyer)
    witnessed(buyer, first + 7300)
    verified = json.loads(cryoflux(*evaluate).stdout)["windows_found"][0]["clauses"]
    assert [one["known"] for one in verified] == ["verified", "attested", "verified"], verified
    assert [one["standing"] for one in verified] == [one["standing"] for one in attested]
    for state in (seller, buyer):
        checks = verify_target(state).checks
        assert [check for check in checks if check.status is Status.FAIL] == []
