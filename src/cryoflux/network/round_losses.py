"""The losses that a round has read of lists that it tries: none is computed twice in it.

A round searches again where a guard set speaks against what it found, and tries much of the same again. A
search that tries everything reads a million losses, so each of them takes the eight bytes that it has.
"""

from __future__ import annotations

__all__ = ["LossesByList", "LossesOfLists", "LossesOnGuards", "packed"]

from array import array
from collections.abc import Callable, Sequence

from cryoflux.registry.composition import Composition
from cryoflux.tasks.composing import Composing

LossesOfLists = Callable[[Composition, str, Sequence[int], Callable[[int], None]], Sequence[int]]
"""losses of some examples of a set with what a list makes, nano-nats, as in `Composing.losses`"""
LossesByList = dict[str, "array[int]"]
"""list → its losses on the first examples of a set, nano-nats, as `packed`"""


def packed(losses: Sequence[int] = ()) -> array[int]:
    """Losses, nano-nats, as integers of 64 bits, which hold whatever a loss may be."""
    return array("q", losses)


class LossesOnGuards:
    """Losses of lists on whole guard sets, each computed when it is first asked for.

    Args:
        composing: computes them.
    """

    def __init__(self, composing: Composing) -> None:
        self._composing = composing
        self._known: dict[str, LossesByList] = {}
        """set → list → losses of all its examples"""

    def of(
        self, composed: Composition, part: str, indices: Sequence[int], between: Callable[[int], None]
    ) -> Sequence[int]:
        """Losses of the examples of a set with what a list makes, nano-nats.

        Args:
            composed: the list.
            part: name of the set.
            indices: of all its examples.
            between: called with examples done before each batch that is computed; may raise to stop.

        Raises:
            ModelError: the list cannot be added up.
            EvaluationFailedError: a loss is no number.
        """
        known = self._known.setdefault(part, {})
        if composed.digest not in known:
            known[composed.digest] = packed(self._composing.losses(composed, part, indices, between))
        return known[composed.digest]
