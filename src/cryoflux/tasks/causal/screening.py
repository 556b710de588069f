"""The screen of a language model: documents that nobody learned from, read before the holdout is.

Reading a document costs a third of learning from it, so the screen is read in looks of 8, 16, 32, …
documents, and no further once it is plain what they show: an update that gains for sure is shown to the
holdout, and one that loses is not. What the head scores on them is read once, as far as it is needed, and
kept for all attempts from that head, also where one of them ends before it was trained.
"""

from __future__ import annotations

__all__ = ["HeadOnScreen", "ScreenInLooks"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.tasks.pacing import SCREEN_MARGIN, Limits

_FIRST = 8
"""documents of the first look"""
_PLAIN_Z, _HOPELESS_Z = 6.0, -3.0
"""standard errors of the mean Δ from which on no more documents are read"""


@dataclass(slots=True)
class HeadOnScreen:
    """What a head scores on the first documents of its screen, as far as they were read."""

    losses: list[int] = field(default_factory=list)
    """nano-nats, in the order of the screen"""
    document_uj: int = 0
    """what reading one of them cost, µJ"""


class ScreenInLooks:
    """The screen of one attempt.

    Args:
        count: its documents.
        base: the loss of one of them with the head, nano-nats.
        new: the same with the update.
        known: of the head; what is read of it is added there.
    """

    def __init__(
        self, count: int, base: Callable[[int], int], new: Callable[[int], int], known: HeadOnScreen
    ) -> None:
        self._count, self._base, self._new, self._known = count, base, new, known

    def before(self, limits: Limits) -> Limits:
        """Read the first look with the head; the limits less what the rest may cost.

        Raises:
            JoulesEndedError: nothing is left to train with.
        """
        if not self._count:
            return limits
        known, start_uj = self._known, limits.spent_uj()
        missing = range(len(known.losses), min(_FIRST, self._count))
        for at in missing:
            limits.check()
            known.losses.append(self._base(at))
        if missing:
            known.document_uj = (limits.spent_uj() - start_uj) // len(missing)
        readings = self._count + max(0, self._count - len(known.losses))
        limits = limits.less(round(SCREEN_MARGIN * readings * known.document_uj))
        limits.check()
        return limits

    def after(self) -> Evidence | None:
        """What the update does to as many documents as it takes; none where there is no screen."""
        losses, found = self._known.losses, None
        new: list[int] = []
        for count in self._looks():
            losses += [self._base(at) for at in range(len(losses), count)]
            new += [self._new(at) for at in range(len(new), count)]
            found = pair_losses(losses[:count], new)
            if not _HOPELESS_Z < found.z < _PLAIN_Z:
                break
        return found

    def _looks(self) -> Iterator[int]:
        size = _FIRST
        while size < self._count:
            yield size
            size *= 2
        if self._count:
            yield self._count
