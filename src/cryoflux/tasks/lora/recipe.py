"""A recipe: every number that decides what an attempt does to the weights.

`RECIPES` are the built-in ones; a table ``[recipe.NAME]`` in ``cryoflux.toml`` makes another, or changes
one of these. What a recipe does is written into every intent and receipt.
"""

from __future__ import annotations

__all__ = [
    "ALL_LAYERS",
    "RECIPES",
    "SINCE",
    "USED_TO_BE",
    "WEIGHTINGS",
    "Method",
    "Recipe",
    "chosen_recipes",
    "find_recipe",
    "ladder",
    "through_peft",
]

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from cryoflux.config import Settings
from cryoflux.errors import ConfigError
from cryoflux.registry.cuts import Cut, tokens_of
from cryoflux.tasks.pool import MOST_SCREENED
from cryoflux.tasks.recipes import as_written, kinds_of, typed

ALL_LAYERS = 1_000_000
"""more layers than any model has: all of them learn"""

USED_TO_BE = 32
"""tokens of a text in states that do not say their limit, where no setting does"""
WEIGHTINGS = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}
"""what a class counts in training: as often as it is there, half-way, or as much as any other → the power of
its frequency that it is divided by"""
_FEWEST_STEPS = 100
"""below so many, little is learned, however few the examples"""


class Method(StrEnum):
    """Whose code trains."""

    PEFT = "peft"
    """transformers and PEFT: any architecture"""
    LEAN = "lean"
    """CryoFlux's own loop: the same gradients for less, where the layout is known"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way of making an update."""

    name: str
    method: Method = Method.LEAN
    layers: int = ALL_LAYERS
    """so many of the upper layers learn; what the others make of a text is computed once and kept"""
    targets: str = "attention"
    """LoRA goes on all projections of attention, or only on its ``output``"""
    pooler: bool = True
    """whether the layer before the classifier learns in full, as the classifier does"""
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    """before LoRA's first matrix"""
    hidden_dropout: float = 0.2
    """of the layers that learn; ``peft`` takes the model's own"""
    learning_rate: float = 3e-3
    """peak"""
    schedule: str = "linear"
    """how the rate falls from its peak: ``linear``, ``cosine`` or ``constant``"""
    warm_up: float = 0.05
    """share of the steps in which the rate rises"""
    weight_decay: float = 0.0
    average: float = 0.5
    """share of the last steps whose weights are averaged"""
    scales: str = "1 0.6 0.3"
    """an update is merged at the largest of these scales that the screening examples bear out"""
    batch_size: int = 64
    max_steps: int = 400
    passes: int = 2
    """most times that an example is seen in one attempt, where there are enough of them"""
    slice_size: int = 8192
    """most examples of an attempt"""
    fresh_size: int = 4096
    """of those, most that no attempt has drawn before"""
    carry: bool = False
    """whether attempts go on from the working update of the one before, as one chain (`tasks.lora.chain`)"""
    start: str = "head"
    """where a chain begins: at the ``head``, or at the ``first`` version of the log, which is what deeper
    layers learn best from; either way it has to be better than the head"""
    rising_steps: int = 10
    """steps in which the rate of a chain rises; it is constant from then on"""
    fixed_steps: int = 0
    """what everything beside its steps costs, in steps: rungs of a chain lie 8 % of both apart"""
    first_look: int = 0
    """steps of a chain to a look at the screen before its first rung, and twice as many to the next one; with
    0 the first rung is the first look"""
    first_passes: int = 1
    """how often a chain goes through its first batches before others come: where what the frozen layers make
    of an example costs more than learning from it does, the first verdict is cheapest from few examples"""
    temperature: bool = True
    """whether the candidate of a chain is scaled by one number that the screen fits"""
    least_gain_nano: int = 2_000_000
    """what a rung of a chain has to gain on the screen, nano-nats"""
    patience: int = 2
    """rungs in a row that gain less and are its plateau"""
    screen_size: int = 512
    """training-side examples, never trained on, that an update has to help before the holdout is read"""
    max_tokens: Cut = USED_TO_BE
    """how much of a text is read (`registry.cuts`)"""
    class_weights: str = "none"
    """one of `WEIGHTINGS`: what each class weighs in the training loss, and in nothing else"""

    def steps_for(self, count: int) -> int:
        """Most steps on ``count`` examples: few examples are seen more often than ``passes`` says."""
        return min(self.max_steps, max(_FEWEST_STEPS, self.passes * count // self.batch_size))

    def as_receipt(self) -> dict[str, str | int]:
        """What a receipt says of it: integers as they are, ratios as decimal text.

        Of weights of classes it says nothing where none are asked for: it is the recipe that it was before
        there were any, and a chain that was begun with it goes on.
        """
        said = as_written(self)
        return {key: value for key, value in said.items() if (key, value) != ("class_weights", "none")}


SINCE = frozenset(
    {
        *("carry", "rising_steps", "fixed_steps", "first_look", "first_passes"),
        *("temperature", "least_gain_nano", "class_weights"),
    }
)
"""fields that older intents lack: what they stand for by themselves is what was done then"""


_CARRIED: dict[str, Any] = {
    "carry": True,
    "schedule": "constant",
    "average": 0.0,
    "scales": "1",
    "first_look": 32,
    "max_steps": ALL_LAYERS,
    "slice_size": ALL_LAYERS,
    "fresh_size": ALL_LAYERS,
}
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "carry-1",
            layers=1,
            rank=16,
            alpha=32,
            hidden_dropout=0.3,
            first_passes=4,
            **_CARRIED,
        ),
        Recipe("carry-3", layers=3, learning_rate=1e-3, start="first", **_CARRIED),
        Recipe("carry-all", learning_rate=1e-3, start="first", **_CARRIED),
        Recipe(
            "head-first",
            layers=1,
            targets="output",
            hidden_dropout=0.3,
            learning_rate=5e-3,
            scales="1 0.7 0.5 0.3",
        ),
        Recipe("prefix-1", layers=1, rank=16, hidden_dropout=0.3, batch_size=32, scales="1 0.7 0.5 0.3"),
        Recipe("prefix-2", layers=2, learning_rate=2e-3, batch_size=32),
        Recipe("prefix-3", layers=3, learning_rate=2e-3, batch_size=32),
        Recipe("lean", learning_rate=2e-3, batch_size=32, scales="1", screen_size=256),
        Recipe(
            "whitepaper",
            method=Method.PEFT,
            pooler=False,
            dropout=0.1,
            hidden_dropout=0.0,
            learning_rate=5e-4,
            warm_up=0.0,
            average=0.0,
            scales="1",
            batch_size=32,
            max_steps=200,
            passes=1000,
            slice_size=204,
            fresh_size=204,
            screen_size=0,
        ),
    )
}
"""Name → built-in recipe; ``whitepaper`` has the whitepaper's own numbers."""


