"""Every command's ``--json`` over one small state: each document says what it is, units are in the names."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cryoflux.cli import agent as agent_command
from cryoflux.cli import witness as witness_command
from cryoflux.cli.console import as_json_line
from cryoflux.cli.plan_view import show_plan
from cryoflux.decision.reason import Reason
from cryoflux.energy.curve_fit import FittedCurve
from cryoflux.energy.sources.cpu_model import Curve
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Cause
from cryoflux.runs.dry_run import RunPlan
from cryoflux.witness.service import open_witness
from energy_bench import Bench
from json_rule import complaints, keys_of, parsed
from node_log import NodeLog
from plain_log import PlainLog, StoredLog, evaluation, model
from running import exit_code_of
from synthetic_state import SyntheticState, open_state

pytestmark = pytest.mark.usefixtures("elsewhere")

ROOT = Path(__file__).parents[3]
LEFT = {"trainer/1"}
"""of files that no command prints; tests/integration/test_trainer_callback.py holds them to the page"""
PAGE = (ROOT / "docs/reference/json.md").read_text("utf-8")
Said = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command says as JSON, once it holds the rule and the page has its names."""

    def run(*words: object, code: int = 0) -> list[dict[str, Any]]:
        cut = words.index("--") if "--" in words else len(words)
        assert exit_code_of(monkeypatch, *words[:cut], "--json", *words[cut:]) == code
        return held(capsys)

    return run


