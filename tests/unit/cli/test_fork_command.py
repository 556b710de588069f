from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from running import ended, python
from running import exit_code_of as run
from synthetic_state import open_state


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "remembered"))


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    made = open_state(tmp_path / "parent")
    made.write_origin()
    made.attempt(0.05)
    return made.finish()


def test_a_fork_says_what_it_took_along_and_what_to_type_next(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "fork", parent, "new one") == 0
    said = capsys.readouterr().out
    assert "goes on from the first 2 entries of cryoflux.dev/" in said
    assert "looks: 1 from the parent count here too" in said
    assert "joules: none" in said
    assert f"cryoflux verify 'new one' --parent {parent}" in said
    assert run(monkeypatch, "verify", "new one", "--parent", parent) == 0
    assert run(monkeypatch, "verify", parent) == 0
    capsys.readouterr()
    assert run(monkeypatch, "receipts", "list", "--intents", "--state", "new one") == 0
    assert "forked" in capsys.readouterr().out
    assert run(monkeypatch, "models", "list", "--state", "new one") == 0
    assert "from parent" in capsys.readouterr().out


def test_a_program_reads_the_same(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "fork", parent, "new", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["event"], said["state"], said["looks"], said["granted_joules"], said["vouched"]) == (
        "forked",
        str(tmp_path / "new"),
        1,
        0,
        True,
    )
    assert said["parent"]["entries"] == 2
    assert said["parent"]["origin"] != said["origin"]
    assert said["linked_bytes"] > 0
    assert run(monkeypatch, "fork", parent, "new", "--json") == 2
    assert "not an empty folder" in json.loads(capsys.readouterr().out)["what"]
    assert run(monkeypatch, "fork", tmp_path / "nowhere", "other", "--json") == 2
    assert "is not a state" in json.loads(capsys.readouterr().out)["what"]


KILLED = """
import os, signal, sys
from cryoflux.runs import fork
setattr(fork, sys.argv.pop(), lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
from cryoflux.cli.main import main
main()
"""


@pytest.mark.parametrize("step", ["_point_heads", "_begin_log", "_take_name"])
def test_a_kill_in_the_middle_leaves_no_state_and_the_next_one_is_whole(
    step: str, parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = ended(python("-c", KILLED, "fork", parent, tmp_path / "new", step, light=True))
    assert killed.code == -signal.SIGKILL
    assert not (tmp_path / "new").exists()
    assert run(monkeypatch, "fork", parent, tmp_path / "new") == 0
    assert run(monkeypatch, "verify", tmp_path / "new", "--parent", parent) == 0
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".new")]
