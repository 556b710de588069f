"""A mistyped ``--state``: commands that need a log say that nothing is there, and make nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.cli.contract_options import signing
from cryoflux.errors import UsageError
from running import exit_code_of

pytestmark = pytest.mark.usefixtures("elsewhere")
URL = "http://127.0.0.1:9"
READING = [("pull",), ("pull", "--follow"), ("peers",), ("peers", "remove", "x"), ("books",), ("audit", "x")]
WRITING = [
    ("serve", "--port", 0),
    ("introduce", URL),
    ("introduce", URL, "--url", URL),
    ("round",),
    ("retire",),
]
OTHERS = [
    ("contract", "look", "abcd"),
    ("contract", "evaluate", "abcd"),
    ("contract", "result", "abcd"),
    ("capsule", "offer", "#1"),
    ("capsule", "show", "abcd"),
    ("capsule", "list"),
    ("capsule", "recall", "abcd", "--reason", "x"),
    ("claim", "delta >= 0"),
]
EVERY = [*(("node", *words) for words in (*READING, *WRITING)), *OTHERS]


@pytest.mark.parametrize("words", EVERY, ids=lambda words: " ".join(map(str, words[:3])))
def test_a_state_that_is_none_is_said_to_be_none_and_is_not_made(
    words: tuple[object, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(Path().iterdir())
    assert exit_code_of(monkeypatch, *words, "--state", "nosuch") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "There is no state at nosuch." in said
    begin = "run --budget 2kJ" if words[0] == "claim" else "node init --name NAME --train FILE"
    assert f"cryoflux {begin} --state nosuch" in said
    assert sorted(Path().iterdir()) == before


def test_nothing_is_signed_in_a_state_that_is_none() -> None:
    with pytest.raises(UsageError, match="There is no state at nosuch"), signing("nosuch"):
        pass
    assert not Path("nosuch").exists()


@pytest.mark.parametrize("words", [("pull",), ("peers",), ("books",)], ids=" ".join)
def test_who_only_reads_needs_no_log(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    known = Path("mine/network/peers.txt")
    known.parent.mkdir(parents=True)
    known.write_text("quorum none\n")
    assert exit_code_of(monkeypatch, "node", *words, "--state", "mine") == 0


def test_a_peer_that_cannot_be_added_makes_no_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(monkeypatch, "node", "peers", "add", "north", "no-key", URL, "--state", "mine") == 2
    assert "VKEY is no key of a log" in capsys.readouterr().err
    assert not Path("mine").exists()


def test_who_only_reads_serves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine/network").mkdir(parents=True)
    assert exit_code_of(monkeypatch, "node", "serve", "--state", "mine") == 2
    assert "no log is there" in capsys.readouterr().err