def find_recipe(name: str, tables: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Any]) -> Recipe:
    """A recipe by name.

    Args:
        name: a built-in one, or one that ``tables`` describe.
        tables: name → fields that differ from the built-in recipe of that name, or from ``lean``.
        changes: fields that every recipe takes from elsewhere.

    Raises:
        ConfigError: there is no such recipe, or a field is unknown or out of range.
    """
    if name not in RECIPES and name not in tables:
        raise ConfigError(
            f"There is no recipe {name!r}.",
            why="A recipe says what an attempt does to the weights.",
            hint=f"Built in are {', '.join(RECIPES)}; another is a table [recipe.{name}] in cryoflux.toml.",
        )
    start = RECIPES.get(name) or replace(RECIPES["lean"], name=name)
    given = {**tables.get(name, {}), **changes}
    try:
        if "max_tokens" in tables.get(name, {}):
            raise ValueError("max_tokens is one for all recipes: it is set in [model]")
        return _checked(replace(start, **{key: _typed(key, value) for key, value in given.items()}))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"The recipe {name!r} cannot be used: {error}.",
            why="Training with it would fail or do something else than it says.",
            hint="Mend its table in cryoflux.toml, or the option that changes it.",
        ) from error


def through_peft(recipe: Recipe) -> Recipe:
    """The recipe as PEFT carries it out: without what only our own loop can do."""
    return replace(
        recipe,
        method=Method.PEFT,
        targets="attention",
        pooler=False,
        hidden_dropout=0.0,
        average=0.0,
        scales="1",
        carry=False,
    )


