"""Versions of ``causal-lm`` are kept as lists of updates: what is on the disk, and what is composed of it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from causal_families import make_family
from cryoflux.digests import COMPOSED
from cryoflux.registry.kept_lists import absent_weights, is_whole, weight_files
from cryoflux.state import ADAPTER
from running import cryoflux, environment

KILLED = Path(__file__).parents[1] / "killed_moves.py"
LEARNABLE = [
    {"prompt": f"{a}{b}{c} word: ", "completion": "yes yes yes"}
    for a in "abcdefgh"
    for b in "ijklmnop"
    for c in "qrstu"
]
"""320 documents"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A state after an update that was kept, the first version, and the head."""
    folder = tmp_path_factory.mktemp("composed")
    base, state = make_family("llama", folder / "base"), folder / "state"
    train = folder / "train.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in LEARNABLE))
    asked = [
        *("run", "--task", "causal-lm", "--model", base, "--train", train, "--state", state, "--json"),
        *("--reserve", "25J", "--learning-rate", "0.02", "--max-steps", "30", "--holdout-size", "32"),
        *("--recipes", "lora-all", "--policy", "uniform/v1", "--budget", "60J", "--attempts", "1"),
    ]
    summary = cryoflux(*asked).summary
    assert summary["kept"] == 1
    head = summary["base_model_hash"]
    (first,) = {path.name for path in (state / "models").iterdir()} - {head}
    return state, first, head


@pytest.fixture
def state(made: tuple[Path, str, str], tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made[0], tmp_path / "state", symlinks=True))


def weights(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in weight_files(folder) if (folder / name).exists()}


def without_weights(state: Path, head: str, genesis: str) -> dict[str, bytes]:
    """Delete the head's own weights, as anybody may; all of them as they were."""
    folder, first = state / "models" / head, state / "models"
    before = weights(folder)
    for name, digest in weight_files(folder).items():
        if weight_files(first / genesis).get(name) != digest:
            (folder / name).unlink()
    assert absent_weights(folder)
    return before


def adapters(state: Path) -> list[Path]:
    return sorted((state / "capsules").glob(f"*/{ADAPTER}"))


def test_a_head_is_whole_and_says_what_it_is_the_sum_of(made: tuple[Path, str, str]) -> None:
    state, first, head = made
    genesis, update = (state / "models" / head / COMPOSED).read_text().splitlines()
    (capsule,) = (path.parent.name for path in adapters(state))
    assert genesis == first
    assert update.split()[:2] == ["1", capsule]
    assert is_whole(state / "models" / head)
    assert not (state / "models" / first / COMPOSED).exists()
    assert "COMPOSED" not in (state / "models" / head / "SHA256SUMS").read_text()


def test_what_was_the_head_is_its_list_alone_and_comes_back_to_the_byte(
    state: Path, made: tuple[Path, str, str]
) -> None:
    from transformers import AutoModelForCausalLM

    _, first, head = made
    folder, before = state / "models" / head, weights(state / "models" / head)
    back = cryoflux("models", "rollback", first[:12], "--reason", "a test", "--yes", "--state", state)
    assert back.code == 0, back.stderr
    own = [path for path in folder.glob("*.safetensors") if path.stat().st_nlink == 1]
    assert absent_weights(folder)
    assert own == [] or all(weight_files(state / "models" / first).get(p.name) for p in own)
    assert cryoflux("verify", state).code == 0
    shown = cryoflux("models", "show", head[:12], "--state", state).stdout
    assert "kept as its list of updates" in shown
    forth = cryoflux("models", "promote", head[:12], "--reason", "a test", "--yes", "--state", state)
    assert forth.code == 0, forth.stderr
    assert weights(folder) == before
    AutoModelForCausalLM.from_pretrained(state / "heads" / "causal-lm")
    again = cryoflux("verify", state, "--recompute", "1")
    assert again.code == 0, again.stdout


