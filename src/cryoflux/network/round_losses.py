"""The losses that a round has read of lists that it tries: none is computed twice in it.

A round searches again where a guard set speaks against what it found, and tries much of the same again.
"""

from __future__ import annotations

__all__ = ["LossesOfLists", "RoundLosses"]

from collections.abc import Callable, Sequence

from cryoflux.registry.composition import Composition
from cryoflux.tasks.composing import Composing

LossesOfLists = Callable[[Composition, str, Sequence[int], Callable[[int], None]], Sequence[int]]
"""losses of some examples of a set with what a list makes, nano-nats, as in `Composing.losses`"""


class RoundLosses:
    """Losses of lists, each computed when it is first asked for.

    Args:
        composing: computes them.
    """

    def __init__(self, composing: Composing) -> None:
        self._composing = composing
        self._known: dict[tuple[str, str], dict[int, int]] = {}
        """(list, set) → example → its loss"""

    def of(
        self, composed: Composition, part: str, indices: Sequence[int], between: Callable[[int], None]
    ) -> list[int]:
        """Losses of some examples with what a list makes, nano-nats.

        Args:
            composed: the list.
            part: name of the set.
            indices: of its examples.
            between: called with examples done before each batch that is computed; may raise to stop.

        Raises:
            ModelError: the list cannot be added up.
            EvaluationFailedError: a loss is no number.
        """
        known = self._known.setdefault((composed.digest, part), {})
        if missing := [index for index in indices if index not in known]:
            known |= zip(missing, self._composing.losses(composed, part, missing, between), strict=True)
        return [known[index] for index in indices]
