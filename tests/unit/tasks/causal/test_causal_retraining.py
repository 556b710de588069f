"""Recipes of a language model, written into an intent and read back to train again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cryoflux.errors import ConfigError
from cryoflux.tasks.again import CannotRetrainError
from cryoflux.tasks.causal.recipe import RECIPES, CausalRecipe
from cryoflux.tasks.causal.retraining import recipe_of

SAID = {**RECIPES["lora-qv"].as_receipt(), "precision": "bf16-autocast", "max_tokens": 160}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_is_what_its_intent_says(recipe: CausalRecipe) -> None:
    other = replace(recipe, name="mine", learning_rate=3.1e-4, clip=0.7, precision="f32", checkpointing=1)
    for one in (recipe, other):
        assert recipe_of({**one.as_receipt(), "max_tokens": 160}) == one


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({key: value for key, value in SAID.items() if key != "precision"}, "it lacks precision"),
        ({**SAID, "sharpness": 3}, "it has sharpness"),
    ],
)
def test_a_recipe_of_another_version_is_not_guessed_at(said: dict[str, str | int], what: str) -> None:
    with pytest.raises(CannotRetrainError, match=what):
        recipe_of(said)


def test_an_older_intent_lacks_what_came_later() -> None:
    older = {key: value for key, value in SAID.items() if key != "checkpointing"}
    assert recipe_of(older) == recipe_of(SAID)


def test_a_recipe_that_no_run_accepts_is_refused() -> None:
    with pytest.raises(ConfigError, match="rank = 0 is out of range"):
        recipe_of({**SAID, "rank": 0})
