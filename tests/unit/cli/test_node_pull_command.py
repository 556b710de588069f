"""``node pull``, ``node peers`` and ``node books``: their words, their JSON, and what they exit with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cryoflux.cli.node_books import share_words, show_books
from cryoflux.cli.node_follow import _with_known
from cryoflux.cli.node_pull import _news, begin_peers, peers_app, pull_peers
from cryoflux.config import load_settings
from cryoflux.errors import UsageError
from cryoflux.network.books import ShareBound, share_that_holds
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.gathered import Gathered, PeerGathered
from cryoflux.network.peers import read_peers
from cryoflux.network.pulling import PullOutcome
from json_rule import complaints, keys_of, parsed
from node_tree import CosigningWitness, TreeNode, serving_tree, tree_key

pytestmark = pytest.mark.usefixtures("elsewhere")

PAGE = (Path(__file__).parents[3] / "docs/reference/json.md").read_text("utf-8")
T = 1_764_000_000
WITNESS = CosigningWitness("one")
EAST = tree_key("ab" * 8)
Typed = Callable[..., str]
GROUP = typer.Typer()
GROUP.command("pull")(pull_peers)
GROUP.command("books")(show_books)
GROUP.add_typer(peers_app, name="peers")


@pytest.fixture
def typed() -> Typed:
    """What a command prints."""

    def run(*words: str, code: int = 0) -> str:
        found = CliRunner().invoke(GROUP, [*words, "--state", "mine"], catch_exceptions=False)
        assert found.exit_code == code, found.output
        return found.stdout

    return run


@pytest.fixture
def said(typed: Typed) -> Callable[..., dict[str, Any]]:
    """What a command says as JSON, once it holds the rule and the page has its names."""

    def run(*words: str, code: int = 0) -> dict[str, Any]:
        (document,) = parsed(typed(*words, "--json", code=code))
        assert complaints(document) == []
        assert [key for key in sorted(keys_of(document)) if f"`{key}`" not in PAGE] == []
        assert f"`{document['schema']}`" in PAGE
        return document

    return run


@pytest.fixture
def north(tmp_path: Path) -> Iterator[TreeNode]:
    node = TreeNode(tmp_path / "north")
    node.offer()
    node.publish({WITNESS: T}, peers=[{"log_key": str(EAST), "url": "http://east.example/"}])
    yield node
    node.close()


@pytest.fixture
def url(north: TreeNode) -> Iterator[str]:
    """Where it is served; whoever types knows it."""
    NetworkFolder.of(Path("mine")).path.mkdir(parents=True)
    known = NetworkFolder.of(Path("mine")).known_peers
    with serving_tree(north.tree) as url:
        known.write_text(
            f"# ours\nwitness one {WITNESS.vkey}\nquorum one\nnode north {north.vkey} {url}\nverifier north\n"
        )
        yield url


def test_a_pull_says_what_came_and_what_it_is_worth(typed: Typed, url: str) -> None:
    assert url
    first, second = typed("pull"), typed("pull")
    assert first.startswith("north  3 entries, 3 new · 3 witnessed · 1 offer, 1 fetched · ")
    assert second == "north  3 entries, 0 new · 3 witnessed · 1 offer, 1 fetched · 0 bytes\n"


def test_what_was_pulled_is_said_as_json(said: Callable, typed: Typed, url: str, north: TreeNode) -> None:
    assert url
    document = said("pull")
    (peer,) = document["peers"]
    assert (peer["outcome"], peer["entries"], peer["fetched"], peer["evidence"]) == ("new", 3, 1, None)
    assert document["received_bytes"] == peer["received_bytes"] > 1000
    shutil.rmtree(north.tree / "capsules")
    shutil.rmtree(Path("mine/network/incoming"))
    (peer,) = said("pull")["peers"]
    assert [missing["tries"] for missing in peer["unavailable"]] == [1]
    assert "answered 404: it is not shown there, or not yet." in " ".join(typed("pull").split())


def test_a_head_that_goes_back_is_a_verdict(typed: Typed, url: str, north: TreeNode) -> None:
    assert url
    typed("pull")
    north.offer()
    north.heads = []
    north.publish({WITNESS: T + 1})
    assert "north  head goes back: It has published a cosigned head of 3 entries" in typed("pull", code=1)


def test_two_histories_are_a_verdict_once_and_their_proof_has_a_place(
    typed: Typed, url: str, north: TreeNode, tmp_path: Path
) -> None:
    assert url
    north.log.close()
    shutil.copytree(north.state.parent, tmp_path / "told" / "north")
    north.log.reopen()
    other = TreeNode(tmp_path / "told" / "north")
    typed("pull")
    other.log.abort(other.log.announce())
    other.publish({WITNESS: T + 1})
    other.close()
    north.offer()
    north.heads += other.heads
    north.publish({WITNESS: T + 2})
    found = typed("pull", code=1)
    assert "history differs: " in found
    evidence = found.split("evidence: ")[1].split()[0]
    assert Path(evidence).read_bytes().startswith(b"cryoflux.dev/equivocation@v1")
    assert "history differs (known before): " in typed("pull")
    assert ", has told two histories" in typed("peers")
    assert "void: it told two histories" in typed("books")


def test_an_unreachable_peer_is_no_verdict(typed: Typed, url: str, north: TreeNode) -> None:
    assert url
    shutil.rmtree(north.tree)
    assert typed("pull").startswith("north  peer unreachable: http://")


def test_peers_are_shown_added_and_removed(typed: Typed, said: Callable, url: str, north: TreeNode) -> None:
    typed("pull")
    shown = typed("peers")
    assert shown.splitlines() == [
        "quorum of witnesses: one; who was first holds while none of them lies",
        f"north  {north.origin}  {url}  3 entries here, verifier",
        f"  names {EAST.name} at http://east.example",
        "strangers: nobody is asked that is not named here; the line 'strangers 1%' draws some of them",
    ]
    assert said("peers")["peers"][0]["hints"] == [{"origin": EAST.name, "url": "http://east.example"}]
    assert typed("peers", "remove", "north") == "removed north: mine/network/peers.txt\n"
    assert typed("pull").startswith("mine/network/peers.txt names no node: ")
    document = said("peers", "add", "north", str(north.vkey), url, "--verifier")
    assert (document["event"], document["name"]) == ("added", "north")
    assert Path("mine/network/peers.txt").read_text().startswith("# ours\n")
    with pytest.raises(UsageError, match="is taken"):
        typed("peers", "add", "north", str(north.vkey), url)


def test_the_first_peer_begins_the_file_with_the_policy_that_is_trusted(
    typed: Typed, north: TreeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = f"# of mine\nwitness one {WITNESS.vkey}\nquorum one\n"
    Path("mine/network").mkdir(parents=True)
    said = typed("peers", "add", "north", str(north.vkey), "http://north.example")
    assert "note: it names no witnesses" in said
    known = Path("mine/network/peers.txt")
    known.unlink()
    Path("trust.policy").write_text(policy)
    monkeypatch.setenv("CRYOFLUX_TRUST", "trust.policy")
    assert "note:" not in typed("peers", "add", "north", str(north.vkey), "http://north.example")
    assert known.read_text().startswith(policy)
    assert "\nstrangers 1%\n" in known.read_text(), "written out, so that it can be taken out"
    assert typed("peers").startswith(
        "quorum of witnesses: one; who was first holds while none of them lies\n"
    )


def test_a_node_goes_by_the_witnesses_it_trusts_before_it_knows_anybody(tmp_path: Path) -> None:
    policy, known = tmp_path / "trust.policy", tmp_path / "mine/network/peers.txt"
    policy.write_text(f"witness one {WITNESS.vkey}\nquorum one\n")
    assert begin_peers(load_settings({}).settings, tmp_path / "mine") is None
    settings = load_settings({"trust": str(policy)}).settings
    assert begin_peers(settings, tmp_path / "mine") == known
    assert read_peers(known).policy.describe() == "one"
    known.write_text("quorum none\n")  # it is its owner's to edit
    assert begin_peers(settings, tmp_path / "mine") is None
    assert known.read_text() == "quorum none\n"


def test_books_say_bounds_and_what_is_not_known(
    typed: Typed, said: Callable, url: str, north: TreeNode
) -> None:
    assert url
    typed("pull")
    lines = typed("books", "--eta", "0.0002").splitlines()
    assert lines[0] == f"north  {north.origin}"
    assert lines[1:3] == [
        "  updates: 0 of 0: too few to say; 1 of 1 open",
        "  above 0.0002 nats/J: 0 of 0: too few to say",
    ]
    assert lines[3].startswith("  certified Δ +0.0000 nats for at most ")
    assert lines[3].endswith("(modelled): η at least 0.000 nats/kJ")
    document = said("books")
    assert (document["until_at"], document["quorum"]) == ("2025-11-24T16:00:00Z", 1)
    assert document["nodes"][0]["confirmed"]["words"] == "0 of 0: too few to say"
    north.log.announce()
    north.publish({WITNESS: T + 1})
    typed("pull")
    assert "η unknown: something that was announced has no record" in typed("books")
    assert said("books")["nodes"][0]["upper_joules"] is None


def test_ones_own_log_has_a_book_too(typed: Typed, north: TreeNode) -> None:
    north.publish({WITNESS: T})
    shutil.copytree(north.state, "mine")
    found = typed("books").splitlines()
    assert found[0].startswith("No verifier is named, so only your own verdicts count")
    assert found[1] == f"own  {north.origin}"


@pytest.mark.parametrize("eta", ["-1", "x", "1/0", "nan", "9" * 50])
def test_an_efficiency_that_is_none_is_refused(typed: Typed, eta: str) -> None:
    with pytest.raises(UsageError, match="is no efficiency"):
        typed("books", "--eta", eta)


@pytest.mark.parametrize(
    ("decided", "held", "words"),
    [
        (59, 59, "59 of 59: at least 95 %"),
        (93, 92, "92 of 93: at least 95 %"),
        (299, 299, "299 of 299: at least 99 %"),
        (1, 1, "1 of 1: too few to say"),
        (100, 3, "3 of 100: no share from 50 % on"),
    ],
)
def test_a_share_is_never_called_always(decided: int, held: int, words: str) -> None:
    assert share_words(ShareBound(decided, held, share_that_holds(decided, held))) == words


def test_a_follower_says_once_that_a_peer_cannot_be_reached() -> None:
    outcomes: dict[str, PullOutcome] = {}
    told, gone = [], PullOutcome.UNREACHABLE
    for outcome in (gone, gone, PullOutcome.SAME, gone):
        found = Gathered((PeerGathered("south", "log.example/s", outcome),))
        told.append(bool(_news(_with_known(found, outcomes)).peers))
    assert told == [True, False, False, True]
