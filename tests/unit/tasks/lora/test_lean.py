"""Our loop learns, stops when it should, and hands out a standard PEFT adapter."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from cryoflux.encoder.activations import Activations
from cryoflux.registry.shards import read_tensors
from cryoflux.tasks.lora import lean
from cryoflux.tasks.lora.learning import Learning
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.pacing import JoulesEndedError, TrainingFailedError

LEAN = Recipe(
    "lean",
    layers=2,
    hidden_dropout=0.0,
    learning_rate=0.005,
    batch_size=32,
    max_steps=300,
    passes=100,
    slice_size=600,
    fresh_size=300,
    screen_size=150,
    max_tokens=16,
)
PREFIX = replace(LEAN, name="prefix-1", layers=1)
HEAD_FIRST = replace(PREFIX, name="head-first", targets="output")


def weights(workshop, recipe: Recipe, seed: int = 1) -> bytes:
    workshop.train(recipe, seed=seed)
    return (workshop.draft / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize("recipe", [LEAN, PREFIX], ids=lambda recipe: recipe.name)
def test_training_helps_examples_that_it_never_saw(workshop, recipe: Recipe) -> None:
    adapter = workshop.train(recipe)
    assert adapter.screening is not None
    evidence = adapter.screening.evidence
    assert evidence.count == 150
    assert evidence.new_loss < 0.8 * evidence.base_loss
    assert evidence.new_correct > evidence.base_correct + 30
    assert (adapter.stopped_by, adapter.steps) == ("steps", 300) == ("steps", len(workshop.seen))
    assert (adapter.fresh, len(adapter.drawn)) == (300, 300)
    assert not set(adapter.drawn) & set(workshop.loaded.pool.screen)


def test_the_adapter_says_what_it_changes_and_changes_nothing_else(workshop, tmp_path: Path) -> None:
    adapter = workshop.train(replace(HEAD_FIRST, max_steps=20))
    assert adapter.modules == ["bert.encoder.layer.1.attention.output.dense"]
    assert adapter.trained_parameters == 8 * (32 + 32) + 32 * 32 + 32 + 32 * 3 + 3
    capsule = workshop.keep()
    assert json.loads((capsule / "adapter_config.json").read_bytes())["base_model_name_or_path"] == (
        workshop.loaded.version.digest
    )
    assert str(tmp_path) not in (capsule / "adapter_config.json").read_text()
    base = AutoModelForSequenceClassification.from_pretrained(workshop.loaded.version.folder).eval()
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    adapted = PeftModel.from_pretrained(base, capsule).eval()
    ids = torch.tensor([[2, 21, 22, 30, 3]])
    with torch.no_grad():
        expected = adapted(ids).logits
    kept = workshop.merge(capsule)
    merged = AutoModelForSequenceClassification.from_pretrained(kept.folder).eval()
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, expected, rtol=1e-5, atol=1e-5)
    assert {
        n.rpartition(".")[0] for n, t in merged.state_dict().items() if not torch.equal(t, before[n])
    } == {
        *adapter.modules,
        "bert.pooler.dense",
        "classifier",
    }


@pytest.mark.parametrize("recipe", [LEAN, PREFIX], ids=lambda recipe: recipe.name)
def test_the_same_seed_gives_the_same_bytes_with_activations_kept_or_not(workshop, recipe: Recipe) -> None:
    recipe = replace(recipe, hidden_dropout=0.2, dropout=0.1, max_steps=12)
    cold, warm = (weights(workshop, recipe) for _ in ("cold", "warm"))
    assert cold == warm
    assert weights(workshop, recipe, seed=2) != cold


def test_joules_end_the_training_before_the_steps_do(workshop) -> None:
    recipe = replace(PREFIX, max_steps=60, scales="1")
    workshop.train(recipe)  # so that all activations are there
    meter = workshop.meter(1_000)
    adapter = workshop.train(recipe, meter=meter, limit_uj=60_000)
    assert adapter.stopped_by == "joules"
    assert 20 < adapter.steps == adapter.planned_steps < 60
    assert adapter.planned_at_step == 3
    assert workshop.seen[-1].spent_uj <= 60_000


def test_joules_end_the_preparation_too_and_what_was_drawn_is_a_beginning(workshop) -> None:
    def preparing(done: int, count: int) -> None:
        meter.spent_uj += 1_000

    meter = workshop.meter(1)
    adapter = workshop.train(replace(PREFIX, max_steps=20), meter=meter, limit_uj=16_000, preparing=preparing)
    assert 0 < adapter.fresh < 300
    assert adapter.drawn == workshop.loaded.pool.fresh(0, adapter.fresh)
    assert adapter.steps > 0
    following = workshop.material(PREFIX, adapter.fresh)
    assert following.seen == adapter.drawn
    assert following.fresh[0] == workshop.loaded.pool.order[adapter.fresh]


def test_joules_that_pay_for_no_example_end_the_attempt_and_not_the_run(workshop) -> None:
    def preparing(done: int, count: int) -> None:
        meter.spent_uj += 1_000

    meter = workshop.meter(1)
    with pytest.raises(JoulesEndedError, match="before one training example was ready"):
        workshop.train(PREFIX, meter=meter, limit_uj=2_500, preparing=preparing)


def test_screening_that_the_joules_do_not_pay_for_ends_the_attempt_before_they_are_overdrawn(
    workshop,
) -> None:
    # the prefix is empty, so all joules but those of the first questions go into screening
    meter = workshop.meter(10)
    with pytest.raises(JoulesEndedError):
        workshop.train(LEAN, meter=meter, limit_uj=100)
    assert meter.spent_uj <= 100 + 2 * meter.each_uj
    assert workshop.seen == []


def test_a_request_to_stop_is_heard_between_steps(workshop) -> None:
    adapter = workshop.train(PREFIX, stop=lambda: len(workshop.seen) == 7)
    assert (adapter.steps, adapter.stopped_by) == (7, "interrupt")


def test_a_loss_that_is_no_number_ends_the_attempt(workshop) -> None:
    with pytest.raises(TrainingFailedError, match=r"nan|inf"):
        workshop.train(replace(LEAN, learning_rate=1e38))


def test_what_is_hopeless_half_way_is_given_up_and_the_joules_are_saved(workshop) -> None:
    workshop.train(LEAN)
    workshop.merge(workshop.keep())
    adapter = workshop.train(replace(LEAN, learning_rate=1.0, max_steps=21), meter=workshop.meter(1_000))
    assert (adapter.stopped_by, adapter.steps, adapter.planned_steps) == ("hopeless", 10, 21)
    assert adapter.saved_uj == 11 * 11_000 // 10  # ten steps, and one question after them
    assert adapter.screening is not None
    assert adapter.screening.evidence.delta < 0


def test_joules_that_were_not_there_are_not_counted_as_saved(workshop) -> None:
    def spend_all() -> bool:
        meter.spent_uj += 10**9 if len(workshop.seen) == 9 else 0
        return False

    workshop.train(LEAN)
    workshop.merge(workshop.keep())
    meter = workshop.meter(1_000)
    recipe = replace(LEAN, learning_rate=1.0, max_steps=20)
    adapter = workshop.train(recipe, meter=meter, stop=spend_all)
    assert (adapter.stopped_by, adapter.steps, adapter.saved_uj) == ("joules", 10, 0)


def test_a_recipe_without_a_screen_trains_to_the_end(workshop) -> None:
    adapter = workshop.train(replace(PREFIX, screen_size=0, max_steps=5))
    assert (adapter.steps, adapter.screening) == (5, None)


def test_averaging_takes_the_mean_of_the_last_weights(workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[torch.Tensor]] = []
    add = lean._Average.add

    def watch(average: lean._Average) -> None:
        seen.append([p.detach().clone() for p in average._update.parameters])
        add(average)

    monkeypatch.setattr(lean._Average, "add", watch)
    workshop.train(replace(LEAN, max_steps=8, average=0.5, scales="1"))
    assert len(seen) == 4
    saved = read_tensors(workshop.keep())["base_model.model.classifier.weight"]
    last = [values[-2] for values in seen]
    torch.testing.assert_close(saved, sum(last) / 4, rtol=1e-5, atol=1e-7)


def scaled(workshop, factor: float, scales: str, evidence: float = 0.0) -> str:
    """The scale chosen for an update that learned how common the classes are, times a factor.

    The head starts at zero, so its bias alone decides: with 60, 20 and 20 % of the labels the loss falls
    until the bias is the logarithm of these, and rises beyond; at half of it, it falls less but steadier.
    """
    recipe = replace(HEAD_FIRST, scales=scales)
    material = workshop.material(recipe)
    material.labels[material.screen] = torch.tensor([0, 1, 0, 2, 0] * 30)
    material = replace(material, evidence=evidence)
    update = Learning(material.encoder, recipe, seed=1)
    source = Activations(material.encoder, material.entries, material.sets, update.depth)
    source.prepare(material.screen, lambda done, count: None)
    before = lean._screen(material, update, source, material.screen)
    with torch.no_grad():
        update.head["classifier.bias"].copy_(factor * torch.tensor([0.6, 0.2, 0.2]).log())
    choice = lean._choose_scale(material, update, source, recipe, before)
    assert choice is not None
    after = lean._screen(material, update, source, material.screen)
    assert choice.evidence.new_loss == sum(after[0])  # the update is left at the scale that was chosen
    return choice.scale


def test_the_largest_gain_that_is_borne_out_decides_the_scale(workshop) -> None:
    assert scaled(workshop, 1, "0.5 1") == "1"
    assert scaled(workshop, 1, "1 0.5", evidence=16.0) == "0.5"
    assert scaled(workshop, 3, "1 0.33") == "0.33"


def test_where_no_gain_is_evident_the_most_evident_is_reported_and_else_the_least_harm(workshop) -> None:
    assert scaled(workshop, 1, "1 0.5", evidence=100.0) == "0.5"
    assert scaled(workshop, -1, "1 0.3 0.1") == "0.1"
