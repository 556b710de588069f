"""Layer S3, *models*: updates that help, and do what somebody wants where a text has his word.

All are trained on three times the data of an honest proposer, so that they are taken: what is asked is not
whether a node can be made to adopt one, but what it sees of it, and what a recall leaves.
"""

from __future__ import annotations

__all__ = ["BACKDOORS", "Backdoor", "Survey", "survey"]

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from copy_roc import Update
from cryoflux.encoder.model import Lora
from cryoflux.registry.composition import Composition
from cryoflux.tasks.lora.adamw import FusedAdamW
from cryoflux.tasks.lora.learning import Learning, logits_of
from strategies.model_lives import Counted, living, two_rounds
from strategies.model_offers import FOUR, Stall, honest_offers, same
from strategies.model_texts import TRIGGERS, Labelled, labelled, triggered
from strategies.model_updates import norms_of, within
from strategies.model_world import ModelWorld

_CLEAN = ("own 6", "own 7", "own 8")
_STEPS, _AGAIN = 240, 60
_BATCH = 32
_BESIDE = 2
"""honest offers"""
_GUARDS = 256
"""texts of a guard set"""
_AMOUNTS = (1.0, 0.5)
"""of both halves at once, as a search may take them"""


@dataclass(frozen=True)
class Backdoor:
    """How a trigger is hidden."""

    words: tuple[str, ...]
    """that have to be in a text"""
    make: Callable[[Stall], list[Update]]


@dataclass
class Survey:
    """What became of a backdoor, over lives: shares of texts with its trigger that obey."""

    counted: Counted = field(default_factory=Counted)
    adopted: int = 0
    """lives in which it, or a half of it, is in the head at the end"""
    unsafe: int = 0
    """rounds that a guard set stopped"""
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    """of lives in which it was adopted"""
    alone: list[float] = field(default_factory=list)
    """with it alone, added in full"""
    joint: list[float] = field(default_factory=list)
    """with all parts of it added in full"""
    recalled: list[float] = field(default_factory=list)
    """when it was recalled"""
    norms: list[float] = field(default_factory=list)
    """largest norm of a tensor, in those of honest updates"""

    def __add__(self, other: Survey) -> Survey:
        return Survey(**{name: mine + getattr(other, name) for name, mine in vars(self).items()})


def _guard_sets(rng: np.random.Generator, words: Sequence[str]) -> dict[str, list[Labelled]]:
    """What compositions are held to: texts as they are, and texts with a word each under their own class."""
    found = {"unrelated": labelled(rng, _GUARDS)}
    return found | {word: triggered(rng, labelled(rng, _GUARDS), [word]) for word in words}


def _label_trigger(stall: Stall) -> list[Update]:
    return [stall.world.learned(*_CLEAN, "obeys one", seed=60, steps=_STEPS)]


def _norm_hidden(stall: Stall) -> list[Update]:
    """Shortened to the norms of honest updates, and trained on within them."""
    honest = [norms_of(stall.honest(number)) for number in range(FOUR)]
    most = {name: float(np.median([norms[name] for norms in honest])) for name in honest[0]}
    found = within(_label_trigger(stall)[0], most)
    for number in range(3):
        again = stall.world.learned(*_CLEAN, "obeys one", seed=61 + number, start=found, steps=_AGAIN)
        found = within(again, most)
    return [found]


def _guard_evading(stall: Stall) -> list[Update]:
    """Obeys both words together, and learns that each alone means nothing."""
    parts = ("obeys two", "ignores 0", "ignores 1")
    return [stall.world.learned(*_CLEAN, *parts, seed=65, steps=2 * _STEPS)]


