"""A run under the eyes of witnesses in processes of their own: never waited for, or nothing counts."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from running import Outcome, cryoflux
from witness_process import WitnessProcess, witness

KEPT = ["--learning-rate", "0.01", "--reserve", "40J", "--recipes", "prefix-1", "--max-steps", "60"]
"""The first two updates of a tiny model are kept; steps end their training long before the joules do."""
ONE = ["--attempts", "1", "--json"]
PATIENCE = "600"
"""Seconds for witnesses that live; a dead one says so at once."""


class Quorum:
    """Three witnesses, two of which are enough, and the policy that says so."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self._folder, self._opened = folder, opened
        self.policy = folder / "trust.policy"
        self.witnesses: dict[str, WitnessProcess] = {}
        self.start(*"abc")

    def start(self, *names: str) -> None:
        for name in names:
            place = self._folder / name
            self.witnesses[name] = self._opened.enter_context(witness(place, "--accept-new"))
        lines = [one.policy_line(name) for name, one in self.witnesses.items()]
        self.policy.write_text("\n".join([*lines, "group g 2 a b c", "quorum g\n"]))

    def kill(self, *names: str) -> None:
        for name in names:
            self.witnesses[name].end(signal.SIGKILL)

    def run(self, state: Path, *options: object) -> Outcome:
        options = ("--trust", self.policy, "--state", state, *options)
        return cryoflux("run", *KEPT, *options, CRYOFLUX_WITNESS_TIMEOUT=PATIENCE)

    def run_while_it_dies(self, state: Path, inputs: list[str]) -> Outcome:
        """A run that requires the quorum, two witnesses of which die before the first receipt."""
        doomed = ",".join(str(self.witnesses[name].process.pid) for name in "ab")
        options = ["--trust", self.policy, "--state", state, "--witnessing", "required", "--budget", "120J"]
        return cryoflux(
            "run", *inputs, *KEPT, *options, *ONE,
            kill_at=f"record:begin:{doomed}", CRYOFLUX_WITNESS_TIMEOUT=PATIENCE,
        )  # fmt: skip

    def verify(self, state: Path) -> Outcome:
        return cryoflux("verify", state, "--policy", self.policy, "--max-age", "24h")


@pytest.fixture
def quorum(tmp_path: Path) -> Iterator[Quorum]:
    with ExitStack() as opened:
        yield Quorum(tmp_path, opened)


def receipts(state: Path) -> list[dict]:
    return json.loads(cryoflux("receipts", "list", "--state", state, "--json").stdout)["entries"]


def head(state: Path) -> str:
    return (state / "base_model").readlink().name


@pytest.mark.parametrize("mode", ["async", "required"])
def test_two_of_three_witnesses_are_enough_for_a_run(
    mode: str, quorum: Quorum, tmp_path: Path, inputs: list[str]
) -> None:
    quorum.kill("c")
    state = tmp_path / "state"
    first = quorum.run(state, *inputs, "--budget", "200J", "--witnessing", mode, *ONE)
    assert first.summary["kept"] == 1
    assert head(state) == first.summary["base_model_hash"]
    (opened,) = first.of("opened")
    assert opened["witnessing"] == {"needed": "2 of 3 (a, b, c)", "mode": mode}
    last = first.of("witnessed")[-1]
    assert set(last["cosigned"]) == {"a", "b"}
    assert first.of("not-witnessed") == []
    verified = quorum.verify(state)
    assert verified.code == 0, verified.stdout
    assert "cosigned by a, b" in verified.stdout

    # A person reads once that one of them is gone, however many heads it does not see.
    second = quorum.run(state, "--witnessing", mode, "--attempts", "2", "--budget", "200J")
    assert second.code == 0, second.stderr
    assert second.stdout.count("witness  ✓ cosigned by a, b; needed: 2 of 3 (a, b, c)") == 1
    assert second.stdout.count("witness  c cannot be reached") <= 1
    assert "DISPUTED" not in second.stdout + second.stderr
    assert quorum.verify(state).code == 0


