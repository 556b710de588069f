from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from running import exit_code_of as run
from synthetic_parts import figure, phases
from synthetic_state import SyntheticState, open_state


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "remembered"))


def test_list_shows_one_line_a_receipt(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "receipts", "list", "--state", pristine.path) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split()[:4] == ["attempt", "entry", "outcome", "recipe"]
    rows = [line.split() for line in lines if line.lstrip().startswith("#")]
    assert [row[:3] for row in rows] == [
        ["#1", "1", "kept"],
        ["#2", "3", "rejected"],
        ["#3", "5", "aborted"],
        ["#4", "7", "kept"],
    ]
    assert "100.0 J" in lines[0]
    assert lines[1].startswith("    shown to help")
    assert lines[-1] == "All joules are modelled."
    assert run(monkeypatch, "receipts", "list", "--intents", "--state", pristine.path) == 0
    listed = capsys.readouterr().out.splitlines()
    assert sum(line.lstrip().startswith("#") for line in listed) == 8


def test_list_as_json(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "receipts", "list", "--json", "--state", pristine.path) == 0
    views = json.loads(capsys.readouterr().out)["entries"]
    assert [view["task_id"] for view in views] == ["a0001_0", "a0002_2", "a0003_4", "a0004_6"]


def test_show_as_json_has_the_flat_names_and_the_signed_statement(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = pristine.entries[1]
    for name in ("1", "#1", "a0001_0", entry.leaf_hash[:10]):
        assert run(monkeypatch, "receipts", "show", name, "--json", "--state", pristine.path) == 0
        view = json.loads(capsys.readouterr().out)
        assert view["statement"] == json.loads(entry.signed.payload)
        names = (
            "task_id task_name joules_spent base_loss new_loss delta accepted adapter_hash base_model_hash"
        )
        assert {*names.split(), "timestamp", "receipt_hash"} <= set(view)


def test_show_for_people(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, words in (("5", "aborted"), ("0", "announced")):
        assert run(monkeypatch, "receipts", "show", name, "--state", pristine.path) == 0
        assert words in capsys.readouterr().out


def test_phases_are_shown_with_their_ranges_and_how_they_came_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = open_state(tmp_path / "state")
    told = phases(train=(98, 89, 107), settle=(2, 1, 3))
    made.attempt(0.05, energy=figure(phases=told))
    made.attempt(0.02)
    made.finish()
    shown = "phases          train 98.0 J [89.0, 107], settle 2.0 J [1.0, 3.0]; modelled"
    for name, line in (("#1", shown), ("#2", "phases          –")):
        assert run(monkeypatch, "receipts", "show", name, "--state", made.path) == 0
        assert line in capsys.readouterr().out.splitlines()
    for number, found in ((1, [98.0, 2.0]), (2, None)):
        assert run(monkeypatch, "receipts", "show", f"#{number}", "--json", "--state", made.path) == 0
        view = json.loads(capsys.readouterr().out)
        assert (view["phases"] and [one["joules"] for one in view["phases"]]) == found
    assert run(monkeypatch, "report", "--json", "--state", made.path) == 0
    first, second = json.loads(capsys.readouterr().out)["attempts"]
    assert [one["phase"] for one in first["phases"]] == ["train", "settle"]
    assert second["phases"] is None


def test_what_is_exported_can_be_verified(
    pristine: SyntheticState,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    target = tmp_path / "all.jsonl"
    assert run(monkeypatch, "receipts", "export", "-o", target, "--state", pristine.path) == 0
    assert target.read_bytes().splitlines() == [entry.envelope for entry in pristine.entries]
    assert run(monkeypatch, "receipts", "export", "-o", "-", "--state", pristine.path) == 0
    assert capfdbinary.readouterr().out == target.read_bytes()
    key = pristine.path / "keys" / "receipt.pub"
    assert run(monkeypatch, "verify", target, "--key", key) == 0


def test_a_wrong_name_or_place_is_three_lines_and_exit_2(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ("receipts", "show", "nothing", "--state", pristine.path),
        ("receipts", "list", "--state", pristine.path / "nowhere"),
        ("receipts", "list"),
        ("verify", pristine.path / "nowhere"),
        ("verify", pristine.path, "--key", pristine.path / "receipts.db"),
        ("verify", pristine.path, "--state", pristine.path),
    ):
        assert run(monkeypatch, *arguments) == 2
        assert [line.split(":")[0].strip() for line in capsys.readouterr().err.splitlines()] == [
            "error",
            "why",
            "next",
        ]


def test_verify_says_what_is_proven_and_what_is_not(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", "--state", pristine.path) == 0
    out = capsys.readouterr().out
    checks, verdict = out.split("✓ VERIFIED")
    assert [line[:4] for line in checks.splitlines() if line[0] != " "] == [
        *(f"✓ {number:>2}" for number in (*range(1, 10), 9, 9, 10)),
        "–   ",
    ]
    assert "11 --recompute N" in checks
    assert verdict.startswith(" 4 receipts")
    assert "Attested, not proven: joules" in " ".join(verdict.split())


def test_verify_exits_1_and_names_what_is_bad(
    state: Path, pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = state / "models" / pristine.head.digest / "config.json"
    config.write_text("{}")
    assert run(monkeypatch, "verify", state) == 1
    out = capsys.readouterr().out
    said = " ".join(out.split())
    assert f"✗ 9 artefacts on the disk (proven): models/{pristine.head.digest}/config.json" in said
    assert "NOT VERIFIED" in out
    assert run(monkeypatch, "verify", state, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert [c["subject"] for c in report["checks"] if c["status"] == "fail"] == [
        f"models/{pristine.head.digest}/config.json"
    ]


def test_what_is_remembered_is_said_on_every_line_that_goes_by_it(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in ((), ("--only-new",), ("--trust-memory",)):
        assert run(monkeypatch, "verify", state, *options) == 0
        out = capsys.readouterr().out
        steps = [line for line in out.splitlines() if line[:4].strip("✓ ").isdecimal()]
        by_memory = [int(line[1:4]) for line in steps if "8 of 8 entries by memory" in line.partition(":")[0]]
        assert by_memory == ([1, 2, 3, 4, 5, 6, 7, 8, 10] if options else [])
    assert run(monkeypatch, "verify", state, "--only-new", "--trust-memory") == 2
    assert "ask for two things" in capsys.readouterr().err


def test_an_error_without_a_why_still_says_what_is_next(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", pristine.path, "--key", "nowhere.pem") == 2
    labels = [line.split(":")[0].strip() for line in capsys.readouterr().err.splitlines()]
    assert labels == ["error", "next"]


def test_a_version_is_found_by_the_attempt_that_made_it(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "models", "show", "#4", "--json", "--state", pristine.path) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == pristine.head.digest
    for name in ("#2", "zzz"):
        assert run(monkeypatch, "models", "show", name, "--state", pristine.path) == 2
        assert "names none of the" in capsys.readouterr().err


def test_a_damaged_entry_is_exit_1_for_readers_too(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "receipts.db").write_bytes(b"no database at all")
    assert run(monkeypatch, "receipts", "list", "--state", state) == 1
    assert run(monkeypatch, "verify", state) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_recompute_without_the_training_libraries_says_what_to_install(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cryoflux.tasks.lora.libraries.find_spec", lambda _name: None)
    assert run(monkeypatch, "verify", pristine.path, "--recompute", 1) == 2
    assert "pip install 'cryoflux[train]'" in capsys.readouterr().err


def test_an_export_makes_no_folders_and_its_hint_can_be_pasted(
    pristine: SyntheticState,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    target = tmp_path / "no such folder" / "x.jsonl"
    assert run(monkeypatch, "receipts", "export", "-o", target, "--state", pristine.path) == 2
    assert f"mkdir -p '{target.parent}'" in capsys.readouterr().err
    assert not target.parent.exists()
    target.parent.mkdir()
    assert run(monkeypatch, "receipts", "export", "-o", target, "--state", pristine.path) == 0
    assert f"cryoflux verify '{target}'" in capsys.readouterr().err
    assert run(monkeypatch, "receipts", "export", "-o", "here.jsonl", "--state", pristine.path) == 0


def test_verify_of_an_empty_log_says_that_there_is_nothing_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    made = open_state(tmp_path / "state")
    assert run(monkeypatch, "verify", made.path) == 0
    verdict = capsys.readouterr().out.splitlines()[-1]
    assert verdict == "There is nothing to verify yet: the log has no entries."
    made.announce()
    assert run(monkeypatch, "verify", made.finish()) == 0
    verdict = capsys.readouterr().out.splitlines()[-1]
    assert verdict.startswith("✓ VERIFIED 0 receipts in 1 entry, except: ")


def test_verify_without_its_database_is_a_negative_verdict(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "receipts.db").unlink()
    assert run(monkeypatch, "verify", state) == 1
    assert "receipts.db is missing" in " ".join(capsys.readouterr().out.split())


def test_verify_says_how_many_receipts_were_evaluated_again(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cryoflux.report.verdict_words import verdict
    from verifying import verify_target

    report = verify_target(pristine.path)
    assert "Recomputed: nothing (add --recompute 1)." in verdict(report)
    assert "losses and Δ of 2 of 3 evaluated receipts." in verdict(replace(report, recomputed=2))


def test_models_are_listed_by_where_they_came_from(
    state: Path, pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def listed() -> dict[str, str]:
        assert run(monkeypatch, "models", "list", "--state", state) == 0
        lines = [line[3:] for line in capsys.readouterr().out.splitlines()[1:] if "…" in line]
        return {line.split("…")[0]: line.split("…")[1].strip() for line in lines}

    accepted = pristine.entries[1].statement.predicate.result.digest
    first = pristine.entries[0].statement.predicate.base.digest
    rejected = pristine.entries[3].statement.predicate.evaluation.candidate.digest
    origins = listed()
    assert origins[first[:12]].startswith("version 0 ")
    assert origins[accepted[:12]].split()[:2] == ["#1", "r8"]
    assert origins[rejected[:12]].startswith("unknown")
    assert run(monkeypatch, "models", "show", first[:12], "--state", state) == 0
    assert "version 0" in capsys.readouterr().out
    (state / "receipts.db").unlink()
    assert all(origin.startswith("unknown") for origin in listed().values())


def test_a_proof_is_one_file_that_is_checked_offline(
    pristine: SyntheticState,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    keys = ("--key", pristine.path / "keys" / "receipt.pub", "--log-key", pristine.path / "keys" / "log.pub")
    assert run(monkeypatch, "receipts", "proof", "a0002_2", "--state", pristine.path) == 0
    file = tmp_path / "receipt-3.tlog-proof"
    assert f"check-proof {file.name} --key" in capsys.readouterr().err
    assert run(monkeypatch, "receipts", "check-proof", file, *keys) == 0
    assert "PROVEN: entry 3" in capsys.readouterr().out
    assert run(monkeypatch, "receipts", "check-proof", file, *keys, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["receipt_hash"] == pristine.entries[3].leaf_hash
    assert found["first_key"] is True
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"index 3", b"index 2"))
    assert run(monkeypatch, "receipts", "check-proof", file, *keys) == 1
    assert "does not lead" in capsys.readouterr().err
    # One from elsewhere may leave the entry out, or carry something else beside it.
    entry = tmp_path / "entry.json"
    entry.write_bytes(pristine.entries[3].envelope + b"\n")
    head, _, rest = whole.partition(b"extra ")
    for extra in (b"", b"extra AAEC\n"):
        file.write_bytes(head + extra + rest.partition(b"\n")[2])
        assert run(monkeypatch, "receipts", "check-proof", file, *keys) == 1
        assert run(monkeypatch, "receipts", "check-proof", file, *keys, "--entry", entry) == 0
        assert "PROVEN: entry 3" in capsys.readouterr().out
    file.write_bytes(head + rest.partition(b"\n")[2])
    assert run(monkeypatch, "receipts", "check-proof", file, *keys) == 1
    assert "--entry FILE" in capsys.readouterr().err
    assert run(monkeypatch, "receipts", "check-proof", file, *keys, "--entry", tmp_path / "nothing") == 2
    assert run(monkeypatch, "receipts", "proof", "99", "--state", pristine.path) == 2
    assert run(monkeypatch, "receipts", "check-proof", tmp_path / "nothing", *keys) == 2


def test_a_bundle_says_how_to_check_it(
    pristine: SyntheticState,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    arguments = ("receipts", "bundle", "-o", tmp_path / "bundle", "--with-holdout", "--state", pristine.path)
    assert run(monkeypatch, *arguments) == 0
    assert "verify.sh" in capsys.readouterr().err
    names = {path.name for path in (tmp_path / "bundle").iterdir()}
    assert names == {
        "README.txt",
        "artefacts",
        "entries",
        "heads.txt",
        "keys",
        "log",
        "receipt.schema.json",
        "verify.sh",
    }
    assert all(
        b"PRIVATE" not in path.read_bytes() for path in (tmp_path / "bundle").rglob("*") if path.is_file()
    )
    assert run(monkeypatch, *arguments) == 2


def test_the_script_is_printed_and_its_digest_told(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """An auditor takes it from here, and not out of the bundle of the audited."""
    assert run(monkeypatch, "receipts", "verify-script") == 0
    script = capsysbinary.readouterr().out
    assert script.startswith(b"#!/bin/sh\n")
    assert run(monkeypatch, "receipts", "verify-script", "--json") == 0
    said = json.loads(capsysbinary.readouterr().out)
    assert said["sha256"] == hashlib.sha256(script).hexdigest()
    assert said["script"].encode() == script


def test_the_schema_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "receipts", "schema") == 0
    shown = json.loads(capsys.readouterr().out)
    assert run(monkeypatch, "receipts", "schema", "--json") == 0
    line = capsys.readouterr().out
    assert json.loads(line) == shown
    assert line.count("\n") == 1
