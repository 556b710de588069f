"""What a node shows, and what it does not show yet."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cryoflux.errors import StateTamperedError, UsageError, VerificationError
from cryoflux.files import write_atomic
from cryoflux.network import publishing
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.node_file import PeerHint, hints_in
from cryoflux.network.public_log import publish_log
from cryoflux.network.public_tree import PublicTree
from cryoflux.network.publishing import Publisher, publish_all
from cryoflux.network.revealing import RevealRule
from cryoflux.receipts.checkpoint import (
    Checkpoint,
    KeyType,
    NoteSignature,
    cosign,
    cosigned_at,
    cosigned_times,
    parse_checkpoint,
    parse_note,
    sign_checkpoint,
    verifier_key,
)
from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.receipts.proof import check_proof, parse_proof
from cryoflux.receipts.tiles import TileTree, publish_tiles
from cryoflux.registry.composition import list_digest, parse_list
from cryoflux.signing.keys import LOG_KEY, RECEIPT_KEY, load_public_key, public_pem
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.witness.cosigned import parse_heads
from node_tree import tree_key
from public_node import (
    NOBODY,
    POLICY,
    WITNESS,
    WITNESS_KEY,
    WITNESS_VKEY,
    PublicNode,
    capsule_json,
    parent_of,
    rule,
    shown,
)
from signed_log import LOG_KEY as SIGNER
from synthetic_parts import digest_of

NOW_S = 1_764_000_000


@pytest.fixture
def node(tmp_path: Path) -> Iterator[PublicNode]:
    made = PublicNode(tmp_path / "state")
    yield made
    made.node.log.close()


def capsules(node: PublicNode) -> set[str]:
    return {path.split("/")[1] for path in node.shown() if path.endswith("capsule.json")}


def adapters(node: PublicNode) -> set[str]:
    return {path.split("/")[1] for path in node.shown() if path.endswith(ADAPTER)}


def bundles(files: dict[str, bytes]) -> list[bytes]:
    found = []
    for path in sorted(path for path in files if path.startswith("log/tile/entries/")):
        content, at = files[path], 0
        while at < len(content):
            end = at + 2 + int.from_bytes(content[at : at + 2], "big")
            found.append(content[at + 2 : end])
            at = end
    return found


def test_an_update_is_shown_once_a_quorum_has_seen_its_receipt_and_its_offer(node: PublicNode) -> None:
    receipt, adapter = node.trained()
    node.node.introduce()
    node.publish()
    assert node.shown() == {}  # no witness has seen the receipt, so nobody has
    node.cosign()
    node.publish()
    assert adapters(node) == {adapter}  # the head needs it
    assert capsules(node) == set()
    node.offered(receipt)
    said = node.publish()
    assert (said.size, said.capsules, said.waiting) == (3, 0, 1)
    node.cosign()
    said = node.publish()
    assert (said.capsules, said.waiting, said.problems) == (1, 0, ())
    files = node.shown()
    assert files[f"capsules/{adapter}/capsule.json"] == capsule_json(adapter)
    assert digest_of(files[f"capsules/{adapter}/{ADAPTER}"].decode()) == adapter
    assert files[f"capsules/{adapter}/{ADAPTER_CONFIG}"] == b"config"


def test_an_entry_is_known_to_nobody_before_a_quorum_has_seen_it(node: PublicNode) -> None:
    node.trained()
    node.cosign()
    node.publish()
    before = node.shown()
    receipt, adapter = node.trained()
    node.offered(receipt)
    node.node.introduce()
    assert node.publish().waiting == 4
    assert node.shown() == before
    assert receipt.envelope not in bundles(before)
    node.cosign()
    node.publish()
    assert receipt.envelope in bundles(node.shown())
    assert adapter in adapters(node)


def test_nothing_is_shown_before_the_second_is_over_in_which_a_quorum_saw_it(node: PublicNode) -> None:
    """Else a copy could be dated to that second too: cosignatures have no parts of seconds."""
    node.trained()
    node.cosign()
    first = node.time_s
    for now_s, held_s in ((first, 1.0), (first + 0.75, 0.25), (first - 0.5, 1.5)):  # at last a clock behind
        said = node.publish(rule(now=lambda now_s=now_s: now_s))
        assert (said.size, said.waiting, said.held_s, node.shown()) == (0, 2, held_s, {})
    node.trained()
    node.cosign()
    said = node.publish(rule(now=lambda: node.time_s + 0.5))
    assert (said.size, said.waiting, said.held_s) == (2, 2, 0.5), "the head before it is shown"
    said = node.publish(rule(now=lambda: node.time_s + 1.0))
    assert (said.size, said.held_s) == (4, 0.0)


def test_a_witness_whose_clock_is_far_ahead_holds_nothing_back(node: PublicNode) -> None:
    node.trained()
    node.cosign()
    assert node.publish(rule(now=lambda: node.time_s - 60.0)).size == 2


def test_who_publishes_once_waits_for_the_seconds_of_all_heads_to_be_over(
    node: PublicNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head before the newest may be shown first: a node that goes on publishing waits for that alone."""
    write_atomic(node.folder.known_peers, POLICY.encode())
    sizes = []
    for second in (0, 1):
        node.trained()
        node.time_s = NOW_S + second - 60  # it is cosigned a minute later
        sizes.append(node.cosign())
    times = [NOW_S + 0.5]
    monkeypatch.setattr(publishing, "RevealRule", partial(RevealRule, now=lambda: times[-1]))
    assert publish_all(node.publisher, lambda left_s: times.append(times[-1] + left_s)).size == sizes[1]
    assert times == [NOW_S + 0.5, NOW_S + 1, NOW_S + 2]


