"""What `cryoflux verify` refuses of what a node says, `verify.sh` refuses at the same entry, if tools can.

What they cannot is a written list, and the script's last words say so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_forged_rounds import FORGED

from cryoflux.network.offering import update_of
from cryoflux.receipts.network_statement import (
    GuestHoldout,
    GuestOpening,
    Node,
    Recall,
    RoundIntent,
    RoundIntentStatement,
    RoundResult,
)
from cryoflux.registry.composition import folded
from node_log import TASK, NodeLog, node_log
from plain_log import KEY, PlainLog, model
from shell_bundles import (
    Verdict,
    bare_tools,
    bundle_of,
    named_by_program,
    needs_tools,
    run_shell,
    run_verify,
    verdict_by,
)
from synthetic_parts import digest_of

pytestmark = needs_tools
BEYOND_THE_SCRIPT = {
    "a lower bar": "how high a bar has to be takes a logarithm",
    "another list afterwards": "lists of updates follow from their steps",
    "a recall to another list": "what a recall leaves",
}
FORGED_BESIDE: dict[str, tuple[type, Callable]] = {
    "a guest holdout entered twice": (RoundIntent, lambda s: s),
    "a look that is forgotten": (RoundIntent, lambda s: s.but(guest=s.guest.but(kept=0))),
    "an update that its head has": (
        RoundIntent,
        lambda s: s.but(candidates=[one.but(capsule=digest_of("capsule 1")) for one in s.candidates]),
    ),
    "a round on another reservation": (
        RoundResult,
        lambda s: s.but(energy=s.energy.but(reserved_microjoules=s.energy.reserved_microjoules + 1)),
    ),
    "joules out of order": (RoundResult, lambda s: s.but(energy=s.energy.but(lo_microjoules=10**12))),
    "a guard set made worse": (RoundResult, lambda s: s.but(look=s.look.but(level=s.look.level + 1))),
    "an opening of another root": (GuestOpening, lambda s: s.but(root=digest_of("root"))),
    "a recall from another head": (Recall, lambda s: s.but(base=s.result)),
    "sums that no losses have": (
        GuestOpening,
        lambda s: s.but(
            rounds=[s.rounds[0].but(sums=s.rounds[0].sums.but(delta_squared_sum="1")), *s.rounds[1:]]
        ),
    ),
    "an example less": (GuestHoldout, lambda s: s.but(count=511)),
}


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_tools(tmp_path_factory.mktemp("tools"))


def both(folder: Path, tools: Path, log: PlainLog) -> tuple[Verdict, Verdict]:
    entries, first = [entry.envelope for entry in log.entries], KEY.public_key()
    shell = run_shell(bundle_of(folder / "bundle", entries, first), tools)
    return shell, run_verify(folder / "log.jsonl", entries, first)


def agree(shell: Verdict, verify: Verdict) -> None:
    assert shell.holds == verify.holds, (shell.said, verify.said)
    assert min(shell.entries, default=-1) == min(verify.entries, default=-1), (shell.said, verify.said)


def test_a_node_is_taken_and_the_script_says_what_it_did_not_check(tmp_path: Path, tools: Path) -> None:
    log = PlainLog()
    node_log(log)
    shell, verify = both(tmp_path, tools, log)
    agree(shell, verify)
    assert "VERIFIED 11 entries, 1 receipt, 2 rounds:" in shell.said
    for words in ("how high their bars have to be", "follow from their steps", "what a recall leaves"):
        assert words in " ".join(shell.said.split())


def forged(name: str) -> list[bytes]:
    """The log of a node that says what does not follow."""
    kind, forge = FORGED_BESIDE[name] if name in FORGED_BESIDE else FORGED[name][:2]
    log = PlainLog()
    node = node_log(log, kind, forge)
    if name == "a guest holdout entered twice":
        node.enter()
    return [entry.envelope for entry in log.entries]


@pytest.fixture(scope="module")
def named() -> dict[str, frozenset[int]]:
    """What the script's program for jq says of these logs."""
    return named_by_program({name: forged(name) for name in [*FORGED, *FORGED_BESIDE]}, KEY.public_key())


@pytest.mark.parametrize("name", [*FORGED, *FORGED_BESIDE])
def test_what_does_not_follow_gets_the_verdict_of_verify(
    name: str, tmp_path: Path, tools: Path, named: dict[str, frozenset[int]]
) -> None:
    entries, first, bundle = forged(name), KEY.public_key(), tmp_path / "bundle"
    shell = verdict_by(named[name], lambda: run_shell(bundle_of(bundle, entries, first), tools))
    verify = run_verify(tmp_path / "log.jsonl", entries, first)
    if name in FORGED:
        assert not verify.holds
    if name in BEYOND_THE_SCRIPT:
        assert min(verify.entries) not in shell.entries, "it can be taken off the list"
        return
    agree(shell, verify)


