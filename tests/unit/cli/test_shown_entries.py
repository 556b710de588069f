"""Every kind of entry in a list and by itself, in today's form and in the first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archives import unpack
from cryoflux.decision.reason import Reason
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Cause
from plain_log import PlainLog, evaluation, model
from running import exit_code_of

pytestmark = pytest.mark.usefixtures("elsewhere")

OLD = Path(__file__).parents[2] / "vectors" / "state-v1.tar.xz"


@pytest.fixture
def made(tmp_path: Path) -> PlainLog:
    """Kept, out of joules, one in bits and a head moved back, in the state directory of its name."""
    stored = ReceiptLog.open(tmp_path / "state")
    log = PlainLog(store=stored.append)
    first = log.announce()
    log.conclude(first)
    log.abort(log.announce(), Cause.EXHAUSTED, Reason(code="exhausted.preparing"))
    other = log.announce("index_refresh", "rebuild")
    bits = evaluation(model("made by 4"), hits=None)
    log.conclude(other, evaluation=bits.but(metric=bits.metric.but(name="code-length", unit="bits")))
    log.move("lora_delta", model("first lora_delta"), first)
    stored.close()
    return log


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    assert exit_code_of(monkeypatch, "receipts", *arguments) == 0
    return capsys.readouterr().out.splitlines()


def test_a_line_has_number_outcome_task_and_arm_and_the_reason_below(
    made: PlainLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run(monkeypatch, capsys, "list")
    rows = [line.split() for line in lines if line.lstrip().startswith("#")]
    assert [row[:4] for row in rows] == [
        ["#1", "1", "kept", "lora_delta/lean"],
        ["#2", "3", "aborted", "lora_delta/lean"],
        ["#3", "5", "kept", "index_refresh/rebuild"],
    ]
    assert rows[2][4:6] == ["+0.0500", "bits"]
    assert lines[4].startswith("    Aborted: the reservation was used up before one training example")


def test_all_entries_are_listed_where_that_is_asked_for(
    made: PlainLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run(monkeypatch, capsys, "list", "--intents")
    said = " ".join(lines).split()
    assert [said.count(word) for word in ("announced", "kept", "aborted", "rollback")] == [3, 2, 1, 1]
    views = json.loads(run(monkeypatch, capsys, "list", "--intents", "--json")[0])["entries"]
    assert [view["kind"] for view in views] == [*["intent", "receipt"] * 3, "head"]
    assert "moves of heads" in " ".join(run(monkeypatch, capsys, "list", "--help"))


def test_an_entry_is_shown_in_a_sentence_and_as_it_was_signed(
    made: PlainLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heading, *lines = run(monkeypatch, capsys, "show", "lora_delta_2")
    assert heading == "attempt #2, entry 3, aborted"
    shown = dict(line.split(maxsplit=1) for line in lines if line[0] != " ")
    assert (shown["cause"], shown["arm"], shown["delta"]) == ("exhausted", "lean", "–")
    assert shown["reason"].startswith("Aborted: the reservation was used up before one training example")
    for entry in made.entries:
        view = json.loads(run(monkeypatch, capsys, "show", entry.index, "--json")[0])
        assert view["statement"] == json.loads(entry.signed.payload)
        assert view["receipt_hash"] == entry.leaf_hash


def test_a_text_of_a_stranger_does_not_reach_the_terminal_as_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = ReceiptLog.open(tmp_path / "state")
    log = PlainLog(store=stored.append)
    hostile = "\x1b[2J[bold]\x9b\r\n✓ VERIFIED"
    log.abort(
        log.announce("lora_delta", hostile), Cause.FAILED, Reason(code="failed", numbers={"what": hostile})
    )
    bits = evaluation(model("made by 2"), hits=None)
    bits = bits.but(metric=bits.metric.but(unit=hostile))
    log.conclude(log.announce(), evaluation=bits)
    stored.close()
    out = run(monkeypatch, capsys, "list", "--intents") + run(monkeypatch, capsys, "show", "1")
    assert exit_code_of(monkeypatch, "report") == 0
    out += capsys.readouterr().out.splitlines()
    assert any("Δ +0.0500" in line for line in out)
    assert all(c.isprintable() for line in out for c in line)
    assert any("\\x1b[2J[bold]\\x9b\\x0d\\x0a✓" in line for line in out)


def test_a_state_of_the_first_form_is_shown_as_it_was_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unpack(OLD, tmp_path)
    lines = run(monkeypatch, capsys, "list", "--intents", "--state", "state-v1")
    said = " ".join(" ".join(lines).split())
    assert [said.count(words) for words in (" announced ", " root named ", " rotated ")] == [13, 1, 1]
    view = json.loads(run(monkeypatch, capsys, "show", "1", "--state", "state-v1", "--json")[0])
    assert view["statement"]["predicate"]["reason"] == view["reason"]
    assert view["statement"]["predicateType"].endswith("/receipt/v1")


def test_a_report_gives_each_attempt_in_the_unit_of_its_task(
    made: PlainLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(monkeypatch, "report") == 0
    said = capsys.readouterr().out
    attempts, _, _ = " ".join(said.split()).partition(" 3 attempts: ")
    first, second, third = attempts.split("#")[1:]
    assert ("+0.0500 nats, anytime" in first, "+0.0500 bits, anytime" in third) == (True, True)
    assert (" nats/kJ" in first, " bits/kJ" in third) == (True, True)
    assert ("Δ" in second, "before one training example" in second) == (False, True)
    assert "3 attempts: 2 kept, 1 aborted" in said
    # The head was moved back, so that nothing of what was gained is in it.
    assert "lora_delta: Δ total +0.0000 nats" in said
    assert "without the Δ of one kept update that was taken back" in said
    assert "index_refresh: Δ total +0.0500 " in said
    assert exit_code_of(monkeypatch, "report", "--json") == 0
    shown = json.loads(capsys.readouterr().out)["attempts"]
    assert [(one["number"], one["kept"], one["delta"] is None) for one in shown] == [
        (1, True, False),
        (2, False, True),
        (3, True, False),
    ]
    assert shown[1]["reason"]
    assert ("eta_nats_per_kj" in shown[0], "eta_per_kj" in shown[2], shown[2]["unit"]) == (True, True, "bits")


def test_co2e_and_cost_are_derived_where_they_are_set(
    made: PlainLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(monkeypatch, "report") == 0
    assert "Derived" not in capsys.readouterr().out
    monkeypatch.setenv("CRYOFLUX_CARBON_G_PER_KWH", "360")
    monkeypatch.setenv("CRYOFLUX_CARBON_SOURCE", "a yearly mean")
    assert exit_code_of(monkeypatch, "report") == 0
    (derived,) = [line for line in capsys.readouterr().out.splitlines() if "CO₂e" in line]
    assert derived.startswith("Derived from the net joules, not measured: ")
    assert derived.endswith(" mg CO₂e at 360 g/kWh (a yearly mean).")
    assert exit_code_of(monkeypatch, "report", "--json") == 0
    for one in json.loads(capsys.readouterr().out)["attempts"]:
        assert one["derived"]["carbon_g"] == pytest.approx(one["joules"] / 10_000)
        assert one["derived"]["carbon_hi_g"] == pytest.approx(one["joules_hi"] / 10_000)
        assert "cost" not in one["derived"]
