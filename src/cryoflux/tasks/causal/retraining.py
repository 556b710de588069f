"""Training a language model's update again, as its receipt says that it was trained.

What an attempt draws, in which order and in which batches, follows from the pool and its seed; the schedule
is played back for as many steps as are recorded. The documents of the screen are not read: what they said
decided whether to look at the holdout, and nothing of the weights.
"""

from __future__ import annotations

__all__ = ["recipe_of", "train_again"]

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.data.prepared import PreparedData
from cryoflux.errors import VerificationError
from cryoflux.registry.versions import Version
from cryoflux.tasks.again import CannotRetrainError, played_back, pool_of, values_of
from cryoflux.tasks.causal.inputs import stored_rows
from cryoflux.tasks.causal.network import open_network, open_tokenizer
from cryoflux.tasks.causal.recipe import SINCE, CausalRecipe, find_recipe
from cryoflux.tasks.pool import slice_digest

if TYPE_CHECKING:
    from cryoflux.verification.retrain import Plan


_IN_BFLOAT16 = {"f32": False, "bf16-autocast": False, "bf16": True}
"""precision of a recipe → whether the weights that it trained beside were rounded"""


def recipe_of(said: Mapping[str, str | int]) -> CausalRecipe:
    """A recipe as an intent has it; how much of a document is read stands beside it there.

    Raises:
        CannotRetrainError: a field is not one of ours, or it does not say how products were computed.
        ConfigError: one is out of range.
    """
    fields = {key: value for key, value in said.items() if key != "max_tokens"}
    values = values_of(CausalRecipe, fields, SINCE)
    name = str(values.pop("name"))
    return find_recipe(name, {name: {}}, values)


def train_again(plan: Plan, data: PreparedData, version: Version, cut: int, into: Path) -> None:
    """Train one attempt again and write its adapter.

    Args:
        plan: how it was trained.
        data: the documents.
        version: that the update is added to.
        cut: tokens of a document that are read.
        into: folder for the adapter.

    Raises:
        CannotRetrainError: its receipt says too little.
        VerificationError: the receipt names other documents than an attempt could have drawn.
    """
    from cryoflux.tasks.causal.training import Exercise, train_causal

    recipe, training = recipe_of(plan.drawn.recipe), plan.drawn.training
    if recipe.precision not in _IN_BFLOAT16:
        raise CannotRetrainError(f"It was trained in {recipe.precision!r}, which is not done again here.")
    drawn = pool_of(plan, data).fresh(plan.drawn.before, recipe.max_steps * recipe.batch_size)
    used = min(training.steps * recipe.batch_size, len(drawn))
    if slice_digest(drawn[:used]) != training.slice_sha256:
        raise VerificationError(f"the {used} documents that its steps draw are not those that it names")
    tokenizer = open_tokenizer(version.folder, version.digest[:16])
    lines = data.sets["train"]
    pad = tokenizer.pad_token_id
    lesson = Exercise(stored_rows([lines[at] for at in drawn], tokenizer, cut), [], 0 if pad is None else pad)
    limits, steps = played_back(training)
    train_causal(
        open_network(
            version.folder,
            version.digest[:16],
            bf16=_IN_BFLOAT16[recipe.precision],
            device=training.device or "cpu",
        ),
        lesson,
        recipe,
        limits,
        into,
        seed=plan.intent.seed,
        base=version.digest,
        progress=steps.append,
    )
