"""The weights of a version that is kept as its list of updates, tensor by tensor."""

from __future__ import annotations

__all__ = ["ComposedTensors"]

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cryoflux.registry.composition import Composition
from cryoflux.registry.shards import TensorFolder


class ComposedTensors(Mapping[str, Any]):
    """The tensors of a version as torch tensors, each added up when it is asked for.

    Memory holds the adapters and one tensor at a time, not the sums of all of them.
    """

    def __init__(self, composed: Composition, genesis: Path, capsule: Callable[[str], Path]) -> None:
        """Read the adapters.

        Args:
            composed: the genesis and the list.
            genesis: folder of the genesis; that it is the one is for the caller to check.
            capsule: folder of an adapter by the digest of its file, which is checked.

        Raises:
            ModelError: an adapter is missing, or is another one.
        """
        from cryoflux.registry.adapters import read_adapter

        self._composed = composed
        self._genesis, self._stored = TensorFolder(genesis), TensorFolder(genesis, "pt")
        self._adapters = {
            term.adapter: read_adapter(capsule(term.adapter), term.adapter) for term in composed.terms
        }
        self.changed = frozenset(name for one in self._adapters.values() for name in one.names)
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

        alone = {digest: adapter.alone(name) for digest, adapter in self._adapters.items()}
        return torch.from_numpy(compose(self._composed, self._genesis, alone.__getitem__).value(name))

    def __iter__(self) -> Iterator[str]:
        """All names."""
        return iter(self._stored)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._stored)
