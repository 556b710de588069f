"""Lists of updates as models in memory, for whoever tries many of them: the search of a round.

What a list makes follows from `cryoflux.registry.compose`, and is the same to the last bit. But there each
update is made anew, and here what it adds to a tensor is kept, because a hundred lists are sums of the same
few updates. Only so much of it is kept, the newest.
"""

from __future__ import annotations

__all__ = ["ComposedHeads", "ListedModels"]

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoflux.registry.adapters import read_adapter
from cryoflux.registry.compose import Adapter, LowRank, WeightSums, compose, rounded_sum, tensor_step
from cryoflux.registry.composition import Composition, Term, list_digest
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.registry.parent_lists import ListOf, adapter_place, parent_lists, updates_of
from cryoflux.registry.shards import TensorFolder
from cryoflux.registry.version import Version
from cryoflux.tasks.interface import Workplace

if TYPE_CHECKING:
    import torch

    from cryoflux.evaluation.scoring import EncoderScorer, TransformersScorer
    from cryoflux.registry.compose import F32, F64
    from cryoflux.tasks.lora.head import HeadModel

_MOST_BYTES = 1_000_000_000
"""that are kept of what updates add, in float64"""
_MOST_ADAPTERS = 64
_POINT = {"": np.zeros(1, np.float32)}
"""a model of one number, to see whether a list can be added up at all"""


class ListedModels:
    """What lists over one genesis make.

    Args:
        genesis: its tensors by name.
        capsule: folder of an adapter by the digest of its file.
        list_of: lists that updates were trained on.
    """

    def __init__(self, genesis: Mapping[str, Any], capsule: Callable[[str], Path], list_of: ListOf) -> None:
        self._genesis, self._capsule, self._list_of = genesis, capsule, list_of
        self._adapters: dict[str, Adapter] = {}
        self._steps: dict[tuple[str, str, str], F64] = {}
        """(adapter, list of its parent, tensor) → what it adds in full; (list, list, tensor) → its sum"""
        self._touched: dict[str, frozenset[str]] = {}
        """folded list → tensors that it touches"""
        self._held = 0
        self._bounded = set[str]()
        """lists that can be added up within the bounds of `compose`"""
        self._outlines: dict[str, Adapter] = {}

    def names(self, composed: Composition) -> set[str]:
        """Tensors that a list touches.

        Raises:
            ModelError: an update cannot be read, a list that was folded is not here, or it is a list that
                nobody could add up again: what is kept here lets more pass than `compose` does.
        """
        if composed.digest not in self._bounded:
            compose(composed, _POINT, self._outline, self._list_of)
            self._bounded.add(composed.digest)
        return {name for term in composed.terms for name in self._names_of(term)}

    def _outline(self, digest: str) -> Adapter:
        """An update as far as it matters for which lists are gone through."""
        if digest not in self._outlines:
            self._outlines[digest] = Adapter(whole=_POINT if self._adapter(digest).whole else {})
        return self._outlines[digest]

    def _names_of(self, term: Term) -> Collection[str]:
        if not term.is_list:
            return self._adapter(term.adapter).names
        if term.parent not in self._touched:
            updates = updates_of((term,), self._list_of)
            names = (self._adapter(one.adapter).names for one in updates)
            self._touched[term.parent] = frozenset(chain.from_iterable(names))
        return self._touched[term.parent]

    def tensors(self, composed: Composition, names: set[str]) -> dict[str, F32]:
        """Some tensors of what a list makes.

        Args:
            composed: the list.
            names: which; those that it does not touch are the genesis's.

        Raises:
            ModelError: it cannot be added up.
        """
        return {name: self._tensor(composed, name) for name in sorted(names)}

    def moves(self, update: OfferedUpdate) -> tuple[Mapping[str, LowRank], dict[str, F64]]:
        """What an update adds: products by tensor, and differences of what was trained in full.

        Raises:
            ModelError: it does not fit.
        """
        adapter, parent = self._adapter(update.adapter), list_digest(update.parent)
        whole = {
            name: tensor_step(adapter, name, value.shape, lambda one: self._parent(parent, one))
            for name, value in adapter.whole.items()
        }
        return adapter.low_rank, whole

    def _tensor(self, composed: Composition, name: str) -> F32:
        start: F32 = self._genesis[name]
        terms = [term for term in composed.terms if name in self._names_of(term)]
        if not terms:
            return start
        total = start.astype(np.float64)
        if (first := composed.terms[0]) == terms[0] and first.is_list and first.weight == "1":
            total, terms = self._sum_of(first.parent, name), terms[1:]  # gone on from, as in `compose`
        for term in terms:
            step, weight = self._step(term, name, start), float(term.weight)
            total = total + (step * weight if weight != 1 else step)
        return rounded_sum(total, name)

    def _step(self, term: Term, name: str, start: F32) -> F64:
        """What a term adds in full to a tensor that it touches."""
        if term.is_list:
            return self._sum_of(term.parent, name) - start.astype(np.float64)
        update = self._adapter(term.adapter)
        # A product is a difference by itself, whatever it was trained on.
        key = term.adapter, term.parent if name in update.whole else "", name
        return self._kept(
            key, lambda: tensor_step(update, name, start.shape, lambda one: self._parent(term.parent, one))
        )

    def _sum_of(self, digest: str, name: str) -> F64:
        """The sum that a folded list makes of a tensor."""
        return self._kept((digest, digest, name), lambda: self._sums(digest, name).unrounded(name))

    def _kept(self, key: tuple[str, str, str], make: Callable[[], F64]) -> F64:
        found = self._steps.pop(key, None)
        if found is None:
            found = make()
            self._held += found.nbytes
        self._steps[key] = found  # the newest last
        while self._held > _MOST_BYTES and len(self._steps) > 1:
            self._held -= self._steps.pop(next(iter(self._steps))).nbytes
        return found

    def _parent(self, digest: str, name: str) -> F32:
        """A tensor of the version that an update was trained on."""
        return self._sums(digest, name).value(name)

    def _sums(self, digest: str, name: str) -> WeightSums:
        """What a list makes, as far as one tensor goes."""

        def alone(adapter: str) -> Adapter:
            return self._adapter(adapter).alone(name)

        genesis = Composition(genesis="0" * 64, terms=self._list_of(digest))
        return compose(genesis, self._genesis, alone, self._list_of)

    def _adapter(self, digest: str) -> Adapter:
        if digest not in self._adapters:
            while len(self._adapters) >= _MOST_ADAPTERS:
                del self._adapters[next(iter(self._adapters))]
            self._adapters[digest] = read_adapter(self._capsule(digest), digest)
        return self._adapters[digest]


