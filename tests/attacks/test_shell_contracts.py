"""`verify.sh` takes a log with contracts, passes their guest holdout over, and says what it did not check."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract_world import BUYER, World
from shell_bundles import bare_tools, bundle_of, needs_tools, run_shell

pytestmark = needs_tools


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_tools(tmp_path_factory.mktemp("tools"))


def test_a_party_is_taken_and_its_rounds_look_at_another_holdout(tmp_path: Path, tools: Path) -> None:
    world = World().agree()
    world.deliver(0)
    world.look(0)
    node = world.buyer.node
    node.enter(bytes(32))
    node.record(node.announce([node.candidate()]))
    entries = [entry.envelope for entry in world.buyer.log.entries]
    shell = run_shell(bundle_of(tmp_path / "bundle", entries, BUYER.public_key()), tools)
    assert shell.holds, shell.said
    assert "joules; contracts." in shell.said
