"""Rounds as a node makes them: real processes, a real model, and offers that were really pulled."""

from __future__ import annotations

import json
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

import tiny
from cryoflux.attempt.context import RunTerms
from cryoflux.config import load_settings
from cryoflux.digests import sha256_hex
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.offers_found import OfferFound, found_offers
from cryoflux.network.peers import Peers
from cryoflux.network.publishing import Publisher, publish_all
from cryoflux.network.recording import RoundRecord
from cryoflux.receipts.network_parts import MemberVerdict, RoundOutcome
from cryoflux.receipts.network_statement import Node, OfferStatement, UpdateOffer
from cryoflux.registry.composition import list_digest
from cryoflux.registry.mixture import OfferedUpdate, StepKind
from cryoflux.registry.parent_lists import keep_lists
from cryoflux.report.round_words import round_lines
from cryoflux.runs import node_offers
from cryoflux.runs.by_hand import versions_by_hand
from cryoflux.runs.guests_by_hand import GuestWishes, enter
from cryoflux.runs.node_by_hand import composed_draft, ground_of
from cryoflux.runs.node_offers import adopting_of
from cryoflux.tasks.registry import find_task
from cryoflux.verification.result import Status
from cryoflux.witness.cosigned import log_key_of
from node_log import AT
from node_process import serving_node
from node_tree import TreeNode, serving_tree
from offered import OfferedState
from public_node import shown
from round_world import BUDGET, POLICY, SETTINGS, TASK, RoundNode, RoundNodes, make_nodes
from running import Outcome, ended, environment, python
from strategies.model_node import JudgingNode
from synthetic_parts import digest_of
from verifying import verify_target
from witness_process import witness

pytestmark = pytest.mark.process
OTHER_LOOKS = Path(__file__).parents[1] / "other_looks.py"
ROGUE = "cryoflux.network.demo.rogue"
GENEROUS = Path(__file__).parents[1] / "generous.py"


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> RoundNodes:
    """South offers, and north has pulled it."""
    return make_nodes(tmp_path_factory.mktemp("pulled"))


@pytest.fixture(scope="module")
def adopted(pulled: RoundNodes, tmp_path_factory: pytest.TempPathFactory) -> tuple[RoundNodes, Outcome]:
    """North has made a round of it."""
    nodes = pulled.copied(tmp_path_factory.mktemp("adopted") / "nodes")
    return nodes, nodes["north"].round()


@pytest.fixture
def nodes(pulled: RoundNodes, tmp_path: Path) -> RoundNodes:
    """As `pulled`; a test may change it."""
    return pulled.copied(tmp_path / "nodes")


@pytest.fixture
def after(adopted: tuple[RoundNodes, Outcome], tmp_path: Path) -> RoundNodes:
    """As `adopted`; a test may change it."""
    return adopted[0].copied(tmp_path / "nodes")


def verdicts(node: RoundNode, at: int = -1) -> dict[str, MemberVerdict]:
    """capsule → what a round made of it, the newest one."""
    return {one.capsule: one.verdict for one in node.rounds[at].members}


def holds(node: RoundNode) -> None:
    checks = verify_target(node.state).checks
    assert [check for check in checks if check.status is Status.FAIL] == []


def test_a_round_adopts_what_helps(pulled: RoundNodes, adopted: tuple[RoundNodes, Outcome]) -> None:
    nodes, outcome = adopted
    north, capsule = nodes["north"], nodes["south"].offered
    (event,) = outcome.of("round")
    (record,) = north.rounds
    assert record.outcome is RoundOutcome.ACCEPTED
    assert verdicts(north) == {capsule: MemberVerdict.ADOPTED}
    assert event["certified_delta_nats"] == record.look.level / 1e9 > 0
    assert north.head == record.result.digest == event["head"] != pulled["north"].head
    assert (north.state / "capsules" / capsule).is_dir(), "kept as if it had been made here"
    assert outcome.summary["rounds_kept"] == 1
    assert "1 round, 1 update adopted" in north.verified()