class ComposedHeads:
    """Composes versions of text classifiers, and scores by them.

    Args:
        model: the head in memory.
        place: where the task works.
    """

    def __init__(self, model: HeadModel, place: Workplace) -> None:
        self._model, self._place = model, place
        self._lists: dict[str, tuple[ListedModels, Version]] = {}
        """genesis → what lists over it make, and itself"""

    @property
    def screen(self) -> Sequence[int]:
        """Indices of training examples that nothing is ever trained on."""
        return self._model.pool.screen

    def losses(
        self, composed: Composition, part: str, indices: Sequence[int], between: Callable[[int], None]
    ) -> Sequence[int]:
        """Losses of some examples with what a list makes, nano-nats."""
        with self._scorer(composed, part) as scorer:
            return scorer.score(indices, between)[0]

    def logits(self, composed: Composition, part: str, indices: Sequence[int]) -> Any:
        """Logits of some examples with what a list makes: float64, (examples, classes)."""
        with self._scorer(composed, part) as scorer:
            return scorer.logits(indices)

    def moves(self, update: OfferedUpdate) -> tuple[Mapping[str, LowRank], dict[str, F64]]:
        """What an update adds: products by tensor, and differences of what was trained in full."""
        return self._over(update.genesis)[0].moves(update)

    def draft(self, composed: Composition) -> Version:
        """The version that a list makes as a draft."""
        return self._place.versions.derive(self._model.version, self._changed(composed))

    @contextmanager
    def _scorer(self, composed: Composition, part: str) -> Iterator[EncoderScorer | TransformersScorer]:
        """What scores a set with what a list makes: a draft where only transformers can compute it."""
        changed = self._changed(composed)
        if self._model.layout is not None:
            yield self._model.scorer_beside(part, changed)
            return
        draft = self._place.versions.derive(self._model.version, changed)
        try:
            yield self._model.scorer(part, draft)
        finally:
            self._place.versions.discard(draft)

    def _changed(self, composed: Composition) -> dict[str, torch.Tensor]:
        """The tensors in which what a list makes may differ from the head."""
        import torch

        lists, genesis = self._over(composed.genesis)
        names = lists.names(composed) | self._model.version.differing(genesis)
        made = lists.tensors(composed, names)
        return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in made.items()}

    def _over(self, genesis: str) -> tuple[ListedModels, Version]:
        if genesis not in self._lists:
            version, state = self._place.versions.open(genesis), self._place.state
            genesis_tensors, lists_here = TensorFolder(version.folder), parent_lists(state.path)
            lists = ListedModels(genesis_tensors, adapter_place(state), lists_here)
            self._lists = {genesis: (lists, version)}
        return self._lists[genesis]