def test_a_run_that_has_to_score_again_what_was_its_head_composes_it(
    state: Path, made: tuple[Path, str, str]
) -> None:
    """Scores are kept in a cache, which anybody may delete; the head before is its list by then."""
    shutil.rmtree(state / "cache")
    asked = ["run", "--task", "causal-lm", "--state", state, "--json", "--policy", "uniform/v1"]
    options = ["--reserve", "25J", "--learning-rate", "0.02", "--max-steps", "30", "--recipes", "lora-all"]
    further = cryoflux(*asked, *options, "--budget", "60J", "--attempts", "1")
    assert further.code == 0, further.stderr
    assert further.summary["kept"] == 1
    assert absent_weights(state / "models" / made[2])
    audit = further.summary["audit"]
    assert audit["loss_before"] > audit["loss_after"]


def test_weights_of_the_head_can_be_deleted(state: Path, made: tuple[Path, str, str]) -> None:
    head = made[2]
    folder, before = state / "models" / head, without_weights(state, made[2], made[1])
    proven = cryoflux("verify", state)
    assert proven.code == 0, proven.stdout
    assert "one version is kept as its list of updates, whose weights --recompute adds up" in proven.stdout
    assert "its weights are not kept here; models rebuild composes and compares them" in proven.stdout
    assert "head model and its files" not in proven.stdout
    assert "settings of the head model, adapters" in proven.stdout
    again = cryoflux("verify", state, "--recompute", "1", "--spot-check", "4")
    assert again.code == 0, again.stdout
    assert "composed again from its list of updates" in again.stdout
    assert "settings of the head model, adapters" in again.stdout
    said = cryoflux("models", "chat", "--state", state, "--prompt", "hm", "--json", "--tokens", "4")
    assert json.loads(said.stdout)["digest"] == head
    assert cryoflux("models", "diff", "head~1", "head", "--state", state).code == 0
    assert absent_weights(folder)  # who only reads changes nothing
    made_again = cryoflux("models", "rebuild", "head", "--state", state)
    assert made_again.code == 0, made_again.stderr
    assert weights(folder) == before
    whole = cryoflux("verify", state)
    assert "head model and its files, adapters" in whole.stdout
    assert f"models/{head}" not in whole.stdout


def test_a_list_that_says_another_sum_deletes_no_weights_and_is_made_right(
    state: Path, made: tuple[Path, str, str]
) -> None:
    """``COMPOSED`` is unsigned, and weights went because of it: what the log says is what counts."""
    _, first, head = made
    listed = state / "models" / head / COMPOSED
    right = listed.read_bytes()
    listed.write_bytes(right.replace(right[-65:-1], first.encode()))
    wrong = cryoflux("verify", state)
    assert wrong.code == 1
    assert f"{head}/COMPOSED: is not the list of updates that the log gives" in wrong.stdout
    moved = ["--reason", "a test", "--yes", "--state", state]
    assert cryoflux("models", "rollback", first[:12], *moved).code == 0
    assert is_whole(state / "models" / head)
    before = without_weights(state, head, first)
    again = cryoflux("models", "rebuild", head[:12], "--state", state)
    assert again.code == 0, again.stderr
    assert weights(state / "models" / head) == before
    assert listed.read_bytes() == right
    assert cryoflux("verify", state).code == 0