def test_what_was_shown_stays_where_the_rule_asks_for_more_by_then(node: PublicNode) -> None:
    node.trained()
    node.cosign()
    node.publish()
    before = node.shown()
    node.trained()
    node.cosign()
    another = verifier_key("witness.example/2", SIGNER.public_key(), KeyType.WITNESS)
    both = f"witness w {WITNESS_VKEY}\nwitness v {another}\ngroup both 2 w v\nquorum both\n"
    for stricter in (rule(NOBODY), rule(both)):
        assert node.publish(stricter).waiting == 2
        assert node.shown() == before


def test_the_log_is_shown_as_it_is_with_every_cosigned_head(node: PublicNode) -> None:
    for _ in range(2):
        node.trained()
        node.cosign()
        node.publish()
    files = node.shown()
    head = parse_checkpoint(files["log/checkpoint"], load_public_key(node.state.keys / f"{LOG_KEY}.pub"))
    assert head.size == len(node.node.log.entries) == 4
    newest = {path: content for path, content in files.items() if not path.endswith(".p/2")}
    assert root_hash(map(leaf_hash, bundles(newest))) == head.root
    assert newest["log/tile/0/000.p/4"] == b"".join(map(leaf_hash, bundles(newest)))
    heads = parse_heads(files["log/heads"])
    assert [note.checkpoint.size for note in heads] == [2, 4]
    assert all(cosigned_at(note, WITNESS_VKEY) for note in heads)
    assert files["log/heads"] == node.state.cosigned.read_bytes()


def test_a_quiet_log_is_shown_with_what_witnesses_have_seen_of_it_last(node: PublicNode) -> None:
    node.trained()
    for _ in range(3):
        node.cosign()
        assert node.publish().changed
    files = node.shown()
    head = parse_note(files["log/checkpoint"])
    assert len(head.by(WITNESS_VKEY)) == 1, "as stock tools expect it"
    assert cosigned_at(head, WITNESS_VKEY) == node.time_s
    (kept,) = parse_heads(files["log/heads"])
    assert cosigned_times(kept, WITNESS_VKEY) == [node.time_s - 120, node.time_s]


def test_the_tiles_of_the_head_before_stay_for_whoever_is_reading_it(node: PublicNode) -> None:
    for size in (2, 4, 6):
        node.trained()
        node.cosign()
        node.publish()
        kept = sorted(path for path in node.shown() if path.startswith("log/tile/entries"))
        assert kept == [f"log/tile/entries/000.p/{one}" for one in (size - 2, size) if one]


