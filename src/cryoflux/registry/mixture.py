"""What a round makes of a head: steps, each of which turns one list of updates into another.

What is offered is an update D with the list of the version that it was trained on, over the same genesis. A
step is one of

- *add* w: the head + w·D;
- *mix* s: (1 − s)·head + s·(parent + D), which goes towards the proposer's own model where bases went apart;
- *reweight* w: an update that the head has already, times w.

A list is a sum, so what comes of a step is a list again: weights of equal terms add up, and a term of weight
zero goes. Where there would be more than 64 terms the head's list or the proposer's, the longer first, is
folded into one. Weights are decimal text of at most twelve places, and what was rounded to them is what is
meant. Nothing here reads a weight of a model, and the list after some steps follows from the list before:
whoever takes a step out of the middle and does the others again has the list of a head that never adopted it.
"""

from __future__ import annotations

__all__ = ["ListStep", "OfferedUpdate", "StepKind", "after"]

from collections.abc import Collection, Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated

from msgspec import Meta

from cryoflux.registry.composition import (
    MOST_TERMS,
    Composition,
    Term,
    cannot_compose,
    folded,
    list_digest,
)
from cryoflux.signing.fields import END_OF_TEXT, Document, Sha256, at_most

_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_PLACES = Decimal("0.000000000001")
_MOST_WEIGHT = 9_999
_ONE = Fraction(1)
_Parts = Sequence[tuple[tuple[Term, ...], Fraction]]
_AMOUNT = r"^(0|[1-9][0-9]{0,3})(/[1-9][0-9]{0,3})?" + END_OF_TEXT


class StepKind(StrEnum):
    """How a step changes a list."""

    ADD = "add"
    MIX = "mix"
    REWEIGHT = "reweight"


class OfferedUpdate(Document, frozen=True):
    """An update, and what the version is composed of that it was trained on."""

    adapter: Sha256
    """of its file"""
    genesis: Sha256
    """digest of the version that the list of its parent begins at"""
    parent: Annotated[tuple[Term, ...], at_most(MOST_TERMS)] = ()
    """the list of the version that it was trained on"""

    @property
    def term(self) -> Term:
        """The update in full."""
        return Term(weight="1", adapter=self.adapter, parent=list_digest(self.parent))

    @property
    def made(self) -> Composition:
        """The version that its proposer made: what it was trained on, and it."""
        return Composition(genesis=self.genesis, terms=self.parent).adding(self.term)


class ListStep(Document, frozen=True):
    """One change of a list of updates."""

    kind: StepKind
    update: OfferedUpdate
    """of a reweighting, without its parent: the list has it"""
    amount: Annotated[str, Meta(pattern=_AMOUNT)]
    """weight, share or factor: a fraction in decimal text, ``1/3``"""


def after(
    head: Composition,
    steps: Iterable[ListStep],
    without: Collection[str] = frozenset(),
    folds: dict[str, tuple[Term, ...]] | None = None,
) -> Composition:
    """The list that some steps make of a list.

    Args:
        head: the list.
        steps: in order.
        without: adapters that they do not bring in, by themselves or as what others were trained on. What
            is not there for want of them gets no other weight either: else a step that names it would keep
            everybody from taking out what brought it.
        folds: takes the lists that are folded on the way, by their digests.

    Raises:
        ModelError: an update was trained over another genesis, the list has no such update, or a weight would
            be too large.
    """
    for step in steps:
        if step.update.adapter not in without:
            head = _taken(head, step, without, folds if folds is not None else {})
    return head


def _taken(
    head: Composition, step: ListStep, without: Collection[str], folds: dict[str, tuple[Term, ...]]
) -> Composition:
    amount, update = Fraction(step.amount), step.update
    if update.genesis != head.genesis:
        raise cannot_compose(
            f"The update {update.adapter[:16]}… was trained over the genesis {update.genesis[:16]}…, and the "
            f"head is over {head.genesis[:16]}…."
        )
    if step.kind is StepKind.REWEIGHT:
        if all(term.adapter != update.adapter for term in head.terms):
            if without:  # what brought it is left out, or the list is another one without that
                return head
            raise cannot_compose(f"The head has no update {update.adapter[:16]}….")
        parts: _Parts = [((one,), amount if one.adapter == update.adapter else _ONE) for one in head.terms]
    elif step.kind is StepKind.ADD:
        parts = [(head.terms, _ONE), ((update.term,), amount)]
    else:
        proposed = tuple(term for term in update.parent if term.adapter not in without)
        parts = [(head.terms, 1 - amount), (proposed, amount), ((update.term,), amount)]
    return Composition(genesis=head.genesis, terms=_summed(parts, folds))


def _summed(parts: _Parts, folds: dict[str, tuple[Term, ...]]) -> tuple[Term, ...]:
    """Lists times factors as one; where it would be too long, the longest of them is folded."""
    terms = _sum_of((term, factor) for some, factor in parts for term in some)
    if len(terms) <= MOST_TERMS:
        return terms
    longest = max(range(len(parts)), key=lambda at: len(parts[at][0]) if parts[at][1] else 0)
    whole, factor = parts[longest]
    folds[list_digest(whole)] = whole
    return _summed([*parts[:longest], (folded(whole), factor), *parts[longest + 1 :]], folds)


def _sum_of(parts: Iterable[tuple[Term, Fraction]]) -> tuple[Term, ...]:
    """Terms times factors, in the order in which each first stands."""
    weights: dict[tuple[str, str], Fraction] = {}
    for term, factor in parts:
        key = term.adapter, term.parent
        weights[key] = weights.get(key, Fraction(0)) + Fraction(term.weight) * factor
    spelt = ((key, _text(weight)) for key, weight in weights.items())
    return tuple(
        Term(weight=weight, adapter=adapter, parent=parent)
        for (adapter, parent), weight in spelt
        if weight != "0"
    )


def _text(weight: Fraction) -> str:
    """The one spelling of a weight, rounded to twelve places."""
    if abs(weight) > _MOST_WEIGHT:
        raise cannot_compose(f"A weight of {float(weight):g} is larger than {_MOST_WEIGHT}.")
    exact = _EXACT.divide(Decimal(weight.numerator), Decimal(weight.denominator))
    text = f"{exact.quantize(_PLACES, context=_EXACT):f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
