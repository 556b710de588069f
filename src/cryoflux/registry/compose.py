"""The sum that a list of updates stands for, the same bits on every machine: ``compose/v1``.

For every weight ``W = float32(((float64(genesis) + w₁·D₁) + w₂·D₂) + …)``, in the order of the list, rounded
once. An update moves a weight by

- low rank: ``D = (((0 + b₁⊗a₁) + b₂⊗a₂) + …) · scale``, one rank after the other, where ``a`` are rows of the
  first matrix, ``b`` columns of the second, and ``scale`` is alpha / rank;
- in full: ``D = float64(value) − float64(parent's value)``: it acts as a difference from the version that it
  was trained on, so a second update does not erase the first;
- as a list that was folded: ``D = sum of the list, before it is rounded, − float64(genesis)``. Where it comes
  first, and in full, that sum is gone on from instead: folding what a head is the sum of changes no bit.

Each product and each sum is one IEEE operation in float64, element by element: no matrix product, whose order
depends on the library, and no fused multiply-add, which skips a rounding. So instruction set and threads do
not show. Nothing here is read from a disk, and nothing is run.
"""

from __future__ import annotations

__all__ = [
    "Adapter",
    "LowRank",
    "WeightSums",
    "compose",
    "low_rank_update",
    "rounded_sum",
    "tensor_step",
]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryoflux.registry.composition import (
    MOST_DEPTH,
    MOST_TERMS,
    MOST_UPDATES,
    Composition,
    Term,
    cannot_compose,
    list_digest,
)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
_MOST_RANK = 4096
_BLOCK = 32_768
"""elements that are computed together: they stay in a core's cache, and do not change the result"""


@dataclass(frozen=True, slots=True)
class LowRank:
    """An update of one weight as a product."""

    a: F32
    """(rank, inputs)"""
    b: F32
    """(outputs, rank)"""
    scale: float
    """alpha / rank"""


@dataclass(frozen=True, slots=True)
class Adapter:
    """An update."""

    low_rank: Mapping[str, LowRank] = field(default_factory=dict)
    """by the name of the weight that it changes"""
    whole: Mapping[str, F32] = field(default_factory=dict)
    """values of tensors that were trained in full, by name"""

    @property
    def names(self) -> list[str]:
        """All tensors that it touches."""
        return sorted({*self.low_rank, *self.whole})

    def alone(self, name: str) -> Adapter:
        """What it does to one tensor."""
        return Adapter(
            {one: matrices for one, matrices in self.low_rank.items() if one == name},
            {one: values for one, values in self.whole.items() if one == name},
        )