def test_full_tiles_stay_and_their_partial_forms_go(tmp_path: Path) -> None:
    """On a log without a database: the tree of a log is made of its files alone."""
    state, told = StateFolder(tmp_path / "state"), [b"entry %d" % number for number in range(260)]
    public = NetworkFolder.of(state.path)
    write_atomic(state.keys / "log.pub", public_pem(SIGNER.public_key()))
    for size in (254, 256, 258, 260):
        publish_tiles(state.log, TileTree(told[:size]).contents())
        head = Checkpoint("log.example/1", size, root_hash(map(leaf_hash, told[:size])))
        write_atomic(state.checkpoint, sign_checkpoint(head, SIGNER))
        publish_log(state, PublicTree(public.public, public.staging), rule(NOBODY, no_witnesses=True))
    files = shown(public.public)
    paths = sorted(path for path in files if path.startswith("log/tile/entries"))
    assert paths == [f"log/tile/entries/{one}" for one in ("000", "001.p/2", "001.p/4")]
    assert "log/tile/1/000.p/1" in files
    del files["log/tile/entries/001.p/2"]
    assert bundles(files) == told


def test_who_the_node_is_can_be_checked_offline(node: PublicNode) -> None:
    node.trained()
    entry = node.node.introduce()
    node.cosign()
    node.trained()
    node.cosign()
    hint = PeerHint(log_key=str(tree_key("ab" * 8)), url="https://north.example")
    node.publish(peers=[hint])
    content = node.shown()["node.json"]
    said = json.loads(content)
    assert (said["v"], said["peers"]) == (1, [{"log_key": hint.log_key, "url": hint.url}])
    assert [(str(key), url) for key, url in hints_in(content)] == [(hint.log_key, hint.url)]
    proof = parse_proof(said["proof"].encode())
    keys = [load_public_key(node.state.keys / f"{name}.pub") for name in (RECEIPT_KEY, LOG_KEY)]
    assert check_proof(proof, *keys, base64.b64decode(said["entry"])).leaf_hash == entry.leaf_hash
    assert cosigned_at(parse_note(proof.checkpoint), WITNESS_VKEY) == node.time_s - 60  # by the first head
    with pytest.raises(VerificationError):
        check_proof(proof, *keys)


def test_what_an_offer_was_trained_on_is_shown_with_it(node: PublicNode) -> None:
    first, second, third = (node.trained() for _ in range(3))
    offered = node.offered(third[0], parent_of(first[1], second[1]))
    node.cosign()
    said = node.publish()
    assert said.problems == ()
    assert offered == third[1]
    assert adapters(node) == {first[1], second[1], third[1]}
    assert capsules(node) == {third[1]}
    lists = {path.split("/")[1]: text for path, text in node.shown().items() if path.startswith("lists/")}
    made = [first[1], second[1], third[1]]  # the last list is the head's
    assert set(lists) == {list_digest(parent_of(*made[:count])) for count in (1, 2, 3)}
    assert all(list_digest(parse_list(text)) == digest for digest, text in lists.items())


def test_what_was_adopted_of_others_is_served_on(node: PublicNode) -> None:
    node.trained()
    node.node.introduce()
    node.node.enter()
    adopted = node.node.candidate()
    word = "capsule 1"
    parent = parent_of(digest_of("of others"))
    incoming = node.folder.capsule(digest_of(word))
    node.keep(incoming, word)
    (incoming / "capsule.json").write_text(json.dumps({"config": {"sha256": digest_of("config")}}))
    node.keep(node.folder.capsule(digest_of("capsule 2")), "capsule 2")  # was not adopted
    node.folder.lists.mkdir()
    (node.folder.lists / list_digest(parent)).write_text("".join(term.line for term in parent))
    node.node.record(node.node.announce([adopted, node.node.candidate()]))
    node.cosign()
    node.publish()
    assert digest_of(word) in adapters(node)
    assert capsules(node) == {digest_of(word)}
    assert digest_of("capsule 2") not in adapters(node)


