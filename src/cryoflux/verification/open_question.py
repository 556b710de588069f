"""What cannot be computed again here."""

from __future__ import annotations

__all__ = ["CAPSULES", "LISTS", "OPENINGS", "NotHereQuestion", "OpenQuestion"]

CAPSULES, LISTS, OPENINGS = "capsules", "lists", "openings"
"""folders of a node's public tree: of updates, of lists, and of guest holdouts that were opened"""


class OpenQuestion(Exception):  # noqa: N818 - not an error: the question stays open
    """This receipt cannot be computed again here."""


class NotHereQuestion(OpenQuestion):
    """It cannot, for want of a file that whoever signed it has.

    Args:
        reason: why, in words.
        lacks: where it is in a node's public tree: ``capsules/<adapter>``, ``lists/<digest>`` or
            ``openings/<root>``.
        is_false: whether something is here in its place that cannot be it.
    """

    def __init__(self, reason: str, lacks: str, *, is_false: bool = False) -> None:
        super().__init__(reason)
        self.lacks, self.is_false = lacks, is_false