def held(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    found = parsed(capsys.readouterr().out)
    for document in found:
        assert complaints(document) == []
        assert [key for key in sorted(keys_of(document)) if f"`{key}`" not in PAGE] == []
        assert f"`{document['schema']}`" in PAGE
    assert found
    return found


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Kept, stopped by the screen, rejected and a session; forkable."""
    made: SyntheticState = open_state(tmp_path / "state")
    made.write_origin()
    made.attempt(0.05)
    made.screen_out()
    made.attempt(0.0005)
    made.session(30_000_000)
    return made.finish()


def test_what_is_read_of_a_node(state: Path, said: Said) -> None:
    with closing(StoredLog(state)) as log:
        node = NodeLog(log)
        node.introduce()
        node.enter()
        adopted = node.candidate()
        node.record(node.announce([adopted, node.candidate()]))
        node.recall(adopted.capsule)
        node.open()
    (listed,) = said("receipts", "list", "--intents")
    kinds = {"node", "guest-holdout", "round-intent", "round", "opening", "recall"}
    assert kinds <= {entry["kind"] for entry in listed["entries"]}
    for entry in listed["entries"]:
        (shown,) = said("receipts", "show", entry["index"])
        assert {name: shown[name] for name in entry} == entry
    (report,) = said("report")
    rounds = report["total"]["rounds"]
    assert (rounds["rounds"], rounds["accepted"], rounds["adopted"], rounds["recalled"]) == (1, 1, 1, 1)
    assert report["results"]["spent"]["rounds"] == rounds["energy"]
    (versions,) = said("models", "list", "--all")
    composed = next(one for one in versions["versions"] if one["origin"] == "round")
    assert composed["made_from"].startswith("composed of offers by round #r")
    assert composed["certified_delta"] == 0.05
    (diff,) = said("models", "diff", composed["parent"], "head")
    assert diff["rounds_between"][0]["digest"] == composed["digest"]
    said("models", "show", "head")
    said("models", "card")
    said("verify", state, code=1)  # nothing that a round or a recall made is here


def test_what_is_read_of_a_state(state: Path, said: Said) -> None:
    (listed,) = said("receipts", "list", "--intents")
    assert {"intent", "receipt", "session"} <= {entry["kind"] for entry in listed["entries"]}
    for entry in listed["entries"]:
        (shown,) = said("receipts", "show", entry["index"])
        assert {name: shown[name] for name in entry} == entry
    (report,) = said("report")
    assert [one["number"] for one in report["attempts"]] == [1, 2, 3]
    (both,) = said("report", state, state)
    assert (both["comparable"], both["joules_comparable"]) == (True, True)
    (card,) = said("models", "card")
    assert card["text"].startswith("---\nlicense: unknown\n")
    (ledger,) = said("energy", "ledger")
    assert ledger["identity"]["holds"] is True
    (versions,) = said("models", "list")
    assert {version["origin"] for version in versions["versions"]} >= {"receipt", "version 0"}
    said("models", "show")
    said("models", "diff", "head~1")
    said("keys", "show")
    said("witness", "key")
    said("config", "show")
    said("doctor")
    said("state", "size")
    said("state", "clean", "--yes")
    said("verify", state)


@pytest.mark.parametrize("what", ["attempts", "versions"])
def test_rows_for_other_programs_are_documents_too(
    state: Path, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("export", "--format", "jsonl", "--what", what, "--state", state, "-o", "rows.jsonl")
    assert exit_code_of(monkeypatch, *words) == 0
    capsys.readouterr()
    print(Path("rows.jsonl").read_text("utf-8"), end="")  # noqa: T201 - as it goes to a pipe
    rows = held(capsys)
    assert {row["schema"] for row in rows} == {f"cryoflux.export.{what}/1"}
    assert len(rows) == 3


def test_what_is_done_to_versions(state: Path, said: Said) -> None:
    (named,) = said("models", "alias", "production", "head")
    (moved,) = said("models", "rollback", "--yes")
    assert (named["digest"], moved["event"]) == (moved["base"], "taken-back")
    (moved,) = said("models", "promote", "production", "--yes")
    assert moved["digest"] == named["digest"]
    said("models", "alias", "production", "--remove")
    (planned,) = said("models", "prune", "--keep", "1", "--dry-run")
    assert planned["pruned"] == []
    (entry,) = [e for e in said("receipts", "list", "--intents")[0]["entries"] if e["kind"] == "head"][1:]
    assert (entry["index"], entry["outcome"], entry["pruned"]) == (moved["entry"], "promotion", [])


def test_what_is_handed_on(state: Path, said: Said, tmp_path: Path) -> None:
    keys = ("--key", state / "keys/receipt.pub", "--log-key", state / "keys/log.pub")
    said("claim", "delta >= 0.05 and joules_estimate <= 2 kJ and all_in_eta > 0", "-o", "claim.json")
    (found,) = said("verify", "claim.json", *keys)
    assert found["claim"]["sentence"].endswith("as estimated")
    said("receipts", "export", "-o", "out.jsonl")
    said("receipts", "proof", "1", "-o", "one.proof")
    said("receipts", "check-proof", "one.proof", *keys)
    said("receipts", "bundle", "-o", "bundle")
    said("fork", state, tmp_path / "fork")
    said("keys", "init", "--root", tmp_path / "root.pem")
    said("keys", "rotate", "--root", tmp_path / "root.pem")


def test_entries_of_a_task_of_ones_own_have_its_unit_beside_their_losses(tmp_path: Path, said: Said) -> None:
    stored = ReceiptLog.open(tmp_path / "state")
    log = PlainLog(store=stored.append)
    log.abort(log.announce(), Cause.EXHAUSTED, Reason(code="exhausted.preparing"))
    bits = evaluation(model("made by 4"), hits=None)
    bits = bits.but(metric=bits.metric.but(name="code-length", unit="bits"))
    first = log.announce("index_refresh", "rebuild")
    log.conclude(first, evaluation=bits)
    log.move("index_refresh", model("first index_refresh"), first)
    stored.close()
    (listed,) = said("receipts", "list", "--intents")
    (shown,) = (entry for entry in listed["entries"] if entry.get("unit") == "bits")
    assert "eta_per_kj" in shown
    said("report")


def test_what_is_measured(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYOFLUX_CARBON_G_PER_KWH", "360")
    monkeypatch.setenv("CRYOFLUX_PRICE_PER_KWH", "0.3")
    measured = ("energy", "measure", "--state", "home", "--trace", "t.jsonl", "-o", "found.json")
    (found,) = said(*measured, "--", "true")
    assert parsed(Path("found.json").read_text("utf-8")) == [found]
    assert found["derived"]["carbon_g_per_kwh"] == 360
    said("energy", "replay", "t.jsonl", "--state", "home")
    said("energy", "baseline", "--state", "home")


def test_an_error_is_a_document_too(said: Said) -> None:
    (error,) = said("energy", "ledger", "--state", "nowhere", code=2)
    assert error["schema"] == "cryoflux.error/1"


def test_a_fitted_curve_a_plan_and_what_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curve = FittedCurve(Curve("fit", ((0.0, 0.2), (1.0, 1.0))), 10.0, 50.0, 0.02, 0.05, 60)
    print(as_json_line("energy.fit-curve/1", asdict(curve)), end="")  # noqa: T201 - as the command does
    held(capsys)
    bench = Bench(tmp_path)
    with closing(bench.open()) as opened:
        agent_command._announce(opened, "http://127.0.0.1:1", as_json=True)
    agent_command._progress(as_json=True)(1, 20)
    witness, heads = open_witness(tmp_path / "witness", name="w", logs=[], accept_new=True)
    witness_command._announce(witness, "http://127.0.0.1:1", 0, as_json=True)
    heads.close()
    assert [document["schema"] for document in held(capsys)] == [
        "cryoflux.agent/1",
        "cryoflux.agent/1",
        "cryoflux.witness.serve/1",
    ]


def plan(**changes: object) -> RunPlan:
    said = dict.fromkeys(RunPlan.__dataclass_fields__)
    figures = {
        "examples": {"train": 10},
        "dropped": {"duplicates": 1},
        "guard": {"rule": "cosine/v1", "least_milli": 850},
        "similar": {"holdout": 2},
        "sources": ("cpu-model",),
        "recipes": ("lean",),
        "evaluation_cpu_seconds": 1.0,
        "evaluation_joules": 3.0,
        "detectable_nats": {"0.1": float("inf")},
        "looks": 0,
        "attempts": 0,
        "cut": 32,
    }
    return RunPlan(**{**said, **figures, **changes})  # type: ignore[arg-type]


def test_what_has_no_bound_is_null_since_json_has_no_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(plan(), as_json=True)
    (found,) = held(capsys)
    assert found["detectable_nats"] == {"0.1": None}


def test_the_page_has_every_schema_that_the_commands_print_and_no_other() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "src/cryoflux/cli").glob("*.py"))
    printed = set(re.findall(r'(?:emit_json\(|_SCHEMA =)\s*"([a-z.-]+/[0-9]+)"', sources))
    assert len(printed) > 25
    assert set(re.findall(r"`cryoflux\.([a-z.-]+/[0-9]+)`", PAGE)) == {*printed, *LEFT}


@pytest.mark.parametrize(
    ("wrong", "said_of_it"),
    [
        ({"energy": {"low": 1.5}}, "low = 1.5 has no unit"),
        ({"parts": [{"delta": 0.5}]}, "delta has no `unit`"),
        ({"learned_at": "2026-01-31 12:00"}, "is no time in UTC"),
        ({"schema": "report"}, "its schema is not named"),
    ],
)
def test_the_rule_finds_what_is_against_it(wrong: dict[str, Any], said_of_it: str) -> None:
    right = {"schema": "cryoflux.report/1", "unit": "nats", "joules_lo": 1.5, "parts": [{"delta": 0.5}]}
    assert complaints(right) == []
    found = complaints({"schema": "cryoflux.report/1", **wrong})
    assert (len(found), said_of_it in found[0]) == (1, True)
