"""Versions of a real run by the real command: freed, made again to the same bytes, moved, gone on from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cryoflux.digests import listed_digests, mismatched_files
from running import cryoflux, python

EAGER = [
    *("--learning-rate", "0.01", "--reserve", "40J", "--recipes", "lean", "--max-steps", "60"),
    *("--policy", "uniform/v1", "--rule", "whitepaper/v1", "--min-delta", "0.0005"),
]
"""steps end the training, and most updates are kept"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    """A run that kept at least three updates."""
    folder = tmp_path_factory.mktemp("versions") / "state"
    outcome = cryoflux(
        "run", *inputs, *EAGER, "--budget", "400J", "--attempts", "6", "--state", folder, "--json"
    )
    assert outcome.summary["kept"] >= 3, outcome.stdout
    return folder


@pytest.fixture
def state(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "state", symlinks=True)


def said(state: Path, *words: object) -> dict[str, Any]:
    outcome = cryoflux("models", *words, "--state", state, "--json")
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    return json.loads(outcome.stdout)


def verdict(state: Path, *options: str) -> dict[str, Any]:
    outcome = cryoflux("verify", state, "--no-memory", "--json", *options)
    report = json.loads(outcome.stdout)
    assert outcome.code == 0, [check for check in report["checks"] if check["status"] == "fail"]
    return report


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_version_is_made_again_to_the_byte_whether_its_files_are_here_or_not(
    state: Path, tmp_path: Path
) -> None:
    kept = [one for one in said(state, "list")["versions"] if one["origin"] == "receipt"]
    for one in kept:
        again = said(state, "rebuild", one["digest"])
        assert (again["digest"], again["was_here"], again["same_files"]) == (one["digest"], True, True)
    before = {one["digest"]: bytes_of(Path(one["folder"])) for one in kept}
    freed = said(state, "prune", "--keep", "1", "--yes")["pruned"]
    assert freed == [one["digest"] for one in kept[:-1]]
    assert not any((state / "models" / digest).exists() for digest in freed)
    for digest in freed:
        into = tmp_path / digest[:8]
        assert said(state, "rebuild", digest, "--into", into)["same_files"]
        assert bytes_of(into) == before[digest]
        assert said(state, "rebuild", digest)["was_here"] is False
        assert bytes_of(state / "models" / digest) == before[digest]
    head = kept[-1]["digest"]
    shutil.rmtree(state / "models" / head)
    assert said(state, "rebuild", "head")["digest"] == head
    assert bytes_of(state / "models" / head) == before[head]
    verdict(state)


def test_a_version_that_is_made_again_can_be_named_and_become_the_head(state: Path) -> None:
    kept = [one["digest"] for one in said(state, "list")["versions"] if one["origin"] == "receipt"]
    first, second, *_, head = kept
    said(state, "prune", "--keep", "1", "--yes")
    said(state, "rebuild", first)
    said(state, "rebuild", second)
    assert said(state, "alias", "old", first)["digest"] == first, "naming one frees no other one"
    assert said(state, "promote", second, "--yes")["base"] == head
    said(state, "promote", head, "--yes")
    assert said(state, "prune", "--keep", "1", "--yes")["pruned"] == [second], "the move took the entry back"
    assert said(state, "rebuild", second)["was_here"] is False
    planned = said(state, "prune", "--keep", "1", "--dry-run")
    assert (planned["pruned"], planned["freed_bytes"] > 0) == ([second], True)
    done = said(state, "prune", "--keep", "1", "--yes")
    assert (done["pruned"], done["by_entries"]) == ([second], []), "an entry has said so before"
    assert not (state / "models" / second).exists()
    verdict(state)


def test_a_folder_of_ones_own_is_filled_or_left_empty(state: Path, tmp_path: Path) -> None:
    into = tmp_path / "mine"
    program = (
        "import errno, shutil, os; from cryoflux.cli.main import main; copy = shutil.copyfile\n"
        "def full(source, target):\n"
        "    if source.name == 'config.json': raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "    return copy(source, target)\n"
        "shutil.copyfile = full; main()"
    )
    process = python("-c", program, "models", "rebuild", "head", "--into", into, "--state", state)
    _, stderr = process.communicate()
    assert process.returncode == 5, stderr
    assert len(stderr.strip().splitlines()) == 3, stderr
    assert "Free some space" in stderr
    assert [*into.iterdir()] == []
    assert said(state, "rebuild", "head", "--into", into)["same_files"]


def test_what_is_freed_is_no_damage_and_its_losses_are_recomputed_all_the_same(state: Path) -> None:
    kept = [one for one in said(state, "list")["versions"] if one["origin"] == "receipt"]
    entry = said(state, "prune", "--keep", "1", "--yes")["by_entries"][0]
    report = verdict(state, "--recompute", "all")
    (line,) = [c for c in report["checks"] if c["number"] == 9 and "pruned on" in c["detail"]]
    assert line["status"] == "ok"
    assert f"by entry {entry}" in line["detail"]
    merges = [one["levels"]["merge"] for one in report["levels"] if "merge" in one["levels"]]
    assert merges.count("reproduced exactly") >= len(kept)
    shutil.rmtree(state / "capsules")
    assert cryoflux("verify", state, "--no-memory").code == 1, "updates that were kept are never freed"


def test_a_run_goes_on_from_where_somebody_went_back_to(state: Path, inputs: list[str]) -> None:
    first, last = (said(state, "show", name)["digest"] for name in ("head~1", "head"))
    said(state, "alias", "tried", "head")
    assert said(state, "rollback", "--yes")["digest"] == first
    assert (state / "base_model").readlink() == Path("models") / first
    assert not [*(state / "working").glob("*.safetensors")]
    summary = cryoflux(
        "run", *inputs, *EAGER, "--budget", "160J", "--attempts", "1", "--state", state, "--json",
        CRYOFLUX_KEEP="1", CRYOFLUX_PRUNE="after-merge",
    ).summary  # fmt: skip
    assert summary["attempts"] == 1
    after = said(state, "show", "head")
    assert after["digest"] == first or after["parent"] == first
    assert (state / "aliases" / "tried").resolve() == (state / "models" / last).resolve()
    assert "tried" in said(state, "show", last)["aliases"]
    verdict(state)


def test_an_alias_is_a_folder_that_libraries_load(state: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    said(state, "alias", "production", "champion")
    link = state / "aliases" / "production"
    assert AutoModelForSequenceClassification.from_pretrained(link).config.num_labels == 3
    assert mismatched_files(link) == []
    assert listed_digests(link)


def test_what_lies_between_two_versions_is_said_by_files_and_by_log(state: Path) -> None:
    between = said(state, "diff", "head~1", "head")
    head = said(state, "show", "head")
    assert between["delta"] == pytest.approx(head["delta"])
    assert [one["attempt"] for one in between["receipts_between"]] == [head["attempt"]]
    assert between["tensors"]
    assert 0 < between["relative_norm"] < 1
    assert between["settings_files"] == []
    assert between["spent"]["joules"] > 0
