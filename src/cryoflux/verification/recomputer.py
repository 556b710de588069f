"""What recomputing asks of a trainer's libraries: an interface, so that verifying needs none of them."""

from __future__ import annotations

__all__ = [
    "Models",
    "OtherFactories",
    "Recomputer",
    "RecomputerFactory",
    "factory_for",
    "target_tokens",
    "tokens_apart",
]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from cryoflux.receipts.lifting import SECTION
from cryoflux.receipts.per_token import TARGET_TOKENS
from cryoflux.receipts.profiles import TOLERANCES
from cryoflux.receipts.statement import Receipt, Training
from cryoflux.registry.composition import Composition
from cryoflux.registry.cuts import Cut
from cryoflux.registry.parent_lists import ListOf
from cryoflux.verification.loss_comparison import Found
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.temperatures import Fitter


@dataclass(frozen=True, slots=True)
class Models:
    """Where a list of updates finds what it adds up."""

    base: Path
    """that the last update was added to: settings and tokenizer are its"""
    genesis: Path
    capsule: Callable[[str], Path]
    """folder of an adapter by the digest of its file"""
    list_of: ListOf | None = None
    """a list that is no beginning of the one that is added up; none where there are no others"""


class Recomputer(Fitter, Protocol):
    """What can evaluate a model; the only part of a verification that needs a trainer's libraries."""

    def evaluate(self, model: Path, holdout: Path) -> Found:
        """Losses of a model on a whole holdout in float64, nano-nats, and which examples it gets right."""

    def evaluate_some(self, model: Path, holdout: Path, indices: Sequence[int] | None, profile: str) -> Found:
        """The same for some examples, or for all, in the arithmetic of a profile."""

    def merge(self, base: Path, capsule: Path, into: Path) -> Path:
        """Merge an adapter into a base model in float32, below the folder ``into``; the model's folder."""

    def compose(self, composed: Composition, models: Models, into: Path) -> Path:
        """Add a list of updates up (``compose/v1``), below the folder ``into``; the model's folder."""

    def as_kept(self, base: Path, capsule: Path, kept: Path, into: Path) -> Path | None:
        """A kept model with the settings of its base, below the folder ``into``.

        Returns:
            None where it is not base + adapter within what float32 rounds away.

        Raises:
            OpenQuestion: that is so much that it says nothing of the model.
        """


@runtime_checkable
class _CountsTokens(Protocol):
    """A recomputer of documents."""

    def target_tokens(self, holdout: Path, model: Path) -> list[int]:
        """Target tokens of each document of a holdout, as the tokenizer of a model counts them here."""


def target_tokens(recomputer: object, profile: str, holdout: Path, model: Path) -> list[int]:
    """Target tokens of each example of a holdout, where the tolerance of a profile is for each; else nothing.

    Args:
        recomputer: that evaluates them.
        profile: in which arithmetic.
        holdout: its file.
        model: whose tokenizer counts.

    Raises:
        OpenQuestion: what evaluates them knows no tokens.
    """
    if not TOLERANCES[profile].each_token:
        return []
    if not isinstance(recomputer, _CountsTokens):
        raise OpenQuestion(f"of its task no target tokens are known, by which {profile} is compared")
    return recomputer.target_tokens(holdout, model)


def tokens_apart(recomputer: object, receipt: Receipt, holdout: Path, model: Path) -> list[str]:
    """That a receipt says another number of target tokens than its holdout has; nothing where it does not.

    Args:
        recomputer: that evaluates it.
        receipt: what is signed.
        holdout: its file.
        model: whose tokenizer counts.
    """
    signed = receipt.training.section.fields.get(TARGET_TOKENS) if receipt.training is not None else None
    if signed is None or not isinstance(recomputer, _CountsTokens):
        return []
    here = sum(recomputer.target_tokens(holdout, model))
    return [] if signed == here else [f"its holdout has {here} target tokens, and {signed!r} were signed"]


RecomputerFactory = Callable[[Cut], Recomputer]
"""Makes a recomputer for texts of which so much is read (`cryoflux.registry.cuts`)."""


OtherFactories = Mapping[str, Callable[[Cut, Path], Recomputer]]
"""Kind of a receipt's section → makes what recomputes it, from the cut and the state."""


def factory_for(
    training: Training | None, usual: RecomputerFactory, others: OtherFactories, state: Path | None
) -> RecomputerFactory:
    """What makes the recomputer of a receipt: the usual one, unless its kind has its own.

    What is made for a kind that is not known here raises an `OpenQuestion`: only its task can evaluate it.

    Args:
        training: of the receipt.
        usual: for all kinds that have none of their own.
        others: by kind.
        state: where the receipt's artefacts are; none where they are not here.
    """
    kind = training.section.kind if training is not None else SECTION
    if kind == SECTION:
        return usual
    own = others.get(kind)
    if own is None or state is None:
        return partial(_not_ours, kind)
    return lambda cut: own(cut, state)


def _not_ours(kind: str, _cut: Cut) -> Recomputer:
    raise OpenQuestion(f"its section is {kind}, of a task of somebody's own: only that can evaluate it again")