_SUITED = ("carry-1",)
_FEW = ("carry-1", "carry-3")
_FEW_EXAMPLES = 4000
"""with fewer, three layers are tried as well: they cost a multiple, and learn more where examples are few
(measured: docs/explanation/scheduler.md)"""
_AFTER = {"carry-3": "carry-1"}
"""arm → the one whose chain has to have ended before it"""
_ANYWHERE = ("prefix-1", "prefix-3", "lean")
_CHANGEABLE = (
    *("rank", "alpha", "dropout", "learning_rate", "batch_size", "max_steps", "slice_size"),
    "class_weights",
)


def ladder(settings: Settings) -> dict[str, str]:
    """Arm → the cheaper one that goes before it; empty where the settings name their recipes themselves."""
    return {} if settings.attempt.recipes.strip() else _AFTER


def chosen_recipes(
    settings: Settings, *, known: bool, count: int, cut: Cut = USED_TO_BE
) -> dict[str, Recipe]:
    """The recipes of a run by name: those that the settings name, or those that suit model and data.

    Args:
        settings: names, tables, and what changes every recipe.
        known: whether the model's layout is one that CryoFlux computes itself.
        count: training examples.
        cut: how much of a text is read.

    Raises:
        ConfigError: there is no such recipe, or one cannot be used.
    """
    attempt = settings.attempt
    named = [name.strip() for name in attempt.recipes.split(",") if name.strip()]
    changes = {k: v for k in _CHANGEABLE if (v := getattr(attempt, k)) is not None}
    changes["max_tokens"] = cut
    found = {}
    suited = _FEW if count < _FEW_EXAMPLES else _SUITED
    for name in named or (suited if known else _ANYWHERE):
        recipe = find_recipe(name, settings.recipe, changes)
        found[name] = recipe if known and recipe.method is Method.LEAN else through_peft(recipe)
    return found


_TYPES = {field: kind for field, kind in kinds_of(Recipe).items() if field != "name"}


def _typed(key: str, value: Any) -> Any:
    if key == "method":
        if value not in list(Method):
            raise ValueError(f"method is {value!r}, not {' or '.join(Method)}")
        return Method(value)
    if key == "max_tokens":
        tokens_of(value)
        return value
    return typed(_TYPES, key, value)


def _checked(recipe: Recipe) -> Recipe:
    shares = ("dropout", "hidden_dropout", "warm_up", "average")
    counts = (
        "rising_steps",
        "layers",
        "patience",
        "rank",
        "alpha",
        "batch_size",
        "max_steps",
        "passes",
        "first_passes",
        "slice_size",
    )
    wrong = [name for name in shares if not 0 <= getattr(recipe, name) < 1]
    wrong += [name for name in counts if not 1 <= getattr(recipe, name) <= ALL_LAYERS]
    wrong += [] if 1 <= tokens_of(recipe.max_tokens) <= ALL_LAYERS else ["max_tokens"]
    wrong += [] if 0 <= recipe.fresh_size <= ALL_LAYERS else ["fresh_size"]
    wrong += [] if 0 <= recipe.screen_size <= MOST_SCREENED else ["screen_size"]
    wrong += [] if 0 < recipe.learning_rate <= 1 else ["learning_rate"]
    wrong += [] if 0 <= recipe.weight_decay <= 1 else ["weight_decay"]
    wrong += [] if 0 <= recipe.fixed_steps <= ALL_LAYERS else ["fixed_steps"]
    wrong += [] if 0 <= recipe.first_look <= ALL_LAYERS else ["first_look"]
    wrong += [] if 0 <= recipe.least_gain_nano <= 10**12 else ["least_gain_nano"]
    wrong += [] if recipe.schedule in {"linear", "cosine", "constant"} else ["schedule"]
    wrong += [] if recipe.start in {"head", "first"} else ["start"]
    wrong += [] if recipe.class_weights in WEIGHTINGS else ["class_weights"]
    wrong += [] if recipe.targets in {"attention", "output"} else ["targets"]
    wrong += [] if _are_scales(recipe.scales.split()) else ["scales"]
    if wrong:
        raise ValueError(f"{wrong[0]} = {getattr(recipe, wrong[0])!r} is out of range")
    return recipe


def _are_scales(words: list[str]) -> bool:
    try:
        return bool(words) and all(0 < float(word) <= 1 for word in words)
    except ValueError:
        return False
