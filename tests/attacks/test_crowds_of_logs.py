"""Logs that nobody named want to be looked at: by their number, by their names, by where they lead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.cli.node_pull import _lines
from cryoflux.errors import UsageError
from cryoflux.network import lottery
from cryoflux.network.fetching import Fetcher, PeerUnreachableError
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.gathered import Gathered
from cryoflux.network.gathering import gather
from cryoflux.network.head_times import HeadTimes
from cryoflux.network.log_facts import LogFacts, OfferFact
from cryoflux.network.lottery import Lottery
from cryoflux.network.mirror import PEERS
from cryoflux.network.node_file import hints_in
from cryoflux.network.offers_found import OfferFound, found_offers, witnessed_offers
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import PeerNode, Peers, parse_peers
from cryoflux.network.pulling import PullOutcome
from cryoflux.network.reaching import Reach, reach_of
from cryoflux.network.strangers import with_strangers
from cryoflux.receipts.checkpoint import Checkpoint, sign_checkpoint, verifier_key
from cryoflux.receipts.merkle import root_hash
from cryoflux.receipts.network_parts import RoundCandidate
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.runs.node_offers import offers_in
from node_tree import CosigningWitness, TreeNode, serving_tree, tree_key

T = 1_764_000_000
HOUR = 3600
WITNESS = CosigningWitness("one")
KEY, OTHER_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([one]) * 32) for one in (1, 2))


@pytest.fixture
def north(tmp_path: Path) -> Iterator[TreeNode]:
    """The one that is named."""
    node = TreeNode(tmp_path / "north")
    node.offer()
    node.publish({WITNESS: T})
    yield node
    node.close()


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[TreeNode]:
    """The one that north names."""
    node = TreeNode(tmp_path / "newcomer", aborted=1)
    node.offer()
    node.publish({WITNESS: T})
    yield node
    node.close()


def peers_of(*nodes: tuple[str, TreeNode, str], word: str = "strangers 1%") -> Peers:
    lines = [f"witness one {WITNESS.vkey}", "quorum one", word]
    lines += [f"node {name} {node.vkey} {url}" for name, node, url in nodes]
    return parse_peers("\n".join([*lines, ""]).encode())


def crowd(number: int, url: str = "http://127.0.0.1:9", first: int = 0) -> list[dict[str, str]]:
    """Hints of keys that somebody made up."""
    names = (sha256(b"sybil %d" % n).hexdigest() for n in range(first, first + number))
    return [{"log_key": str(tree_key(name)), "url": url} for name in names]


class Reader:
    """Who pulls north at its address, hour by hour, and what it finds."""

    def __init__(self, network: Path, north: TreeNode, url: str, word: str = "strangers 1%") -> None:
        self.network, self.peers, self.hours = network, peers_of(("north", north, url), word=word), 0

    def pull(self, *, hours: int = 1) -> Gathered:
        self.hours += hours
        return gather(self.network, self.peers, now=lambda: T + HOUR * self.hours)

    @property
    def mirrors(self) -> set[str]:
        return {path.name for path in (self.network / PEERS).iterdir()}


def test_a_newcomer_is_pulled_without_being_named_and_marked_as_drawn(
    tmp_path: Path, north: TreeNode, newcomer: TreeNode
) -> None:
    with serving_tree(north.tree) as url, serving_tree(newcomer.tree) as other:
        north.publish(peers=[newcomer.hint(other)])
        reader = Reader(tmp_path / "mine", north, url)
        found = reader.pull()
    (drawn,) = found.strangers
    assert (drawn.outcome, drawn.fetched, found.heard) == (PullOutcome.NEW, 1, 1)
    looked_at = with_strangers(reader.network, reader.peers)
    named = {offer.name: offer.by_lottery for offer in offers_in(NetworkFolder(reader.network), looked_at)}
    short = newcomer.origin.rpartition("/")[2][:8]
    assert named == {"north/1": False, f"stranger {short}…/1": True}
    assert looked_at.verifiers == ()


def test_ten_thousand_keys_cost_what_eight_do(tmp_path: Path, north: TreeNode) -> None:
    hints = crowd(1000)
    assert len(hints_in(json.dumps({"peers": hints}).encode())) == 256, "no more of a document is read"
    asked: list[str] = []
    with serving_tree(north.tree) as url, serving_tree(tmp_path / "nothing", asked=asked) as other:
        north.publish(peers=crowd(256, other))
        reader = Reader(tmp_path / "mine", north, url)
        for _ in range(5):
            found = reader.pull()
            assert (len(found.strangers), found.heard) == (8, 64)
    assert len(asked) == 5 * 8
    assert len(reader.mirrors) <= 1 + 2 * 8
    assert NetworkFolder(reader.network).strangers.stat().st_size < 20_000


def test_a_pull_within_the_hour_draws_nobody_else(tmp_path: Path, north: TreeNode) -> None:
    with serving_tree(north.tree) as url:
        north.publish(peers=crowd(40))
        reader = Reader(tmp_path / "mine", north, url)
        first, again, later = (reader.pull(hours=hours) for hours in (1, 0, 1))
    drawn = [{one.origin for one in found.strangers} for found in (first, again, later)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_flood_from_one_node_takes_no_ticket_from_what_another_one_names(
    tmp_path: Path, north: TreeNode, newcomer: TreeNode
) -> None:
    south = TreeNode(tmp_path / "south", aborted=2)
    south.offer()
    network = tmp_path / "mine"
    with ExitStack() as stack:
        urls = [stack.enter_context(serving_tree(node.tree)) for node in (north, south)]
        north.publish(peers=[newcomer.hint("http://127.0.0.1:9")])
        south.publish(peers=crowd(256))
        peers = peers_of(("north", north, urls[0]), ("south", south, urls[1]))
        won = 0
        for hour in range(1, 151):
            won += newcomer.origin in _drawn(network, peers, hour)
        heard = Lottery(network, peers).draw.heard
    south.close()
    assert heard == 64 + 1
    assert won >= 1, "8 of 65, 150 times: missed in 3 of 10⁹"


def _drawn(network: Path, peers: Peers, hour: int) -> set[str]:
    if hour == 1:
        gather(network, peers, now=lambda: T + HOUR)
    lottery = Lottery(network, peers, T + hour * HOUR)
    lottery.hold()
    return {node.origin for node in lottery.nodes}


def test_nobody_who_names_knows_whose_turn_it_is(tmp_path: Path, north: TreeNode) -> None:
    """Two readers of the same words draw others, of others: neither tickets nor draws can be aimed at."""
    with serving_tree(north.tree) as url:
        north.publish(peers=crowd(256))
        readers = [Reader(tmp_path / name, north, url) for name in ("one", "two")]
        drawn = [{one.origin for one in reader.pull().strangers} for reader in readers]
    assert drawn[0] != drawn[1]


def test_a_stranger_has_no_name_and_no_place_of_a_peer(
    tmp_path: Path, north: TreeNode, newcomer: TreeNode
) -> None:
    false = {
        "log_key": str(newcomer.vkey).replace(newcomer.origin, north.origin),
        "url": "http://127.0.0.1:9",
    }
    also = {"log_key": str(north.vkey), "url": "http://127.0.0.1:9"}
    named = {"log_key": str(newcomer.vkey), "url": "http://127.0.0.1:9", "name": "north"}
    with serving_tree(north.tree) as url:
        north.publish(peers=[false, also, named])
        reader = Reader(tmp_path / "mine", north, url)
        found = reader.pull()
        after = PeerRecord.of(reader.network, north.vkey)
    assert [(one.origin, one.name.startswith("stranger ")) for one in found.strangers] == [
        (newcomer.origin, True)
    ]
    assert after.mirror.size == len(north.log.entries)


def test_a_false_key_of_a_log_keeps_nobody_from_the_true_one(
    tmp_path: Path, north: TreeNode, newcomer: TreeNode
) -> None:
    """Whoever has the false key signs a log of that name, which is pulled, and is no log of it."""
    false, network = TreeNode(tmp_path / "false", aborted=2), tmp_path / "mine"
    false.offer()
    false.publish({WITNESS: T})
    note = sign_checkpoint(Checkpoint(newcomer.origin, 0, root_hash([])), KEY)
    false.put("log/checkpoint", note)
    with ExitStack() as stack:
        urls = [stack.enter_context(serving_tree(node.tree)) for node in (north, newcomer, false)]
        keys = [str(verifier_key(newcomer.origin, one.public_key())) for one in (KEY, OTHER_KEY)]
        hints = [{"log_key": key, "url": urls[2]} for key in keys]
        assert len(hints_in(json.dumps({"peers": hints}).encode())) == 2
        north.publish(peers=[*hints, *hints])
        reader = Reader(network, north, urls[0])
        for _ in range(60):  # one of the two keys has signed what is served there
            assert reader.pull().heard == 1, "one log, whatever keys it is said to have"
            if sha(newcomer) in reader.mirrors:
                break
        assert sha(newcomer) in reader.mirrors
        both = peers_of(("north", north, urls[0]), ("newcomer", newcomer, urls[1]))
        pulled = [gather(network, both, now=lambda: T + 99 * HOUR) for _ in range(2)]
    false.close()
    outcomes = [one.outcome for some in pulled for one in some.peers if one.name == "newcomer"]
    assert outcomes == [PullOutcome.NEW, PullOutcome.SAME]


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/?to=",
        "http://user:word@x.example",
        "http://x.example/#",
        "http://x.example/%2e%2e",
        "file:///etc/passwd",
        "gopher://x.example",
        "http://x.example/a b",
    ],
)
def test_an_address_is_of_a_tree_and_of_nothing_else(url: str) -> None:
    assert hints_in(json.dumps({"peers": crowd(1, url)}).encode()) == []


@pytest.mark.parametrize(
    ("host", "where"),
    [
        ("127.0.0.1", Reach.HERE),
        ("0.0.0.0", Reach.HERE),
        ("::1", Reach.HERE),
        ("::ffff:127.0.0.1", Reach.HERE),
        ("::127.0.0.1", Reach.HERE),
        ("64:ff9b::7f00:1", Reach.HERE),
        ("64:ff9b::a00:1", Reach.NEARBY),
        ("fec0::1", Reach.NEARBY),
        ("10.1.2.3", Reach.NEARBY),
        ("169.254.169.254", Reach.NEARBY),
        ("fe80::1", Reach.NEARBY),
        ("9.9.9.9", Reach.PUBLIC),
        ("localhost", Reach.HERE),
        ("north.example", Reach.PUBLIC),
    ],
)
def test_a_hint_leads_no_nearer_to_us_than_who_gave_it(host: str, where: Reach) -> None:
    assert reach_of(host) is where
    url = f"http://[{host}]:9" if ":" in host else f"http://{host}:9"
    for most in (one for one in Reach if one < where):
        with Fetcher(reach=most) as fetcher, pytest.raises(PeerUnreachableError, match="nearer to us"):
            fetcher.fetch(f"{url}/log/checkpoint", 100)


def test_a_stranger_brings_so_many_bytes_until_the_next_draw_and_no_more(
    tmp_path: Path, north: TreeNode, newcomer: TreeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lottery, "MOST_STRANGER_BYTES", 2_000)
    asked: list[str] = []
    with serving_tree(north.tree) as url, serving_tree(newcomer.tree, asked=asked) as other:
        north.publish(peers=[newcomer.hint(other)])
        reader = Reader(tmp_path / "mine", north, url)
        (first,) = reader.pull().strangers
        before = len(asked)
        (again,) = reader.pull(hours=0).strangers
    assert (first.outcome, first.fetched) == (PullOutcome.UNREACHABLE, 0)
    assert (again.received, len(asked)) == (0, before), "it is not even asked"


def test_a_word_of_one_peer_makes_us_ask_no_other_for_what_it_lacks(
    tmp_path: Path, north: TreeNode, newcomer: TreeNode
) -> None:
    """A flood of hints of one log would else have all that is missing asked for each few seconds."""
    for capsule in (newcomer.tree / "capsules").rglob("*.safetensors"):
        capsule.unlink()
    asked: list[str] = []
    with serving_tree(north.tree) as url, serving_tree(newcomer.tree, asked=asked) as other:
        peers = peers_of(("north", north, url), ("south", newcomer, other))
        (_, south) = gather(tmp_path / "mine", peers, now=lambda: T).peers
        assert south.unavailable
        before = len(asked)
        gather(tmp_path / "mine", peers, now=lambda: T, only={north.origin})
        assert len(asked) == before
        gather(tmp_path / "mine", peers, now=lambda: T, only={newcomer.origin})
        assert len(asked) > before


def test_of_a_strangers_offers_only_the_newest_are_looked_up(newcomer: TreeNode) -> None:
    """Each is an entry of 2 kB, and what it says that it hangs on is 1,024 lists, read anew for each."""
    update = OfferedUpdate(adapter="0" * 64, genesis="1" * 64)
    offers = [OfferFact(update, at, "", at, "", "", 0, 0) for at in range(1000)]
    facts, times = LogFacts(offers=offers), HeadTimes.of([(900, T)])
    stranger = PeerNode("stranger", newcomer.vkey, "http://127.0.0.1:9", by_lottery=True)
    assert [one.index for one, _ in witnessed_offers(stranger, facts, times)] == [*range(884, 900)]
    assert len(witnessed_offers(replace(stranger, by_lottery=False), facts, times)) == 900


def test_what_a_stranger_leaves_goes_with_its_place(
    tmp_path: Path, north: TreeNode, newcomer: TreeNode
) -> None:
    network = tmp_path / "mine"
    with serving_tree(north.tree) as url, serving_tree(newcomer.tree) as other:
        north.publish(peers=[newcomer.hint(other)])
        reader = Reader(network, north, url)
        reader.pull()
        assert len(list(NetworkFolder(network).incoming.iterdir())) == len(reader.mirrors) == 2
        north.publish()
        NetworkFolder(network).path.joinpath(PEERS, *reader.mirrors - {sha(newcomer)}, "node.json").unlink()
        for _ in range(2):
            reader.pull()
    assert reader.mirrors == {sha(north)}
    assert len(list(NetworkFolder(network).incoming.iterdir())) == 1


@pytest.mark.parametrize(("composed", "goes"), [(0, {1}), (1, set())], ids=["alone", "with its parent"])
def test_what_a_round_composed_of_a_stranger_stays_so_that_its_look_can_be_made_again(
    tmp_path: Path, north: TreeNode, newcomer: TreeNode, composed: int, goes: set[int]
) -> None:
    newcomer.offer()
    newcomer.publish({WITNESS: T + 60})
    mine = TreeNode(tmp_path / "mine", aborted=3)
    mine.node.train()
    mine.node.introduce()
    mine.node.enter()
    folder = NetworkFolder.of(mine.state)
    with serving_tree(north.tree) as url, serving_tree(newcomer.tree) as other:
        north.publish(peers=[newcomer.hint(other)])
        reader = Reader(folder.path, north, url)
        reader.pull()
        found = found_offers(folder.path, with_strangers(folder.path, reader.peers))
        of_newcomer = [one for one in found if one.origin == newcomer.origin]
        mine.node.record(mine.node.announce([candidate(of_newcomer[composed])]), gain=-1_000_000)
        north.publish()
        (folder.path / PEERS / sha(north) / "node.json").unlink()
        for _ in range(2):
            reader.pull()
    here = {path.name for path in folder.incoming.iterdir()}
    assert sha(newcomer) not in reader.mirrors
    assert {one.capsule for one in found} - here == {of_newcomer[at].capsule for at in goes}
    mine.close()


def test_what_a_verifier_confirmed_is_of_no_stranger_and_stays_until_the_word_goes(
    tmp_path: Path, newcomer: TreeNode
) -> None:
    """The verifier's guest holdout is older than what it judges."""
    judge, network = TreeNode(tmp_path / "judge", aborted=2), tmp_path / "mine"
    judge.node.train()
    judge.node.introduce()
    judge.node.enter()
    judge.publish({WITNESS: T - 100})
    with ExitStack() as stack:
        urls = [stack.enter_context(serving_tree(node.tree)) for node in (judge, newcomer)]
        names = [newcomer.hint(urls[1]), *crowd(100, "http://127.0.0.1:9")]
        judge.publish(peers=names)
        named = f"witness one {WITNESS.vkey}\nquorum one\nnode judge {judge.vkey} {urls[0]}\nverifier judge\n"
        peers = parse_peers(f"{named}strangers 1%\n".encode())
        for hour in range(1, 200):  # until it is drawn
            lottery = Lottery(network, peers, T + hour * HOUR)
            if hour == 1:
                gather(network, peers, now=lambda: T + HOUR)
            lottery.hold()
            if newcomer.origin in {node.origin for node in lottery.nodes}:
                break
        gather(network, peers, now=lambda: T + hour * HOUR)
        offer = next(one for one in found_offers(network, with_strangers(network, peers)))
        judge.node.record(judge.node.announce([candidate(offer)]))
        judge.publish({WITNESS: T + 200}, peers=names)
        gather(network, peers, now=lambda: T + hour * HOUR)
        later = gather(network, peers, now=lambda: T + (hour + 1) * HOUR)
        kept = [node for node in with_strangers(network, peers).nodes if node.origin == newcomer.origin]
        assert [(node.name.split()[0], node.by_lottery) for node in kept] == [("newcomer", False)]
        assert [one.origin for one in later.strangers if not one.by_lottery] == [newcomer.origin]
        assert len(later.strangers) == 9
        assert _lines(later, NetworkFolder(network))[-1] == "64 strangers heard of, 8 drawn"
        gather(network, parse_peers(named.encode()))
    judge.close()
    assert {path.name for path in (network / PEERS).iterdir()} == {sha(judge)}
    assert not NetworkFolder(network).strangers.exists()


def candidate(offer: OfferFound) -> RoundCandidate:
    return RoundCandidate(capsule=offer.capsule, origin=offer.origin, offer=offer.offer_leaf)


def sha(node: TreeNode) -> str:
    return sha256(node.origin.encode()).hexdigest()


def test_strangers_need_a_quorum_and_have_one_share() -> None:
    with pytest.raises(UsageError, match="needs no witness for it"):
        parse_peers(b"quorum none\nstrangers 1%\n")
    for share in ("2%", "", "1% more"):
        with pytest.raises(UsageError, match="strangers get 1%"):
            parse_peers(f"witness one {WITNESS.vkey}\nquorum one\nstrangers {share}\n".encode())
