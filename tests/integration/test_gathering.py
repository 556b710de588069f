"""Every peer is pulled, and what is offered is fetched, whatever one of them does, in any order."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

import public_node
from cryoflux.digests import sha256_hex
from cryoflux.errors import StorageError
from cryoflux.files import write_atomic
from cryoflux.network.auditing import audit
from cryoflux.network.books import LATER, Confirmation, books_of
from cryoflux.network.capsule import check_capsule, parse_capsule
from cryoflux.network.fetching import Fetched, PeerUnreachableError, Ration
from cryoflux.network.folder import EXAMPLES, NetworkFolder
from cryoflux.network.gathered import PeerGathered
from cryoflux.network.gathering import gather
from cryoflux.network.head_times import seen_before
from cryoflux.network.offers_found import OfferFound, found_offers, pulled_mark
from cryoflux.network.peer_files import PeerFiles
from cryoflux.network.peer_record import PeerRecord, first_claims
from cryoflux.network.peers import Peers, parse_peers
from cryoflux.network.publishing import Publisher
from cryoflux.network.pulling import PullOutcome
from cryoflux.network.telling import own_record, told_by
from cryoflux.network.unmade import Unmade, UnmadeByRoot
from cryoflux.receipts.network_parts import MemberVerdict, RoundCandidate
from cryoflux.witness.cosigned import log_key_of
from cryoflux.witness.evidence import check_equivocation, parse_equivocation
from node_log import AT, GUEST_KEY, GUESTS
from node_tree import CosigningWitness, Odd, TreeNode, serving_tree, tree_key

T = 1_764_000_000
W1, W2 = CosigningWitness("one"), CosigningWitness("two")
EAST = {"log_key": str(tree_key("ab" * 8)), "url": "http://east.example/"}
HINTS = [EAST, {**EAST, "url": "javascript:no"}, {**EAST, "log_key": "x"}, "http://east.example/", 7]


@pytest.fixture
def north(tmp_path: Path) -> Iterator[TreeNode]:
    """A node with one offer that both witnesses have seen."""
    node = TreeNode(tmp_path / "north")
    node.offer()
    node.publish({W1: T, W2: T + 5}, peers=HINTS)
    yield node
    node.close()


@pytest.fixture
def south(tmp_path: Path) -> Iterator[TreeNode]:
    node = TreeNode(tmp_path / "south", aborted=1)
    node.offer()
    node.publish({W1: T + 100, W2: T + 90})
    yield node
    node.close()


def peers_of(urls: dict[TreeNode, str], *, quorum: str = "both", witness: str = "") -> Peers:
    lines = [f"witness {one.name} {one.vkey} {witness if one is W1 else ''}" for one in (W1, W2)]
    lines += ["group both all one two", f"quorum {quorum}"]
    lines += [f"node {node.state.parent.name} {node.vkey} {url}" for node, url in urls.items()]
    return parse_peers("\n".join([*lines, ""]).encode())


def gathered(
    network: Path, *nodes: TreeNode, odd: Odd | None = None, asked: list[str] | None = None, **said: object
) -> tuple[dict[str, PeerGathered], Peers]:
    with ExitStack() as stack:
        urls = {node: stack.enter_context(serving_tree(node.tree, odd, asked)) for node in nodes}
        peers = peers_of(urls)
        return {one.name: one for one in gather(network, peers, **said).peers}, peers


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_what_peers_offer_is_here_in_the_order_of_its_commitment(
    tmp_path: Path, north: TreeNode, south: TreeNode
) -> None:
    lines: list[str] = []
    network = tmp_path / "mine"
    found, peers = gathered(network, south, north, said=lines.append)
    assert [(one.outcome, one.offers, one.fetched, one.waiting) for one in found.values()] == [
        (PullOutcome.NEW, 1, 1, 0)
    ] * 2
    assert found["north"].hints == 1
    offers = found_offers(network, peers)
    assert [(one.origin, one.committed_s, one.fetched) for one in offers] == [
        (north.origin, T + 5, True),
        (south.origin, T + 100, True),
    ]
    assert [dict(one.seen.by) for one in offers] == [
        {"one": T, "two": T + 5},
        {"one": T + 100, "two": T + 90},
    ]
    assert (NetworkFolder(network).capsule(offers[0].capsule) / "adapter_model.safetensors").is_file()
    assert min(lines).startswith("1 of 2 peers: ")


def test_nothing_new_is_asked_for_twice_and_costs_no_bytes(tmp_path: Path, north: TreeNode) -> None:
    network, asked = tmp_path / "mine", list[str]()
    with serving_tree(north.tree, asked=asked) as url:
        peers = peers_of({north: url})
        gather(network, peers)
        asked.clear()
        before = files(network)
        again = gather(network, peers)
    assert asked == ["/log/checkpoint", "/log/heads"]
    assert (again.peers[0].outcome, again.peers[0].received) == (PullOutcome.SAME, 0)
    assert files(network) == before


def test_an_offer_is_no_candidate_before_a_quorum_has_seen_its_receipt(
    tmp_path: Path, north: TreeNode
) -> None:
    network = tmp_path / "mine"
    later = north.offer()
    north.publish({W1: T + 900})
    found, peers = gathered(network, north)
    assert (found["north"].offers, found["north"].fetched, found["north"].waiting) == (2, 1, 1)
    assert len(found_offers(network, peers)) == 1
    north.publish()
    north.heads[-1] = W2.cosigned(north.heads[-1], T + 800)
    north.publish()
    found, peers = gathered(network, north)
    assert found["north"].waiting == 0
    second = found_offers(network, peers)[1]
    assert (second.committed_s, second.offer_leaf) == (T + 900, later.leaf_hash)


def test_lists_and_what_an_update_was_trained_on_come_with_it(tmp_path: Path, north: TreeNode) -> None:
    network = tmp_path / "mine"
    parent = north.node.composed.terms
    north.offer()
    north.publish({W1: T + 1, W2: T + 1})
    found, peers = gathered(network, north)
    assert found["north"].fetched == 2
    child = found_offers(network, peers)[1]
    assert child.update.parent == parent
    shutil.rmtree(NetworkFolder(network).capsule(parent[0].adapter))
    assert not any(one.fetched for one in found_offers(network, peers))
    gathered(network, north)
    assert all(one.fetched for one in found_offers(network, peers))


def without(*words: str) -> Odd:
    def odd(handler: BaseHTTPRequestHandler) -> bool:
        if not any(word in handler.path for word in words):
            return False
        handler.send_response(404)
        handler.send_header("content-length", "0")
        handler.end_headers()
        return True

    return odd


@pytest.mark.parametrize("word", ["capsule.json", "adapter_model", "adapter_config"])
def test_what_is_withheld_is_counted_and_had_once_it_is_there(
    tmp_path: Path, north: TreeNode, word: str
) -> None:
    network = tmp_path / "mine"
    for tries in (1, 2):
        found, peers = gathered(network, north, odd=without(word))
        (missing,) = found["north"].unavailable.values()
        assert (missing.tries, found["north"].fetched) == (tries, 0)
        (offer,) = found_offers(network, peers)
        assert (offer.fetched, offer.tries) == (False, tries)
        assert "404" in offer.why
    found, peers = gathered(network, north)
    assert (found["north"].unavailable, found_offers(network, peers)[0].fetched) == ({}, True)


def test_what_an_audit_lacked_is_asked_for_in_each_pull_until_it_is_here(
    tmp_path: Path, north: TreeNode
) -> None:
    network = tmp_path / "mine"
    gathered(network, north)
    (place,) = NetworkFolder(network).incoming.iterdir()
    kept = north.put_list(north.node.composed.terms)
    record, lacking = PeerRecord.of(network, north.vkey), [f"capsules/{place.name}", f"lists/{kept}"]
    lacked = tuple(map(Unmade, [*lacking, "capsules/" + 64 * "a"]))
    record.change_unmade(lambda _: {"1": lacked})
    shutil.rmtree(place)
    for tries in (1, 2):
        gathered(network, north, odd=without("adapter_model", "lists/"))
        assert [one.tries for one in record.unmade["1"]] == [tries] * 3
    assert "404" in record.unmade["1"][2].why
    gathered(network, north)
    assert [one.is_withheld for one in record.unmade["1"]] == [False, False, True]
    assert (place / "adapter_model.safetensors").is_file()
    assert (NetworkFolder(network).lists / kept).is_file()


def test_what_an_audit_notes_while_a_pull_asks_is_not_lost(tmp_path: Path, north: TreeNode) -> None:
    network = tmp_path / "mine"
    record, lacks = PeerRecord.of(network, north.vkey), "capsules/" + 64 * "a"
    gathered(network, north)
    record.change_unmade(lambda _: {"1": (Unmade(lacks),)})

    def audited_meanwhile(asked: BaseHTTPRequestHandler) -> bool:
        if lacks in asked.path:
            record.change_unmade(lambda before: before | {"2": (Unmade("lists/1"),)})
        return False

    gathered(network, north, odd=audited_meanwhile)
    assert {root: one.tries for root, (one,) in record.unmade.items()} == {"1": 1, "2": 0}

    def slowly(root: str) -> UnmadeByRoot:
        def change(before: UnmadeByRoot) -> UnmadeByRoot:
            time.sleep(0.02)
            return before | {root: (Unmade("lists/1"),)}

        return record.change_unmade(change)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(slowly, "3456"))
    assert sorted(record.unmade) == list("123456"), "each waits for its turn"


def test_an_adapter_that_comes_after_its_document_changes_the_mark_of_what_was_pulled(
    tmp_path: Path, north: TreeNode
) -> None:
    """A run may look in between: what it finds not to be due by one mark it does not read again by that."""
    folder, seen = NetworkFolder(tmp_path / "mine"), list[tuple[bool, tuple[int, ...]]]()

    def odd(asked: BaseHTTPRequestHandler) -> bool:
        if asked.path.endswith(("adapter_model.safetensors", "adapter_config.json")):
            (offer,) = found_offers(folder.path, peers)
            seen.append((offer.fetched, pulled_mark(folder, peers)))
        return False

    with serving_tree(north.tree, odd) as url:
        peers = peers_of({north: url})
        gather(folder.path, peers)
    (offer,) = found_offers(folder.path, peers)
    marks = [*(mark for _, mark in seen), pulled_mark(folder, peers)]
    assert [fetched for fetched, _ in seen] == [False, False]
    assert offer.fetched
    assert len(set(marks)) == len(marks) == 3
    assert pulled_mark(folder, peers) == marks[-1]


def test_what_a_pull_had_no_bytes_left_for_was_not_asked_for_in_vain(tmp_path: Path, north: TreeNode) -> None:
    network = tmp_path / "mine"
    gathered(network, north)
    of_its_log = gathered(network, north)[0]["north"].received
    (place,) = NetworkFolder(network).incoming.iterdir()
    record = PeerRecord.of(network, north.vkey)
    record.change_unmade(lambda _: {"1": (Unmade(f"capsules/{place.name}"),)})
    shutil.rmtree(place)
    gathered(network, north, odd=without("adapter_model", "adapter_config"))
    assert record.unmade["1"][0].tries == 1
    found, _ = gathered(network, north, most_bytes=of_its_log + 1)
    assert found["north"].outcome is PullOutcome.SAME
    assert record.unmade["1"][0].tries == 1
    gathered(network, north, odd=without("adapter_model", "adapter_config"), stop=lambda: True)
    assert record.unmade["1"][0].tries == 1, "nor what somebody stopped it before"
    gathered(network, north)
    assert record.unmade["1"][0].here


@pytest.mark.parametrize("silent", ["log/checkpoint", "log/heads"])
def test_who_does_not_answer_for_a_log_is_asked_in_vain(tmp_path: Path, north: TreeNode, silent: str) -> None:
    network, asked = tmp_path / "mine", list[str]()
    gathered(network, north)
    (place,) = NetworkFolder(network).incoming.iterdir()
    record = PeerRecord.of(network, north.vkey)
    lacked = (Unmade(f"capsules/{place.name}"), Unmade("lists/" + 64 * "a"), Unmade("lists/" + 64 * "b"))
    record.change_unmade(lambda _: {"1": lacked})
    found, _ = gathered(network, north, odd=without(silent, "capsules/", "lists/"), asked=asked)
    assert found["north"].outcome is PullOutcome.UNREACHABLE
    assert [(one.tries, one.here) for one in record.unmade["1"]] == [(0, True), (1, False), (1, False)]
    assert sum("/lists/" in path for path in asked) == 1, "one is asked for, as nothing else may come"
    gathered(network, north, odd=without(silent, "lists/"), only=())
    assert [one.tries for one in record.unmade["1"]] == [0, 1, 1], "others were meant"


def test_a_log_whose_heads_are_rubbish_shows_no_better_what_it_hides(tmp_path: Path, north: TreeNode) -> None:
    network = tmp_path / "mine"
    gathered(network, north)
    record = PeerRecord.of(network, north.vkey)
    record.change_unmade(lambda _: {"1": (Unmade("lists/" + 64 * "a"),)})
    (north.tree / "log" / "heads").write_bytes(b"no heads")
    assert gathered(network, north)[0]["north"].outcome is PullOutcome.NOT_SIGNED
    assert record.unmade["1"][0].tries == 1


def test_what_one_peer_hides_makes_nobody_ask_others_without_end(
    tmp_path: Path, north: TreeNode, south: TreeNode
) -> None:
    network, asked = tmp_path / "mine", list[str]()
    gathered(network, north, south)
    record = PeerRecord.of(network, north.vkey)
    hidden = {f"{root}": tuple(Unmade(f"lists/{64 * root + n:064x}") for n in range(65)) for root in range(3)}
    record.change_unmade(lambda _: hidden)
    _, peers = gathered(network, north, south, asked=asked)
    assert sum("/lists/" in path for path in asked) == 2 * 3 * 4
    tries = [one.tries for some in record.unmade.values() for one in some]
    assert (len(tries), set(tries)) == (3 * 64, {1}), "no more is remembered than is read again"
    fetched = list[str]()

    class Fetching:
        def fetch(self, url: str, most: int, *, etag: str = "") -> Fetched:
            fetched.append(url)
            raise PeerUnreachableError(url)

    rations = {"north": Ration(Fetching(), 0, 9), "south": Ration(Fetching(), 1, 9)}
    files = PeerFiles(NetworkFolder(network), peers.nodes[0], record, peers.nodes, rations, {})
    files.lacked(record.facts)
    assert not fetched, "its own ration is spent"
    asked.clear()
    record.change_unmade(lambda _: {f"{root}": (Unmade(f"lists/{root:064x}"),) for root in range(100)})
    gathered(network, north, south, asked=asked)
    assert sum("/lists/" in path for path in asked) == 2 * 64


@pytest.mark.parametrize(
    ("word", "content"),
    [
        ("adapter_model", b"other bytes"),
        ("adapter_config", b"other settings"),
        ("adapter_model", b"x" * 1001),
        ("adapter_config", b"x" * 65_537),
        ("capsule.json", b"x" * 65_537),
        ("capsule.json", b"{}"),
        ("capsule.json", b'{"offer":{"entry":"AA=="},"receipt":{"entry":"AA=="}}'),
        ("capsule.json", b"[" * 60_000),
    ],
)
def test_bytes_that_were_not_signed_are_not_kept(
    tmp_path: Path, north: TreeNode, word: str, content: bytes
) -> None:
    network = tmp_path / "mine"
    for path in north.tree.rglob(f"{word}*"):
        path.write_bytes(content)
    found, peers = gathered(network, north)
    assert found["north"].fetched == 0
    assert not found_offers(network, peers)[0].fetched
    assert content not in files(network).values()


def test_who_offers_bytes_of_another_with_other_settings_displaces_nothing(
    tmp_path: Path, north: TreeNode
) -> None:
    """A copy of the bytes alone, whose settings would make another update of them."""
    rogue = TreeNode(tmp_path / "rogue")
    rogue.offer()
    rogue.publish({W1: T + 50, W2: T + 50})
    for path in rogue.tree.rglob("adapter_config.json"):
        path.write_bytes(b"config of another scale")
    network = tmp_path / "mine"
    for _ in range(2):
        gathered(network, rogue, north)
    (config,) = NetworkFolder(network).incoming.rglob("adapter_config.json")
    assert config.read_bytes() == b"config"
    rogue.close()


def test_the_capsule_of_who_committed_first_is_kept_whoever_came_first(
    tmp_path: Path, north: TreeNode
) -> None:
    """Somebody offers the very same files later."""
    copier = TreeNode(tmp_path / "copier")
    copier.offer()
    copier.publish({W1: T + 50, W2: T + 50})
    network = tmp_path / "mine"
    gathered(network, copier)
    _, peers = gathered(network, copier, north)
    (capsule,) = NetworkFolder(network).incoming.rglob("capsule.json")
    assert parse_capsule(capsule.read_bytes()).origin == north.origin
    assert [one.origin for one in found_offers(network, peers)] == [north.origin, copier.origin]
    copier.close()


def test_wrong_clocks_of_witnesses_put_no_copy_before_its_original(tmp_path: Path) -> None:
    """A copy that another quorum saw ten seconds later, by clocks that lie an hour and minutes apart."""
    third = CosigningWitness("three")
    original, copy = TreeNode(tmp_path / "original"), TreeNode(tmp_path / "copy")
    assert original.offer().statement.subject == copy.offer().statement.subject
    original.publish({W1: T + 300, W2: T})
    copy.publish({W2: T + 10, third: T - 240})
    lines = [f"witness {one.name} {one.vkey}" for one in (W1, W2, third)]
    lines += ["group most 2 one two three", "quorum most"]
    with serving_tree(original.tree) as one, serving_tree(copy.tree) as other:
        lines += [f"node original {original.vkey} {one}", f"node copy {copy.vkey} {other}", ""]
        peers, network = parse_peers("\n".join(lines).encode()), tmp_path / "mine"
        gather(network, peers)
    seen = {one.origin: one.seen for one in found_offers(network, peers)}
    assert not seen_before(seen[copy.origin], seen[original.origin], peers.policy)
    (claim,) = first_claims([PeerRecord.of(network, node.key) for node in peers.nodes], peers.policy).values()
    assert claim.contested == {original.origin, copy.origin}, "by the order of each, not by that of all"
    original.close()
    copy.close()


def test_a_head_that_was_published_and_is_gone_goes_back(tmp_path: Path, north: TreeNode) -> None:
    network = tmp_path / "mine"
    gathered(network, north)
    kept = PeerRecord.of(network, north.vkey).published
    north.offer()
    north.heads = []
    north.publish({W1: T + 9, W2: T + 9})
    found, _ = gathered(network, north)
    assert found["north"].outcome is PullOutcome.GOES_BACK
    assert "published" in found["north"].why
    assert PeerRecord.of(network, north.vkey).published == kept


def test_cosignatures_that_are_left_out_later_stay(tmp_path: Path, north: TreeNode) -> None:
    network = tmp_path / "mine"
    _, peers = gathered(network, north)
    north.heads[0] = W1.cosigned((north.state / "log" / "checkpoint").read_bytes(), T + 999)
    north.publish()
    gathered(network, north)
    assert found_offers(network, peers)[0].committed_s == T + 5


@contextmanager
def witness_that_knows(*notes: bytes) -> Iterator[str]:
    """`GET /heads`, as a witness answers it."""

    def odd(handler: BaseHTTPRequestHandler) -> bool:
        after = int(handler.path.partition("after=")[2] or 0)
        body = b"\n".join(notes[after:])
        handler.send_response(200)
        handler.send_header("content-length", str(len(body)))
        handler.send_header("link", f'<heads?after={len(notes)}>; rel="next"')
        handler.end_headers()
        handler.wfile.write(body)
        return True

    with serving_tree(Path(), odd) as url:
        yield url


def told_to_others(north: TreeNode, folder: Path) -> TreeNode:
    """The same log in another place, where it goes on differently."""
    north.log.close()
    shutil.copytree(north.state.parent, folder)
    north.log.reopen()
    return TreeNode(folder)


def test_another_history_that_a_witness_was_shown_convicts(tmp_path: Path, north: TreeNode) -> None:
    network = tmp_path / "mine"
    other = told_to_others(north, tmp_path / "told" / "north")
    other.log.abort(other.log.announce())
    lie = other.publish({W1: T + 50})
    other.close()
    north.offer()
    north.publish({W1: T + 60, W2: T + 60})
    gathered(network, north)
    with serving_tree(north.tree) as url, witness_that_knows(lie) as witness:
        peers = peers_of({north: url}, witness=witness)
        found = gather(network, peers, ask_witnesses=True)
        assert found.peers[0].outcome is PullOutcome.DIFFERS
        assert (found.accuses, found.witnesses, found.heads) == (True, 1, 1)
        evidence = PeerRecord.of(network, north.vkey).mirror.evidence
        assert "signed" in check_equivocation(parse_equivocation(evidence))
        again = gather(network, peers, ask_witnesses=True)
    assert (again.peers[0].outcome, again.peers[0].known, again.accuses) == (PullOutcome.DIFFERS, True, False)
    assert [one.fetched for one in found_offers(network, peers)] == [False, False]
    assert [log.convicted for log in told_by(network, peers)[0]] == [True]


def test_another_history_that_a_peer_publishes_itself_convicts(tmp_path: Path, north: TreeNode) -> None:
    other = told_to_others(north, tmp_path / "told" / "north")
    other.log.abort(other.log.announce())
    lie = other.publish({W1: T + 50, W2: T + 50})
    other.close()
    north.offer()
    north.heads.append(lie)
    north.publish({W1: T + 60, W2: T + 60})
    found, _ = gathered(tmp_path / "mine", north)
    assert found["north"].outcome is PullOutcome.DIFFERS


def test_who_has_nothing_new_by_a_witness_is_not_asked(
    tmp_path: Path, north: TreeNode, south: TreeNode
) -> None:
    network, asked = tmp_path / "mine", list[str]()
    notes = [node.heads[-1] for node in (north, south)]
    with ExitStack() as stack:
        urls = {node: stack.enter_context(serving_tree(node.tree, asked=asked)) for node in (north, south)}
        stack.enter_context(witness_that_knows())
        with witness_that_knows(*notes) as witness:
            peers = peers_of(urls, witness=witness)
            assert [one.outcome for one in gather(network, peers, ask_witnesses=True).peers] == [
                PullOutcome.NEW
            ] * 2
            asked.clear()
            assert gather(network, peers, ask_witnesses=True).heads == 0
            assert asked == []
        south.offer()
        notes.append(south.publish({W1: T + 500, W2: T + 500}))
        with witness_that_knows(*notes) as witness:
            found = gather(network, peers_of(urls, witness=witness), ask_witnesses=True)
    assert [one.came for one in found.peers] == [0, 3]
    assert {path for path in asked if "node.json" not in path} >= {"/log/checkpoint", "/log/heads"}


def test_what_a_witness_has_seen_counts_though_the_peer_leaves_it_out(
    tmp_path: Path, north: TreeNode
) -> None:
    network = tmp_path / "mine"
    head = W2.cosigned(north.heads[0], T + 5)
    north.heads = []
    north.publish()
    with serving_tree(north.tree) as url:
        assert gather(network, peers_of({north: url})).peers[0].waiting == 1
        with witness_that_knows(head) as witness:
            peers = peers_of({north: url}, witness=witness)
            gather(network, peers, ask_witnesses=True)
    assert [one.committed_s for one in found_offers(network, peers)] == [T + 5]


def test_a_log_whose_entry_another_key_signed_is_read_no_further(tmp_path: Path, north: TreeNode) -> None:
    network = tmp_path / "mine"
    first, _ = gathered(network, north)
    assert first["north"].fetched == 1
    facts = PeerRecord.of(network, north.vkey).facts
    path = north.tree / "node.json"
    said = json.loads(path.read_bytes())
    north.log.abort(north.log.announce())
    north.publish({W1: T + 70, W2: T + 70})
    path.write_text(json.dumps({**said, "receipt_key": "A" * 43 + "="}))
    found, _ = gathered(network, north)
    assert found["north"].outcome is PullOutcome.UNREACHABLE
    assert "receipt key" in found["north"].why
    assert PeerRecord.of(network, north.vkey).facts == facts


def test_a_stranger_is_never_asked_where_nobody_lets_strangers_in(
    tmp_path: Path, north: TreeNode, south: TreeNode
) -> None:
    asked: list[str] = []
    with serving_tree(south.tree, asked=asked) as stranger:
        north.publish(peers=[south.hint(stranger)])
        gathered(tmp_path / "mine", north)
    assert asked == []


def test_a_peer_that_is_not_there_hinders_no_other(tmp_path: Path, north: TreeNode, south: TreeNode) -> None:
    with serving_tree(north.tree) as url:
        peers = peers_of({south: "http://127.0.0.1:9", north: url})
        found = gather(tmp_path / "mine", peers)
    assert [one.outcome for one in found.peers] == [PullOutcome.UNREACHABLE, PullOutcome.NEW]
    assert not found.accuses
    assert [one.origin for one in found_offers(tmp_path / "mine", peers)] == [north.origin]


def test_what_is_damaged_here_of_one_peer_hinders_no_other(
    tmp_path: Path, north: TreeNode, south: TreeNode
) -> None:
    first, peers = gathered(tmp_path / "mine", north, south)
    mirror = PeerRecord.of(tmp_path / "mine", peers.nodes[0].key).mirror
    (mirror.path / "checkpoint").write_bytes(b"rubbish")
    damaged, other = gathered(tmp_path / "mine", north, south)[0].values()
    assert (damaged.outcome, other.outcome) == (PullOutcome.NOT_SIGNED, PullOutcome.SAME)
    assert "cannot be read" in damaged.why
    assert (other.offers, other.fetched) == (first[other.name].offers, 1)


def test_more_than_a_pull_may_bring_is_left_for_the_next(tmp_path: Path, north: TreeNode) -> None:
    network = tmp_path / "mine"
    found, _ = gathered(network, north, most_bytes=1000)
    assert found["north"].outcome is PullOutcome.UNREACHABLE
    assert set(files(network)) == {"pulling.lock"}
    log = sum(len(content) for name, content in files(north.tree).items() if name.startswith("log/"))
    found, _ = gathered(network, north, most_bytes=log + 500)
    assert (found["north"].fetched, len(found["north"].unavailable)) == (0, 1)
    assert gathered(network, north)[0]["north"].fetched == 1


def rounds(verifier: TreeNode, offers: Sequence[OfferFound], gain: int = 80_000_000) -> None:
    candidates = [
        RoundCandidate(capsule=one.capsule, origin=one.origin, offer=one.offer_leaf) for one in offers
    ]
    verifier.node.record(verifier.node.announce(candidates), gain)


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[TreeNode]:
    """A verifier whose guest holdout was entered before anything was offered."""
    node = TreeNode(tmp_path / "judge", aborted=2)
    node.node.train()
    node.node.introduce()
    node.node.enter()
    node.publish({W1: T - 100, W2: T - 100})
    yield node
    node.close()


def test_books_are_the_same_however_the_logs_came(
    tmp_path: Path, north: TreeNode, south: TreeNode, judge: TreeNode
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    _, peers = gathered(one, judge, north, south)
    first, second = found_offers(one, peers)
    rounds(judge, [first])
    rounds(judge, [second], gain=-1_000_000)
    judge.publish({W1: T + 200, W2: T + 201})
    gathered(one, judge)  # a part of the network at a time, here; all at once, in another order, there
    gathered(one, south, north)
    _, peers = gathered(other, south, judge, north)
    found = []
    for network in (one, other):
        logs, now_s = told_by(network, peers)
        found.append((books_of(logs, [judge.origin], 1, now_s), now_s))
    assert found[0] == found[1]
    books, now_s = found[0]
    assert now_s == T + 200, "both were there by then, whatever the clock of one alone says"
    standings = [books[node.origin].capsules[0].standing for node in (north, south)]
    assert standings == [Confirmation.CONFIRMED, Confirmation.REFUTED]
    assert books[north.origin].capsules[0].level == 50_000_000
    assert books[judge.origin].certified_nano == 50_000_000
    assert books[judge.origin].upper_uj is not None
    assert books[judge.origin].tiers == ("modelled",)


@pytest.mark.parametrize("left_out", [0, 1])
def test_an_opening_is_reproduced_by_whoever_has_its_examples(
    tmp_path: Path, north: TreeNode, judge: TreeNode, left_out: int
) -> None:
    network = tmp_path / "mine"
    _, peers = gathered(network, judge, north)
    rounds(judge, found_offers(network, peers))
    content = b"".join(one + b"\n" for one in GUESTS[: len(GUESTS) - left_out])
    opened = judge.node.open(sha256_hex(content))
    judge.publish({W1: T + 300, W2: T + 300})
    assert opened.network is not None
    root = opened.network.predicate.root  # type: ignore[union-attr]
    gathered(network, judge)

    def told() -> dict[str, bool]:
        return next(dict(log.opened) for log in told_by(network, peers)[0] if log.origin == judge.origin)

    assert told() == {}
    record = PeerRecord.of(network, judge.vkey)
    record.keep_examples(root, content)
    assert told() == {root: not left_out}
    record.add_remeasured({root: False})
    assert told() == {root: False}
    (record.folder / "remeasured").unlink()
    record.keep_examples(root, content[1:])
    assert told() == {}, "what is damaged here contradicts nobody"
    assert GUEST_KEY.hex() in (record.folder / "facts").read_text()


def test_what_an_opened_verdict_rests_on_comes_though_it_was_never_offered(
    tmp_path: Path, north: TreeNode, judge: TreeNode
) -> None:
    """A verifier could else keep its own update to itself, and nobody could make its verdicts again."""
    network, content = tmp_path / "mine", b"adapter 4"
    own = NetworkFolder(network).capsule(sha256_hex(content))
    judge.put(f"capsules/{own.name}/adapter_model.safetensors", content)
    judge.put(f"capsules/{own.name}/adapter_config.json", b"config")
    _, peers = gathered(network, judge, north)
    rounds(judge, found_offers(network, peers))
    judge.publish({W1: T + 200, W2: T + 200})
    gathered(network, judge, north)
    assert not own.exists(), "nothing that it judged is open yet"
    judge.node.open()
    judge.publish({W1: T + 300, W2: T + 300})
    found, _ = gathered(network, judge, north)
    assert files(own) == {"adapter_model.safetensors": content, "adapter_config.json": b"config"}
    assert found["judge"].unavailable == {}


def test_what_is_not_shown_of_an_opening_is_asked_for_ever_later_until_it_comes(
    tmp_path: Path, north: TreeNode, judge: TreeNode
) -> None:
    network, content = NetworkFolder.of(tmp_path / "mine").path, b"adapter 4"
    own = NetworkFolder(network).capsule(sha256_hex(content))
    _, peers = gathered(network, judge, north, now=lambda: T)
    rounds(judge, found_offers(network, peers))
    guests = b"".join(one + b"\n" for one in GUESTS)
    root = judge.node.open(sha256_hex(guests)).network.predicate.root
    judge.publish({W1: T + 300, W2: T + 300})

    def asked(at_s: int, *others: TreeNode) -> list[str]:
        """What a pull so many seconds later asks for beside logs and what is offered."""
        paths: list[str] = []
        gathered(network, judge, *others, asked=paths, now=lambda: T + at_s)
        return sorted(path for path in paths if own.name in path or path.startswith("/openings"))

    update, examples = f"/capsules/{own.name}/adapter_config.json", f"/openings/{root}/examples.jsonl"
    assert asked(0, north) == [update, update, examples], "another peer may have the update"
    assert [at_s for at_s in range(0, 4_200, 300) if asked(at_s)] == [600, 1_800]
    judge.put(f"capsules/{own.name}/adapter_config.json", b"config")
    judge.put(f"capsules/{own.name}/adapter_model.safetensors", content)
    judge.put(examples[1:], guests[:-1])
    assert asked(4_200) == [update, update.replace("config.json", "model.safetensors"), examples]
    assert files(own) == {"adapter_model.safetensors": content, "adapter_config.json": b"config"}
    assert asked(9_000) == [examples], "what came were other examples than were opened"
    record, altered = PeerRecord.of(network, judge.vkey), f"{examples} is not what was signed."
    assert gathered(network, judge, now=lambda: T + 9_001)[0]["judge"].unopened[root].why.endswith(altered)
    record.change_unmade(lambda _: {root: (Unmade(f"openings/{root}"),)})  # as an audit finds it
    assert audit(tmp_path / "mine", peers, "judge", None, {}, T).unmade[root][0].why.endswith(altered)
    assert gathered(network, judge, now=lambda: T + 9_002)[0]["judge"].unopened[root].tries == 1
    assert record.unmade[root][0].why.endswith(altered), "which an audit lacked is asked for at once"
    record.change_unmade(lambda _: {})
    judge.put(examples[1:], guests)
    assert asked(9_060) == []
    assert asked(18_600) == [examples]
    assert PeerRecord.of(network, judge.vkey).examples(root) == guests
    assert asked(200_000) == []


def test_ones_own_log_tells_the_same_as_its_mirror(tmp_path: Path, judge: TreeNode, north: TreeNode) -> None:
    network = tmp_path / "mine"
    _, peers = gathered(network, judge, north)
    rounds(judge, found_offers(network, peers))
    guests = b"".join(one + b"\n" for one in GUESTS)
    opened = judge.node.open(sha256_hex(guests)).network
    assert opened is not None
    examples = f"openings/{opened.predicate.root}/{EXAMPLES}"  # type: ignore[union-attr]
    judge.put(examples, guests)
    write_atomic(judge.state / "network" / examples, guests)
    judge.publish({W1: T + 300, W2: T + 300})
    (judge.state / "log" / "heads").write_bytes((judge.tree / "log" / "heads").read_bytes())
    _, peers = gathered(network, judge, north)
    own = own_record(judge.state)
    mine, now_s = told_by(judge.state / "network", peers_of({}), [own])
    theirs = {log.origin: log for log in told_by(network, peers)[0]}
    assert mine[-1] == theirs[judge.origin]
    book = books_of(mine, [], 1, now_s)[judge.origin]
    assert book == books_of(theirs.values(), [], 1, now_s)[judge.origin]
    assert (book.opened, book.reproduced) == (1, 1)
    assert [one.recorded_s for one in mine[-1].rounds] == [T + 300]
    assert MemberVerdict.ADOPTED in mine[-1].rounds[0].members.values()
    assert LATER not in [one.entered_s for one in mine[-1].rounds]


def test_without_witnesses_ones_own_log_is_here_since_it_was_written(judge: TreeNode) -> None:
    """Nobody pulls it; else nothing of it would count in one's own books."""
    judge.offer()
    peers = peers_of({}, quorum="none")
    for count in range(2):
        (mine,), newest_s = told_by(judge.state / "network", peers, [own_record(judge.state)])
        # Its receipt says an earlier day than what is before it: a clock that was set back.
        assert [one.committed_s for one in mine.offers] == [_seconds(AT)]
        assert [one.recorded_s for one in mine.rounds] == [newest_s] * count
        judge.node.record(judge.node.announce([judge.node.candidate()]))
    assert newest_s == _seconds("2026-11-25T01:02:03Z"), "when the round ended"


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def test_without_witnesses_what_came_first_counts(tmp_path: Path, north: TreeNode, south: TreeNode) -> None:
    network = tmp_path / "mine"
    with serving_tree(north.tree) as one, serving_tree(south.tree) as other:
        gather(network, peers_of({south: other}, quorum="none"), now=lambda: T + 1.5)
        peers = peers_of({north: one, south: other}, quorum="none")
        gather(network, peers, now=lambda: T + 9.0)
    assert [(found.origin, found.committed_s) for found in found_offers(network, peers)] == [
        (south.origin, T + 1),
        (north.origin, T + 9),
    ]