def test_what_an_opened_look_was_made_of_is_served_though_no_head_has_it(node: PublicNode) -> None:
    """Whoever made it may show it no more: then nobody could make the verdict again."""
    node.trained()
    node.node.introduce()
    node.node.enter()
    refused, recalled = node.node.candidate(), node.node.candidate()
    for number in (1, 2, 3):
        node.keep(node.folder.capsule(digest_of(f"capsule {number}")), f"capsule {number}")
        content = json.dumps({"config": {"sha256": digest_of("config")}})
        (node.folder.capsule(digest_of(f"capsule {number}")) / "capsule.json").write_text(content)
    node.node.record(node.node.announce([refused]), gain=-1_000_000)
    node.node.record(node.node.announce([recalled, node.node.candidate()]))
    node.node.recall(recalled.capsule)
    node.cosign()
    node.publish()
    assert not {refused.capsule, recalled.capsule} & adapters(node)
    node.opened()
    node.node.log.conclude(node.node.log.announce())
    node.cosign()
    for publisher in (node.publisher, Publisher(node.path, capsule_json)):
        assert publisher.publish(rule()).problems == ()
        assert {refused.capsule, recalled.capsule} <= adapters(node)
    assert digest_of("capsule 3") not in adapters(node), "it was in no look"


def test_other_bytes_than_those_that_are_named_are_not_shown(node: PublicNode) -> None:
    receipt, adapter = node.trained()
    node.offered(receipt)
    node.cosign()
    path = node.state.capsule(adapter) / ADAPTER
    content = path.read_bytes()
    path.write_bytes(b"x" * len(content))
    said = node.publish()
    assert (adapters(node), capsules(node), said.capsules) == (set(), set(), 0)
    assert [adapter[:16] in problem for problem in said.problems] == [True]
    path.unlink()
    path.symlink_to(node.state.keys / "log.pem")
    assert node.publish().capsules == 0
    path.unlink()
    path.write_bytes(content)
    assert node.publish().problems == ()
    assert capsules(node) == {adapter}


@pytest.mark.parametrize(
    ("said", "revealed"),
    [
        (rule(), False),
        (rule(NOBODY), False),
        (rule(NOBODY, no_witnesses=True), True),
        (rule(no_witnesses=True), False),
    ],
)
def test_without_witnesses_only_a_node_that_says_it_has_none_reveals(
    node: PublicNode, said: RevealRule, revealed: bool
) -> None:
    receipt, adapter = node.trained()
    node.offered(receipt)
    assert node.publish(said).capsules == revealed
    assert (adapters(node) == {adapter}) == revealed


@pytest.mark.parametrize("lie", ["another key", "another head", "another log"])
def test_false_cosignatures_reveal_nothing(node: PublicNode, lie: str) -> None:
    receipt, _ = node.trained()
    node.offered(receipt)
    node.cosign()
    note = parse_note(node.state.cosigned.read_bytes())
    point = note.checkpoint
    if lie == "another key":
        signed = note.signatures[-1]
        forged = NoteSignature(signed.name, signed.key_id, signed.signature[:8] + b"\0" * 64)
        node.state.cosigned.write_bytes(type(note)(point, (*note.signatures[:-1], forged)).content)
    else:
        origin = "log.example/2" if lie == "another log" else point.origin
        other = Checkpoint(origin, point.size, root_hash([b"\1" * 32]))
        line = cosign(other, WITNESS, WITNESS_KEY, node.time_s)
        node.state.cosigned.write_bytes(type(note)(other, (note.signatures[0], line)).content)
    assert (node.publish().size, node.shown()) == (0, {})


