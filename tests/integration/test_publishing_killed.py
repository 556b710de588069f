"""A publication that is killed at any step leaves nothing half done to see, and nothing before its time."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from cryoflux.network.folder import NetworkFolder
from cryoflux.network.publishing import Publisher
from public_node import PublicNode, capsule_json, parent_of, rule, shown
from running import python

PUBLISH = """
import sys
from pathlib import Path
from dying import die_at
from public_node import capsule_json, rule
from cryoflux.network.publishing import Publisher
publisher = Publisher(Path(sys.argv[2]), capsule_json)
die_at(int(sys.argv[1]), "link", "fsync", "unlink", "mkdir")
publisher.publish(rule())
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state whose last offer nobody has seen; what can be shown was once shown in part."""
    node = PublicNode(tmp_path / "state")
    first, _ = node.trained()
    node.node.introduce()
    node.cosign()
    node.publish()
    node.node.enter()
    node.offered(first)
    second, _ = node.trained()
    node.opened()
    node.offered(second, parent_of(first.statement.subject[0].digest.sha256))
    node.cosign()
    third, unseen = node.trained()
    node.offered(third)
    (tmp_path / "unseen").write_text(unseen)
    return node.node.log.close()


def test_a_publication_may_be_killed_anywhere(tmp_path: Path, state: Path) -> None:
    unseen = (tmp_path / "unseen").read_text()
    before = shown(NetworkFolder.of(state).public)
    due = published(tmp_path, state)
    assert len(due) > len(before) + 8
    died = 0
    while True:
        copy = shutil.copytree(state, tmp_path / f"state-{died}")
        code = publish(copy, die_at=died + 1)
        seen = shown(NetworkFolder.of(copy).public)
        for path, content in seen.items():
            assert content in {due.get(path), before.get(path)}, path
            assert not any(part.startswith(".") for part in path.split("/"))
            assert unseen not in path
        assert_whole(seen)
        if code != -signal.SIGKILL:
            break
        Publisher(copy, capsule_json).publish(rule())
        assert without_older_tiles(shown(NetworkFolder.of(copy).public)) == without_older_tiles(due)
        assert not list(NetworkFolder.of(copy).staging.iterdir())
        died += 1
        shutil.rmtree(copy)
    assert code == os.EX_OK
    assert died > 30


def assert_whole(seen: dict[str, bytes]) -> None:
    """Whoever finds one file finds what it needs: its tiles, its adapter, the lists before."""
    if "log/checkpoint" in seen:
        size = int(seen["log/checkpoint"].split(b"\n")[1])
        assert f"log/tile/entries/000.p/{size}" in seen
        assert f"log/tile/0/000.p/{size}" in seen
    for path in seen:
        if path.endswith("capsule.json"):
            folder = path.removesuffix("capsule.json")
            assert f"{folder}adapter_model.safetensors" in seen
            assert f"{folder}adapter_config.json" in seen
            assert any(other.startswith("lists/") for other in seen)


def without_older_tiles(files: dict[str, bytes]) -> dict[str, bytes]:
    """Partial tiles of a head before the last may stay for one publication more."""
    size = files["log/checkpoint"].split(b"\n")[1].decode()
    return {p: content for p, content in files.items() if ".p/" not in p or p.endswith(f".p/{size}")}


def published(tmp_path: Path, state: Path) -> dict[str, bytes]:
    copy = shutil.copytree(state, tmp_path / "whole")
    assert publish(copy) == os.EX_OK
    return shown(NetworkFolder.of(copy).public)


def publish(state: Path, die_at: int = 0) -> int:
    process = python("-c", PUBLISH, die_at, state, light=True, cwd=Path(__file__).parents[1])
    _, stderr = process.communicate()
    assert process.returncode in {os.EX_OK, -signal.SIGKILL}, stderr
    return process.returncode