def test_who_joins_late_takes_the_whole_list_of_another_in_one_look(nodes: RoundNodes) -> None:
    """South's newest update was trained on its first one: north, which has learned nothing, takes both."""
    north, south = nodes["north"], nodes["south"]
    south.offers("#2")
    north.pulls(south)
    north.round()
    (record,) = north.rounds
    (step,) = record.steps
    assert (step.update.adapter, step.kind, step.amount) == (south.offered, StepKind.MIX, "1")
    assert "with its proposer's whole list" in "\n".join(round_lines(record, 1))
    assert north.head == south.head, "byte for byte"
    assert north.told.tasks[TASK].composition == south.told.tasks[TASK].composition
    assert len(north.looks) == 1
    assert "composed again from its list of 2 updates" in north.verified()


def test_the_joules_of_a_round_are_on_the_books(adopted: tuple[RoundNodes, Outcome]) -> None:
    nodes, outcome = adopted
    north, summary = nodes["north"], outcome.summary
    north.require_balance()
    (record,) = north.rounds
    assert 0 < record.energy.microjoules < record.energy.reserved_microjoules
    assert summary["joules"] == record.energy.microjoules / 1e6
    charged = north.told.charged
    (event,) = outcome.of("round")
    session_uj = max(0, north.entries[-1].session.energy.microjoules)  # it ends after the round
    assert event["rounds_share"] == record.energy.microjoules * 10**6 // (charged.all_uj - session_uj) / 1e6
    spent_uj = sum(
        one.energy.microjoules
        for entry in north.entries
        if (one := entry.receipt or entry.round or entry.session) is not None
    )
    assert summary["remaining_joules"] == pytest.approx(180 - spent_uj / 1e6)


def secrets(node: RoundNode) -> dict[str, bytes]:
    """What nobody may learn of its looks and its guest holdout, as text."""
    found: dict[str, bytes] = {}
    for look in node.looks:
        base, new = look["sums"]["baseLossSum"], look["sums"]["newLossSum"]
        count = len(node.guests)
        sums = {"base": base, "new": new, "delta": base - new}
        found |= {name: str(value).encode() for name, value in sums.items()}
        found |= {
            f"mean {name}": f"{value / count / 1e9:.5f}".encode()
            for name, value in sums.items()
            if name != "base"
        }
        found["squares"] = look["sums"]["deltaSquaredSum"].encode()
    (folder,) = node.network.guests.iterdir()
    found["key"] = (folder / "key").read_bytes()
    return found | {f"text {number}": text.encode() for number, text in enumerate(node.guests)}


def test_nothing_that_others_see_tells_what_a_look_has_found(
    after: RoundNodes, adopted: tuple[RoundNodes, Outcome]
) -> None:
    north = after["north"]
    north.witnessed()
    publish_all(Publisher(north.state))
    envelopes = [entry.signed.payload for entry in north.entries]
    events = adopted[1]
    seen = [*shown(north.network.public).values(), *envelopes, (events.stdout + events.stderr).encode()]
    told = {name for name, secret in secrets(north).items() if any(secret in one for one in seen)}
    assert told == set()
    assert any(str(north.rounds[0].search.spread_nano_nat).encode() in one for one in envelopes), (
        "found if there"
    )
    guest = north.node.guest.said.root
    assert not [path for path in shown(north.network.public) if path.startswith(("openings", guest))]
    secret = [*north.network.guests.rglob("*"), north.network.search]
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in secret if path.is_file()} == {0}


