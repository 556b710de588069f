"""What a task does whose versions are lists of updates over a genesis: others' can be composed with them."""

from __future__ import annotations

__all__ = ["Composing"]

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.registry.versions import Version

if TYPE_CHECKING:
    from cryoflux.registry.compose import LowRank  # it would bring numpy


class Composing(Protocol):
    """Makes versions of lists, and scores by them.

    A list is added up by ``compose/v1``, from files of the state: adapters by their digest, and lists that
    updates were trained on (`cryoflux.registry.parent_lists`). Where that cannot be done, a `ModelError` says
    why.
    """

    @property
    def screen(self) -> Sequence[int]:
        """Indices of training examples that nothing is ever trained on."""

    def losses(
        self, composed: Composition, part: str, indices: Sequence[int], between: Callable[[int], None]
    ) -> Sequence[int]:
        """Losses of some examples with what a list makes, nano-nats; nothing of it is kept.

        Args:
            composed: the list.
            part: name of the set.
            indices: of its examples.
            between: called with examples done before each batch; may raise to stop.
        """

    def logits(self, composed: Composition, part: str, indices: Sequence[int]) -> Any:
        """Logits of some examples with what a list makes: float64, (examples, classes)."""

    def moves(self, update: OfferedUpdate) -> tuple[Mapping[str, LowRank], Mapping[str, Any]]:
        """What an update adds: products by tensor, and differences of what was trained in full, float64."""

    def draft(self, composed: Composition) -> Version:
        """The version that a list makes as a draft."""
