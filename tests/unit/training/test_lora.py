"""Joules end the training; what comes out is a standard PEFT adapter that changes what it says it does."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

import tiny
from cryoflux.data.examples import Example
from cryoflux.registry.merge import merge_capsule
from cryoflux.training.base_model import load_base
from cryoflux.training.lora import Limits, TrainingFailedError, train_adapter
from cryoflux.training.recipe import Recipe

EXAMPLES = [Example(text, label) for text, label in tiny.sentences(200, 1)]


def recipe(**changes) -> Recipe:
    values = {
        "name": "whitepaper",
        "rank": 4,
        "alpha": 8,
        "dropout": 0.0,
        "learning_rate": 0.01,
        "batch_size": 16,
        "max_steps": 30,
        "slice_size": 200,
        "max_tokens": 16,
    }
    return Recipe(**(values | changes))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    source = tiny.make_model(folder / "source")
    load_base(str(source), tuple(sorted(tiny.TOPICS)), seed=0).save(folder / "version")
    return folder / "version"


class Meter:
    """Each question costs the same: a clock of joules."""

    def __init__(self, each_uj: int) -> None:
        self.each_uj, self.spent_uj = each_uj, 0

    def __call__(self) -> int:
        self.spent_uj += self.each_uj
        return self.spent_uj


def train(base: Path, meter: Meter, limit_uj: int, *, stop=lambda: False, seen=None, **changes):
    seen = [] if seen is None else seen
    return train_adapter(
        base,
        EXAMPLES,
        recipe(**changes),
        Limits(limit_uj, meter, stop),
        seed=1,
        device="cpu",
        progress=seen.append,
    )


def test_joules_end_the_training_before_the_steps_do(base: Path) -> None:
    meter, seen = Meter(1_000), []
    adapter = train(base, meter, 12_000, seen=seen)
    assert adapter.stopped_by == "joules"
    assert meter.spent_uj <= 12_000
    assert 8 <= adapter.steps <= 12
    assert adapter.steps == len(seen) < 30


def test_steps_are_the_other_limit(base: Path) -> None:
    adapter = train(base, Meter(1), 10**9, max_steps=5)
    assert (adapter.steps, adapter.stopped_by) == (5, "steps")


def test_a_request_to_stop_is_heard_between_steps(base: Path) -> None:
    seen = []
    adapter = train(base, Meter(1), 10**9, stop=lambda: len(seen) == 2, seen=seen)
    assert (adapter.steps, adapter.stopped_by) == (2, "interrupt")


def test_the_loss_falls_and_only_lora_and_the_head_are_trained(base: Path) -> None:
    seen = []
    adapter = train(base, Meter(1), 10**9, max_steps=150, seen=seen)
    assert sum(p.loss for p in seen[-20:]) / 20 < 0.85 * seen[0].loss
    assert len(adapter.modules) == 8
    assert all("attention" in name for name in adapter.modules)
    lora = 8 * 4 * (32 + 32)
    head = 32 * 3 + 3
    assert adapter.trained_parameters == lora + head


def test_the_adapter_loads_with_peft_and_merging_it_from_disk_gives_the_same_model(
    base: Path, tmp_path: Path
) -> None:
    adapter = train(base, Meter(1), 10**9, max_steps=10)
    adapter.save(tmp_path / "capsule")
    assert {p.name for p in (tmp_path / "capsule").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert str(tmp_path) not in (tmp_path / "capsule" / "adapter_config.json").read_text()
    ids = torch.tensor([[2, 21, 22, 3]])
    plain = AutoModelForSequenceClassification.from_pretrained(base)
    before = plain(ids).logits
    loaded = PeftModel.from_pretrained(plain, tmp_path / "capsule").eval()
    with torch.no_grad():
        after = loaded(ids).logits
    assert not torch.allclose(before, after, atol=1e-3)
    merge_capsule(base, tmp_path / "capsule", tmp_path / "merged")
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged")
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, after, atol=1e-5, rtol=1e-5)
    in_memory = adapter.merged().state_dict()
    assert all(torch.equal(in_memory[name], tensor) for name, tensor in merged.state_dict().items())


def test_the_same_seed_and_steps_give_the_same_weights(base: Path) -> None:
    def weights() -> list:
        model = train(base, Meter(1), 10**9, max_steps=6, dropout=0.2).model
        return [p.detach().clone() for p in model.parameters() if p.requires_grad]

    assert all(torch.equal(a, b) for a, b in zip(weights(), weights(), strict=True))


def test_a_loss_that_is_no_number_ends_the_attempt(base: Path) -> None:
    with pytest.raises(TrainingFailedError, match=r"nan|inf"):
        train(base, Meter(1), 10**9, learning_rate=1e30, max_steps=50)
