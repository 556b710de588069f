"""What cannot be computed again here."""

from __future__ import annotations

__all__ = ["CAPSULES", "LISTS", "OPENINGS", "NotHereQuestion", "OpenQuestion", "is_of_this_machine"]

from cryoflux.errors import StorageError

CAPSULES, LISTS, OPENINGS = "capsules", "lists", "openings"
"""folders of a node's public tree: of updates, of lists, and of guest holdouts that were opened"""


class OpenQuestion(Exception):  # noqa: N818 - not an error: the question stays open
    """This receipt cannot be computed again here."""


class NotHereQuestion(OpenQuestion):
    """It cannot, for want of files that whoever signed it has.

    Args:
        reason: why, in words.
        lacks: where each is in a node's public tree: ``capsules/<adapter>``, ``lists/<digest>`` or
            ``openings/<root>``.
        is_false: whether something is here in their place that cannot be it, as far as that can be told: of
            several, one at least.
    """

    def __init__(self, reason: str, *lacks: str, is_false: bool = False) -> None:
        super().__init__(reason)
        self.lacks, self.is_false = lacks, is_false


def is_of_this_machine(error: Exception) -> bool:
    """Whether an error says something of the machine that computes alone: it has no room left.

    Args:
        error: what a library raised, or the system.
    """
    return isinstance(error, MemoryError | StorageError) or "can't allocate memory" in str(error)
