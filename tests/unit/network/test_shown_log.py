"""A public tree is verified by what its reader was told of its log, whatever another brings."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryoflux.errors import UsageError
from cryoflux.network.shown_log import is_public_tree, verify_tree
from cryoflux.verification.result import Status
from cryoflux.verification.witnessing import Demand
from cryoflux.witness.cosigned import log_key_of
from public_node import POLICY, PublicNode, policy
from running import exit_code_of

PAGE = Path(__file__).parents[3] / "docs/how-to/check-an-adoption.md"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[PublicNode]:
    made = PublicNode(tmp_path / "state")
    made.trained()
    made.node.introduce()
    made.cosign()
    made.publish()
    yield made
    made.node.log.close()


@pytest.fixture
def tree(node: PublicNode, tmp_path: Path) -> Path:
    return Path(shutil.copytree(node.public, tmp_path / "copied"))


def asked(node: PublicNode, text: str = POLICY) -> Demand:
    return Demand(policy(f"log {log_key_of(node.path)}\n{text}"), int(time.time()))


def test_a_copy_of_a_tree_is_verified_by_the_key_of_its_log(node: PublicNode, tree: Path) -> None:
    found = {check.number: check.status for check in verify_tree(tree, asked(node)).checks}
    assert (found[2], found[4], found[12]) == (Status.OK,) * 3
    assert 9 not in found, "files that only the node has are not asked for"
    assert is_public_tree(tree)
    assert not is_public_tree(node.path)


def test_another_tree_in_its_place_is_refused(node: PublicNode, tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the policy names no key of it"):
        verify_tree(tree, Demand(policy(), 0))
    said = json.loads((tree / "node.json").read_text())
    said["receipt_key"] = said["receipt_key"][:-2] + ("A=" if said["receipt_key"][-2] != "A" else "E=")
    (tree / "node.json").write_text(json.dumps(said))
    with pytest.raises(UsageError, match="does not bring the key"):
        verify_tree(tree, asked(node))
    shutil.rmtree(tree / "log/tile")
    shutil.copy(node.public / "node.json", tree)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        verify_tree(tree, asked(node))


def test_what_a_stranger_types_is_enough(
    node: PublicNode, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tree with a file of peers; its unpacked entries with node.json, by the words of the page."""
    monkeypatch.chdir(tree.parent)
    key = log_key_of(node.path)
    Path("peers.txt").write_text(f"{POLICY}node south {key} http://south.example\nverifier south\n")
    found = re.search(
        r"<!-- file: entries_of.py -->\n```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    )
    assert found is not None
    Path("entries_of.py").write_text(found[1])
    monkeypatch.setattr(sys, "argv", ["entries_of.py", "copied/log"])
    runpy.run_path("entries_of.py")
    Path("entries.jsonl").write_text(capsys.readouterr().out)

    def said(*words: str) -> str:
        exit_code_of(monkeypatch, "verify", *words, "--no-memory")
        return " ".join("".join(capsys.readouterr()).split())

    assert "by key" in (whole := said("copied", "--policy", "peers.txt"))
    assert "the one that you named" in whole
    assert "the one that you named" in said("entries.jsonl", "--key", "copied/node.json")
    assert "no policy says whose" in said("copied")
    assert "Name node.json of the log's public tree" in said("entries.jsonl", "--key", str(key))