def test_openings_and_contracts_are_shown_once_their_entries_are_covered(node: PublicNode) -> None:
    node.trained()
    node.node.introduce()
    node.node.enter()
    node.cosign()
    root = node.opened()
    node.folder.contracts.mkdir()
    for word in ("examples", "nobody has named this"):
        (node.folder.contracts / digest_of(word)).write_text(word)
    node.publish()
    assert not [path for path in node.shown() if path.startswith(("openings", "contracts"))]
    node.node.log.conclude(node.node.log.announce())
    node.cosign()
    node.publish()
    files = node.shown()
    assert files[f"openings/{root}/examples.jsonl"] == b"examples"
    said = json.loads(files[f"openings/{root}/opening.json"])
    keys = [load_public_key(node.state.keys / f"{name}.pub") for name in (RECEIPT_KEY, LOG_KEY)]
    opened = check_proof(parse_proof(said["proof"].encode()), *keys, base64.b64decode(said["entry"]))
    assert opened.statement.predicate.root == root
    contracts = [path for path in files if path.startswith("contracts")]
    assert contracts == [f"contracts/{digest_of('examples')}"]  # what an entry is about, and no other


def test_a_second_publication_changes_nothing(node: PublicNode) -> None:
    receipt, _ = node.trained()
    node.node.introduce()
    node.offered(receipt)
    node.cosign()
    assert node.publish().changed > 5
    before, times = node.shown(), {p: p.stat() for p in node.public.rglob("*") if p.is_file()}
    assert node.publish().changed == 0
    assert Publisher(node.path, capsule_json).publish(rule()).changed == 0
    assert node.shown() == before
    assert {path: path.stat().st_mtime_ns for path in times} == {p: s.st_mtime_ns for p, s in times.items()}


def test_a_shared_file_takes_no_room(node: PublicNode) -> None:
    receipt, adapter = node.trained()
    node.offered(receipt)
    node.cosign()
    node.publish()
    shared = node.public / f"capsules/{adapter}/{ADAPTER}"
    assert shared.samefile(node.state.capsule(adapter) / ADAPTER)


def test_where_there_are_no_links_files_are_copied(node: PublicNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    receipt, adapter = node.trained()
    node.offered(receipt)
    node.cosign()
    assert node.publish().capsules == 1
    assert not (node.public / f"capsules/{adapter}/{ADAPTER}").samefile(node.state.capsule(adapter) / ADAPTER)


def with_the_keys_of(node: PublicNode, path: Path) -> PublicNode:
    """Another history under the same name."""
    PublicNode(path).node.log.close()
    shutil.rmtree(path)
    shutil.copytree(node.state.keys, path / "keys")
    return PublicNode(path)


@pytest.mark.parametrize("story", ["shorter", "another", "another and longer"])
def test_a_log_that_does_not_continue_what_was_shown_is_not_shown(tmp_path: Path, story: str) -> None:
    node = PublicNode(tmp_path / "one")
    for _ in range(3):
        node.trained()
    node.cosign()
    node.publish()
    before = node.shown()
    node.node.log.close()
    again = with_the_keys_of(node, tmp_path / "two")
    for _ in range({"shorter": 1, "another": 3, "another and longer": 5}[story]):
        intent = again.node.log.announce(seed=8)
        again.node.log.conclude(intent)
    shutil.copytree(node.public, again.public)
    with pytest.raises(StateTamperedError):
        again.publish()
    assert again.shown() == before
    again.node.log.close()


def test_a_damaged_log_is_not_shown(node: PublicNode) -> None:
    node.trained()
    node.cosign()
    tile = node.state.log / "tile/entries/000.p/2"
    tile.write_bytes(tile.read_bytes().replace(b"application", b"applicatiom", 1))
    with pytest.raises(StateTamperedError):
        node.publish()
    assert node.shown() == {}


def test_without_a_log_there_is_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Publisher(tmp_path, capsule_json).publish(rule())


def test_heads_that_were_shown_stay_where_the_state_has_lost_them(node: PublicNode) -> None:
    node.trained()
    node.cosign()
    node.publish()
    before = node.shown()["log/heads"]
    node.state.cosigned.unlink()
    node.state.witnessed.unlink()
    node.trained()
    node.cosign()
    node.publish()
    assert node.shown()["log/heads"].startswith(before)
    assert [note.checkpoint.size for note in parse_heads(node.shown()["log/heads"])] == [2, 4]
