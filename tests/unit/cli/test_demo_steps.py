"""Steps of ``cryoflux node demo``: which attempt a node offers, and another history that is found out."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cryoflux.cli.node_books import show_books
from cryoflux.cli.node_demo import _Demo, attempt_to_offer, demonstrate, train_to_offer
from cryoflux.cli.node_pull import pull_peers
from cryoflux.cli.witness import check_evidence
from cryoflux.errors import UsageError
from cryoflux.network.demo.fork import show_other_history
from cryoflux.network.folder import NetworkFolder
from node_tree import CosigningWitness, TreeNode

pytestmark = pytest.mark.usefixtures("elsewhere")

WITNESS = CosigningWitness("one")
T = 1_764_000_000
GROUP = typer.Typer()
GROUP.command("pull")(pull_peers)
GROUP.command("books")(show_books)
GROUP.command("check-evidence")(check_evidence)


def typed(*words: str, code: int = 0) -> str:
    found = CliRunner().invoke(GROUP, words, catch_exceptions=False)
    assert found.exit_code == code, found.output
    return found.stdout


@contextmanager
def static_server(folder: Path) -> Iterator[str]:
    """What ``python -m http.server`` does."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def know(rogue: TreeNode, url: str) -> None:
    known = NetworkFolder.of(Path("south")).known_peers
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(f"witness one {WITNESS.vkey}\nquorum one\nnode rogue {rogue.vkey} {url}\n")


def test_a_second_history_without_cosignatures_convicts_whoever_shows_it(tmp_path: Path) -> None:
    rogue = TreeNode(tmp_path / "rogue")
    rogue.offer()
    rogue.log.close()
    shutil.copytree(rogue.state, tmp_path / "rogue-2/state")
    rogue.log.reopen()
    rogue.log.abort(rogue.log.announce())
    rogue.publish({WITNESS: T})
    rogue.close()
    other = TreeNode(tmp_path / "rogue-2")
    other.log.announce()
    other.close()
    show_other_history(rogue.tree, other.state, tmp_path / "lie")
    assert (tmp_path / "lie/node.json").read_bytes() == (rogue.tree / "node.json").read_bytes()
    with static_server(rogue.tree) as url:
        know(rogue, url)
        assert typed("pull", "--state", "south").startswith("rogue  5 entries, 5 new · 5 witnessed · ")
    with static_server(tmp_path / "lie") as url:
        know(rogue, url)
        pulled = typed("pull", "--state", "south", code=1)
    assert "history differs: it has signed 4 and 5 entries of two histories" in pulled
    assert "void: it told two histories" in typed("books", "--state", "south")
    evidence = pulled.partition("evidence: ")[2].split()[0]
    assert typed("check-evidence", evidence, "--log", str(rogue.vkey)).startswith("✓ PROVEN: ")


def receipt(number: int, outcome: str, delta: float | None) -> dict[str, Any]:
    return {"kind": "receipt", "attempt": number, "outcome": outcome, "delta": delta}


@pytest.mark.parametrize(
    ("entries", "offered"),
    [
        ([receipt(1, "kept", 1.2), receipt(2, "undecided", 0.01)], 1),
        ([receipt(1, "kept", 1.2), receipt(2, "kept", 0.1), receipt(3, "aborted", None)], 2),
        ([receipt(1, "undecided", 0.5), receipt(2, "rejected", None)], 1),
        ([receipt(1, "rejected", None), receipt(2, "aborted", None)], None),
        ([{"kind": "round", "outcome": "kept", "delta": 0.25}, {"kind": "node"}], None),
    ],
)
def test_what_was_judged_is_offered_though_it_was_not_kept(
    entries: list[dict[str, Any]], offered: int | None
) -> None:
    assert attempt_to_offer(entries) == offered


def test_a_folder_that_holds_something_is_refused_and_a_fresh_one_is_named() -> None:
    for name in ("shown", "shown-2"):
        Path(name).mkdir()
        Path(name, "policy").touch()
    with pytest.raises(UsageError, match="holds something already") as caught:
        demonstrate(Path("shown"))
    assert caught.value.hint == "Name another one: cryoflux node demo --dir shown-3."


@pytest.mark.parametrize(
    ("lives", "offered", "began"),
    [
        ({"north": [2], "south": [1]}, {"north": 2, "south": 1}, [["north", "south"]]),
        ({"north": [2], "south": [None, 3]}, {"north": 2, "south": 3}, [["north", "south"], ["south"]]),
        ({"north": [None, 1], "south": [None, None]}, {"north": 1, "south": None}, [["north", "south"]] * 2),
    ],
    ids=["both at once", "one the second time", "one never"],
)
def test_a_node_that_has_nothing_to_offer_begins_once_more_with_another_seed(
    lives: dict[str, list[int | None]], offered: dict[str, int | None], began: list[list[str]]
) -> None:
    """`lives`: what each node could offer after each of its beginnings."""
    states, seen = dict[str, int](), list[list[str]]()

    def train(names: Sequence[str]) -> None:
        seen.append(list(names))
        for name in names:
            assert name not in states, "with the state that it had it would draw the same seed"
            states[name] = sum(name in names for names in seen) - 1

    found = train_to_offer(("north", "south"), train, lambda name: lives[name][states[name]], states.pop)
    assert (found, seen) == (offered, began)


def test_commands_and_what_they_print_are_one_transcript(capsys: pytest.CaptureFixture[str]) -> None:
    _Demo._show(("node", "round", "--state", "south"))
    _Demo._tell("round #r1 Kept\nlog south\n", ("round ",), "south")
    assert capsys.readouterr() == ("$ cryoflux node round --state south\n  south  round #r1 Kept\n", "")


def test_a_node_that_begins_anew_has_nothing_left_but_whom_it_trusts(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("quorum none\n")
    for name in ("keys/receipt.pem", "network/guests.jsonl", "receipts.db"):
        (tmp_path / "north" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "north" / name).touch()
    _Demo(tmp_path, ExitStack())._anew("north")
    left = [path for path in (tmp_path / "north").rglob("*") if path.is_file()]
    assert [(path.name, path.read_text()) for path in left] == [("peers.txt", "quorum none\n")]
