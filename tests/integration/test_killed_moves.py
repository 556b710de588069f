"""``kill -9`` in the middle of promoting, pruning, naming and keeping: no version that was listed is lost."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from cryoflux.state import StateFolder
from cryoflux.verification.result import Check, Status
from running import cryoflux, python
from synthetic_state import open_state
from verifying import verify_target

KILLER = Path(__file__).parents[1] / "killed_moves.py"
APPEND = "cryoflux.receipts.log:ReceiptLog.append"
STORE = "cryoflux.receipts.store:ReceiptStore.append"
PUBLISH = "cryoflux.receipts.log:ReceiptLog._publish"
POINT = "cryoflux.registry.versions:Versions.point_head"
FREE = "cryoflux.registry.versions:Versions.free"
FORGET = "cryoflux.attempt.moving:forget_workings"
SWITCH = "cryoflux.registry.versions:replace_symlink"
REMOVE = "cryoflux.registry.versions:shutil.rmtree"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Version 0 and five that were kept."""
    made = open_state(tmp_path / "state")
    made.write_origin()
    for _ in range(5):
        made.attempt(0.05)
    return made.finish()


def listed(state: Path) -> dict[str, dict[str, Any]]:
    outcome = cryoflux("models", "list", "--all", "--state", state, "--json")
    assert outcome.code == 0, outcome.stderr
    return {one["digest"]: one for one in json.loads(outcome.stdout)["versions"]}


def killed(state: Path, where: str, *words: str) -> None:
    process = python(KILLER, where, "models", *words, "--state", state, light=True)
    _, stderr = process.communicate()
    assert process.returncode == -signal.SIGKILL, stderr


def repaired(state: Path) -> None:
    """What the next command does before anything else; it changes nothing by itself."""
    outcome = cryoflux("models", "prune", "--keep", "100", "--yes", "--state", state)
    assert outcome.code == 0, outcome.stderr


def assert_well(state: Path) -> None:
    report = verify_target(state)
    assert [check for check in report.checks if check.status in {Status.FAIL, Status.UNKNOWN}] == []
    assert [path for path in (state / "models").iterdir() if path.name.startswith(".")] == []


def failed(state: Path) -> list[Check]:
    return [check for check in verify_target(state).checks if check.status is Status.FAIL]


def lost(state: Path, before: dict[str, dict[str, Any]]) -> set[str]:
    """Versions that were listed and are neither here nor freed by an entry."""
    after = listed(state)
    return {digest for digest in before if not (after[digest]["here"] or after[digest]["pruned"])}


@pytest.mark.parametrize(
    ("where", "moved"),
    [
        (f"{APPEND}:before", False),
        (f"{STORE}:before", False),
        (f"{STORE}:after", True),
        (f"{PUBLISH}:before:2", True),  # the first is of the opening
        (f"{APPEND}:after", True),
        (f"{POINT}:before:2", True),  # the first is of the repair
        (f"{SWITCH}:before", True),
        (f"{SWITCH}:after", True),
        (f"{FORGET}:before", True),
    ],
)
@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_a_move_has_happened_by_its_entry_or_not_at_all(
    state: Path, command: str, where: str, moved: bool
) -> None:
    before = listed(state)
    head, parent = (next(d for d, one in before.items() if one["attempt"] == n) for n in (5, 4))
    killed(state, where, command, *(["#4"] if command == "promote" else []), "--yes")
    after = listed(state)
    assert [digest for digest, one in after.items() if one["head"]] == [parent if moved else head]
    assert all(one["here"] for one in after.values())
    assert not [c for c in verify_target(state).checks if c.status is Status.FAIL], (
        "even before it is repaired"
    )
    repaired(state)
    assert (state / "base_model").readlink() == Path("models") / (parent if moved else head)
    assert_well(state)


@pytest.mark.parametrize(
    ("where", "freed"),
    [
        (f"{APPEND}:before", False),
        (f"{STORE}:after", True),
        (f"{APPEND}:after", True),
        (f"{FREE}:before", True),
        (f"{FREE}:after", True),
        (f"{FREE}:before:3", True),
        (f"{REMOVE}:before", True),
        (f"{REMOVE}:before:2", True),
    ],
)
def test_what_is_freed_was_said_to_be_before(state: Path, where: str, freed: bool) -> None:
    before = listed(state)
    killed(state, where, "prune", "--keep", "1", "--yes")
    assert lost(state, before) == set()
    gone = [digest for digest, one in listed(state).items() if one["pruned"]]
    assert len(gone) == (4 if freed else 0)
    assert not [c for c in verify_target(state).checks if c.status is Status.FAIL], (
        "even before it is repaired"
    )
    repaired(state)
    assert [digest for digest in gone if (state / "models" / digest).exists()] == []
    assert lost(state, before) == set()
    assert_well(state)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_alias_leads_to_the_version_before_or_to_the_next(state: Path, when: str) -> None:
    assert cryoflux("models", "alias", "production", "#2", "--state", state).code == 0
    before = listed(state)
    second, third = (next(d for d, one in before.items() if one["attempt"] == n) for n in (2, 3))
    killed(state, f"cryoflux.registry.aliases:replace_symlink:{when}", "alias", "production", "#3")
    due = second if when == "before" else third
    assert (StateFolder(state).aliases / "production").resolve().name == due
    assert "production" in listed(state)[due]["aliases"]
    assert lost(state, before) == set()
    repaired(state)
    assert_well(state)


KEEPING = """
import os, signal, sys
from pathlib import Path
from cryoflux.registry import versions
state, when = Path(sys.argv[1]), sys.argv[2]
made = versions.Versions(state)
sync, rename = versions.sync_folder, Path.rename
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
draft = made.draft(lambda folder: (folder / "model.txt").write_text("a model"))
if when == "before":
    Path.rename = die
else:
    versions.sync_folder = die
made.keep(draft)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_version_that_is_being_kept_takes_none_with_it(state: Path, when: str) -> None:
    before = listed(state)
    process = python("-c", KEEPING, state, when, light=True)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert lost(state, before) == set()
    repaired(state)
    assert lost(state, before) == set()
    assert len([*(state / "models").iterdir()]) == len(before) + (when == "after")
    assert_well(state)
