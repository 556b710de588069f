from __future__ import annotations

import json
from pathlib import Path

import pytest

from running import exit_code_of as run


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "remembered"))


def test_a_life_of_keys(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, target = tmp_path / "stick" / "root.pem", ("--state", state)
    assert run(monkeypatch, "keys", "rotate", "--root", root, *target) == 2
    assert "There is no root key" in capsys.readouterr().err
    assert run(monkeypatch, "keys", "init", "--root", root, *target) == 0
    assert root.stat().st_mode & 0o777 == 0o600
    assert not [
        path for path in state.rglob("*") if path.is_file() and root.read_bytes() in path.read_bytes()
    ]
    assert run(monkeypatch, "keys", "rotate", "--root", root, "--reason", "new disk", *target, "--json") == 0
    view = json.loads(capsys.readouterr().out)
    first, second = view["receipt_keys"]
    assert (view["event"], view["entry"], first["until"], first["ended_by"]) == ("rotated", 9, 10, "rotation")
    assert view["receipt_key"] == second["keyid"]
    assert run(monkeypatch, "keys", "revoke", second["keyid"][:12], "--root", root, *target) == 0
    assert run(monkeypatch, "keys", "show", *target) == 0
    said = capsys.readouterr().out
    assert f"receipt key {first['keyid'][:16]}…  entries 0 to 9  ended by rotation" in said
    assert "no receipt key is valid" in said
    assert run(monkeypatch, "keys", "rotate", "--root", root, *target) == 0
    assert run(monkeypatch, "verify", state) == 0
    assert "until its revocation" in capsys.readouterr().out
    assert run(monkeypatch, "receipts", "list", *target) == 0
    listed = capsys.readouterr().out.splitlines()
    assert sum(line.lstrip().startswith("#") for line in listed) == 4


@pytest.mark.parametrize("reason", ["x" * 2001, "\udcff"], ids=["too long", "no Unicode"])
def test_a_reason_that_no_entry_can_hold_makes_no_key(
    state: Path, tmp_path: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, target = tmp_path / "root.pem", ("--state", state)
    assert run(monkeypatch, "keys", "init", "--root", root, *target) == 0
    before = sorted((state / "keys").iterdir())
    assert run(monkeypatch, "keys", "rotate", "--root", root, "--reason", reason, *target) == 2
    assert sorted((state / "keys").iterdir()) == before


def test_a_root_key_is_not_kept_where_it_would_be_stolen_with_the_rest(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "keys", "init", "--root", state / "keys" / "root.pem", "--state", state) == 2
    assert "inside the state" in capsys.readouterr().err
    assert not (state / "keys" / "root.pem").exists()


def test_a_second_root_is_refused_and_no_key_is_made_for_it(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "keys", "init", "--root", tmp_path / "one.pem", "--state", state) == 0
    assert run(monkeypatch, "keys", "init", "--root", tmp_path / "two.pem", "--state", state) == 2
    assert "already" in capsys.readouterr().err
    assert not (tmp_path / "two.pem").exists()


def test_without_a_root_key_the_log_is_as_it_always_was(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "keys", "show", "--json", "--state", state) == 0
    view = json.loads(capsys.readouterr().out)
    assert view["root_key"] is None
    assert [key["until"] for key in view["receipt_keys"]] == [None]
    root = tmp_path / "root.pem"
    assert run(monkeypatch, "keys", "init", "--root", root, "--state", state) == 0


def test_keys_of_a_state_are_made_by_its_first_run_and_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, other = tmp_path / "root.pem", tmp_path / "other"
    assert run(monkeypatch, "keys", "show", "--state", other) == 2
    assert run(monkeypatch, "keys", "init", "--root", root, "--state", other) == 2
    assert run(monkeypatch, "keys", "rotate", "--root", root, "--state", other) == 2
    assert not other.exists()
    assert not root.exists()
