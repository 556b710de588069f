"""How much of a text is read: chosen once, said before a run and in it, and the state's from then on."""

import base64
import json
from pathlib import Path

import pytest

import tiny
from running import QUICK, cryoflux


def long_sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Texts that say what they are about in their last words only."""
    return [(f"{'the very old one and ' * 6}{text}", label) for text, label in tiny.sentences(count, seed)]


@pytest.fixture(scope="module")
def long_inputs(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> list[str]:
    folder = tmp_path_factory.mktemp("long")
    return [*inputs[:2], "--train", str(tiny.write_csv(folder / "long.csv", long_sentences(500, 4)))]


def test_a_plan_and_its_run_choose_the_same_limit_and_a_second_run_keeps_it(
    tmp_path: Path, long_inputs: list[str]
) -> None:
    state = ("--state", tmp_path / "s")
    (plan,) = cryoflux("run", *long_inputs, *QUICK, "--budget", "24J", "--dry-run", *state, "--json").events
    run = cryoflux("run", *long_inputs, *QUICK, "--budget", "24J", "--attempts", "1", *state, "--json")
    (opened,) = run.of("opened")
    keys = ("max_tokens", "reading", "longer_share")
    assert {key: opened[key] for key in keys} == {key: plan[key] for key in keys}
    assert (plan["max_tokens"], plan["reading"], plan["longer_share"]) == (48, "head", 0.0)
    (origin,) = json.loads((tmp_path / "s/origin.json").read_text())["tasks"].values()
    assert (origin["cut"], origin["longer_ppm"]) == (48, 0)
    other = cryoflux("run", *QUICK, "--max-tokens", "32", "--budget", "24J", "--attempts", "1", *state)
    assert other.code != 0
    assert "reads 48 tokens of a text, not 32 tokens" in " ".join(other.stderr.split())
    again = cryoflux("run", *QUICK, "--budget", "24J", "--attempts", "1", *state)
    assert again.code == 0, again.stderr
    assert "texts are cut to 48 tokens" in again.stdout
    assert "Texts are cut to 48 tokens" in cryoflux("report", *state).stdout
    assert cryoflux("verify", tmp_path / "s").code == 0


def test_the_ends_of_long_texts_are_read_and_verified(tmp_path: Path, long_inputs: list[str]) -> None:
    ends = ("--max-tokens", "16", "--reading", "head-tail")
    run = cryoflux("run", *long_inputs, *QUICK, *ends, "--budget", "60J", "--state", tmp_path / "s", "--json")
    (opened,), summary = run.of("opened"), run.summary
    assert (opened["max_tokens"], opened["reading"], opened["longer_share"]) == (16, "head-tail", 1.0)
    assert summary["kept"] >= 1, "what the texts are about stands in their last words"
    lines = cryoflux("receipts", "export", "-o", "-", "--state", tmp_path / "s").stdout.splitlines()
    entries = [json.loads(base64.b64decode(json.loads(line)["payload"]))["predicate"] for line in lines]
    assert {said["recipe"]["max_tokens"] for said in entries if "recipe" in said} == {"16 head-tail"}
    checked = cryoflux("verify", tmp_path / "s", "--recompute", "99")
    assert checked.code == 0, checked.stdout
    assert "reproduced exactly" in checked.stdout


def test_a_state_from_before_keeps_its_32_tokens(tmp_path: Path, inputs: list[str]) -> None:
    state = ("--state", tmp_path / "s")
    first = cryoflux(
        "run", *inputs, *QUICK, "--max-tokens", "32", "--budget", "24J", "--attempts", "1", *state
    )
    assert first.code == 0, first.stderr
    path = tmp_path / "s/origin.json"
    document = json.loads(path.read_text())
    for said in document["tasks"].values():
        del said["cut"], said["longer_ppm"]
    path.write_text(json.dumps(document))
    (plan,) = cryoflux("run", *QUICK, "--budget", "24J", "--dry-run", *state, "--json").events
    again = cryoflux("run", *QUICK, "--budget", "24J", "--attempts", "1", *state, "--json")
    (opened,) = again.of("opened")
    assert plan["max_tokens"] == opened["max_tokens"] == 32
    assert plan["longer_share"] is None
    assert cryoflux("verify", tmp_path / "s").code == 0
