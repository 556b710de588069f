"""A model, a tokenizer or an adapter that asks whoever loads it to run the code beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import synthetic_parts
import tiny
from cryoflux.digests import write_checksums
from cryoflux.errors import ModelError
from cryoflux.registry.plain_adapter import adapter_settings
from cryoflux.registry.plain_model import complaints_about
from synthetic_state import open_state

pytestmark = pytest.mark.slow

CLASSES = ("AutoConfig", "AutoModel", "AutoModelForSequenceClassification", "AutoTokenizer")
ADAPTER = {
    "peft_type": "LORA",
    "task_type": "SEQ_CLS",
    "r": 2,
    "lora_alpha": 4,
    "target_modules": ["bert.encoder.layer.1.attention.self.query"],
    "bias": "none",
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real model with a head, a holdout and an adapter beside it."""
    import torch
    from safetensors.torch import save_file

    folder = tiny.make_classifier(tmp_path_factory.mktemp("code") / "model")
    capsule = folder.parent / "capsule"
    capsule.mkdir()
    name = f"base_model.model.{ADAPTER['target_modules'][0]}"
    ones = {f"{name}.lora_A.weight": torch.ones(2, 32), f"{name}.lora_B.weight": torch.ones(32, 2)}
    save_file(ones, capsule / "adapter_model.safetensors")
    (capsule / "adapter_config.json").write_text(json.dumps(ADAPTER))
    return folder


@pytest.fixture
def model(classifier: Path, tmp_path: Path) -> Path:
    return shutil.copytree(classifier.parent, tmp_path / "copy") / "model"


def plant(folder: Path, marker: Path) -> None:
    """Put code into a folder that makes a file as soon as it is imported."""
    (folder / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(marker)!r}).touch()\n"
        "from transformers import BertConfig, BertForSequenceClassification, BertTokenizer\n"
        "class C(BertConfig):\n    model_type = 'evil'\n"
        "class M(BertForSequenceClassification):\n    config_class = C\n"
        "class T(BertTokenizer): ...\n"
    )


def ask(folder: Path, file: str, **said: object) -> None:
    """Add settings to a file of a model."""
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **said}))


def with_code(folder: Path, marker: Path) -> None:
    plant(folder, marker)
    classes = ("evil.C", "evil.M", "evil.M", "evil.T")
    ask(folder, "config.json", auto_map=dict(zip(CLASSES, classes, strict=True)))
    ask(folder, "config.json", model_type="evil", architectures=["M"])
    ask(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]}, tokenizer_class="T")


