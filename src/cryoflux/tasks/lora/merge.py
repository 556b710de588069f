"""Makes versions of adapters: reads their files, and adds them up.

New receipts are merged by ``compose/v1`` (`cryoflux.registry.compose`), which gives the same bits on every
machine. `merged_tensors` is how it was before, ``merge/v1``: W + (alpha / rank) · B · A in float32, as PEFT
does, whose last bits depend on the processor; `beyond_rounding` says whether two such results are further
apart than that, and `room_complaint` where that says nothing, because the ranks of an update cancel. Adapters
are read by `cryoflux.registry.adapters`.
"""

from __future__ import annotations

__all__ = ["HeadSums", "beyond_rounding", "merged_tensors", "room_complaint"]

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoflux.errors import CryoFluxError
from cryoflux.registry.adapters import read_adapter
from cryoflux.registry.compose import Adapter, LowRank, WeightSums, compose, low_rank_update
from cryoflux.registry.composition import Composition, Term, cannot_compose
from cryoflux.registry.parent_lists import ListOf, no_lists, updates_of

if TYPE_CHECKING:
    from cryoflux.registry.compose import F64

_HALF_ULP = 2.0**-24
"""largest relative error of one float32 operation"""
_LEAST = 2.0**-149
"""smallest float32 above 0"""
_MOST_ROOM = 2.0**-11
"""of what the weights of a row and of a column typically are, in the square mean, that rounding may move one
by; adapters that were trained come to 2⁻¹⁹ (docs/adr/0017)"""


class HeadSums:
    """The head as float64 sums in memory, so that a candidate costs one addition and not the whole list.

    Args:
        genesis: tensors of a version by its digest.
        capsule: folder of an adapter by the digest of its file.
        list_of: a list that is no beginning of the head's own, or was folded; none where there are no others.
        keep: keeps a list that is folded.
    """

    def __init__(
        self,
        genesis: Callable[[str], Mapping[str, Any]],
        capsule: Callable[[str], Path],
        list_of: ListOf | None = None,
        keep: Callable[[Sequence[Sequence[Term]]], None] = lambda _lists: None,
    ) -> None:
        self._genesis, self._capsule, self._list_of, self._keep = genesis, capsule, list_of, keep
        self._held: dict[Composition, WeightSums] = {}
        """of the head: eight bytes a weight that changed, so of one version at a time"""
        self._last: tuple[Composition, Composition, Adapter] | None = None
        """the candidate that was made last, what it was added to, and the update"""

    def of(self, composed: Composition) -> WeightSums:
        """The sums of a version, from memory or from its genesis on.

        Raises:
            ModelError: an update cannot be read.
            OSError: its genesis is not here.
        """
        if composed not in self._held and self._last is not None:
            made, on, update = self._last
            if made == composed and on in self._held:
                self._held = {composed: self._held[on].adding(update)}
        if composed not in self._held:
            genesis = self._genesis(composed.genesis)
            adapter = partial(_adapter_in, self._capsule)
            self._held = {composed: compose(composed, genesis, adapter, self._list_of)}
        return self._held[composed]

    def following(self, head: Composition, version: str, adapter: str) -> Composition:
        """What an update of the head makes.

        A list over the head as a new genesis where it cannot be composed here any more, or where as much as
        may hang below a list hangs below its own.

        Args:
            head: what the update was trained on.
            version: digest of the same.
            adapter: SHA-256 of the update's file.
        """
        made = head.adopting(adapter)
        try:
            self.of(head)
            if head.is_full:
                self._keep([head.terms])
            updates_of(made.terms, self._list_of or no_lists)
        except (CryoFluxError, OSError):  # of older versions nobody has to keep the files
            return Composition.rebased(version, adapter)
        return made

    def candidate(
        self,
        head: Composition,
        candidate: Composition,
        capsule: Path,
        *,
        also: frozenset[str] = frozenset(),
    ) -> dict[str, Any]:
        """The tensors that an update changes, after adding it.

        Args:
            head: what the update is added to.
            candidate: the same with the update, which is its last.
            capsule: folder of the update.
            also: further tensors that are wanted.
        """
        import torch

        update = read_adapter(capsule)
        on = head if candidate.genesis == head.genesis else Composition(genesis=candidate.genesis)
        start = self.of(on)
        self._last = candidate, on, update
        # One tensor at a time: of the sums of a candidate, only what they round to is needed.
        return {
            name: torch.from_numpy(start.adding(update.alone(name)).value(name))
            for name in sorted({*update.names, *also})
        }


