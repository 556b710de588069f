"""The weights of a version that is kept as its list of updates, tensor by tensor."""

from __future__ import annotations

__all__ = ["ComposedTensors"]

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoflux.registry.composition import Composition
from cryoflux.registry.parent_lists import ListOf, no_lists, updates_of
from cryoflux.registry.shards import TensorFolder

if TYPE_CHECKING:
    from cryoflux.registry.compose import Adapter


class ComposedTensors(Mapping[str, Any]):
    """The tensors of a version as torch tensors, each added up when it is asked for.

    Memory holds the adapters and one tensor at a time, not the sums of all of them.
    """

    def __init__(
        self,
        composed: Composition,
        genesis: Path,
        capsule: Callable[[str], Path],
        list_of: ListOf | None = None,
    ) -> None:
        """Read the adapters.

        Args:
            composed: the genesis and the list.
            genesis: folder of the genesis; that it is the one is for the caller to check.
            capsule: folder of an adapter by the digest of its file, which is checked.
            list_of: a list that is no beginning of its own, or was folded; none where there are no others.

        Raises:
            ModelError: an adapter is missing, or is another one.
        """
        self._capsule, self._composed, self._list_of = capsule, composed, list_of
        self._genesis, self._stored = TensorFolder(genesis), TensorFolder(genesis, "pt")
        self._adapters: dict[str, Adapter] = {}
        """by digest, those of the list and those that lists below it have"""
        updates = updates_of(composed.terms, list_of or no_lists)
        own = [self._adapter(term.adapter) for term in updates]
        self.changed = frozenset(name for one in own for name in one.names)
        """names of the tensors that something is added to"""

    def __getitem__(self, name: str) -> Any:
        """A tensor of the version.

        Raises:
            KeyError: there is none of that name.
            ModelError: an update does not fit, or makes what is no number.
        """
        if name not in self.changed:
            return self._stored[name]
        import torch

        from cryoflux.registry.compose import compose

        def alone(digest: str) -> Adapter:
            return self._adapter(digest).alone(name)

        return torch.from_numpy(compose(self._composed, self._genesis, alone, self._list_of).value(name))

    def _adapter(self, digest: str) -> Adapter:
        from cryoflux.registry.adapters import read_adapter

        if digest not in self._adapters:
            self._adapters[digest] = read_adapter(self._capsule(digest), digest)
        return self._adapters[digest]

    def __iter__(self) -> Iterator[str]:
        """All names."""
        return iter(self._stored)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._stored)