def test_the_bar_of_a_level_is_the_same_to_the_last_digit(tmp_path: Path, tools: Path) -> None:
    """Levels near their bars, in numbers that a float would round, one round after the other."""
    log = PlainLog()
    node = NodeLog(log)
    node.train()
    node.introduce()
    node.enter()
    for gain in (2_000_001, 10_000_019, 49_999_999, 50_000_021, 250_000_001):
        node.record(node.announce([node.candidate()]), gain=gain)
    node.open()
    assert [entry.round.look.level for entry in log.entries if entry.round is not None] == [
        *(2_000_000, 10_000_000, 10_000_000, 50_000_000, 250_000_000)
    ]
    shell, verify = both(tmp_path, tools, log)
    agree(shell, verify)
    assert shell.holds, (shell.said, verify.said)


def test_an_update_of_a_full_list_is_offered_and_one_of_another_list_is_not(
    tmp_path: Path, tools: Path
) -> None:
    """The 65th term begins a list with the one before it folded: both say which list an update makes."""
    log = PlainLog()
    node = NodeLog(log)
    receipts = [node.train(gain=800_000_000) for _ in range(66)]
    for receipt in (receipts[63], receipts[65]):
        node.offer(receipt, update_of(log.entries, receipt))
    honest = update_of(log.entries, receipts[64])
    assert len(honest.parent) == 64
    forged = node.offer(receipts[64], honest.but(parent=folded(honest.parent)))
    node.offer(receipts[64], honest)
    shell, verify = both(tmp_path, tools, log)
    assert shell.entries == verify.entries == {forged.index}, (shell.said, verify.said)


NEWCOMERS: dict[str, tuple[type | None, Callable]] = {
    "what it says": (None, lambda s: s),
    "a genesis that it does not begin at": (Node, lambda s: s.but(genesis=model("x"))),
    "a metric that it does not measure": (Node, lambda s: s.but(metric=s.metric.but(unit="bits"))),
    "a name without a past": (Node, lambda s: s.but(supersedes=digest_of("entry"))),
}


@pytest.mark.parametrize("name", list(NEWCOMERS))
def test_a_node_may_say_who_it_is_before_its_first_attempt_which_has_to_bear_it_out(
    name: str, tmp_path: Path, tools: Path
) -> None:
    kind, forge = NEWCOMERS[name]
    log = PlainLog()
    node = NodeLog(log, kind, forge)
    node.introduce()
    node.enter()
    node.train()
    node.record(node.announce([node.candidate()]))
    shell, verify = both(tmp_path, tools, log)
    agree(shell, verify)
    assert shell.holds == (kind is None), (shell.said, verify.said)


def test_nothing_that_names_a_head_comes_before_the_first_attempt(tmp_path: Path, tools: Path) -> None:
    trained = PlainLog()
    before = NodeLog(trained)
    before.train()
    before.enter()
    early = before.announce([before.candidate()]).statement.predicate
    log = PlainLog()
    node = NodeLog(log)
    node.introduce()
    node.enter()
    said = {f: getattr(early, f) for f in early.__struct_fields__ if f not in {"sequence", "prev"}}
    node.say(RoundIntentStatement, RoundIntent, early.base.files, **said)
    shell, verify = both(tmp_path, tools, log)
    agree(shell, verify)
    assert verify.entries == {2}, verify.said


@pytest.mark.parametrize("recalled", [True, False])
def test_what_came_with_a_poison_alone_is_free_again_once_that_is_recalled(
    recalled: bool, tmp_path: Path, tools: Path
) -> None:
    """Else whoever trains a poison on top of an honest update could keep that out for good."""
    log = PlainLog()
    node = NodeLog(log)
    node.train()
    node.introduce()
    node.enter()
    poison, honest = node.candidate(), node.candidate()
    node.record(node.announce([poison]), carried=[honest.capsule])
    assert set(log.state.nodes[TASK].adopted) == {poison.capsule, honest.capsule}
    if recalled:
        node.recall(poison.capsule)
    due = node.announce([honest])
    node.record(due)
    shell, verify = both(tmp_path, tools, log)
    assert shell.entries == verify.entries == (set() if recalled else {due.index}), (shell.said, verify.said)


def test_the_list_is_of_forgeries_that_there_are() -> None:
    assert set(BEYOND_THE_SCRIPT) <= set(FORGED)