def _adapter_in(capsule: Callable[[str], Path], digest: str) -> Adapter:
    return read_adapter(capsule(digest), digest)


def merged_tensors(base: Mapping[str, Any], capsule: Path) -> dict[str, Any]:
    """The tensors of the base model that an adapter on the disk changes, merged in float32: ``merge/v1``.

    Args:
        base: name → float32 tensor of the base version.
        capsule: the adapter's folder, as PEFT saves it.

    Raises:
        ModelError: it is no such adapter, or does not fit.
    """
    import torch

    update, changed = read_adapter(capsule), {}
    try:
        for name, one in update.low_rank.items():
            _same_shape(one, base[name], name)  # before room is made
            product = torch.from_numpy(one.b) @ torch.from_numpy(one.a)
            changed[name] = base[name] + product * one.scale
        for name, value in update.whole.items():
            changed[name] = torch.from_numpy(value).reshape(base[name].shape)
    except (KeyError, RuntimeError) as error:
        raise cannot_compose(f"The adapter {capsule.name[:16]}… does not fit its base: {error}") from error
    return changed


def _same_shape(one: LowRank, before: Any, name: str) -> None:
    found, due = (*one.b.shape[:1], *one.a.shape[1:]), tuple(before.shape)
    if found != due:
        raise cannot_compose(f"{name} has the shape {due}, its update {found}.")


def _sum_and_room(base: Mapping[str, Any], one: LowRank, name: str) -> tuple[F64, F64, F64]:
    """A weight, its update, and how far float32 may be from their sum, each in float64."""
    _same_shape(one, base[name], name)
    before, step = base[name].astype(np.float64), low_rank_update(one, name)
    sizes = low_rank_update(LowRank(np.abs(one.a), np.abs(one.b), abs(one.scale)), name)
    room = _HALF_ULP * (np.abs(before + step) + (len(one.a) + 2) * sizes) * (1 + 2.0**-20)
    return before, step, room + (len(one.a) + 2) * _LEAST


def room_complaint(base: Mapping[str, Any], capsule: Path) -> str:
    """Why rounding may have made anything of a base and an adapter; empty where it hardly moves a weight.

    What float32 rounds away grows with the products of an update, not with their sum: ranks that cancel, of
    any size, leave room for any other model. So no weight may be moved by more than 2⁻¹¹ of what the weights
    of its row, and those of its column, are in the square mean, updates counted.

    Args:
        base: name → float32 array of the base version.
        capsule: the adapter's folder.

    Raises:
        ModelError: it is no such adapter, or does not fit.
    """
    for name, one in sorted(read_adapter(capsule).low_rank.items()):
        before, step, room = _sum_and_room(base, one, name)
        squares = before**2 + step**2
        typical = np.minimum(squares.mean(0)[None, :], squares.mean(1)[:, None]) ** 0.5
        if (room > _MOST_ROOM * typical + (len(one.a) + 3) * _LEAST).any():
            return f"the ranks of its update cancel in {name}: float32 may have rounded them to anything"
    return ""


def beyond_rounding(base: Mapping[str, Any], capsule: Path, merged: Mapping[str, Any]) -> str:
    """What of a model is not base + adapter, up to what float32 arithmetic rounds away in whatever order.

    A weight w = base + Σ b·a · scale may be off by 2⁻²⁴ · (|w| + (rank + 2) · Σ|b·a| · scale), twice a half
    unit of its last place for small updates; what was trained in full, and what was not trained, by nothing.

    Args:
        base: name → float32 array of the base version.
        capsule: the adapter's folder.
        merged: name → float32 array of the model that it is said to have made.

    Returns:
        The first tensor that is beyond it; empty where none is.
    """
    update = read_adapter(capsule)
    if merged.keys() != base.keys():
        return "it has other tensors"
    for name in sorted(merged):
        found = merged[name]
        if name not in update.low_rank:
            due = update.whole.get(name, base[name])
            if found.dtype != due.dtype or found.shape != due.shape or found.tobytes() != due.tobytes():
                return name
            continue
        before, step, room = _sum_and_room(base, update.low_rank[name], name)
        if found.dtype != np.float32 or found.shape != before.shape:
            return name
        if not (np.abs(found - (before + step)) <= room).all():
            return name
    return ""