def test_a_list_is_written_whole_elsewhere_for_other_programs(
    state: Path, made: tuple[Path, str, str], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before = without_weights(state, made[2], made[1])
    into = tmp_path / "exported"
    exported = cryoflux("models", "rebuild", "head", "--into", into, "--state", state)
    assert exported.code == 0, exported.stderr
    assert weights(into) == before
    AutoModelForCausalLM.from_pretrained(into)
    assert AutoTokenizer.from_pretrained(into).chat_template


def test_an_alias_leads_to_a_version_that_loads(state: Path, made: tuple[Path, str, str]) -> None:
    _, first, head = made
    before = without_weights(state, head, first)
    assert cryoflux("models", "alias", "mine", head[:12], "--state", state).code == 0
    assert weights(state / "aliases" / "mine") == before
    back = cryoflux("models", "rollback", first[:12], "--reason", "a test", "--yes", "--state", state)
    assert back.code == 0, back.stderr
    assert is_whole(state / "aliases" / "mine")


def test_a_fork_begins_at_a_head_that_is_whole(
    state: Path, made: tuple[Path, str, str], tmp_path: Path
) -> None:
    before = without_weights(state, made[2], made[1])
    forked = cryoflux("fork", state, tmp_path / "fork")
    assert forked.code == 0, forked.stderr
    folder = tmp_path / "fork" / "models" / made[2]
    assert weights(folder) == before
    assert not (folder / COMPOSED).exists()
    assert absent_weights(state / "models" / made[2])


def test_an_altered_update_is_refused_and_nothing_moves(state: Path, made: tuple[Path, str, str]) -> None:
    _, first, head = made
    back = cryoflux("models", "rollback", first[:12], "--reason", "a test", "--yes", "--state", state)
    assert back.code == 0, back.stderr
    (adapter,) = adapters(state)
    content = bytearray(adapter.read_bytes())
    content[-1] ^= 1
    adapter.write_bytes(content)
    entries = cryoflux("receipts", "list", "--state", state, "--json").stdout
    refused = cryoflux("models", "promote", head[:12], "--reason", "a test", "--yes", "--state", state)
    assert refused.code != 0
    assert "cannot be composed" in refused.stderr
    assert "holds another adapter than its name says" in refused.stderr
    assert cryoflux("receipts", "list", "--state", state, "--json").stdout == entries
    assert absent_weights(state / "models" / head)


@pytest.mark.parametrize("nth", ["1", "2"])
def test_one_that_is_killed_while_it_composes_loses_nothing(
    state: Path, made: tuple[Path, str, str], nth: str
) -> None:
    _, first, head = made
    folder, before = state / "models" / head, weights(state / "models" / head)
    moves = ["--reason", "a test", "--yes", "--state", str(state)]
    assert cryoflux("models", "rollback", first[:12], *moves).code == 0
    place = f"cryoflux.registry.composing:write_shard_bytes:after:{nth}"
    command = [sys.executable, KILLED, place, "models", "promote", head[:12], *moves]
    died = subprocess.run(command, env=environment(), capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert cryoflux("verify", state).code == 0
    assert cryoflux("models", "promote", head[:12], *moves).code == 0
    assert weights(folder) == before
    assert not list((state / "models").glob(".*"))


def test_pruning_frees_a_list_and_keeps_what_it_begins_at(state: Path, made: tuple[Path, str, str]) -> None:
    _, first, head = made
    moves = ["--reason", "a test", "--yes", "--state", state]
    assert cryoflux("models", "rollback", first[:12], *moves).code == 0
    freed = cryoflux("models", "prune", "--keep", "1", "--yes", "--state", state)
    assert freed.code == 0, freed.stderr
    assert {path.name for path in (state / "models").iterdir()} >= {first}
    proven = cryoflux("verify", state, "--recompute", "1")
    assert proven.code == 0, proven.stdout
    assert cryoflux("models", "rebuild", head[:12], "--state", state).code == 0
    assert is_whole(state / "models" / head)


def test_a_list_that_is_not_the_one_of_the_log_is_named(state: Path, made: tuple[Path, str, str]) -> None:
    _, first, head = made
    without_weights(state, head, first)
    said = state / "models" / head / COMPOSED
    said.write_text(f"{first}\n")
    found = cryoflux("verify", state)
    assert found.code == 1
    assert f"models/{head}/COMPOSED: is not the list of updates that the log gives" in found.stdout
    said.write_bytes((made[0] / "models" / head / COMPOSED).read_bytes())
    (capsule,) = (path.parent for path in adapters(state))
    shutil.move(capsule, state.parent / "lost")
    found = cryoflux("verify", state)
    assert found.code == 1
    assert (
        f"models/{head}: its weights are not kept here, nor is all that they are the sum of" in found.stdout
    )