def differing(one: Any, other: Any, at: str = "") -> Iterator[str]:
    """Where two documents differ, by the names of their fields."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from differing(one[name], other[name], f"{at}.{name}" if at else name)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            yield from differing(left, right, at)
    elif one != other:
        yield at


def documents(node: RoundNode) -> list[dict[str, Any]]:
    """Announcement and record of its round, as they are signed."""
    found = [entry for entry in node.entries if entry.round_intent is not None or entry.round is not None]
    return [json.loads(entry.signed.payload)["predicate"] for entry in found]


def looked(node: RoundNode, shift: str) -> Outcome:
    command = [OTHER_LOOKS, shift, "node", "round", *BUDGET, "--json", "--state", node.state]
    return ended(python(*command, env=environment(**SETTINGS)))


TIMES = {"announcedAt", "startedAt", "finishedAt", "id"}
"""and what is made of them"""


def test_losses_that_change_no_bit_change_the_seal_and_nothing_else(
    adopted: tuple[RoundNodes, Outcome], nodes: RoundNodes
) -> None:
    """Which losses they are is seen by nobody, as long as the verdict and its level are the same."""
    assert looked(nodes["north"], "1000").code == 0
    one, other = adopted[0]["north"], nodes["north"]
    assert one.looks[0]["sums"]["newLossSum"] != other.looks[0]["sums"]["newLossSum"]
    (intent, record), (intent_2, record_2) = documents(one), documents(other)
    assert set(differing(intent, intent_2)) <= TIMES | {"seed"}  # drawn before anything is looked at
    found = set(differing(record, record_2))
    energy = {path for path in found if path.startswith("energy.")}
    assert found - energy - TIMES == {
        *("intent", "prev"),  # they name what has another time
        *("look.sealed", "look.lossesRoot"),
    }
    assert one.head == other.head


def test_a_look_that_shows_nothing_leaves_the_head(nodes: RoundNodes) -> None:
    north, before = nodes["north"], nodes["north"].head
    kept = sorted(path.name for path in (north.state / "models").iterdir())
    outcome = looked(north, "-2000000000")
    assert outcome.code == 0, outcome.stderr
    (record,) = north.rounds
    assert (record.outcome, record.look.level) == (RoundOutcome.REJECTED, 0)
    assert verdicts(north) == {nodes["south"].offered: MemberVerdict.NOT_CHOSEN}
    assert north.head == before
    assert sorted(path.name for path in (north.state / "models").iterdir()) == kept
    assert north.node.guest.kept == 0
    assert len(north.node.guest.looks) == 1
    north.require_balance()
    holds(north)


STEPS = "cryoflux.network.rounds"
LOG = "cryoflux.receipts.log:ReceiptLog.append"
VERSIONS = "cryoflux.registry.versions:Versions"
NOTHING, NO_LOOK, LOOKED, DONE = "nothing", "announced", "looked", "recorded"
DEATHS = {
    f"{STEPS}:announce:before": NOTHING,
    f"{LOG}:after": NO_LOOK,
    f"{STEPS}:_reserve:after": NO_LOOK,
    f"{STEPS}:keep_look:before": NO_LOOK,
    "cryoflux.network.guest:write_atomic:after": NO_LOOK,
    f"{STEPS}:keep_look:after": LOOKED,
    f"{VERSIONS}.keep:after": LOOKED,
    "cryoflux.network.recording:_take_over:after": LOOKED,
    f"{LOG}:before:2": LOOKED,
    f"{LOG}:after:2": DONE,
    f"{VERSIONS}.point_head:before:2": DONE,  # the first is of the opening
}


@pytest.mark.parametrize("where", DEATHS)
def test_a_round_that_is_killed_has_one_record_and_one_look(
    nodes: RoundNodes, adopted: tuple[RoundNodes, Outcome], where: str
) -> None:
    north, due, had = nodes["north"], adopted[0]["north"], DEATHS[where]
    north.killed(where)
    looks = north.looks
    assert len(looks) == (had in (LOOKED, DONE))
    assert len(north.rounds) == (had == DONE)
    holds(north)
    outcome = north.round()
    assert len(outcome.of("round")) == (had in (NOTHING, NO_LOOK))
    first, *others = north.rounds
    closed = {NO_LOOK: RoundOutcome.ABORTED}.get(had, RoundOutcome.ACCEPTED)
    assert first.outcome is closed
    assert [one.outcome for one in others] == ([RoundOutcome.ACCEPTED] if had == NO_LOOK else [])
    assert len(north.looks) == len(north.node.guest.looks) == 1
    assert north.looks[: len(looks)] == looks, "what was shown is what is told"
    assert north.rounds[-1].look.sealed == north.looks[0]["sealed"]
    assert north.head == due.head
    assert {one.name for one in (north.state / "models").iterdir()} == {
        one.name for one in (due.state / "models").iterdir()
    }
    north.require_balance()
    holds(north)


def test_whoever_dies_after_a_look_that_showed_nothing_publishes_that(nodes: RoundNodes) -> None:
    north, before = nodes["north"], nodes["north"].head
    assert looked(north, "-2000000000!").code == -signal.SIGKILL
    (look,) = north.looks
    outcome = north.round()
    assert outcome.of("round") == [], "the same head has nothing new to consider"
    (record,) = north.rounds
    assert (record.outcome, record.look.sealed) == (RoundOutcome.REJECTED, look["sealed"])
    assert north.looks == [look]
    assert north.head == before
    north.require_balance()
    holds(north)


def test_what_a_dead_round_composed_is_made_again_or_nothing_is_said(nodes: RoundNodes) -> None:
    north, adapter = nodes["north"], nodes["north"].network.capsule(nodes["south"].offered)
    north.killed(f"{STEPS}:keep_look:after")
    moved = adapter.rename(nodes.folder / "moved")
    entries = len(north.entries)
    refused = north.ran("node", "round", *BUDGET, code=2)
    assert "adapter_config.json cannot be read" in refused.stderr
    assert "Restore it" in refused.stderr
    assert len(north.entries) == entries
    moved.rename(adapter)
    north.round()
    assert [one.outcome for one in north.rounds] == [RoundOutcome.ACCEPTED]
    assert len(north.looks) == 1
    holds(north)


def test_an_update_that_is_recalled_was_never_adopted(after: RoundNodes, pulled: RoundNodes) -> None:
    north, capsule, before = after["north"], after["south"].offered, pulled["north"]
    said = json.loads(north.ran("capsule", "recall", capsule[:12], "--reason", "poisoned", "--json").stdout)
    assert said["same_as_before"]
    assert (said["base_model_hash"], said["updates"]) == (before.head, 0)
    assert north.head == before.head
    assert shown(north.state / "models" / north.head) == shown(before.state / "models" / before.head)
    assert "✗" not in north.verified()
    entries = len(north.entries)
    again = north.ran("capsule", "recall", capsule[:12], "--reason", "twice", code=2)
    assert "No update of others is adopted that begins with" in again.stderr
    assert len(north.entries) == entries


def test_a_recall_leaves_what_came_after(after: RoundNodes, pulled: RoundNodes) -> None:
    """South's second update was trained on its first, which is needed to know what the second one changes.

    What is left is what a node that never adopted the first one would make of the second.
    """
    north, south = after["north"], after["south"]
    first = south.offered
    south.offers("#2")
    second = south.offered
    north.pulls(south)
    north.round()
    assert verdicts(north) == {second: MemberVerdict.ADOPTED}
    adopted = north.rounds[-1].steps
    genesis = north.told.tasks[TASK].composition.genesis
    twin = RoundNode(shutil.copytree(north.state, after.folder / "twin", symlinks=True))
    both = ("capsule", "recall", first, "--reason", "a test", "--with-descendants", "--json")
    said = json.loads(twin.ran(*both).stdout)
    assert (said["also_recalled"], said["updates"], twin.head) == ([second], 0, genesis)
    said = json.loads(north.ran("capsule", "recall", first, "--reason", "a test", "--json").stdout)
    assert not said["same_as_before"]
    (below,) = said["descendants"]
    assert below == {"capsule": second, "was_adopted": True, "in_head": True, "own": False} | {
        "offered_by": [log_key_of(south.state).name]
    }
    listed = json.loads(north.ran("capsule", "list", "--json").stdout)["capsules"]
    assert {one["capsule"]: one["recalled_below"] for one in listed} == {first: [], second: [first]}
    composed = north.told.tasks[TASK].composition
    assert [term.adapter for term in composed.terms] == [second]
    (step,) = [one for one in adopted if one.update.adapter == second]  # others may be weighed anew beside it
    assert composed.terms[0].parent == list_digest(step.update.parent)
    assert composed.genesis == genesis
    assert north.head == said["base_model_hash"]
    assert "✗" not in north.verified()
    never = pulled.copied(after.folder / "never")["north"]
    for adapter in (first, second):
        shutil.copytree(
            south.state / "capsules" / adapter, never.network.capsule(adapter), dirs_exist_ok=True
        )
    settings = load_settings({"state": str(never.state)}, environ={}, folder=after.folder).settings
    keep_lists(never.state, [step.update.parent])
    with versions_by_hand(never.state, settings, "a test") as opened:
        assert composed_draft(opened, composed).digest == north.head


def test_a_guest_holdout_that_retired_is_open_and_judges_no_more(after: RoundNodes) -> None:
    north, south = after["north"], after["south"]
    said = json.loads(north.ran("node", "retire", "--json").stdout)
    assert (said["looks"], said["looks_kept"]) == (1, 1)
    assert len(Path(said["examples"]).read_text().splitlines()) == north.node.guests[said["root"]].said.count
    assert "opened" in north.verified()
    refused = north.ran("node", "round", *BUDGET, code=4)
    assert "Every guest holdout is worn out, or was opened" in refused.stderr
    assert "cryoflux node init --guest" in refused.stderr
    north.witnessed()
    south.pulls(north)
    books = json.loads(south.ran("node", "books", "--json").stdout)["nodes"]
    (told,) = [one for one in books if one["name"] == "north"]
    assert (told["opened"], told["reproduced"]) == (1, 1)


def test_one_whose_day_has_come_judges_no_more(nodes: RoundNodes, pulled: RoundNodes) -> None:
    north = nodes["north"]
    guests = tiny.write_csv(nodes.folder / "past.csv", tiny.sentences(800, 78))
    north.ran("node", "retire")
    sourced = load_settings({"state": str(north.state)}, environ={}, folder=nodes.folder)
    with versions_by_hand(north.state, sourced.settings, "a test") as opened:
        data = ground_of(opened, find_task(TASK).from_settings(sourced)).data
        enter(opened, TASK, GuestWishes(guests, days=-1), data)
    entries = len(north.entries)
    refused = north.ran("node", "round", *BUDGET, code=2)
    assert "was to be opened by" in refused.stderr
    assert "cryoflux node retire" in refused.stderr
    assert len(north.entries) == entries


def test_one_that_is_worn_out_judges_no_more(nodes: RoundNodes, pulled: RoundNodes) -> None:
    north = nodes["north"]
    guests = tiny.write_csv(nodes.folder / "few.csv", tiny.sentences(800, 77))
    north.ran("node", "retire")
    north.ran("node", "init", "--guest", guests, "--max-looks", 1)
    assert north.round().summary["rounds_kept"] == 1
    nodes["south"].offers("#2")
    north.pulls(nodes["south"])
    entries = len([entry for entry in north.entries if entry.round_intent is not None])
    refused = north.ran("node", "round", *BUDGET, code=4)
    assert "Every guest holdout is worn out" in refused.stderr
    assert len([entry for entry in north.entries if entry.round_intent is not None]) == entries
    north.require_balance()
    assert "2 opened" not in north.verified()


@pytest.fixture(scope="module")
def copier(pulled: RoundNodes, tmp_path_factory: pytest.TempPathFactory) -> RoundNode:
    """It offers south's update under another gauge, and has trained one with its sign turned."""
    node = RoundNode(tmp_path_factory.mktemp("rogue") / "rogue")
    source = pulled["south"].state / "capsules" / pulled["south"].offered
    train = tiny.write_csv(node.state.parent / "rogue.csv", tiny.sentences(600, 99))
    for kind in ("CopyingTask", "FlippingTask"):
        node.ran(
            *("run", "--task", f"{ROGUE}:{kind}", "--train", train, "--model", pulled.folder / "encoder"),
            *(*BUDGET, "--attempts", 1),
            DEMO_NODE_SOURCE=str(source),
        )
    node.joins()
    node.offers("#1")
    return node


