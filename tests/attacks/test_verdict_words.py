"""What a verdict says is no stronger than what was checked: of the signer, of an empty log, of garbage."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from test_forked_states import forked, parent_of
from typer.testing import CliRunner

from cryoflux.cli.main import app
from cryoflux.errors import UsageError
from cryoflux.verification.result import Knowledge, Status
from cryoflux.verification.topics import Topic
from plain_log import PlainLog, model
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def printed(target: Path, *options: str) -> tuple[int, list[str]]:
    arguments = ["verify", str(target), "--no-memory", *options]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": None})
    return result.exit_code, result.stdout.splitlines()


def key_of(state: Path) -> tuple[str, str]:
    return "--key", str(state / "keys" / "receipt.pub")


def exported(made: SyntheticState, place: Path) -> Path:
    place.write_bytes(b"".join(entry.envelope + b"\n" for entry in made.entries))
    return place


def test_whose_key_it_is_is_not_said_to_be_known_unless_it_was_named(
    pristine: SyntheticState, tmp_path: Path
) -> None:
    own = "By whom, this does not know: the key is the one that it brings itself (pin it with --key)."
    code, lines = printed(pristine.path)
    assert (code, own in lines[-1]) == (0, True)
    (signed,) = [line for line in lines if line.startswith("✓  2")]
    assert "whose it is, this does not know" in signed
    code, lines = printed(pristine.path, *key_of(pristine.path))
    assert "Signed by the key that you named." in lines[-1]
    file = exported(pristine, tmp_path / "all.jsonl")
    assert "By whom, this does not know: no signature was checked" in printed(file)[1][-1]
    assert Topic.SIGNER in verify_target(file).open


def test_a_program_sees_whether_the_signer_is_known(pristine: SyntheticState) -> None:
    asked = ["verify", str(pristine.path), "--no-memory", "--json"]
    for more, complete in (([], False), (key_of(pristine.path), True)):
        said = json.loads(CliRunner().invoke(app, [*asked, *more], env={"COLUMNS": None}).stdout)
        assert (said["schema"], said["ok"], said["complete"]) == ("cryoflux.verify/2", True, complete)
        assert said["open"] == ([] if complete else ["signer"])
        assert said["proven"] == ["bytes", "order", "arithmetic", "choices", "decisions", "versions"]
        assert all(check["topics"] for check in said["checks"])


GARBAGE = {
    "empty": b"",
    "a feed": b"\n",
    "a word": b"garbage",
    "lines": b"one\ntwo\n" * 40,
    "a document": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" * 30,
    "another JSON": b'{"attempts": []}\n' * 25,
    "noise": os.urandom(20_000),
}


@pytest.mark.parametrize("content", [pytest.param(bytes_, id=name) for name, bytes_ in GARBAGE.items()])
def test_what_is_no_receipt_file_gets_one_word(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "handed-over.jsonl"
    file.write_bytes(content)
    report = verify_target(file)
    (check,) = report.checks
    assert not report.ok
    assert (check.number, check.status) == (1, Status.FAIL)
    assert check.detail.startswith("is not a receipt file")
    code, lines = printed(file)
    assert code == 1
    assert lines[-1].startswith("✗ NOT VERIFIED. Failed (1)")
    assert not any(line.startswith("✓") for line in lines)


def test_a_folder_that_is_no_state_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(UsageError, match="holds no receipts"):
        verify_target(tmp_path)


def test_a_damaged_receipt_file_is_one_all_the_same(pristine: SyntheticState, tmp_path: Path) -> None:
    file = exported(pristine, tmp_path / "all.jsonl")
    content = file.read_bytes()
    file.write_bytes(b"x" + content[1:])
    (bad,) = [c for c in verify_target(file).checks if c.status is Status.FAIL and c.number == 1]
    assert bad.subject == "entry 0"
    file.write_bytes(content[:-1])
    details = " ".join(c.detail for c in verify_target(file).checks)
    assert "its last line does not end" in details
    assert "is not a receipt file" not in details
    file.write_bytes(pristine.entries[0].envelope)
    assert "is not a receipt file" not in " ".join(c.detail for c in verify_target(file).checks)


def test_an_empty_log_passes_nothing_that_there_is_not(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state").finish()
    report = verify_target(state)
    assert report.ok
    statuses = {check.number: check.status for check in report.checks}
    assert set(statuses.values()) == {Status.NOTHING}
    assert report.proven == ()
    assert printed(state)[1][-1] == "There is nothing to verify yet: the log has no entries."
    code, lines = printed(state, "--strict", *key_of(state))
    assert code == 1
    assert lines[-1] == "✗ NOT VERIFIED, as --strict asks for. The log holds no receipt."


def test_a_head_over_none_of_the_entries_is_no_check_of_them(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    note = (made.path / "log" / "checkpoint").read_bytes()
    made.abort(made.announce())
    state = made.finish()
    (state / "log" / "checkpoint").write_bytes(note)
    shutil.rmtree(state / "log" / "tile")
    found = [check for check in verify_target(state).checks if check.number == 4]
    assert {check.status for check in found} == {Status.NOTHING, Status.UNKNOWN}


def test_a_log_that_was_cut_to_its_sessions_is_not_said_to_be_nothing(tmp_path: Path) -> None:
    """It says who spent what, and whoever reads the verdict is told what of that is open."""
    log = PlainLog()
    log.heads = {"lora_delta": model("first")}
    for _ in range(3):
        log.session(first_attempt=1, attempts=0)
    (file := tmp_path / "sessions.jsonl").write_bytes(b"".join(e.envelope + b"\n" for e in log.entries))
    code, lines = printed(file)
    assert code == 0
    assert lines[-1].startswith("✓ VERIFIED 0 receipts in 3 entries, except: whether all of it is here (")
    assert "By whom, this does not know: no signature was checked" in lines[-1]
    assert lines[-1].endswith("Still open (?): 3.")


def test_attempts_that_have_not_ended_are_named(tmp_path: Path) -> None:
    """The twin: an honest log, looked at while its first attempt runs."""
    made = open_state(tmp_path / "state")
    made.announce()
    code, lines = printed(made.finish(), *key_of(made.path))
    assert code == 0
    assert lines[-1].startswith("✓ VERIFIED 0 receipts in 1 entry, except: attempts in progress (entry 0 ")
    assert "Signed by the key that you named." in lines[-1]


@pytest.mark.parametrize("receipts", [False, True])
def test_strictly_everything_that_is_open_is_named(receipts: bool, tmp_path: Path) -> None:
    log = PlainLog()
    intent = log.announce()
    if receipts:
        log.abort(intent)
    (file := tmp_path / "log.jsonl").write_bytes(b"".join(e.envelope + b"\n" for e in log.entries))
    code, lines = printed(file, "--strict")
    assert code == 1
    for topic in verify_target(file).open:
        assert topic.words in lines[-1]
    assert "whose key it is (no signature was checked: name it with --key)" in lines[-1]
    assert ("The log holds no receipt." in lines[-1]) == (not receipts)


def test_strictly_a_key_that_is_brought_along_is_named_too(pristine: SyntheticState) -> None:
    code, lines = printed(pristine.path, "--strict")
    assert code == 1
    assert lines[-1].endswith("open: whose key it is (it brings the key itself: pin it with --key).")
    assert printed(pristine.path, "--strict", *key_of(pristine.path))[0] == 0


def test_attempts_without_an_evaluation_prove_no_arithmetic(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.abort(made.announce())
    report = verify_target(made.finish())
    (sums,) = [check for check in report.checks if check.number == 6]
    assert (sums.status, sums.detail) == (Status.NOTHING, "no receipt carries an evaluation or a screen")
    assert Topic.ARITHMETIC not in report.proven
    assert Topic.DECISIONS not in report.proven
    (here,) = [c for c in report.checks if c.number == 9 and c.knowledge is Knowledge.PROVEN]
    assert "adapters" not in here.detail
    assert "losses" not in here.detail
    said = printed(made.path)[1][-1].partition("Proven: ")[2].partition(".")[0]
    assert "arithmetic" not in said
    assert "decisions" not in said


def test_data_that_is_withheld_is_not_said_to_have_its_digest(state: Path) -> None:
    def files() -> str:
        return next(c.detail for c in verify_target(state).checks if (c.number, c.status) == (9, Status.OK))

    assert "losses and data have the signed digests" in files()
    for folder in (state / "data").iterdir():
        folder.rename(state / folder.name)
    assert "data" not in files()


def test_a_fork_whose_parent_nobody_looked_at_does_not_read_like_a_log_of_its_own(tmp_path: Path) -> None:
    parent = parent_of(tmp_path)
    fork = forked(parent, tmp_path / "fork")
    fork.attempt(0.05)
    state = fork.finish()
    parent.finish()
    left_out = "what it goes on from (its parent: it goes on from the first 4 entries of "
    assert left_out in printed(state)[1][-1].partition("except: ")[2]
    assert left_out not in printed(state, "--parent", str(parent.path))[1][-1]


def test_a_policy_that_needs_nobody_is_not_a_quorum(pristine: SyntheticState, tmp_path: Path) -> None:
    (policy := tmp_path / "policy").write_text("quorum none\n")
    code, lines = printed(pristine.path, "--policy", str(policy))
    assert code == 0
    (witnessed,) = [line for line in lines if " 12  " in line and "not asked" not in line]
    assert witnessed.startswith("– 12")


def test_an_attempt_that_the_holdout_never_saw_is_no_look_at_it(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.screen_out()
    made.abort(made.announce())
    report = verify_target(made.finish())
    said = {check.number: check.detail for check in report.checks}
    assert said[6].startswith("1 evaluations add up")
    assert said[8].endswith("one holdout, 1 verdict in 3 attempts")
    assert (report.evaluated, report.receipts) == (1, 3)
    assert made.memory.tasks[made.task].tally(made.data.holdout.sha256).looks == 1
