"""The main job, as a stranger would run it: real process, real model, real receipts."""

import base64
import itertools
import json
import shutil
from pathlib import Path

import pytest

import tiny
from json_rule import complaints, keys_of, parsed
from running import QUICK, Outcome, cryoflux

FLAT = {
    "task_id",
    "task_name",
    "joules_spent",
    "base_loss",
    "new_loss",
    "delta",
    "accepted",
    "adapter_hash",
    "base_model_hash",
    "timestamp",
    "receipt_hash",
}
MORE = {"decision", "reason", "joules_lo", "joules_hi", "tier", "delta_se", "cpu_seconds", "holdout_loss"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> tuple[Path, Outcome]:
    """A finished run of four attempts' worth of joules."""
    state = tmp_path_factory.mktemp("first") / "state"
    price = {"CRYOFLUX_PRICE_PER_KWH": "3.6", "CRYOFLUX_CURRENCY": "EUR"}
    return state, cryoflux("run", *inputs, *QUICK, "--budget", "48J", "--state", state, "--json", **price)


def test_joules_become_measured_improvement_within_the_budget(first) -> None:
    state, outcome = first
    summary, attempts = outcome.summary, outcome.of("attempt")
    assert summary["kept"] >= 1
    ends = ("kept", "rejected", "undecided", "carried", "aborted")
    assert summary["attempts"] == len(attempts) == sum(summary[end] for end in ends)
    assert summary["joules"] <= 48 + 0.05 * 12
    assert summary["joules"] == pytest.approx(sum(a["joules_spent"] for a in attempts))
    assert all(a["joules_spent"] <= 12 * 1.05 for a in attempts)
    assert summary["holdout"]["loss_after"] < summary["holdout"]["loss_before"]
    assert summary["audit"]["loss_after"] < summary["audit"]["loss_before"]
    assert summary["holdout"]["loss_before"] == pytest.approx(1.0986, abs=1e-4), "a new head knows nothing"
    assert summary["budget_joules"] == 48
    assert (state / "base_model").readlink() == Path("models") / summary["base_model_hash"]


def test_what_a_run_costs_is_derived_for_its_summary_and_stands_in_no_receipt(first) -> None:
    state, outcome = first
    summary = outcome.summary
    all_in = summary["joules"] + summary["overhead"]["joules"]
    assert summary["derived"]["cost"] == pytest.approx(all_in / 1e6)
    assert summary["derived"]["currency"] == "EUR"
    envelopes = cryoflux("receipts", "export", "-o", "-", "--state", state).stdout.splitlines()
    payloads = [base64.b64decode(json.loads(line)["payload"]) for line in envelopes]
    assert payloads
    assert not [payload for payload in payloads if b"EUR" in payload or b"derived" in payload]


def test_every_attempt_has_the_whitepapers_fields_and_the_promised_ones(first) -> None:
    for attempt in first[1].of("attempt"):
        assert set(attempt) >= FLAT | MORE
        assert attempt["tier"] in {"counter", "power-integrated", "modelled"}
        assert attempt["joules_lo"] <= attempt["joules_spent"] <= attempt["joules_hi"]
        if attempt["base_loss"] is not None:
            assert attempt["delta"] == pytest.approx(attempt["base_loss"] - attempt["new_loss"])
            assert attempt["accepted"] == (attempt["decision"] == attempt["outcome"] == "kept")


def test_a_kept_candidates_losses_are_the_next_base_losses(first) -> None:
    # a look that ended early is of some examples only
    judged = [a for a in first[1].of("attempt") if a["examples_read"] == 75]
    for before, after in itertools.pairwise(judged):
        assert after["base_loss"] == (before["new_loss"] if before["accepted"] else before["base_loss"])


def test_a_stranger_can_verify_and_recompute_it_from_anywhere(first, tmp_path: Path) -> None:
    state = first[0]
    plain = cryoflux("verify", state, cwd=tmp_path)
    assert plain.code == 0, plain.stdout
    again = cryoflux("verify", "--state", state, "--recompute", "2", "--json")
    assert again.code == 0, again.stdout
    assert again.stdout.count("equal") >= 1


def test_the_kept_model_is_a_standard_transformers_model(first) -> None:
    from transformers import AutoModelForSequenceClassification

    state = first[0]
    for folder in [state / "base_model", *(state / "models").iterdir()]:
        assert AutoModelForSequenceClassification.from_pretrained(folder).config.num_labels == 3


@pytest.mark.parametrize("thing", ["capsules/*/adapter_model.safetensors", "base_model/model.safetensors"])
def test_one_flipped_byte_is_found_and_named(first, tmp_path: Path, thing: str) -> None:
    state = shutil.copytree(first[0], tmp_path / "state", symlinks=True)
    for path in sorted(state.glob(thing)):
        content = bytearray(path.read_bytes())
        for position in (0, 9, len(content) // 2, len(content) - 1):
            content[position] ^= 1
            path.write_bytes(content)
            outcome = cryoflux("verify", state)
            assert outcome.code == 1
            assert path.name in outcome.stdout
            content[position] ^= 1
        path.write_bytes(content)
        break
    assert cryoflux("verify", state).code == 0


def test_the_lists_show_what_happened(first) -> None:
    state, outcome = first
    summary = outcome.summary
    models = json.loads(cryoflux("models", "list", "--state", state, "--json").stdout)["versions"]
    assert len(models) == summary["kept"] + 1
    assert [m["digest"] for m in models if m["head"]] == [summary["base_model_hash"]]
    head = json.loads(cryoflux("models", "show", "--state", state, "--json").stdout)
    assert head["holdout_loss"] == pytest.approx(summary["holdout"]["loss_after"])
    listed = json.loads(cryoflux("receipts", "list", "--state", state, "--json").stdout)["entries"]
    assert len(listed) == summary["attempts"]
    shown = json.loads(cryoflux("receipts", "show", listed[0]["task_id"], "--state", state, "--json").stdout)
    assert set(shown) >= FLAT


def test_the_account_adds_up_to_what_the_receipts_charged(first) -> None:
    state, outcome = first
    ledger = json.loads(cryoflux("energy", "ledger", "--state", state, "--json").stdout)
    text = json.dumps(ledger)
    assert "grant" in text
    assert "settle" in text
    assert outcome.summary["remaining_joules"] == pytest.approx(
        48 - outcome.summary["all_in_joules"], abs=1e-6
    )


def test_a_second_run_continues_log_head_account_and_data(first, tmp_path: Path, inputs: list[str]) -> None:
    state = shutil.copytree(first[0], tmp_path / "state", symlinks=True)
    before = first[1].summary
    more = ["--budget", "24J", "--policy", "uniform/v1", "--attempts", "2"]
    again = cryoflux("run", *QUICK, *more, "--state", state, "--json")
    summary = again.summary
    opened = again.of("opened")[0]
    assert opened["base_model_hash"] == before["base_model_hash"]
    assert summary["budget_joules"] == 24
    spent = before["all_in_joules"] + summary["all_in_joules"]
    assert summary["remaining_joules"] == pytest.approx(48 + 24 - spent, abs=1e-5)
    assert summary["holdout"]["loss_before"] == pytest.approx(before["holdout"]["loss_after"])
    assert again.of("attempt")[0]["base_model_hash"] == before["base_model_hash"]
    assert cryoflux("verify", state).code == 0


def test_a_run_that_begins_at_the_plateau_says_so_and_only_pays_for_its_start(first, tmp_path: Path) -> None:
    state = shutil.copytree(first[0], tmp_path / "state", symlinks=True)
    assert first[1].summary["ended"] == "plateau"
    again = cryoflux("run", *QUICK, "--budget", "24J", "--state", state, "--json")
    assert (again.summary["ended"], again.summary["attempts"]) == ("plateau", 0)
    left = first[1].summary["remaining_joules"] + 24 - again.summary["overhead"]["joules"]
    assert again.summary["remaining_joules"] == pytest.approx(left, abs=1e-5)
    assert "No arm is expected to pay" in again.of("plateau")[0]["reason"]


def test_a_state_is_not_continued_with_other_data_or_another_model(
    first, tmp_path: Path, inputs: list[str]
) -> None:
    state = first[0]
    receipts = (state / "receipts.db").read_bytes()
    other = tiny.write_csv(tmp_path / "other.csv", tiny.sentences(500, 9))
    model = tiny.make_model(tmp_path / "model", seed=8)
    for option in (["--train", other], ["--model", model]):
        refused = cryoflux("run", *option, *QUICK, "--budget", "24J", "--state", state)
        assert refused.code == 2
        assert refused.stderr.count("…") >= 2, "both digests are named"
        assert "--state" in refused.stderr
        plan = cryoflux("run", *option, *QUICK, "--budget", "24J", "--state", state, "--dry-run")
        assert (plan.code, errors(plan)) == (2, errors(refused))
    assert (state / "receipts.db").read_bytes() == receipts


def errors(outcome: Outcome) -> list[str]:
    """What was said of a refusal, without what was done before it."""
    return [line for line in outcome.stderr.splitlines() if not line.startswith("…")]


def test_neither_a_run_nor_its_plan_goes_on_from_a_head_that_was_altered(first, tmp_path: Path) -> None:
    state = shutil.copytree(first[0], tmp_path / "state", symlinks=True)
    weights = max((state / "base_model").glob("*.safetensors"), key=lambda path: path.stat().st_size)
    content = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refusals = [
        cryoflux("run", *QUICK, "--budget", "24J", "--state", state, *more) for more in (["--dry-run"], [])
    ]
    assert [one.code for one in refusals] == [1, 1]
    assert "is not the file that was kept" in refusals[0].stderr
    assert errors(refusals[0]) == errors(refusals[1])


def test_a_tampered_database_is_not_continued(first, tmp_path: Path) -> None:
    import sqlite3

    state = shutil.copytree(first[0], tmp_path / "state", symlinks=True)
    connection = sqlite3.connect(state / "receipts.db")
    triggers = connection.execute("SELECT name FROM sqlite_schema WHERE type='trigger'").fetchall()
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    (table,) = connection.execute(
        "SELECT tbl_name FROM sqlite_schema WHERE sql LIKE '%envelope%' AND type='table'"
    ).fetchone()
    connection.execute(
        f"UPDATE {table} SET envelope = cast(replace(envelope, 'a', 'b') AS BLOB) WHERE rowid = 1"
    )
    connection.commit()
    connection.close()
    refused = cryoflux("run", *QUICK, "--budget", "24J", "--state", state)
    assert refused.code == 1
    assert "cryoflux verify" in refused.stderr
    assert cryoflux("run", *QUICK, "--budget", "24J", "--state", state, "--dry-run").code == 1
    assert cryoflux("verify", state).code == 1


def test_the_bare_rule_can_be_chosen_and_is_named_in_the_receipt(tmp_path: Path, inputs: list[str]) -> None:
    outcome = cryoflux(
        "run", *inputs, *QUICK, "--budget", "24J", "--attempts", "1", "--rule", "whitepaper/v1",
        "--seed", "5", "--state", tmp_path / "s", "--json",
    )  # fmt: skip
    assert outcome.of("attempt")[0]["rule"] == "whitepaper/v1"
    assert cryoflux("verify", tmp_path / "s").code == 0


def test_too_few_examples_for_a_screen_are_announced_without_one(tmp_path: Path, inputs: list[str]) -> None:
    rows = tiny.sentences(80, 9)
    parts = {"train": rows[:6], "holdout": rows[6:40], "audit": rows[40:]}
    files = [f"--{name}={tiny.write_csv(tmp_path / f'{name}.csv', part)}" for name, part in parts.items()]
    options = [*QUICK, "--budget", "24J", "--attempts", "1", "--state", tmp_path / "s"]
    assert cryoflux("run", *inputs[:2], *files, *options).code == 0
    assert cryoflux("verify", tmp_path / "s").code == 0


def test_a_dry_run_writes_nothing_and_says_what_it_modelled(tmp_path: Path, inputs: list[str]) -> None:
    plan = cryoflux("run", *inputs, "--budget", "2kJ", "--dry-run", "--state", tmp_path / "s", "--json")
    assert plan.events[0]["most_attempts"] == 16
    assert plan.events[0]["evaluation_joules"] > 0
    assert "modelled" in cryoflux("run", *inputs, "--budget", "2kJ", "--dry-run", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_knows_the_state_and_changes_nothing(first) -> None:
    state, outcome = first
    before = {path: path.stat().st_mtime_ns for path in state.rglob("*")}
    done = cryoflux("run", *QUICK, "--budget", "24J", "--dry-run", "--state", state, "--json")
    plan, summary = done.events[0], outcome.summary
    assert (plan["head"], plan["attempts"]) == (summary["base_model_hash"], summary["attempts"])
    assert plan["account_joules"] == pytest.approx(summary["remaining_joules"])
    assert plan["looks"] == summary["looks"]
    assert (plan["data"], plan["examples"]["train"]) == ("train.csv", 350), "those of the state"
    assert {path: path.stat().st_mtime_ns for path in state.rglob("*")} == before
    said = cryoflux("run", *QUICK, "--budget", "24J", "--dry-run", "--state", state).stdout
    assert f"goes on from #{summary['attempts'] + 1}, head {summary['base_model_hash'][:16]}" in said


def test_numbers_of_attempts_go_on_in_the_next_run(first, tmp_path: Path) -> None:
    state = shutil.copytree(first[0], tmp_path / "state", symlinks=True)
    made = first[1].summary["attempts"]
    again = cryoflux(
        "run",
        *QUICK,
        "--budget",
        "24J",
        "--policy",
        "uniform/v1",
        "--attempts",
        "1",
        "--state",
        state,
        "--json",
    )
    (attempt,) = again.of("attempt")
    assert attempt["number"] == made + 1
    shown = cryoflux("receipts", "show", f"#{made + 1}", "--state", state, "--json").events[0]
    assert (shown["attempt"], shown["task_id"]) == (made + 1, attempt["task_id"])
    assert again.summary["reason"] == "As many attempts as were asked for are made: 1."


def test_people_read_units_tiers_and_what_to_type_next(tmp_path: Path, inputs: list[str]) -> None:
    outcome = cryoflux(
        "run", *inputs, *QUICK, "--budget", "24J", "--state", tmp_path / "s", "--attempts", "1", "-v"
    )
    assert outcome.code == 0, outcome.stderr
    for words in ("modelled", "holdout", "audit", "nats", " J", "cryoflux verify", "kept", "tokens"):
        assert words in outcome.stdout


def test_every_event_says_what_it_is_and_the_page_has_its_names(first) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/json.md").read_text()
    for event in parsed(first[1].stdout):
        assert (event["schema"], complaints(event)) == ("cryoflux.run/1", [])
        assert [key for key in sorted(keys_of(event)) if f"`{key}`" not in page] == []
        assert f"`{event['event']}`" in page