def test_without_witnesses_a_clock_that_was_set_back_makes_nothing_earlier(
    tmp_path: Path, north: TreeNode, south: TreeNode
) -> None:
    network = tmp_path / "mine"
    with serving_tree(north.tree) as one, serving_tree(south.tree) as other:
        gather(network, peers_of({south: other}, quorum="none"), now=lambda: T)
        peers = peers_of({north: one, south: other}, quorum="none")
        gather(network, peers, now=lambda: T - 86_400)
    assert [(found.origin, found.committed_s) for found in found_offers(network, peers)] == [
        (south.origin, T),
        (north.origin, T + 1),
    ]


def test_what_a_node_publishes_is_what_a_pull_reads(tmp_path: Path) -> None:
    """The tree as it is published, `capsule.json` and ``node.json`` too, and not one made for a test."""
    node = public_node.PublicNode(tmp_path / "state")
    node.publisher = Publisher(node.path)
    receipt, adapter = node.trained()
    node.node.introduce()
    node.offered(receipt)
    node.cosign()
    node.publish()
    network = tmp_path / "mine"
    with serving_tree(node.public) as url:
        lines = [public_node.POLICY, f"node north {log_key_of(node.path)} {url}\n"]
        peers = parse_peers("".join(lines).encode())
        (found,) = gather(network, peers).peers
    assert (found.outcome, found.fetched, found.why) == (PullOutcome.NEW, 1, "")
    (offer,) = found_offers(network, peers)
    assert (offer.capsule, offer.fetched, offer.committed_s) == (adapter, True, node.time_s)
    capsule = NetworkFolder(network).capsule(adapter) / "capsule.json"
    checked = check_capsule(capsule.read_bytes(), peers.policy)
    assert (checked.committed_s, checked.offer_leaf) == (offer.committed_s, offer.offer_leaf)


