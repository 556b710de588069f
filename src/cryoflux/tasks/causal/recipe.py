"""Recipes of ``causal-lm``: every number that decides what an attempt does to the weights.

`RECIPES` are the built-in ones; a table ``[recipe.NAME]`` in ``cryoflux.toml`` makes another, or changes one.
"""

from __future__ import annotations

__all__ = [
    "PRECISIONS",
    "RECIPES",
    "SINCE",
    "CausalRecipe",
    "as_carried_out",
    "causal_recipes",
    "find_recipe",
]

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryoflux.config import Settings
from cryoflux.errors import ConfigError
from cryoflux.tasks.causal.four_bit import FOUR_BIT
from cryoflux.tasks.causal.targets import TARGETS
from cryoflux.tasks.pool import MOST_SCREENED
from cryoflux.tasks.recipes import as_written, kinds_of, typed

PRECISIONS = ("f32", "bf16-autocast", "bf16", FOUR_BIT)
"""products in float32; in bfloat16 of float32 weights; weights and products in bfloat16; weights in 4 bits"""
_MOST = 1_000_000
_LARGE = 2_000_000_000
"""parameters from which on weights are rounded to bfloat16 on a GPU, to leave room"""


@dataclass(frozen=True, slots=True)
class CausalRecipe:
    """One way of making an update."""

    name: str
    targets: str = "attention"
    """LoRA goes on queries and values, or on ``all`` linear layers"""
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    learning_rate: float = 1e-3
    """peak"""
    schedule: str = "linear"
    warm_up: float = 0.05
    """share of the steps in which the rate rises"""
    weight_decay: float = 0.0
    clip: float = 1.0
    """longest gradient, all weights together; longer ones are shortened to it"""
    batch_size: int = 8
    """documents a step"""
    batch_tokens: int = 1024
    """most tokens that are computed at once, padding included; a step has as many such parts as it takes"""
    packing: int = 0
    """1 to compute documents one after another, where a family computes each as if it were alone; 0 to fill
    shorter ones up"""
    max_steps: int = 400
    passes: int = 4
    """most times that a document is seen in one attempt"""
    screen_size: int = 32
    """training-side documents, never trained on, that an update has to help before the holdout is read"""
    precision: str = ""
    """one of `PRECISIONS`; empty for what the processor multiplies fastest"""
    checkpointing: int = 0
    """1 to compute activations again in the backward pass, not to keep them: less memory, more joules"""

    def steps_for(self, count: int) -> int:
        """Most steps of an attempt that may draw so many documents."""
        return max(1, min(self.max_steps, self.passes * count // self.batch_size or 1))

    def as_receipt(self) -> dict[str, str | int]:
        """What an intent says of it: integers as they are, ratios as decimal text."""
        return as_written(self)


SINCE = frozenset(kinds_of(CausalRecipe).keys() - {"name", "precision"})
"""fields that older intents lack: what they stand for by themselves is what was done then"""
RECIPES = {
    recipe.name: recipe
    for recipe in (
        CausalRecipe("lora-qv", batch_size=8),
        CausalRecipe("lora-all", targets="all", learning_rate=5e-4),
        CausalRecipe("lora-all-16", targets="all", rank=16, alpha=32, learning_rate=5e-4),
    )
}
_CHANGEABLE = ("rank", "alpha", "dropout", "learning_rate", "batch_size", "max_steps")
_TYPES = {field: kind for field, kind in kinds_of(CausalRecipe).items() if field != "name"}


def causal_recipes(settings: Settings) -> dict[str, CausalRecipe]:
    """The recipes of a run by name: those that the settings name, or all.

    Raises:
        ConfigError: there is no such recipe, or one cannot be used.
    """
    attempt = settings.attempt
    named = [name.strip() for name in attempt.recipes.split(",") if name.strip()] or list(RECIPES)
    changes = {key: found for key in _CHANGEABLE if (found := getattr(attempt, key)) is not None}
    return {name: find_recipe(name, settings.recipe, changes) for name in named}


def as_carried_out(
    recipes: Mapping[str, CausalRecipe], *, screen: int, device: str, parameters: int
) -> dict[str, CausalRecipe]:
    """Recipes with their precision, and no more screening than is set aside.

    Args:
        recipes: by name.
        screen: documents that are set aside.
        device: that training is on.
        parameters: of the model.
    """
    from cryoflux.encoder.linear import has_bf16

    usual = "f32"
    if has_bf16(device):
        usual = "bf16" if device == "cuda" and parameters > _LARGE else "bf16-autocast"
    return {
        name: replace(
            recipe, screen_size=min(recipe.screen_size, screen), precision=recipe.precision or usual
        )
        for name, recipe in recipes.items()
    }


def find_recipe(
    name: str, tables: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Any]
) -> CausalRecipe:
    """A recipe by name.

    Args:
        name: a built-in one, or one that ``tables`` describe.
        tables: name → fields that differ from the built-in recipe of that name, or from ``lora-qv``.
        changes: fields that every recipe takes from elsewhere.

    Raises:
        ConfigError: there is no such recipe, or a field is unknown or out of range.
    """
    if name not in RECIPES and name not in tables:
        raise ConfigError(
            f"There is no recipe {name!r}.",
            why="A recipe says what an attempt does to the weights.",
            hint=f"Of causal-lm there are {', '.join(RECIPES)}; another is a table [recipe.{name}] in "
            "cryoflux.toml.",
        )
    start = RECIPES.get(name) or replace(RECIPES["lora-qv"], name=name)
    try:
        given = {key: typed(_TYPES, key, value) for key, value in {**tables.get(name, {}), **changes}.items()}
        return _checked(replace(start, **given))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"The recipe {name!r} cannot be used: {error}.",
            why="Training with it would fail or do something else than it says.",
            hint="Mend its table in cryoflux.toml, or the option that changes it.",
        ) from error


def _checked(recipe: CausalRecipe) -> CausalRecipe:
    counts = ("rank", "alpha", "batch_size", "batch_tokens", "max_steps", "passes")
    wrong = [name for name in counts if not 1 <= getattr(recipe, name) <= _MOST]
    wrong += [name for name in ("dropout", "warm_up") if not 0 <= getattr(recipe, name) < 1]
    within = {
        "learning_rate": 0 < recipe.learning_rate <= 1,
        "weight_decay": 0 <= recipe.weight_decay <= 1,
        "clip": recipe.clip > 0,
        "screen_size": 0 <= recipe.screen_size <= MOST_SCREENED,
        "targets": recipe.targets in TARGETS,
        "schedule": recipe.schedule in {"linear", "cosine", "constant"},
        "precision": recipe.precision in {"", *PRECISIONS},
        "checkpointing": recipe.checkpointing in {0, 1},
        "packing": recipe.packing in {0, 1},
    }
    wrong += [name for name, fits in within.items() if not fits]
    if wrong:
        raise ValueError(f"{wrong[0]} = {getattr(recipe, wrong[0])!r} is out of range")
    return recipe
