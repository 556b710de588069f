"""Per-example losses that a receipt signs, as they are read from the disk, and of which examples they are."""

from __future__ import annotations

__all__ = ["MOST_EXAMPLES", "Pairing", "order_of", "read_losses"]

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.sequential import reading_order
from cryoflux.digests import sha256_hex
from cryoflux.files import read_regular
from cryoflux.receipts.losses_tree import loss_leaves, losses_root
from cryoflux.receipts.statement import Evaluation, Holdout

_BYTES_PER_EXAMPLE = 18
MOST_EXAMPLES = 1_000_000
"""examples of a holdout that are paired, put in order or evaluated here; what claims more stays open"""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Per-example losses of base and candidate in billionths of their unit, and which examples were right."""

    base: list[int]
    new: list[int]
    base_correct: list[bool]
    new_correct: list[bool]

    def evidence(self, *, hits: bool) -> Evidence:
        """The sums of all of them."""
        if not hits:
            return pair_losses(self.base, self.new)
        return pair_losses(self.base, self.new, self.base_correct, self.new_correct)

    def root(self, order: Sequence[int]) -> str:
        """The Merkle root over them; ``order`` says of which examples they are."""
        return losses_root(self.leaves(order))

    def leaves(self, order: Sequence[int]) -> list[bytes]:
        """One leaf an example."""
        return loss_leaves(order, self.base, self.new, self.base_correct, self.new_correct)


def order_of(evaluation: Evaluation, holdout: Holdout) -> Sequence[int]:
    """Which examples of the holdout the recorded losses are of, in their order."""
    if evaluation.read >= holdout.count:
        return range(holdout.count)
    return reading_order(holdout.count, holdout.sha256)[: evaluation.read]


def read_losses(path: Path, digest: str, count: int) -> Pairing:
    """The per-example losses of a file.

    Raises:
        ValueError: it is missing, or not the file of that digest with so many examples.
    """
    try:
        content = read_regular(path, MOST_EXAMPLES * _BYTES_PER_EXAMPLE)
    except OSError as error:
        raise ValueError("the per-example losses are missing or unreadable") from error
    if len(content) != count * _BYTES_PER_EXAMPLE or sha256_hex(content) != digest:
        raise ValueError("the per-example losses are not those that were signed")
    losses, flags = array("q", content[: 16 * count]), content[16 * count :]
    if sys.byteorder == "big":
        losses.byteswap()
    if min(losses) < 0 or max(flags) > 1:
        raise ValueError("the per-example losses hold impossible values")
    correct = [flag == 1 for flag in flags]
    return Pairing(list(losses[:count]), list(losses[count:]), correct[:count], correct[count:])