def packed(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-encoding", "gzip")
    handler.end_headers()
    handler.wfile.write(b"x" * 1000)


def elsewhere(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("location", "http://127.0.0.1:9/secret")
    handler.send_header("content-length", "0")
    handler.end_headers()


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(100_000):
            handler.wfile.write(b"x" * 65_536)
    except OSError:
        pass


@pytest.mark.parametrize("answer", [packed, elsewhere, endless])
@pytest.mark.parametrize("word", ["log/heads", "node.json", "capsules/", "log/checkpoint"])
def test_a_peer_that_answers_oddly_is_left_and_had_once_it_does_not(
    tmp_path: Path, north: TreeNode, word: str, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    network = tmp_path / "mine"

    def odd(handler: BaseHTTPRequestHandler) -> bool:
        if word not in handler.path:
            return False
        handler.close_connection = True
        answer(handler)
        return True

    found, peers = gathered(network, north, odd=odd, most_bytes=40 * 2**20)
    assert found["north"].fetched == 0
    assert not any(one.fetched for one in found_offers(network, peers))
    assert found["north"].outcome in {PullOutcome.UNREACHABLE, PullOutcome.NEW}
    assert gathered(network, north)[0]["north"].fetched == 1


def test_a_pull_that_is_broken_off_at_any_write_goes_on_to_the_same_end(
    tmp_path: Path, north: TreeNode, monkeypatch: pytest.MonkeyPatch, thorough: bool
) -> None:
    north.offer()
    north.publish({W1: T + 1, W2: T + 2})
    left = [10**6]

    def write(path: Path, content: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise StorageError("The disk is full.")
        write_atomic(path, content)

    for module in ("mirror", "peer_record", "collecting", "witnessed_heads"):
        monkeypatch.setattr(f"cryoflux.network.{module}.write_atomic", write)
    with serving_tree(north.tree) as url:
        peers = peers_of({north: url})
        gather(tmp_path / "whole", peers, now=lambda: T)
        writes = 10**6 - left[0]
        due = files(tmp_path / "whole")
        for place in range(0, writes, 1 if thorough else 3):
            network = tmp_path / f"broken-{place}"
            left[0] = place
            with pytest.raises(StorageError):
                gather(network, peers, now=lambda: T)
            left[0] = 10**6
            gather(network, peers, now=lambda: T)
            assert files(network) == due, place
    assert writes > 10