@pytest.fixture(scope="module")
def rogue(copier: RoundNode, tmp_path_factory: pytest.TempPathFactory) -> RoundNode:
    """As `copier`, and offers what it has flipped too.

    A head that has gone a step too far may gain by it: who asks what becomes of it asks of the first round.
    """
    node = RoundNode(tmp_path_factory.mktemp("rogue") / "rogue")
    shutil.copytree(copier.state, node.state, symlinks=True)
    node.offers("#2")
    return node


NOT_TAKEN = {MemberVerdict.SCREENED, MemberVerdict.NOT_CHOSEN}
"""what hurts may show a gain on a few examples by chance, and is not chosen then"""


def test_a_copy_is_a_duplicate_though_it_was_fetched_first(nodes: RoundNodes, rogue: RoundNode) -> None:
    north, original = nodes["north"], nodes["south"].offered
    peers = north.network.known_peers
    south = [line for line in peers.read_text().splitlines() if "south" in line]
    peers.write_text(peers.read_text().replace("\n".join(south), ""))
    shutil.rmtree(north.network.incoming)
    north.pulls(rogue)
    north.pulls(nodes["south"])
    north.round()
    copy, flipped = rogue.node.offers
    found = verdicts(north, 0)
    assert found.pop(flipped) in NOT_TAKEN
    assert found == {original: MemberVerdict.ADOPTED, copy: MemberVerdict.DUPLICATE}
    assert {one.capsule: one.of for one in north.rounds[0].members if one.of} == {copy: original}
    holds(north)


