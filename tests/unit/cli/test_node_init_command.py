"""``cryoflux node init`` that is refused begins nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import stamina

from running import exit_code_of


@pytest.mark.usefixtures("elsewhere")
def test_an_agent_that_does_not_answer_begins_no_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = list[Path]()
    first = SimpleNamespace(beginning=object(), data=lambda _: None, write=begun.append)
    monkeypatch.setattr("cryoflux.runs.first_version.first_version", lambda *_: first)
    monkeypatch.setenv("CRYOFLUX_AGENT", "unix:///nobody/listens.sock")
    with stamina.set_testing(True):
        code = exit_code_of(
            monkeypatch, "node", "init", "--name", "new", "--train", "x.csv", "--state", "mine"
        )
    assert code == 3
    assert "cannot be reached" in capsys.readouterr().err
    assert (begun, Path("mine").exists()) == ([], False)
