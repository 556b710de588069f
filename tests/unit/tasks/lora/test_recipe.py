"""A recipe is a built-in one, or what a table makes of one; nothing that it cannot mean is accepted."""

from __future__ import annotations

import json

import pytest

from cryoflux.errors import ConfigError, ExitCode
from cryoflux.tasks.lora.recipe import RECIPES, Method, Recipe, find_recipe
from cryoflux.tasks.lora.retraining import recipe_of


def test_the_whitepapers_recipe_has_the_whitepapers_numbers() -> None:
    recipe = find_recipe("whitepaper", {}, {})
    assert (recipe.rank, recipe.alpha, recipe.dropout, recipe.learning_rate) == (8, 16, 0.1, 5e-4)
    assert (recipe.batch_size, recipe.max_steps, recipe.slice_size) == (32, 200, 204)
    assert recipe.method is Method.PEFT
    assert recipe.screen_size == 0


@pytest.mark.parametrize("name", RECIPES)
def test_every_built_in_recipe_can_be_used_and_written_into_a_receipt(name: str) -> None:
    recipe = find_recipe(name, {}, {})
    receipt = recipe.as_receipt()
    assert {type(value) for value in receipt.values()} == {str, int}
    assert json.loads(json.dumps(receipt)) == receipt
    assert float(receipt["learning_rate"]) == recipe.learning_rate
    assert receipt["method"] in {"lean", "peft"}


def test_a_table_changes_a_built_in_recipe_or_makes_another_and_options_come_last() -> None:
    tables = {"lean": {"rank": 2}, "mine": {"layers": 1, "learning_rate": 1, "method": "peft"}}
    assert find_recipe("lean", tables, {}).rank == 2
    mine = find_recipe("mine", tables, {"rank": 5, "layers": 2})
    assert (mine.name, mine.rank, mine.layers, mine.method) == ("mine", 5, 2, Method.PEFT)
    assert mine.as_receipt()["learning_rate"] == "1.0"
    assert mine.batch_size == RECIPES["lean"].batch_size


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ranks", 8),
        ("name", "other"),
        ("rank", 0),
        ("rank", 8.0),
        ("rank", True),
        ("rank", "8"),
        ("alpha", -1),
        ("pooler", 1),
        ("dropout", 1.0),
        ("hidden_dropout", -0.1),
        ("average", float("nan")),
        ("warm_up", 1),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("weight_decay", 2.0),
        ("schedule", "sine"),
        ("targets", "all"),
        ("class_weights", "inverse"),
        ("class_weights", 1),
        ("scales", ""),
        ("scales", "1 0"),
        ("scales", "1.5"),
        ("scales", "one"),
        ("screen_size", -1),
        ("passes", 0),
        ("max_tokens", 64),
        ("method", "magic"),
        ("method", 1),
    ],
)
def test_a_field_that_is_unknown_mistyped_or_out_of_range_is_named(field: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        find_recipe("mine", {"mine": {field: value}}, {})
    assert "'mine'" in caught.value.what
    assert field in caught.value.what
    assert caught.value.exit_code is ExitCode.USAGE


def test_steps_follow_from_the_passes_unless_that_is_too_few_to_learn_or_more_than_allowed() -> None:
    recipe = Recipe("mine", passes=2, batch_size=32, max_steps=400)
    assert [recipe.steps_for(count) for count in (1, 204, 4000, 6400, 100_000)] == [100, 100, 250, 400, 400]
    assert Recipe("mine", max_steps=40).steps_for(1) == 40
    assert RECIPES["whitepaper"].steps_for(204) == 200


def test_a_name_that_nothing_describes_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match="no recipe 'leen'") as caught:
        find_recipe("leen", {}, {})
    assert "prefix-1" in caught.value.hint


def test_weights_of_classes_are_said_where_they_are_asked_for_and_else_the_recipe_is_what_it_was() -> None:
    assert all("class_weights" not in recipe.as_receipt() for recipe in RECIPES.values())
    weighed = find_recipe("carry-1", {}, {"class_weights": "sqrt"})
    assert weighed.as_receipt()["class_weights"] == "sqrt"
    for recipe in (RECIPES["carry-1"], weighed):
        assert recipe_of(recipe.as_receipt()) == recipe