def test_an_original_whose_copy_was_adopted_before_it_came_here_is_not_refuted(
    nodes: RoundNodes, copier: RoundNode
) -> None:
    north, original = nodes["north"], nodes["south"].offered
    peers, copy = north.network.known_peers, next(iter(copier.node.offers))
    south = [line for line in peers.read_text().splitlines() if "south" in line]
    peers.write_text(peers.read_text().replace("\n".join(south), ""))
    shutil.rmtree(north.network.incoming)
    north.pulls(copier)
    north.round()
    assert verdicts(north, 0)[copy] is MemberVerdict.ADOPTED
    with_copy = north.head
    north.pulls(nodes["south"])
    told = north.ran("node", "round", *BUDGET).stdout
    assert verdicts(north)[original] is MemberVerdict.COPIED
    assert {one.capsule: one.of for one in north.rounds[-1].members if one.of} == {original: copy}
    assert f"our head has {copy[:16]}…, a copy of it that was committed later" in " ".join(told.split())
    assert (north.head, len(north.looks)) == (with_copy, 1)
    holds(north)
    north.ran("capsule", "recall", copy, "--reason", "it is south's")
    north.round()
    assert verdicts(north)[original] is MemberVerdict.ADOPTED, "it may help now"
    holds(north)


def test_a_copy_of_what_was_adopted_is_not_shown_to_the_guest_holdout(
    after: RoundNodes, copier: RoundNode
) -> None:
    north, before = after["north"], after["north"].head
    north.pulls(copier)
    north.round()
    record, (copy,) = north.rounds[-1], copier.node.offers
    assert (record.outcome, record.look) == (RoundOutcome.UNSHOWN, None)
    assert verdicts(north) == {copy: MemberVerdict.DUPLICATE}
    assert (north.head, len(north.looks)) == (before, 1)
    holds(north)


