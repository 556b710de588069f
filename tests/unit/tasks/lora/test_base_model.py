"""Only weights that are safe to load and are what they claim to be become version 0."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    XLNetConfig,
    XLNetForSequenceClassification,
)

import tiny
from cryoflux.config import load_settings
from cryoflux.data.frequencies import log_frequencies
from cryoflux.errors import ExitCode, ModelError
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.session import run
from cryoflux.tasks.lora import base_model
from cryoflux.tasks.lora.base_model import EMBEDDED, load_base, resolve, source_digest

LABELS = tuple(sorted(tiny.TOPICS))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_model(tmp_path_factory.mktemp("source"))


def test_a_new_head_says_that_every_class_is_equally_likely(source: Path) -> None:
    base = load_base(str(source), LABELS, seed=3)
    logits = base.model(torch.tensor([[2, 21, 3]])).logits
    assert torch.equal(logits, torch.zeros(1, 3))
    assert base.model.config.label2id == {label: i for i, label in enumerate(LABELS)}


def test_a_head_that_was_trained_for_these_classes_is_kept(source: Path, tmp_path: Path) -> None:
    base = load_base(str(source), LABELS, seed=0)
    torch.nn.init.ones_(base.model.classifier.weight)
    base.save(tmp_path)
    again = load_base(str(tmp_path), LABELS, seed=0, prior=dict.fromkeys(LABELS, -1.0))
    assert torch.equal(again.model.classifier.weight, base.model.classifier.weight)
    assert not again.model.classifier.bias.any()


def test_a_head_for_other_classes_starts_at_zero(source: Path, tmp_path: Path) -> None:
    base = load_base(str(source), LABELS, seed=0)
    torch.nn.init.ones_(base.model.classifier.weight)
    base.save(tmp_path)
    for labels in (("one", "two", "three", "four"), ("other", "three", "names")):
        again = load_base(str(tmp_path), labels, seed=0)
        assert again.model.classifier.out_features == len(labels)
        assert not again.model.classifier.weight.any()


def test_a_new_head_scores_classes_by_how_frequent_they_are(source: Path, tmp_path: Path) -> None:
    """Whatever their numbers are: a head that is missing is one for the classes that the settings name."""
    base = load_base(str(source), LABELS[::-1], seed=0, prior=dict.fromkeys(LABELS, 0.0))
    base.save(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    left = {name: tensor for name, tensor in tensors.items() if not name.startswith("classifier")}
    save_file(left, tmp_path / "model.safetensors", {"format": "pt"})
    prior = log_frequencies([LABELS[0]] * 7 + [LABELS[1]] * 2 + [LABELS[2]])
    model = load_base(str(tmp_path), LABELS, seed=0, prior=prior).model
    scores = model(torch.tensor([[2, 21, 3]])).logits[0].softmax(0).tolist()
    found = {model.config.id2label[i]: score for i, score in enumerate(scores)}
    assert found == pytest.approx(dict(zip(LABELS, (0.7, 0.2, 0.1), strict=True)))


SMALL = {"vocab_size": 60, "pad_token_id": 0, "n_layer": 1, "n_head": 2}
NO_TARGETS = {
    "gpt2": lambda: GPT2ForSequenceClassification(GPT2Config(n_embd=16, n_positions=64, **SMALL)),
    "xlnet": lambda: XLNetForSequenceClassification(XLNetConfig(d_model=16, d_inner=16, **SMALL)),
}


@pytest.mark.parametrize("kind", NO_TARGETS)
def test_a_model_that_lora_cannot_go_on_is_refused_before_a_state_is_written(
    kind: str, source: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(source, tmp_path / "model")
    NO_TARGETS[kind]().save_pretrained(folder)
    train = tiny.write_csv(tmp_path / "train.csv", tiny.sentences(500, seed=1))
    settings = {"model": str(folder), "train": str(train), "state": str(tmp_path / "state")}
    with pytest.raises(ModelError, match="no attention projections that LoRA could go on") as caught:
        run(load_settings(settings), RunLimits(budget_uj=10**9))
    assert "--model all-MiniLM-L6-v2" in caught.value.hint
    assert not (tmp_path / "state").exists()


def test_pickled_weights_are_refused(source: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(source, tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no safetensors weights") as caught:
        load_base(str(folder), LABELS, seed=0)
    assert "run code" in caught.value.why
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_damaged_folder_is_refused(source: Path, tmp_path: Path, broken: str) -> None:
    folder = shutil.copytree(source, tmp_path / "damaged")
    (folder / broken).write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00nonsense")
    with pytest.raises(ModelError):
        load_base(str(folder), LABELS, seed=0)


def test_an_unknown_name_and_an_unreachable_hub_are_told_apart_from_a_bug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="neither a folder here nor reachable"):
        load_base("no-such-owner/no-such-model", LABELS, seed=0)
    with pytest.raises(ModelError, match="no model folder"):
        load_base("./no/such/folder", LABELS, seed=0)


def test_the_embedded_model_is_the_published_one_and_anything_else_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = resolve(EMBEDDED)
    assert (folder / "model.safetensors").is_file()
    assert len(source_digest(EMBEDDED)) == 64
    monkeypatch.setattr(base_model, "EMBEDDED_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="published digest"):
        resolve(EMBEDDED)
