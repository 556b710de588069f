"""``energy ledger``, ``energy baseline`` and ``doctor``, as a person and as a program see them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cryoflux.cli.main import app
from cryoflux.config import load_settings
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.errors import MeterError, StateError, StateTamperedError
from cryoflux.quantities import Energy, Tier


@pytest.fixture(autouse=True)
def _plain_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("CRYOFLUX_POWERCAP_ROOT", str(tmp_path / "powercap"))
    monkeypatch.setenv("CRYOFLUX_HWMON_ROOT", str(tmp_path / "hwmon"))
    monkeypatch.setenv("CRYOFLUX_NVML", "false")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def account(tmp_path):
    with closing(LocalAgent(load_settings().settings, tmp_path / "state", background=False)) as agent:
        agent.grant(2_000_000_000, request_id="g", note="--budget 2kJ")
        agent.settle(agent.take(120_000_000, request_id="a").id)
    return tmp_path / "state"


def invoke(*words):
    done = CliRunner().invoke(app, list(words))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_the_ledger_lists_every_entry_and_adds_up(account):
    text = invoke("energy", "ledger", "--state", str(account))
    heading, *lines = text.splitlines()
    assert heading.split()[:3] == ["entry", "when", "kind"]
    rows = [line.split() for line in lines if line[:5].strip().isdecimal()]
    assert [row[2] for row in rows] == ["opening", "grant", "take", "settle"]
    assert any(line.startswith("✓ balance ") for line in lines)
    document = json.loads(invoke("energy", "ledger", "--state", str(account), "--json"))
    assert document["identity"]["holds"] is True
    assert [entry["kind"] for entry in document["entries"]] == ["opening", "grant", "take", "settle"]


def test_the_ledger_shows_what_another_meter_charged_and_counts_it_as_measured(account, monkeypatch):
    def derived():
        monkeypatch.setenv("CRYOFLUX_PRICE_PER_KWH", "0.36")
        monkeypatch.setenv("CRYOFLUX_CURRENCY", "EUR")
        return json.loads(invoke("energy", "ledger", "--state", str(account), "--json"))["derived"]["cost"]

    before = derived()
    with closing(LocalAgent(load_settings().settings, account, background=False)) as agent:
        lent = agent.lend(100_000_000, request_id="a/lent/w1")
        agent.repay(lent.id, Energy(36_000_000, 30_000_000, 40_000_000, Tier.COUNTER, ("wrap",)))
    text = invoke("energy", "ledger", "--state", str(account))
    lines = text.splitlines()
    (at,) = [number for number, line in enumerate(lines) if "-36.000000" in line]
    assert "-100.000000" in lines[at]
    assert lines[at + 1].strip() == "counter lent wrap"
    assert any(line.startswith("✓ balance ") for line in lines)
    assert derived() == pytest.approx(before + 36 * 0.36 / 3_600_000)


def test_cost_is_derived_from_what_was_settled_and_measured(account, monkeypatch):
    (settled,) = [
        entry
        for entry in json.loads(invoke("energy", "ledger", "--state", str(account), "--json"))["entries"]
        if entry["kind"] == "settle"
    ]
    monkeypatch.setenv("CRYOFLUX_PRICE_PER_KWH", "0.36")
    monkeypatch.setenv("CRYOFLUX_CURRENCY", "EUR")
    derived = json.loads(invoke("energy", "ledger", "--state", str(account), "--json"))["derived"]
    assert derived["cost"] == pytest.approx(-settled["balance_change_uj"] / 1e13)
    assert derived["cost_hi"] == pytest.approx(settled["hi_uj"] / 1e13)
    assert "EUR at 0.36 EUR/kWh" in invoke("energy", "ledger", "--state", str(account)).splitlines()[-1]


def test_an_account_that_was_doctored_does_not_pass(account):
    with closing(sqlite3.connect(account / "account.db")) as db:
        db.execute("DROP TRIGGER entries_are_final_update")
        db.execute("UPDATE entries SET balance_change_uj = 5000000000 WHERE kind = 'grant'")
        db.commit()
    with pytest.raises(StateTamperedError) as caught:
        invoke("energy", "ledger", "--state", str(account))
    assert len(caught.value.lines()) == 3


def test_a_forged_settlement_is_shown_as_wrong_even_where_the_sums_agree(account):
    with closing(sqlite3.connect(account / "account.db")) as db:
        db.execute(
            "INSERT INTO entries (kind, request_id, balance_change_uj, reserved_change_uj, balance_uj,"
            " reserved_uj, at, note) SELECT 'settle', 'x', 50000000, 0, balance_uj + 50000000, reserved_uj,"
            " at, '' FROM entries ORDER BY seq DESC LIMIT 1"
        )
        db.commit()
    done = CliRunner().invoke(app, ["energy", "ledger", "--state", str(account), "--json"])
    assert json.loads(done.stdout.splitlines()[0])["identity"]["holds"] is False
    assert isinstance(done.exception, StateTamperedError)


@pytest.mark.parametrize("content", ["empty", "foreign", "garbage"])
def test_a_file_that_is_no_account_is_named_as_such(account, content):
    path = account / "account.db"
    path.unlink()
    if content == "foreign":
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE entries (seq INTEGER)")
    else:
        path.write_bytes(b"" if content == "empty" else b"no database " * 500)
    with pytest.raises(StateTamperedError) as caught:
        invoke("energy", "ledger", "--state", str(account))
    assert len(caught.value.lines()) == 3


def test_the_baseline_is_shown_with_its_digest_and_a_changed_one_is_refused(account):
    assert "concave/v1" in invoke("energy", "baseline", "--state", str(account))
    shown = json.loads(invoke("energy", "baseline", "--state", str(account), "--json"))
    assert shown["sources"][0]["state"] == "modelled"
    (account / "baseline.json").write_text("{}")
    with pytest.raises(StateTamperedError):
        invoke("energy", "baseline", "--state", str(account))


@pytest.mark.parametrize("command", ["ledger", "baseline"])
def test_a_state_without_an_account_is_said_and_not_made(command, tmp_path):
    with pytest.raises(StateError):
        invoke("energy", command, "--state", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def zone(root, energy):
    folder = root / "intel-rapl:0"
    folder.mkdir(parents=True)
    (folder / "name").write_text("package-0\n")
    (folder / "max_energy_range_uj").write_text("262143328850\n")
    if energy is not None:
        (folder / "energy_uj").write_text(energy)


def test_doctor_sees_counters_and_a_state_that_cannot_be_written(tmp_path):
    zone(tmp_path / "powercap", "5\n")
    (tmp_path / "file").write_text("")
    report = json.loads(invoke("doctor", "--json", "--state", str(tmp_path / "file" / "state")))
    assert report["sources"][0]["name"] == "rapl:package-0"
    assert report["sources"][0]["tier"] == "counter"
    assert report["state"]["writable"] is False


def test_help_and_the_ledger_load_no_web_server(account):
    for words in (["--help"], ["agent", "--help"], ["energy", "ledger", "--state", str(account)]):
        script = f"""
import sys
from cryoflux.cli.main import app
try:
    app({words!r})
except SystemExit:
    pass
print([name for name in ("fastapi", "uvicorn", "httpx2", "torch") if name in sys.modules])
"""
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path.cwd()
        )
        assert done.stdout.splitlines()[-1] == "[]"


def test_where_nothing_measures_no_baseline_can_be_learned_and_no_folder_is_made(tmp_path):
    with pytest.raises(MeterError, match="nothing to learn"):
        invoke("energy", "baseline", "--learn", "--state", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