def stranger(folder: Path, north: RoundNode, capsule: Path) -> tuple[RoundNode, dict[str, MemberVerdict]]:
    """A log of somebody who offers what nobody should compose; capsule → what is to be made of it."""
    made, config = OfferedState(folder), (capsule / "adapter_config.json").read_bytes()
    honest, node = load_file(capsule / "adapter_model.safetensors"), north.node.node
    assert node is not None
    made.node.forged, made.node.forge = Node, lambda said: said.but(labels=node.labels)
    name = next(name for name in honest if "lora_B" in name)
    genesis, due = north.told.tasks[TASK].composition.genesis, dict[str, MemberVerdict]()
    for verdict, changed, over in (
        (MemberVerdict.MALFORMED, {name: np.full_like(honest[name], np.nan)}, genesis),
        (MemberVerdict.SCREENED, {name: honest[name] * 1000}, genesis),
        (MemberVerdict.STALE, {name: honest[name] * 2}, digest_of("another genesis")),
        (MemberVerdict.UNAVAILABLE, {name: honest[name] * 3}, genesis),
    ):
        content = save({**honest, **changed})
        adapter = sha256_hex(content)
        receipt = made.train(content, config, kept=False, genesis=over)
        if not due:
            made.node.introduce()
        made.node.say(
            OfferStatement,
            UpdateOffer,
            adapter,
            task=TASK,
            update=OfferedUpdate(adapter=adapter, genesis=over),
            receipt=receipt.leaf_hash,
            receipt_at=receipt.index,
            config=sha256_hex(config),
            adapter_bytes=len(content),
            offered_at=AT,
        )
        due[adapter] = verdict
    made.log.close()
    shutil.rmtree(made.state.capsule(adapter))
    network = NetworkFolder.of(folder)
    network.path.mkdir()
    network.known_peers.write_text(POLICY)
    return RoundNode(folder), due