def saying_yes(folder: Path, code: str, *words: object) -> subprocess.CompletedProcess[bytes]:
    """Run Python code in a process whose every question is answered with yes."""
    environment = {**os.environ, "HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code, *map(str, words)]
    answers = b"y\n" * 100
    return subprocess.run(
        command, input=answers, capture_output=True, env=environment, cwd=folder, timeout=300, check=False
    )


EVALUATE = """
import sys
from pathlib import Path
from cryoflux.tasks.lora.again import TorchRecomputer
again, (model, capsule, into) = TorchRecomputer(max_tokens=16), map(Path, sys.argv[1:4])
for does in (lambda: again.evaluate(model, model.parent / "holdout.jsonl"),
             lambda: again.merge(model, capsule, into)):
    try:
        does()
    except BaseException as error:
        print(type(error).__name__, error)
"""
TRAIN = """
import sys
from pathlib import Path
from cryoflux.encoder.tokens import TokenCache
from cryoflux.data.examples import Example
from cryoflux.tasks.lora.base_model import load_base
from cryoflux.tasks.lora.recipe import find_recipe
from cryoflux.tasks.lora.with_peft import warm_up
model, into = map(Path, sys.argv[4:])
for does in (lambda: load_base(str(model), ("animals", "colours", "tools"), seed=1),
             lambda: TokenCache(into).get(model, [Example("a cat", "animals")], "0", 16),
             lambda: warm_up(model, find_recipe("head-first", {}, {}), "cpu")):
    try:
        does()
    except Exception as error:
        print(type(error).__name__, error)
"""


@dataclass(frozen=True)
class Answered:
    """What a process said that met code beside a model, and was told yes to whatever it asked."""

    evaluating: str
    training: str
    complaints: bytes
    ran_code: bool


@pytest.fixture(scope="module")
def answered(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Answered:
    """One process for both: it has to import all training libraries."""
    folder = tmp_path_factory.mktemp("yes")
    marker, model = folder / "marker", shutil.copytree(classifier.parent, folder / "copy") / "model"
    with_code(model, marker)
    code = f"{EVALUATE}\nprint('AND THEN', flush=True)\n{TRAIN}"
    words = (model, model.parent / "capsule", folder / "merged", model, folder / "cache")
    done = saying_yes(folder, code, *words)
    evaluating, _, training = done.stdout.decode().partition("AND THEN")
    return Answered(evaluating, training, done.stderr, marker.exists())


def test_nothing_beside_a_model_is_run_whoever_says_yes(answered: Answered) -> None:
    assert not answered.ran_code, "the auditor has run the owner's code"
    assert answered.evaluating.count("OpenQuestion") == 2, answered
    assert "no kind of model that is known here" in answered.evaluating


def test_a_run_starts_from_no_code_either(answered: Answered) -> None:
    assert not answered.ran_code
    assert answered.training.count("ModelError") >= 2, answered


@pytest.mark.process
def test_verify_asks_nothing_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker, made_before = tmp_path / "marker", synthetic_parts.make_model

    def make_model(state: Path, values: list[float]):
        base = made_before(state, values)
        folder = state / "models" / base.digest
        plant(folder, marker)
        said = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"}}
        (folder / "config.json").write_text(json.dumps(said))
        return base.but(files=write_checksums(folder))

    monkeypatch.setattr(synthetic_parts, "make_model", make_model)
    monkeypatch.setattr("synthetic_state.make_model", make_model, raising=False)
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    state = made.finish()
    options = ["--recompute", "1", "--spot-check", "4", "--retrain", "1", "--no-memory"]
    main = "from cryoflux.cli.main import main; main()"
    done = saying_yes(tmp_path, main, "verify", state, *options)
    assert not marker.exists(), "the auditor has run the owner's code"
    assert b"cannot be evaluated again here" in done.stdout, (done.stdout, done.stderr)
    assert b"y/N" not in done.stdout + done.stderr


def losses(folder: Path) -> list[int]:
    from cryoflux.tasks.lora.again import TorchRecomputer

    return TorchRecomputer(max_tokens=16).evaluate(folder, folder.parent / "holdout.jsonl")[0]


def test_a_request_for_code_changes_no_loss_of_a_known_kind_of_model(model: Path, tmp_path: Path) -> None:
    honest = losses(model)
    plant(model, tmp_path / "marker")
    ask(model, "config.json", auto_map=dict.fromkeys(CLASSES, "evil.M"), transformers_version="99")
    ask(
        model,
        "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["evil.T", None]},
        chat_template="{{ cycler.__init__.__globals__.os.system('touch x') }}",
    )
    (model / "chat_template.jinja").write_text("{{ 1 }}")
    assert losses(model) == honest
    assert not (tmp_path / "marker").exists()


def test_a_model_is_not_exchanged_by_an_adapter_that_lies_in_its_folder(model: Path, tmp_path: Path) -> None:
    honest = losses(model)
    other = shutil.copytree(model, tmp_path / "other")
    ask(other, "config.json", id2label={"0": "tools", "1": "colours", "2": "animals"})
    shutil.copy(model.parent / "capsule" / "adapter_model.safetensors", model)
    said = {**ADAPTER, "base_model_name_or_path": str(other)}
    (model / "adapter_config.json").write_text(json.dumps(said))
    assert losses(model) == honest


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("config.json", {"quantization_config": {"quant_method": "evil"}}),
        ("config.json", {"position_embedding_type": "relative_key"}),
        ("config.json", {"scores_are": "upside down"}),
        ("config.json", {"num_hidden_layers": 10**9}),
        ("config.json", {"max_position_embeddings": 10**9}),
        ("config.json", {"vocab_size": 10**12}),
        ("config.json", {"model_type": "../evil"}),
        ("tokenizer_config.json", {"tokenizer_class": "os.system"}),
        ("tokenizer_config.json", {"sp_model_kwargs": {"model_file": "/etc/passwd"}}),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Custom"}}),
        (
            "tokenizer.json",
            {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}},
        ),
    ],
)
def test_what_is_not_known_stays_open_and_is_not_guessed_at(
    model: Path, file: str, said: dict[str, object]
) -> None:
    assert complaints_about(model) == []
    ask(model, file, **said)
    assert complaints_about(model)


@pytest.mark.parametrize(
    "said",
    [
        {"auto_mapping": {"base_model_class": "M", "parent_library": "evil"}},
        {"megatron_core": "evil", "megatron_config": {"a": 1}},
        {"peft_type": "ADALORA"},
        {"init_lora_weights": "pissa"},
        {"layer_replication": [[0, 2]]},
        {"rank_pattern": {"query": 1}},
        {"use_dora": True},
        {"target_modules": ".*"},
        {"r": 10**9},
        {"runtime_config": {"ephemeral_gpu_offload": True}},
    ],
)
def test_an_adapter_is_plain_lora_or_is_not_merged(model: Path, said: dict[str, object]) -> None:
    capsule = model.parent / "capsule"
    assert adapter_settings(capsule)["r"] == 2
    ask(capsule, "adapter_config.json", **said)
    with pytest.raises(ModelError, match=r"plain LoRA|no usable|no list"):
        adapter_settings(capsule)


def test_the_settings_that_peft_and_a_run_write_are_plain(model: Path, tmp_path: Path) -> None:
    from peft import LoraConfig

    from cryoflux.tasks.lora.adapter import save_adapter
    from cryoflux.tasks.lora.recipe import find_recipe

    LoraConfig(task_type="SEQ_CLS", r=4, lora_alpha=8, target_modules=["query"]).save_pretrained(tmp_path)
    assert adapter_settings(tmp_path)["lora_alpha"] == 8
    (ours := tmp_path / "ours").mkdir()
    save_adapter(ours, find_recipe("prefix-1", {}, {}), {}, {}, "base")
    assert adapter_settings(ours)["r"] == 16
