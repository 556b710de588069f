"""``node pull --follow`` as a process: it pulls at once where somebody says that a log has grown."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryoflux.network.folder import NetworkFolder
from cryoflux.witness.cosigned import keep_cosigned, log_key_of
from json_rule import complaints
from node_process import serving_node
from node_tree import TreeNode, serving_tree
from offered import OfferedState, offered_state
from running import python

pytestmark = pytest.mark.process


@pytest.fixture
def states(tmp_path: Path) -> Iterator[tuple[OfferedState, OfferedState]]:
    found = [offered_state(tmp_path / name)[0] for name in ("mine", "north")]
    yield found[0], found[1]
    for one in found:
        one.log.close()


@pytest.fixture
def east(tmp_path: Path) -> Iterator[TreeNode]:
    """A peer with a static server, which has no events."""
    node = TreeNode(tmp_path / "east")
    node.offer()
    node.publish()
    yield node
    node.close()


@contextmanager
def following(state: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, which pulls everything but once an hour."""
    words = ("-m", "cryoflux", "node", "pull", "--follow", "--every", "3600", "--json", "--state", state)
    process = python(*words, light=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_what_has_grown_is_pulled_long_before_its_time(
    states: tuple[OfferedState, OfferedState], east: TreeNode
) -> None:
    mine, north = states
    keep_cosigned(north.state.log, north.cosigned().content)
    for one in states:
        NetworkFolder.of(one.path).path.mkdir(exist_ok=True)
        NetworkFolder.of(one.path).no_witnesses.write_bytes(b"")  # else nothing of it is shown
    NetworkFolder.of(north.path).known_peers.write_text(
        f"quorum none\nnode mine {log_key_of(mine.path)} http://127.0.0.1:9\n"
    )
    with serving_node(north.path) as tells, serving_tree(east.tree) as silent:
        NetworkFolder.of(mine.path).known_peers.write_text(
            f"quorum none\nnode north {log_key_of(north.path)} {tells.url}\nnode east {east.vkey} {silent}\n"
        )
        with serving_node(mine.path) as heard, following(mine.path) as process:
            first = json.loads(process.stdout.readline())
            assert complaints(first) == []
            assert {one["name"]: one["outcome"] for one in first["peers"]} == {"north": "new", "east": "new"}
            mine.log.abort(mine.log.announce())  # peers are told of it
            north.log.abort(north.log.announce())  # it says so itself
            east.offer()
            east.publish()
            hint = {"origin": east.origin, "size": 1}  # whatever is said of its size
            assert heard.ask("POST", "v1/hint", json.dumps(hint).encode()).status_code == 202
            came: dict[str, int] = {}
            while len(came) < 2:
                for one in json.loads(process.stdout.readline())["peers"]:
                    came[one["name"]] = one["new"]
            assert came == {"north": 2, "east": 3}
            process.terminate()
            assert process.wait() == 0
    assert list(NetworkFolder.of(mine.path).hints.iterdir()) == []
    assert (NetworkFolder.of(mine.path).public / "log/checkpoint").is_file()
    (told,) = NetworkFolder.of(north.path).hints.iterdir()
    assert json.loads(told.read_bytes()) == {
        "origin": log_key_of(mine.path).name,
        "size": len(mine.log.entries),
    }