def test_what_cannot_be_composed_has_its_verdict_and_the_others_go_on(after: RoundNodes) -> None:
    north, south = after["north"], after["south"]
    other, due = stranger(after.folder / "stranger", north, south.state / "capsules" / south.offered)
    other.witnessed()
    south.offers("#2")
    north.pulls(south, other)
    outcome = north.round()
    assert verdicts(north, 1) == {south.offered: MemberVerdict.ADOPTED, **due}
    assert outcome.of("round")[0]["verdicts"]["adopted"] == 1
    screened = [adapter for adapter, verdict in due.items() if verdict is MemberVerdict.SCREENED]
    assert list(verdicts(north, 2)) == screened  # the head has moved since, which may change what helps
    holds(north)
    north.require_balance()


@pytest.mark.parametrize(
    ("adopt", "share", "made"), [("when-it-pays", "1", 1), ("when-it-pays", "0.1", 0), ("never", "1", 0)]
)
def test_a_run_makes_rounds_where_it_may(nodes: RoundNodes, adopt: str, share: str, made: int) -> None:
    """The log has settled far less than ten times what a round reserves."""
    north = nodes["north"]
    run = ("run", *BUDGET, "--attempts", 1, "--json")
    outcome = north.ran(*run, CRYOFLUX_ADOPT=adopt, CRYOFLUX_ADOPT_SHARE=share, CRYOFLUX_MAX_STEPS="8")
    assert len(outcome.of("round")) == outcome.summary["rounds"] == made
    assert outcome.summary["attempts"] == 1
    assert len(north.rounds) == outcome.summary["rounds"]
    north.require_balance()
    holds(north)