def low_rank_update(update: LowRank, name: str = "") -> F64:
    """What an update adds to a weight of shape (outputs, inputs).

    Args:
        update: its matrices.
        name: of the weight, for messages.

    Raises:
        ModelError: its matrices do not fit together.
    """
    a, b = _numbers(update.a, name), _numbers(update.b, name)
    if not (a.ndim == b.ndim == 2 and 0 < a.shape[0] == b.shape[1] <= _MOST_RANK):
        raise cannot_compose(
            f"The matrices of {name or 'an update'} do not fit together: {b.shape} by {a.shape}."
        )
    outputs, inputs = b.shape[0], a.shape[1]
    total = np.zeros((outputs, inputs))
    rows = max(1, _BLOCK // max(1, inputs))
    product = np.empty((min(rows, outputs), inputs))
    for first in range(0, outputs, rows):
        part, columns = total[first : first + rows], b[first : first + rows]
        room = product[: len(part)]
        for rank in range(a.shape[0]):
            np.multiply(columns[:, rank, None], a[rank], out=room)
            np.add(part, room, out=part)
        np.multiply(part, update.scale, out=part)
    return total


def _numbers(values: F32, name: str) -> F64:
    """Widened to float64, which is exact.

    Raises:
        ModelError: they are not finite float32.
    """
    if values.dtype != np.float32:
        raise cannot_compose(f"{name or 'A weight'} is {values.dtype}, not float32.")
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        raise cannot_compose(f"{name or 'A weight'} holds what is no number.")
    return wide


def rounded_sum(total: F64, name: str) -> F32:
    """A sum of a genesis and updates, rounded once to float32.

    Raises:
        ModelError: it is too large.
    """
    with np.errstate(over="ignore"):
        rounded = total.astype(np.float32)
    if not np.isfinite(rounded).all():
        raise cannot_compose(f"{name} becomes larger than float32 can hold.")
    return rounded


def tensor_step(adapter: Adapter, name: str, shape: tuple[int, ...], parent: Callable[[str], F32]) -> F64:
    """What an update adds to one tensor, in full: D.

    Args:
        adapter: the update.
        name: of a tensor that it touches.
        shape: of that tensor.
        parent: tensors of the version that it was trained on, by name.

    Raises:
        ModelError: it does not fit, or is no number.
    """
    if name in adapter.low_rank:
        one = adapter.low_rank[name]
        _fitting((*one.b.shape[:1], *one.a.shape[1:]), shape, name)  # before room is made
        step = low_rank_update(one, name)
    else:
        step = np.subtract(*_paired(adapter.whole[name], parent(name), name))
    _fitting(step.shape, shape, name)
    return step


class WeightSums:
    """The tensors of a version that differ from its genesis, as float64 sums that are not rounded yet."""

    def __init__(self, genesis: Mapping[str, F32], sums: Mapping[str, F64] | None = None) -> None:
        """Begin at a genesis; ``sums`` are those of the tensors that were changed already."""
        self._genesis = genesis
        self._sums = dict(sums or {})

    @property
    def names(self) -> list[str]:
        """Tensors that something was added to."""
        return sorted(self._sums)

    def value(self, name: str) -> F32:
        """A tensor of the version, rounded once to float32.

        Raises:
            ModelError: there is none of that name, or it has become too large.
        """
        found = self._sums.get(name)
        if found is None:
            _numbers(self._tensor(name), name)
            return self._tensor(name)
        return rounded_sum(found, name)

    def _tensor(self, name: str) -> F32:
        try:
            return self._genesis[name]
        except KeyError:
            raise cannot_compose(f"The genesis has no tensor {name}.") from None

    def adding(
        self, adapter: Adapter, *, weight: float = 1.0, parent: Callable[[str], F32] | None = None
    ) -> WeightSums:
        """With an update added; what this holds stays as it is.

        Args:
            adapter: the update.
            weight: how much of it.
            parent: tensors of the version that it was trained on, by name; without it, this version.

        Raises:
            ModelError: it does not fit, or is no number.
        """
        if both := adapter.low_rank.keys() & adapter.whole.keys():
            raise cannot_compose(f"{min(both)} is changed both in full and by a product.")
        value, sums = parent or self.value, dict(self._sums)
        for name in adapter.names:
            total = self.unrounded(name)
            step = tensor_step(adapter, name, total.shape, value)
            if weight != 1:
                np.multiply(step, weight, out=step)
            sums[name] = np.add(total, step, out=step)
        return WeightSums(self._genesis, sums)

    def adding_list(self, added: WeightSums, weight: float = 1.0) -> WeightSums:
        """With all that a list over the same genesis adds to it.

        Args:
            added: its sums.
            weight: how much of it.

        Raises:
            ModelError: a value is no number.
        """
        sums = dict(self._sums)
        for name in added.names:
            step = np.subtract(added.unrounded(name), _numbers(self._tensor(name), name))
            if weight != 1:
                np.multiply(step, weight, out=step)
            sums[name] = np.add(self.unrounded(name), step, out=step)
        return WeightSums(self._genesis, sums)

    def unrounded(self, name: str) -> F64:
        """The sum of a tensor, as it goes into other sums.

        Raises:
            ModelError: there is none of that name, or it holds what is no number.
        """
        found = self._sums.get(name)
        return _numbers(self._tensor(name), name) if found is None else found

    def rounded(self) -> dict[str, F32]:
        """All tensors that something was added to, each rounded once.

        Raises:
            ModelError: one has become too large.
        """
        return {name: self.value(name) for name in self.names}


def _fitting(found: tuple[int, ...], due: tuple[int, ...], name: str) -> None:
    if found != due:
        raise cannot_compose(f"{name} has the shape {due}, its update {found}.")


def _paired(value: F32, before: F32, name: str) -> tuple[F64, F64]:
    _fitting(value.shape, before.shape, name)
    return _numbers(value, name), _numbers(before, name)


def compose(
    composed: Composition,
    genesis: Mapping[str, F32],
    adapter: Callable[[str], Adapter],
    list_of: Callable[[str], tuple[Term, ...]] | None = None,
) -> WeightSums:
    """The sums of a whole list, from its genesis on.

    Args:
        composed: the genesis and the list.
        genesis: tensors of the genesis by name; that they are its is for the caller to check.
        adapter: an update by the SHA-256 of its file, which is for the caller to check.
        list_of: a parent list, or a folded one, by its digest, where it is no beginning of the list itself.

    Raises:
        ModelError: the list is too long or goes in circles, or an update does not fit.
    """
    return _Work(WeightSums(genesis), adapter, list_of).compose(composed.terms, ())


class _Work:
    """One composition, with the lists that hang below it."""

    def __init__(
        self,
        start: WeightSums,
        adapter: Callable[[str], Adapter],
        list_of: Callable[[str], tuple[Term, ...]] | None,
    ) -> None:
        self._start, self._adapter, self._list_of = start, adapter, list_of
        self._left = MOST_UPDATES
        self._newest: tuple[tuple[Term, ...], WeightSums] = ((), start)
        """the list below that was composed last: the next one often begins with it"""

    def compose(self, terms: tuple[Term, ...], above: tuple[str, ...]) -> WeightSums:
        """The sums of a list; ``above`` are the digests of those that it hangs below."""
        done, sums = self._newest
        if terms[: len(done)] != done:
            done, sums = (), self._start
        self._left -= len(terms) - len(done)
        if len(terms) > MOST_TERMS or self._left < 0:
            raise cannot_compose(f"A list has more than {MOST_TERMS} terms, or too many lists below it.")
        above = (*above, list_digest(terms))
        wanted = {term.parent: at for at, term in enumerate(terms)}
        # Of what was passed, only what a later term names is asked for again.
        passed = {list_digest(()): self._start, list_digest(done): sums}
        for at, term in enumerate(terms[len(done) :], len(done)):
            sums = self._added(sums, term, passed, above)
            passed = {parent: made for parent, made in passed.items() if wanted.get(parent, -1) > at}
            if wanted.get(made_now := list_digest(terms[: at + 1]), -1) > at:
                passed[made_now] = sums
        return sums

    def _added(
        self, sums: WeightSums, term: Term, passed: dict[str, WeightSums], above: tuple[str, ...]
    ) -> WeightSums:
        update = None if term.is_list else self._adapter(term.adapter)  # one at a time: files may be large
        named = passed.get(term.parent)
        if named is None and (update is None or update.whole):  # a product is a difference by itself
            named = passed[term.parent] = self._below(term.parent, above)
        if update is None:
            added = named or self._start
            goes_on = sums is self._start and float(term.weight) == 1
            return added if goes_on else sums.adding_list(added, float(term.weight))
        return sums.adding(update, weight=float(term.weight), parent=(named or sums).value)

    def _below(self, digest: str, above: tuple[str, ...]) -> WeightSums:
        if digest in above:
            raise cannot_compose(f"The list {digest[:16]}… is its own parent.")
        if len(above) >= MOST_DEPTH:
            raise cannot_compose(f"More than {MOST_DEPTH} lists hang below one another.")
        if self._list_of is None:
            raise cannot_compose(f"The list {digest[:16]}… is not known.")
        terms = self._list_of(digest)
        if list_digest(terms) != digest:
            raise cannot_compose(f"What is given as the list {digest[:16]}… is another one.")
        sums = self.compose(terms, above)
        self._newest = terms, sums
        return sums
