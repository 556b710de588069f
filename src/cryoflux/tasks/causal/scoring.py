"""The losses of documents, as integers: in float64 where our decoder knows the layout, else in float32.

A loss is the sum over the targets of a document, in nano-nats. The limit of a sum over a set is 2⁵³, so that
every program reads it exactly.
"""

from __future__ import annotations

__all__ = ["LARGEST_DOCUMENT", "MOST_SAID", "CausalScorer", "open_losses", "profile_of"]

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryoflux.errors import EvaluationFailedError, ModelError
from cryoflux.evaluation.scoring import LossesAndHits
from cryoflux.quantities import NANO
from cryoflux.receipts.profiles import DOCUMENT_F32_2, DOCUMENT_F64, LARGEST_F64_WORK
from cryoflux.tasks.causal.tokens import TokenRow

LARGEST_DOCUMENT = 10**15
"""nano-nats, a million nats: beyond it a model is broken rather than wrong"""
MOST_SAID = 400_000
"""target tokens of a set: at 22 nats each, more than a blind guess costs, they stay below 2⁵³ nano-nats"""
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_LARGEST_SUM = 2**53 - 1
_Losses = Callable[[Sequence[TokenRow], Callable[[int], None]], list[int]]
"""losses of documents; calls back with how many are done, which may raise to stop"""


def profile_of(folder: Path, tokens: int) -> str:
    """The arithmetic that a model and a set are evaluated in.

    Args:
        folder: of the model.
        tokens: of the set.
    """
    from cryoflux.decoder.families import layout_of, read_settings

    try:
        parameters = layout_of(read_settings(folder)).parameters
    except ModelError:  # a family that our decoder does not know
        return DOCUMENT_F32_2
    return DOCUMENT_F64 if parameters * tokens <= LARGEST_F64_WORK else DOCUMENT_F32_2


def open_losses(
    folder: Path, profile: str, *, device: str = "cpu", changed: Mapping[str, Any] = _NOTHING
) -> _Losses:
    """What computes losses with a model, from its files.

    Args:
        folder: of the model.
        profile: in which arithmetic.
        device: of float32; float64 is computed on the CPU.
        changed: tensor name → torch tensor, in place of those of the files.

    Raises:
        ModelError: it cannot be loaded.
    """
    if profile == DOCUMENT_F64:
        from cryoflux.decoder.model import Decoder

        decoder = Decoder.open(folder).updated(changed)
        return lambda rows, between: decoder.losses(rows, between=between)
    from cryoflux.tasks.causal.network import document_nats, open_network

    network = open_network(folder, folder.name[:16], device=device, changed=changed)

    def in_float32(rows: Sequence[TokenRow], between: Callable[[int], None]) -> list[int]:
        found = []
        for done, (ids, first) in enumerate(rows):
            between(done)
            found.append(_rounded(document_nats(network, ids, first)))
        return found

    return in_float32


def _rounded(nats: float) -> int:
    if not 0 <= nats * NANO <= LARGEST_DOCUMENT:
        raise EvaluationFailedError(
            f"A document has a loss of {nats} nats.",
            why="A model with such a loss cannot be compared with another.",
            hint="Lower the learning rate: --learning-rate 1e-4.",
        )
    return round(nats * NANO)


class CausalScorer:
    """Scores documents with one version; a document is neither right nor wrong."""

    def __init__(self, losses: _Losses, rows: Sequence[TokenRow]) -> None:
        self._losses, self._rows = losses, rows

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> LossesAndHits:
        """Losses of some documents, nano-nats."""
        found = self._losses([self._rows[at] for at in indices], between)
        if sum(found) > _LARGEST_SUM:
            raise EvaluationFailedError(
                f"The losses of {len(found)} documents add up to {sum(found) / NANO:.0f} nats.",
                why="Their sum could not be written down exactly.",
                hint="Look at the model: its weights may be broken.",
            )
        return found, [False] * len(found)
