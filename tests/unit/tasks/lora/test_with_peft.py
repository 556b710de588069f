"""The way through PEFT spends, stops and reports as our own loop does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from cryoflux.registry.shards import read_tensors
from cryoflux.tasks.lora.adapter import Trained
from cryoflux.tasks.lora.recipe import Method, Recipe
from cryoflux.tasks.lora.with_peft import train_with_peft, warm_up
from cryoflux.tasks.pacing import JoulesEndedError, Limits, Progress, TrainingFailedError
from peft_oracle import merge_with_peft

RECIPE = Recipe(
    "whitepaper",
    method=Method.PEFT,
    rank=4,
    alpha=8,
    dropout=0.0,
    learning_rate=0.01,
    batch_size=16,
    max_steps=30,
    passes=100,
    max_tokens=16,
)


def train(
    workshop,
    recipe: Recipe = RECIPE,
    *,
    each_uj: int = 1,
    limit_uj: int = 10**9,
    stop_after: int = 10**6,
    screen: int = 0,
    seen: list[Progress] | None = None,
) -> Trained:
    steps = [] if seen is None else seen
    pool = workshop.loaded.pool
    return train_with_peft(
        workshop.loaded.version.folder,
        workshop.data.examples("train"),
        recipe,
        Limits(limit_uj, workshop.meter(each_uj), lambda: len(steps) == stop_after),
        workshop.new_draft(),
        drawn=pool.fresh(0, 200),
        fresh=200,
        screen=pool.screen[:screen],
        first=pool.counts[0],
        seed=1,
        device="cpu",
        progress=steps.append,
    )


def tensors(workshop, recipe: Recipe) -> dict[str, torch.Tensor]:
    train(workshop, recipe)
    return read_tensors(workshop.draft)


def test_joules_end_the_training_before_the_steps_do(workshop) -> None:
    adapter = train(workshop, each_uj=1_000, limit_uj=12_000)
    assert adapter.stopped_by == "joules"
    assert 8 <= adapter.steps == adapter.planned_steps <= 11


def test_screening_that_the_joules_do_not_pay_for_ends_the_attempt_before_the_first_step(workshop) -> None:
    steps: list[Progress] = []
    with pytest.raises(JoulesEndedError):
        train(workshop, each_uj=10, limit_uj=60, screen=150, seen=steps)
    assert steps == []


def test_steps_are_the_other_limit(workshop) -> None:
    adapter = train(workshop, replace(RECIPE, max_steps=5))
    assert (adapter.steps, adapter.stopped_by, adapter.screening) == (5, "steps", None)


def test_a_request_to_stop_is_heard_between_steps(workshop) -> None:
    adapter = train(workshop, stop_after=2)
    assert (adapter.steps, adapter.stopped_by) == (2, "interrupt")


def test_training_helps_the_screening_examples_and_changes_lora_and_the_head_alone(workshop) -> None:
    seen: list[Progress] = []
    adapter = train(workshop, replace(RECIPE, max_steps=150), screen=100, seen=seen)
    assert adapter.screening is not None
    assert (adapter.screening.scale, adapter.screening.evidence.count) == ("1", 100)
    assert adapter.screening.evidence.new_loss < 0.9 * adapter.screening.evidence.base_loss
    assert sum(p.loss for p in seen[-20:]) / 20 < 0.85 * seen[0].loss
    assert len(adapter.modules) == 8
    assert all("attention" in name for name in adapter.modules)
    assert adapter.trained_parameters == 8 * 4 * (32 + 32) + 32 * 3 + 3


def test_only_upper_layers_are_adapted_where_the_recipe_says_so(workshop) -> None:
    adapter = train(workshop, replace(RECIPE, layers=1, max_steps=2))
    assert {name.partition(".attention")[0] for name in adapter.modules} == {"bert.encoder.layer.1"}


def test_the_adapter_loads_with_peft_and_merging_it_from_disk_gives_the_same_model(
    workshop, tmp_path: Path
) -> None:
    saved = tensors(workshop, replace(RECIPE, max_steps=10))
    base, capsule = workshop.loaded.version.folder, workshop.draft
    assert {p.name for p in capsule.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert not any("embeddings" in name for name in saved)
    assert str(tmp_path) not in (capsule / "adapter_config.json").read_text()
    ids = torch.tensor([[2, 21, 22, 3]])
    plain = AutoModelForSequenceClassification.from_pretrained(base).eval()
    merge_with_peft(base, capsule, tmp_path / "merged")
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged").eval()
    with torch.no_grad():
        before = plain(ids).logits
        after = PeftModel.from_pretrained(plain, capsule).eval()(ids).logits
        torch.testing.assert_close(merged(ids).logits, after, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(before, after, atol=1e-3)


def test_the_same_seed_gives_the_same_weights_and_warming_up_costs_none_of_them(workshop) -> None:
    recipe = replace(RECIPE, max_steps=6, dropout=0.2)
    first = tensors(workshop, recipe)
    warm_up(workshop.loaded.version.folder, recipe, "cpu")
    second = tensors(workshop, recipe)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_a_loss_that_is_no_number_ends_the_attempt(workshop) -> None:
    with pytest.raises(TrainingFailedError, match=r"nan|inf"):
        train(workshop, replace(RECIPE, learning_rate=1e30))