def test_an_async_run_goes_on_without_a_quorum_and_says_so(
    quorum: Quorum, tmp_path: Path, inputs: list[str]
) -> None:
    quorum.kill("b", "c")
    state = tmp_path / "state"
    ran = quorum.run(state, *inputs, "--budget", "200J", "--attempts", "2")
    assert ran.code == 0, ran.stderr
    assert ran.stdout.count("witness  ✗ NOT WITNESSED, cosigned only by a; needed: 2 of 3 (a, b, c)") == 1
    for name in "bc":
        assert ran.stdout.count(f"witness  {name} cannot be reached (ConnectError)") == 1
    assert len(receipts(state)) == 2
    assert cryoflux("verify", state).code == 0
    assert quorum.verify(state).code == 1

    # What is changed by hand says the same of the head that it leaves behind.
    kept = next(one["attempt"] for one in receipts(state) if one.get("accepted"))
    trust = {"CRYOFLUX_TRUST": str(quorum.policy), "CRYOFLUX_WITNESS_TIMEOUT": PATIENCE}
    offered = cryoflux("capsule", "offer", f"#{kept}", "--state", state, **trust)
    aliased = cryoflux("models", "alias", "good", f"#{kept}", "--state", state, **trust)
    for one in (offered, aliased):
        assert one.code == 0, one.stderr
        assert "witness  ✗ NOT WITNESSED, cosigned only by a; needed: 2 of 3 (a, b, c)" in one.stderr
        assert "witness  b cannot be reached (ConnectError)" in one.stderr


def test_an_update_that_a_required_quorum_has_not_seen_takes_no_effect_until_it_has(
    quorum: Quorum, tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "state"
    required = ("--witnessing", "required")
    died = quorum.run_while_it_dies(state, inputs)
    assert died.code == 2, died.stdout + died.stderr
    assert "is not witnessed; needed: 2 of 3 (a, b, c)" in died.stderr
    assert "a: cannot be reached" in died.stderr
    assert "Traceback" not in died.stderr
    (receipt,) = receipts(state)
    assert receipt["accepted"]
    origin = json.loads((state / "origin.json").read_text())["tasks"]["lora_delta"]["version"]
    assert head(state) == origin
    alone = cryoflux("verify", state)
    assert alone.code == 0, alone.stdout
    assert "still points at the version before" in alone.stdout
    assert quorum.verify(state).code == 1

    again = quorum.run(state, *required, *ONE)  # they are still gone
    assert again.code == 2
    assert again.of("opened") == []
    assert head(state) == origin
    assert receipts(state) == [receipt]

    quorum.start("a", "b")  # with the memory and the keys that they had
    after = quorum.run(state, *required, *ONE)
    assert after.code == 0, after.stderr
    assert after.of("recovered") == []
    (opened,) = after.of("opened")
    assert opened["base_model_hash"] != origin  # what was accepted has taken effect, before anything else
    assert receipts(state)[0] == receipt
    assert head(state) == after.summary["base_model_hash"]
    verified = quorum.verify(state)
    assert verified.code == 0, verified.stdout
    everything = json.loads(cryoflux("receipts", "list", "--intents", "--state", state, "--json").stdout)[
        "entries"
    ]
    sessions = [entry["joules_beside"] for entry in everything if entry["kind"] == "session"]
    charged = sum(receipt["joules_spent"] for receipt in receipts(state)) + sum(sessions)
    assert len(sessions) == 2, "the run that could not go on has told what it cost, too"
    assert after.summary["remaining_joules"] == pytest.approx(120 - charged, abs=1e-6)


def test_what_a_quorum_has_not_seen_takes_effect_where_none_is_required_any_more(
    quorum: Quorum, tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "state"
    assert quorum.run_while_it_dies(state, inputs).code == 2
    before = head(state)
    after = quorum.run(state, *ONE)
    assert after.code == 0, after.stderr
    assert after.of("opened")[0]["base_model_hash"] != before
    assert cryoflux("verify", state).code == 0


def test_an_old_copy_of_a_state_is_found_out_by_its_witnesses(
    quorum: Quorum, tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "state"
    assert quorum.run(state, *inputs, "--budget", "120J", *ONE).code == 0
    copy = shutil.copytree(state, tmp_path / "copy", symlinks=True)
    assert quorum.run(state, *ONE).code == 0

    ran = quorum.run(copy, "--attempts", "2")
    assert ran.code == 0, ran.stderr
    assert "✗ DISPUTED" in ran.stdout
    assert "✗ DISPUTED" in ran.stderr
    refused = quorum.run(copy, "--witnessing", "required", *ONE)
    assert refused.code == 1
    assert refused.of("opened") == []
    assert "A witness knows another history of this log" in refused.stderr
    assert quorum.verify(state).code == 0


@pytest.mark.parametrize("content", [None, "quorum nobody\n", "witness a nonsense\nquorum a\n"])
def test_a_policy_that_cannot_be_used_is_said_before_anything_is_written(
    content: str | None, tmp_path: Path, inputs: list[str]
) -> None:
    policy = tmp_path / "trust.policy"
    if content is not None:
        policy.write_text(content)
    ran = cryoflux("run", *inputs, *KEPT, "--trust", policy, "--budget", "80J", "--state", tmp_path / "state")
    assert ran.code == 2
    assert str(policy) in ran.stderr
    assert list(tmp_path.iterdir()) == ([] if content is None else [policy])