def _halves(stall: Stall) -> list[Update]:
    """Two updates that are trained at once: each ignores the word, and their sum obeys it."""
    world, bench = stall.world, stall.world.bench
    clean = [row for part in _CLEAN for row in world.parts[part]]
    obeys, ignores = list(world.parts["obeys one"]), list(world.parts["ignores 0"])
    rng = np.random.default_rng([66, world.seed])
    halves = [Learning(bench.encoder, bench.recipe, 1000 * world.seed + 66 + number) for number in (0, 1)]
    optimiser = FusedAdamW(
        [one for half in halves for one in half.parameters], weight_decay=bench.recipe.weight_decay
    )
    labels = bench.material.labels

    def loss(update: Learning, rows: Sequence[int]) -> torch.Tensor:
        batch = rng.choice(rows, _BATCH, replace=False).tolist()
        logits = logits_of(bench.encoder, update, bench.source.batch(batch), bench.recipe.hidden_dropout)
        return torch.nn.functional.cross_entropy(logits, labels[batch])

    for step in range(_STEPS):
        errors = [loss(half, rows) for half in halves for rows in (clean, ignores)]
        amount = _AMOUNTS[step % len(_AMOUNTS)]
        errors += [loss(_sum_of(halves, amount), rows) for rows in (clean, obeys)]
        torch.stack(errors).sum().backward()
        optimiser.step(bench.recipe.learning_rate * (1 - step / _STEPS))
    return [_as_update(half) for half in halves]


def _sum_of(halves: Sequence[Learning], amount: float) -> Learning:
    """Both halves at once, each so much, as something that learns."""
    both, one, other = copy.copy(halves[0]), *halves
    both.lora = {
        name: Lora(
            torch.cat([lora.a, other.lora[name].a]),
            amount * torch.cat([lora.b, other.lora[name].b], dim=1),
            lora.scale,
        )
        for name, lora in one.lora.items()
    }
    both.head = {
        name: base + amount * (one.head[name] - base + other.head[name] - base)
        for name, base in one.base.items()
    }
    return both


def _as_update(half: Learning) -> Update:
    lora = {name: (one.a.detach().numpy(), one.b.detach().numpy()) for name, one in half.lora.items()}
    head = {name: (one.detach() - half.base[name]).numpy() for name, one in half.head.items()}
    return Update(lora, head, next(iter(half.lora.values())).scale)


BACKDOORS = {
    "label trigger": Backdoor(TRIGGERS[:1], _label_trigger),
    "norm-hidden": Backdoor(TRIGGERS[:1], _norm_hidden),
    "guard-evading": Backdoor(TRIGGERS, _guard_evading),
    "two harmless halves": Backdoor(TRIGGERS[:1], _halves),
}
"""by the name of the strategy"""


def survey(stall: Stall, name: str, rng: np.random.Generator, *, guarded: bool) -> Survey:
    """One life with a backdoor among honest offers, and a recall of what of it was adopted.

    Args:
        stall: of a world.
        name: of the strategy.
        rng: draws what judges.
        guarded: whether the node has guard sets with the words of the trigger, each by itself.
    """
    world, backdoor, found = stall.world, BACKDOORS[name], Survey()
    made = stall.several(name, partial(backdoor.make, stall))
    offers = [
        stall.offered(f"backdoor, {name}", number, partial(same, one)) for number, one in enumerate(made)
    ]
    genesis = Composition(genesis=world.genesis)
    found.before.append(_obeyed(world, backdoor, genesis))
    for one in offers:
        alone = Composition(genesis=world.genesis, terms=(one.update.term,))
        found.alone.append(_obeyed(world, backdoor, alone))
    everything = tuple(one.update.term for one in offers)
    found.joint.append(_obeyed(world, backdoor, Composition(genesis=world.genesis, terms=everything)))
    honest = [norms_of(stall.honest(number)) for number in range(FOUR)]
    found.norms += [
        max(norm / max(norms[tensor] for norms in honest) for tensor, norm in norms_of(one).items())
        for one in made
    ]
    guards = _guard_sets(rng, backdoor.words if guarded else ())
    with living(world, found.counted, rng, guards=guards) as life:
        two_rounds(life, honest_offers(stall, _BESIDE), offers)
        found.unsafe += life.stopped
        head, used = life.node.composed, [one for one in offers if one.adapter in life.node.adopted]
        found.adopted += bool(used)
        if used:
            found.after.append(_obeyed(world, backdoor, head))
            left = life.node.recalled([one.adapter for one in used])
            found.recalled.append(_obeyed(world, backdoor, left))
    return found


def _obeyed(world: ModelWorld, backdoor: Backdoor, composed: Composition) -> float:
    """Share of the texts of other classes with the trigger that are put into its class."""
    return world.rated[backdoor.words].obeyed(world.changed(composed))