def test_beside_attempts_offers_are_read_again_only_where_the_share_has_grown_or_something_came(
    nodes: RoundNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    north, south, reads = nodes["north"], nodes["south"], list[int]()

    def counted(network: Path, peers: Peers) -> list[OfferFound]:
        found = found_offers(network, peers)
        reads.append(len(found))
        return found

    monkeypatch.setattr(node_offers, "found_offers", counted)
    half = {"adopt": "when-it-pays", "adopt_share": "0.5"}
    settings = load_settings({**half, "state": str(north.state)}, environ={}, folder=nodes.folder).settings
    with closing(JudgingNode(north.state)) as judge:
        context = replace(judge.context, terms=RunTerms(1, "uniform/v1", 0, "embedded"))
        (adopting,) = adopting_of(context, settings, only_rounds=False)

        def tried(settled_uj: int) -> RoundRecord | None:
            context.memory.charged.all_uj = settled_uj  # rounds may cost as much as all else has
            return adopting.next(10**12, beside_attempts=True)

        assert [tried(settled_uj) for settled_uj in (0, 1, 2, 3)] == [None] * 4
        assert reads == [1], "what a round reserves at least is known without, and what this one wants after"
        south.offers("#2")
        north.pulls(south)
        assert [tried(settled_uj) for settled_uj in (4, 5, 6)] == [None] * 3
        assert reads == [1, 2], "another offer came, which wants more"
        made = tried(10**12)
        assert reads == [1, 2, 2]
        assert made is not None
        assert len(made.record.members) == 2
        again = [tried(10**13 + number) for number in range(6)]
        assert again[3:] == [None] * 3
        idle = len(reads)
        assert [tried(10**14 + number) for number in range(4)] == [None] * 4
        assert len(reads) == idle, "for this head nothing of it is due any more"


def test_a_stranger_is_a_candidate_as_far_as_the_joules_pay_and_who_gives_it_more_is_refuted(
    nodes: RoundNodes, tmp_path: Path
) -> None:
    north, south = nodes["north"], nodes["south"]
    east = TreeNode(tmp_path / "east")
    east.offer()
    with serving_node(south.state) as there, serving_tree(east.tree) as url:
        east.publish(peers=[{"log_key": str(log_key_of(south.state)), "url": there.url}])
        known = f"{POLICY}strangers 1%\nnode east {east.vkey} {url}\n"
        north.network.known_peers.write_text(known)
        (drawn,) = json.loads(north.ran("node", "pull", "--json").stdout)["strangers"]
    east.close()
    assert drawn["fetched"] == 1
    (listed,) = json.loads(north.ran("capsule", "list", "--json").stdout)["capsules"]
    assert (listed["origin"], listed["stranger"]) == (drawn["origin"], True)
    assert listed["checked"], "by the key of the log that was drawn, which the file of peers does not name"
    assert listed["committed_at"] is not None
    assert f"stranger {drawn['origin']}" in north.ran("capsule", "list").stdout
    assert "stranger" not in south.ran("capsule", "list").stdout
    before = len(north.entries)
    assert "Nothing that others offer waits" in north.ran("node", "round", *BUDGET).stdout
    assert len(north.entries) == before, "a hundredth of its joules pays for no round"
    generous = python(GENEROUS, "node", "round", *BUDGET, "--state", north.state, env=environment(**SETTINGS))
    said = ended(generous)
    assert said.code == 0, said.stderr
    assert f"         {drawn['name']}/1  adopted" in said.stdout
    (intent,) = [entry.round_intent for entry in north.entries if entry.round_intent is not None]
    assert [one.by_lottery for one in intent.candidates] == [True]
    wrong = [check.detail for check in verify_target(north.state).checks if check.status is Status.FAIL]
    assert any("more strangers than a hundredth" in one for one in wrong)


def test_a_guard_set_that_gets_worse_bars_the_look(nodes: RoundNodes) -> None:
    """Its labels are turned, so whatever learns the topics makes it worse."""
    north, before = nodes["north"], nodes["north"].head
    labels = sorted(tiny.TOPICS)
    turned = {label: labels[(at + 1) % len(labels)] for at, label in enumerate(labels)}
    rows = [(text, turned[label]) for text, label in tiny.sentences(60, 5)]
    guard = tiny.write_csv(nodes.folder / "guard.csv", rows)
    north.round(CRYOFLUX_GUARDS=str(guard))
    (record,) = north.rounds
    assert (record.outcome, record.look, record.reason.code) == (RoundOutcome.UNSHOWN, None, "round.unsafe")
    digest = sha256_hex(guard.read_bytes())
    assert [(one.name, one.sha256, one.count, one.passed) for one in record.guards] == [
        ("guard.csv", digest, 60, False)
    ]
    assert verdicts(north) == {nodes["south"].offered: MemberVerdict.UNSAFE}
    assert (north.head, north.looks) == (before, [])
    holds(north)


def test_a_round_takes_effect_only_once_witnesses_have_seen_it(nodes: RoundNodes) -> None:
    north, before = nodes["north"], nodes["north"].head
    policy = nodes.folder / "policy"
    required = {"CRYOFLUX_TRUST": str(policy), "CRYOFLUX_WITNESSING": "required"}
    with witness(nodes.folder / "witness", "--accept-new") as process:
        policy.write_text(f"{process.policy_line('w')}\nquorum w\n")
        north.round(**required)
    head = (
        (north.state / "log" / "cosigned").read_bytes()
        if (north.state / "log" / "cosigned").exists()
        else b""
    )
    assert north.head != before
    assert head or (north.state / "log" / "heads").is_file()
    entries = len(north.entries)
    nodes["south"].offers("#2")
    north.pulls(nodes["south"])
    north.ran("node", "round", *BUDGET, code=2, **required)
    assert len(north.entries) == entries, "nothing is announced that could not take effect"
