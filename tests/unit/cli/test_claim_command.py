from __future__ import annotations

import json
from pathlib import Path

import pytest

from running import exit_code_of as run
from synthetic_state import SyntheticState

pytestmark = pytest.mark.usefixtures("elsewhere")


def options(state: Path) -> list[object]:
    return ["--key", state / "keys" / "receipt.pub", "--log-key", state / "keys" / "log.pub"]


def test_what_is_claimed_can_be_verified_by_the_command_that_is_printed(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "claim", "delta >= 0.05 and joules <= 2000", "--state", pristine.path) == 0
    said = capsys.readouterr().err
    command = said.split("cryoflux ")[1].split()
    assert command[:2] == ["verify", "claim.json"]
    assert run(monkeypatch, *command) == 0
    shown = capsys.readouterr().out
    assert "✓ CLAIM HOLDS: delta >= 0.05 and joules <= 2000; joules: modelled, by the end of" in shown
    assert "4 attempts, the whole log up to its head" in shown
    for words in ("Proven: bytes", "Recomputed: nothing", "Attested, not proven: joules"):
        assert words in shown
    assert "(attested): joules <= 2000: joules is at most 440 J, modelled" in shown


def test_a_false_claim_exits_with_1_and_leaves_no_file(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "claim", "joules <= 2", "--state", pristine.path, "-o", "false.json") == 1
    said = capsys.readouterr().err
    assert "The claim is false: joules is at most 440 J, modelled (plausible, not 95 %)." in said
    assert not Path("false.json").exists()


def test_what_is_true_of_the_estimate_alone_is_said_when_the_bound_is_not(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = ["--state", pristine.path]
    assert run(monkeypatch, "claim", "delta >= 0.05 and joules <= 0.42 kJ", *state) == 1
    assert "True as it is estimated: joules_estimate <= 0.42 kJ" in " ".join(capsys.readouterr().err.split())
    assert run(monkeypatch, "claim", "joules <= 399 and kept == 2", *state) == 1
    assert "estimate" not in capsys.readouterr().err
    assert run(monkeypatch, "claim", "delta >= 0.05 and joules_estimate <= 0.42 kJ", *state, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    said = "delta >= 0.05 and joules_estimate <= 0.42 kJ; joules: modelled, as estimated"
    assert (made["sentence"], made["clauses"][1]["tier"]) == (said, "modelled")
    assert run(monkeypatch, "verify", "claim.json", *options(pristine.path)) == 0
    assert f"✓ CLAIM HOLDS: {said} (" in capsys.readouterr().out


def test_an_expression_that_is_none_is_a_usage_error(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "claim", "joules <= NaN", "--state", pristine.path) == 2
    assert "'NaN' is not a number" in capsys.readouterr().err
    assert run(monkeypatch, "claim", "kept >= 1", "--state", pristine.path, "-o", "no/where.json") == 2


def test_json_says_the_exact_values(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = ["--state", pristine.path, "--last", "1", "--json", "-o", "last.json"]
    assert run(monkeypatch, "claim", "joules <= 110 and kept == 1", *target) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["event"], made["bytes"]) == ("claimed", Path("last.json").stat().st_size)
    assert run(monkeypatch, "verify", "last.json", "--json", *options(pristine.path)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert found["claim"]["holds"] is True
    assert (found["claim"]["first"], found["claim"]["end"], found["claim"]["whole"]) == (6, 8, False)
    assert [clause["value"] for clause in found["claim"]["clauses"]] == ["110000000", "1"]
    assert {check["knowledge"] for check in found["checks"] if check["number"] == 22} == {
        "proven",
        "attested",
    }


def test_a_changed_claim_exits_with_1_and_names_what_failed(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "claim", "kept == 2", "--state", pristine.path) == 0
    document = json.loads(Path("claim.json").read_text())
    document["evidence"]["spans"] = [[0, 6]]
    Path("claim.json").write_text(json.dumps(document, sort_keys=True, separators=(",", ":")))
    capsys.readouterr()
    assert run(monkeypatch, "verify", "claim.json", *options(pristine.path)) == 1
    assert "✗ CLAIM NOT VERIFIED" in capsys.readouterr().out
    assert run(monkeypatch, "verify", "claim.json", "--json", *options(pristine.path)) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_the_keys_that_check_a_claim_check_its_log_and_its_receipts_too(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "receipts", "export", "-o", "r.jsonl", "--state", pristine.path) == 0
    for target in (pristine.path, "r.jsonl"):
        assert run(monkeypatch, "verify", target, *options(pristine.path)) == 0
        wrong = ["--log-key", pristine.path / "keys" / "receipt.pub"]
        assert run(monkeypatch, "verify", target, *wrong) == 1
        assert "log key: is not the one that the first entry vouches for" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--recompute", "--spot-check", "--retrain"])
def test_a_claim_brings_nothing_that_could_be_computed_again(
    pristine: SyntheticState,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
) -> None:
    assert run(monkeypatch, "claim", "kept == 2", "--state", pristine.path) == 0
    assert run(monkeypatch, "verify", "claim.json", option, "1") == 2
    assert "brings neither models nor examples" in capsys.readouterr().err
