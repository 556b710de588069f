"""A state that somebody changed: it is refused, or what was changed is not believed."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cryoflux.digests import sha256_hex
from running import SURE, cryoflux, environment, stopped_at


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    """A state with two finished attempts."""
    state = tmp_path_factory.mktemp("begun") / "state"
    outcome = cryoflux(
        "run", *inputs, *SURE, "--budget", "200J", "--attempts", "2", "--state", state, "--json"
    )
    assert outcome.code == 0, outcome.stderr
    return state


@pytest.fixture
def state(begun: Path, tmp_path: Path) -> Path:
    return shutil.copytree(begun, tmp_path / "state", symlinks=True)


def refused(state: Path, *, code: int, names: str) -> None:
    before = sorted(str(p.relative_to(state)) for p in state.rglob("*"))
    outcome = cryoflux("run", *SURE, "--budget", "200J", "--state", state)
    assert outcome.code == code, outcome.stdout + outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert names in outcome.stderr
    after = sorted(str(p.relative_to(state)) for p in state.rglob("*"))
    assert [p for p in after if p not in before and not p.endswith(("lock", "-wal", "-shm"))] == []


def test_a_state_without_its_origin_is_not_begun_anew(state: Path) -> None:
    (state / "origin.json").unlink()
    refused(state, code=1, names="origin.json")


def test_an_origin_that_names_other_data_is_refused(state: Path) -> None:
    path = state / "origin.json"
    origin = json.loads(path.read_text())
    begun = origin["tasks"]["lora_delta"]
    other = shutil.copytree(state / "data" / begun["data_digest"], state / "data" / ("0" * 64))
    path.write_text(json.dumps({"tasks": {"lora_delta": begun | {"data_digest": other.name}}}))
    outcome = cryoflux("run", *SURE, "--budget", "200J", "--state", state)
    assert outcome.code == 1
    assert "origin.json" in outcome.stderr


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, inputs: list[str]) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    refused(tmp_path, code=2, names="thesis.tex")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_account_with_minted_joules_is_refused(state: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(state / "account.db")
    columns = "kind, request_id, balance_change_uj, reserved_change_uj, balance_uj, reserved_uj, at, note"
    minted = "'credit', 'minted', 0, 0, 500000000, 0, at, ''"
    connection.execute(
        f"INSERT INTO entries({columns}) SELECT {minted} FROM entries ORDER BY seq DESC LIMIT 1"
    )
    connection.commit()
    connection.close()
    refused(state, code=1, names="account.db")
    assert cryoflux("verify", state).code == 1


def test_an_account_that_was_set_back_is_found_by_verify(state: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    shutil.copy(state / "account.db", old)
    outcome = cryoflux("run", *SURE, "--budget", "200J", "--attempts", "1", "--state", state, "--json")
    assert outcome.code == 0, outcome.stderr
    assert cryoflux("verify", state).code == 0
    for name in ("account.db-wal", "account.db-shm"):
        (state / name).unlink(missing_ok=True)
    shutil.copy(old, state / "account.db")
    verified = cryoflux("verify", state)
    assert verified.code == 1
    assert outcome.of("attempt")[0]["task_id"] in verified.stdout


def test_poisoned_losses_are_measured_again_and_not_signed(state: Path) -> None:
    for path in (state / "cache" / "losses").iterdir():
        document = json.loads(path.read_text())
        body = [
            [loss + 700_000_000 for loss in document["nano_nats"]],
            document["correct"],
            document["cost_uj"],
        ]
        document |= {"nano_nats": body[0], "sha256": sha256_hex(json.dumps(body).encode())}
        path.write_text(json.dumps(document))
    outcome = cryoflux("run", *SURE, "--budget", "200J", "--attempts", "1", "--state", state, "--json")
    assert outcome.code == 0, outcome.stderr
    verified = cryoflux("verify", state, "--recompute", "9")
    assert verified.code == 0, verified.stdout


def test_a_reader_that_goes_away_ends_the_run_and_tears_nothing_apart(state: Path) -> None:
    run = stopped_at("train", "begin", "run", *SURE, "--budget", "400J", "--state", state, "--json")
    run.stdout.close()
    run.send_signal(signal.SIGCONT)
    stderr = run.stderr.read()
    run.stderr.close()
    assert run.wait() != 1
    assert "Traceback" not in stderr
    verified = cryoflux("verify", state)
    assert verified.code == 0, verified.stdout
    assert "?" not in verified.stdout.partition("artefacts")[0], "no attempt is left open"


def test_a_pipe_that_closes_early_is_no_verdict(state: Path) -> None:
    shell = f"{sys.executable} -m cryoflux verify '{state}' --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, env=environment(), check=False)
    assert done.returncode in {0, 141}
    full = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m cryoflux verify '{state}' > /dev/full"],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert full.returncode == 5
    assert "Traceback" not in full.stderr


def test_an_ascii_terminal_breaks_nothing(state: Path) -> None:
    for command in (["verify", state], ["receipts", "list", "--state", state, "--json"]):
        outcome = cryoflux(*command, cold=True, PYTHONIOENCODING="ascii")
        assert outcome.code == 0, outcome.stderr
