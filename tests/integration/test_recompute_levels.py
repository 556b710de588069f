"""Everything that can be computed again of a real run, by the real command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from running import QUICK, Outcome, cryoflux

EXACT = "reproduced exactly"
ANOTHER = {
    "MKL_CBWR": "COMPATIBLE",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4",
}
"""another machine's arithmetic"""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    """Two attempts, of which one at least is kept."""
    folder = tmp_path_factory.mktemp("levels") / "state"
    outcome = cryoflux(
        "run", *inputs, *QUICK, "--budget", "48J", "--attempts", "2", "--state", folder, "--json"
    )
    assert outcome.summary["kept"] >= 1
    return folder


def verified(state: Path, *options: str, **machine: str) -> tuple[Outcome, dict[str, Any]]:
    outcome = cryoflux("verify", state, "--no-memory", "--json", *options, cold=bool(machine), **machine)
    return outcome, json.loads(outcome.stdout)


def test_each_level_has_its_word(state: Path) -> None:
    outcome, report = verified(state, "--recompute", "1", "--spot-check", "16", "--retrain", "1")
    assert outcome.code == 0, outcome.stdout
    (kept,) = [one for one in report["levels"] if "retraining" in one["levels"]]
    assert kept["levels"] == {
        "bytes": "consistent",
        "arithmetic": "consistent",
        "merge": EXACT,
        "losses": EXACT,
        "spot-check": EXACT,
        "retraining": EXACT,
    }
    words = " ".join(check["detail"] for check in report["checks"])
    assert "Merkle roots of losses are the signed ones" in words
    assert f"{EXACT} on 16 of 75 examples" in words


def test_plain_words_say_it_too(state: Path) -> None:
    outcome = cryoflux("verify", state, "--no-memory", "--spot-check", "4")
    assert outcome.code == 0, outcome.stdout
    words = " ".join(outcome.stdout.split())
    assert "forgeries that it misses with a chance of 5%: at most" in words
    assert "Recomputed: drawn examples of 1 of" in words
    assert "not made at random" not in words


def test_a_draw_is_repeated_by_its_seed_and_by_the_head_in_weaker_words(state: Path) -> None:
    seed = "00" * 16
    _, report = verified(state, "--spot-check", "4", "--spot-seed", seed)
    draws = [one["draw"] for one in report["levels"]]
    assert [(draw["by"], draw["seed"], draw["examples"]) for draw in draws] == [("given seed", seed, 4)]
    outcome = cryoflux("verify", state, "--no-memory", "--spot-check", "4", "--spot-seed", "head")
    words = " ".join(outcome.stdout.split())
    assert "which its signer can make again until the draw suits it: much weaker" in words
    assert "(the draw was not made at random here)" in words


def test_another_machine_merges_the_same_bytes(state: Path) -> None:
    outcome, report = verified(state, "--recompute", "1", **ANOTHER)
    assert outcome.code == 0, outcome.stdout
    (found,) = report["levels"]
    assert found["levels"]["merge"] == EXACT
