"""Runs of ``causal-lm`` as a stranger would start them: a tiny model, learnable documents, and noise."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import string
import subprocess
import sys
from pathlib import Path

import pytest

from causal_families import make_family
from cryoflux import judge
from cryoflux.errors import UsageError
from cryoflux.receipts.profiles import DOCUMENT_F32_2
from cryoflux.receipts.reading import each_entry
from cryoflux.receipts.statement import Receipt
from cryoflux.registry.shards import TensorFolder
from cryoflux.runs import judging_models
from cryoflux.verification.result import Status
from running import Outcome, cryoflux, environment
from verifying import verify_target

WORDS = ["".join(random.Random(n).choices(string.ascii_lowercase, k=4)) for n in range(400)]
QUICK = [
    *("--task", "causal-lm", "--reserve", "25J", "--learning-rate", "0.02", "--max-steps", "40"),
    *("--holdout-size", "40", "--recipes", "lora-all", "--policy", "uniform/v1"),
]


START_UP = 90
"""joules that no start of a tiny model takes, however busy the machine is"""


def documents(path: Path, *, learnable: bool) -> Path:
    """Prompts of random words; answers that are the same throughout, or random."""
    rng = random.Random(5)
    rows = []
    for _ in range(400):
        prompt = " ".join(rng.choices(WORDS, k=4))
        answer = "yes yes yes" if learnable else "".join(rng.choices(string.printable[:95], k=11))
        rows.append({"prompt": f"{prompt}: ", "completion": answer})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_family("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def learned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("learned")
    train = documents(folder / "train.jsonl", learnable=True)
    state = folder / "state"
    inputs = ["--model", base, "--train", train, "--state", state]
    return state, cryoflux("run", *QUICK, *inputs, "--budget", "90J", "--attempts", "2", "--json")


def test_an_update_is_kept_where_there_is_something_to_learn(learned: tuple[Path, Outcome]) -> None:
    state, outcome = learned
    assert outcome.summary["kept"] >= 1
    opening = outcome.events[0]
    assert opening["dropped"]["unsaid"] == 0
    first = outcome.of("attempt")[0]
    assert first["delta"] > 1
    receipts = cryoflux("receipts", "export", "-o", "-", "--state", state).stdout
    assert receipts.count("payload") >= 4


def test_it_verifies_and_its_losses_come_out_the_same(learned: tuple[Path, Outcome]) -> None:
    again = cryoflux("verify", learned[0], "--recompute", "1", "--spot-check", "8", "--retrain", "2")
    assert again.code == 0, again.stdout
    assert "all 80 losses identical, composed again from its list of updates" in again.stdout
    assert "reproduced exactly on 8 of 40 examples" in again.stdout
    kept = learned[1].summary["kept"]
    assert again.stdout.count("training it again gives the same bytes") == kept


def test_version_and_adapter_load_as_any_other(learned: tuple[Path, Outcome], base: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    state, outcome = learned
    head = state / "models" / outcome.summary["base_model_hash"]
    network = AutoModelForCausalLM.from_pretrained(head).eval()
    asked = AutoTokenizer.from_pretrained(head)("word word: ", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        said = network.generate(asked, max_new_tokens=11, do_sample=False)
    assert AutoTokenizer.from_pretrained(head).decode(said[0, asked.shape[1] :]) == "yes yes yes"
    kept = outcome.of("attempt")[0]["adapter_hash"]
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), state / "capsules" / kept)
    assert adapted.peft_config["default"].r == 8


def test_one_can_talk_to_a_version(learned: tuple[Path, Outcome], tmp_path: Path) -> None:
    state, outcome = learned
    again = [cryoflux("models", "chat", "--state", state, "--prompt", "hm", "--json", "--tokens", "4")] * 2
    said = json.loads(again[0].stdout)
    assert said == json.loads(again[1].stdout)
    assert said["digest"] == outcome.summary["base_model_hash"]
    assert (said["prompt"], said["answer_tokens"]) == ("hm", 4)
    typed = subprocess.run(
        [sys.executable, "-m", "cryoflux", "models", "chat", "head~1", "--state", state, "--tokens", "4"],
        input="hm\n\nho\n",
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    assert len(typed.stdout.splitlines()) >= 2
    other = cryoflux("models", "chat", "#9", "--state", state)
    assert other.code == 2


def test_files_that_no_update_changed_are_shared(learned: tuple[Path, Outcome]) -> None:
    state, outcome = learned
    head = state / "models" / outcome.summary["base_model_hash"]
    links = {path.name: path.stat().st_nlink for path in head.iterdir()}
    assert links["tokenizer.json"] >= 2
    assert links[TensorFolder(head)._where["model.embed_tokens.weight"]] >= 2
    assert links[TensorFolder(head)._where["model.layers.0.mlp.up_proj.weight"]] == 1


def test_a_later_run_goes_on_and_one_with_other_documents_is_refused(
    learned: tuple[Path, Outcome], tmp_path: Path
) -> None:
    state = learned[0]
    train = state.parent / "train.jsonl"
    again = cryoflux(
        "run", *QUICK, "--train", train, "--state", state, "--budget", "30J", "--attempts", "1", "--json"
    )
    assert again.code == 0, again.stderr
    assert len(again.of("attempt")) == 1
    other = documents(tmp_path / "other.jsonl", learnable=False)
    refused = cryoflux("run", *QUICK, "--train", other, "--state", state, "--budget", "30J")
    assert refused.code == 2
    assert "was begun with the documents of train.jsonl, not with other.jsonl" in refused.stderr


def test_what_a_plan_advises_makes_an_attempt(base: Path, tmp_path: Path) -> None:
    """Joules are modelled from CPU time: a busy or a slow machine takes up to four times what is foreseen."""
    train = documents(tmp_path / "train.jsonl", learnable=True)
    made = []
    for times in (1, 2, 4):
        asked = ["run", *QUICK, "--model", base, "--train", train, "--state", tmp_path / f"state {times}"]
        plan = cryoflux(*asked, "--dry-run", "--reserve", "0.001J", "--budget", "100J").stdout
        (reserve,) = re.findall(r"pays for no step: raise --reserve to (\d+) J", plan)
        (needed,) = re.findall(r"an attempt and all besides need (\d+) J and start-up", plan)
        granted = ["--reserve", f"{times * int(reserve)}J", "--budget", f"{times * int(needed) + START_UP}J"]
        made.append(cryoflux(*asked, *granted, "--attempts", "1", "--json"))
        if any(attempt["steps"] for attempt in made[-1].of("attempt")):
            return
    pytest.fail(made[-1].stderr)


def test_nothing_is_kept_where_nothing_is_gained(base: Path, tmp_path: Path) -> None:
    train = documents(tmp_path / "noise.jsonl", learnable=False)
    inputs = ["--model", base, "--train", train, "--state", tmp_path / "s", "--budget", "120J"]
    found = cryoflux("run", *QUICK, *inputs, "--learning-rate", "1e-9", "--attempts", "2", "--json")
    assert found.summary["kept"] == 0
    assert found.of("attempt")


def test_a_run_that_is_killed_leaves_a_log_that_verifies(base: Path, tmp_path: Path) -> None:
    train, state = documents(tmp_path / "train.jsonl", learnable=True), tmp_path / "s"
    inputs = [*QUICK, "--model", base, "--train", train, "--state", state, "--json"]
    killed = cryoflux("run", *inputs, "--budget", "60J", kill_at="train:end")
    assert killed.code == -signal.SIGKILL, killed.stderr
    assert cryoflux("verify", state).code == 0
    again = cryoflux("run", *inputs, "--budget", "60J", "--attempts", "1")
    assert again.code == 0, again.stderr
    assert cryoflux("verify", state).code == 0


SHAPES = {
    "text": lambda asked, said: {"text": f"{asked} {said} {asked} {asked} {asked}"},
    "messages": lambda asked, said: {
        "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_other_shapes_run_and_documents_may_cost_thousands_of_nats(shape: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base = make_family("qwen2", tmp_path / "base")
    loud = AutoModelForCausalLM.from_pretrained(base)
    loud.lm_head.weight.data *= 100
    loud.save_pretrained(base)
    rows = [json.loads(line) for line in documents(tmp_path / "d", learnable=True).read_text().splitlines()]
    train, state = tmp_path / "train.jsonl", tmp_path / "s"
    shaped = (SHAPES[shape](row["prompt"], row["completion"]) for row in rows)
    train.write_text("".join(json.dumps(row) + "\n" for row in shaped))
    inputs = ["--model", base, "--train", train, "--state", state, "--budget", "120J", "--attempts", "1"]
    found = cryoflux("run", *QUICK, *inputs, "--json")
    assert found.summary["kept"] == 1
    assert found.of("attempt")[0]["base_loss"] > {"text": 1000, "messages": 100}[shape]
    again = cryoflux("verify", state, "--recompute", "1")
    assert again.code == 0, again.stdout
    assert "all 80 losses identical" in again.stdout


def test_a_family_that_is_read_in_float32_is_compared_by_target_token(tmp_path: Path) -> None:
    base, state = make_family("gemma2", tmp_path / "base"), tmp_path / "s"
    train = documents(tmp_path / "train.jsonl", learnable=True)
    inputs = ["--model", base, "--train", train, "--state", state, "--budget", "90J", "--attempts", "1"]
    found = cryoflux("run", *QUICK, *inputs, "--json")
    assert found.of("attempt")[0]["delta"] > 1
    receipts = [one.statement.predicate for one in each_entry(state) if one.statement is not None]
    profiles = {one.evaluation.profile for one in receipts if isinstance(one, Receipt) and one.evaluation}
    assert profiles == {DOCUMENT_F32_2}
    again = cryoflux("verify", state, "--recompute", "1", "--spot-check", "8")
    assert again.code == 0, again.stdout
    assert again.stdout.count("reproduced within tolerance") >= 2


def test_groups_are_drawn_and_what_answers_alike_is_left_out(base: Path, tmp_path: Path) -> None:
    rng = random.Random(3)
    said = [rng.choices(WORDS, k=12) for _ in range(400)]
    rows = [{"text": " ".join(words), "group": f"book {n // 4}"} for n, words in enumerate(said)]
    rows += [{"text": " ".join([*words[:-1], "else"]), "group": f"late {n}"} for n, words in enumerate(said)]
    train, state = tmp_path / "train.jsonl", tmp_path / "s"
    train.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {**rows[0], "group": "book 7"}]))
    inputs = ["--model", base, "--train", train, "--state", state, "--budget", "60J", "--attempts", "1"]
    found = cryoflux("run", *QUICK, *inputs, "--max-steps", "4", "--json")
    near = found.events[0]["dropped"]["near"]
    (similar,) = state.glob("data/*/similar.jsonl")
    assert 0 < near == len(similar.read_text().splitlines())
    report = json.loads(cryoflux("verify", state, "--json").stdout)
    verified = " ".join(check["detail"] for check in report["checks"])
    assert "lowest-hash-of-group/v2, applied again to these 800 examples" in verified
    assert f"near to one that judges, by near-answers/v1 ({near} were left out)" in verified
    again = cryoflux("run", *QUICK, *inputs, "--max-steps", "4")
    assert again.code == 0, again.stderr


def test_a_holdout_that_leaks_is_refused_before_anything_is_written(base: Path, tmp_path: Path) -> None:
    train = documents(tmp_path / "train.jsonl", learnable=True)
    held = tmp_path / "held.jsonl"
    held.write_text("".join(train.read_text().splitlines(keepends=True)[:40]))
    inputs = ["--model", base, "--train", train, "--holdout", held, "--state", tmp_path / "s"]
    refused = cryoflux("run", *QUICK, *inputs, "--budget", "60J")
    assert refused.code == 2
    assert "40 of 40 holdout documents are in the training file" in refused.stderr
    assert not (tmp_path / "s").exists()


def test_who_judges_on_its_holdout_in_another_form_is_refuted(
    learned: tuple[Path, Outcome], base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = Path(shutil.copytree(learned[0], tmp_path / "s", symlinks=True))
    (deciding,) = state.glob("data/*/holdout.jsonl")
    rows = [json.loads(line) for line in deciding.read_text().splitlines()]
    holdout = tmp_path / "mine.jsonl"
    holdout.write_text(
        "".join(json.dumps({"prompt": r["before"], "completion": r["answer"]}) + "\n" for r in rows)
    )
    with pytest.raises(UsageError, match="decide on updates"):
        judge(base, state.joinpath("heads", "causal-lm").resolve(), holdout, state=state)
    monkeypatch.setattr(judging_models, "refuse_deciding", lambda *_: None)
    judge(base, state.joinpath("heads", "causal-lm").resolve(), holdout, state=state)
    found = [c for c in verify_target(state).checks if c.status is Status.FAIL]
    assert [c.number for c in found] == [9]
    assert found[0].detail.startswith("40 of its examples decide on updates in data/")
