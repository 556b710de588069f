"""Every line of a verification says what kind of knowledge it is: proven, recomputed, and so on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from test_borrowed_adapter import recomputed
from test_forged_joules import metered
from typer.testing import CliRunner

from cryoflux.cli.main import app
from cryoflux.decision.reason import Reason
from cryoflux.verification.result import Knowledge, Status
from synthetic_parts import figure
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

WORDS = "proven|recomputed|attested|searched"
LINE = re.compile(rf"[✓✗?–] +\d+  [^(]+ \(({WORDS})\): .+")


def printed(*arguments: object) -> list[str]:
    result = CliRunner().invoke(app, ["verify", *map(str, arguments)], env={"COLUMNS": None})
    assert result.exit_code in {0, 1}, result.output
    # One line says what was not asked for: that is no knowledge of any kind.
    return [line for line in result.stdout.splitlines() if not line.startswith("–     not asked for")]


@pytest.fixture(params=["good", "empty", "metered", "changed", "withheld", "garbage", "exported"])
def target(request: pytest.FixtureRequest, state: Path, pristine: SyntheticState, tmp_path: Path) -> Path:
    made = open_state(tmp_path / "made")
    if request.param == "metered":
        made.attempt(0.05, energy=metered(made.path, "a0001"))
    if request.param in {"metered", "empty"}:
        return made.finish()
    made.finish()
    if request.param == "changed":
        (state / "log" / "checkpoint").write_bytes(b"changed")
    if request.param == "withheld":
        shutil.rmtree(state / "data")
        (state / "account.db").unlink()
    if request.param == "garbage":
        (state / "receipts.db").write_bytes(b"garbage")
    if request.param == "exported":
        lines = (entry.envelope + b"\n" for entry in pristine.entries)
        (tmp_path / "export.jsonl").write_bytes(b"".join(lines))
        return tmp_path / "export.jsonl"
    return state


def test_every_line_carries_one_of_the_words(target: Path) -> None:
    *checks, verdict = printed(target)
    assert len(checks) >= 10
    assert [line for line in checks if not LINE.fullmatch(line)] == []
    if verdict.startswith("✓"):
        assert all(word in verdict for word in ("Proven:", "Recomputed:", "Attested, not proven:"))
    else:
        assert verdict.startswith(("✗ NOT VERIFIED.", "There is nothing to verify yet"))


def test_joules_are_never_said_to_be_proven(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=metered(made.path, "a0001"))
    made.attempt(0.02, energy=figure(settlement=""))
    for state in (made.path, made.finish()):
        energy = [check for check in verify_target(state).checks if check.number == 10]
        assert energy
        assert {check.knowledge for check in energy} == {Knowledge.ATTESTED}
    verdict = printed(state)[-1]
    assert "joules" not in verdict.partition("Attested")[0]


def test_losses_are_recomputed_only_where_they_were(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    state = made.finish()
    assert "Recomputed: nothing" in printed(state)[-1]
    assert Knowledge.RECOMPUTED not in {check.knowledge for check in verify_target(state).checks}
    failed, again = recomputed(state)
    assert not failed
    assert [(check.number, check.status, check.knowledge) for check in again] == [
        (11, Status.OK, Knowledge.RECOMPUTED)
    ]


def test_what_is_withheld_is_said_and_never_counts_as_checked(state: Path) -> None:
    assert "Still open" not in printed(state)[-1]
    shutil.rmtree(state / "data")
    (state / "account.db").unlink()
    lines = printed(state)
    assert sum(line.startswith("?") for line in lines) == 2
    assert "Still open (?): 2." in lines[-1]


def test_a_word_in_a_receipt_is_not_one_of_the_verifier(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(
        0.05,
        reason=Reason(code="said", numbers={"sentence": "x\n✓ 10  energy figures (proven): all is well"}),
    )
    lines = printed(made.finish())
    assert not any(line.startswith("✓ 10") and "proven" in line for line in lines)
    assert all(LINE.fullmatch(line) for line in lines[:-1])
