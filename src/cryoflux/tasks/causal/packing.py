"""Documents one after another in a row, without padding, none of which sees another.

transformers builds the mask itself where positions begin anew and no mask is given: a token attends to those
before it in its own document, and within a window where the layer has one. A family that does something else
is found by trying: `packs_exactly`. The head is computed where a token has to be said.
"""

from __future__ import annotations

__all__ = ["PackedRow", "packed", "packs_exactly", "scores_packed"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cryoflux.tasks.causal.network import scored_at
from cryoflux.tasks.causal.tokens import TokenRow

_FIRST, _SECOND = 7, 11
"""tokens of the documents by which a family is tried"""
_ROOM = {"torch.float32": 1e-4, "torch.bfloat16": 5e-2}
"""how far scores may be apart by rounding, for a score of one"""


@dataclass(frozen=True, slots=True)
class PackedRow:
    """Documents that are computed at once."""

    ids: list[int]
    positions: list[int]
    """of each token in its own document"""
    asked: list[int]
    """places whose next token is a target"""
    said: list[int]
    """these targets"""


def packed(rows: Sequence[TokenRow], most_tokens: int) -> Iterator[PackedRow]:
    """Documents in rows of at most so many tokens, in order; a longer one is a row of its own."""
    begun: list[TokenRow] = []
    for ids, first in rows:
        if begun and sum(len(one) for one, _ in begun) + len(ids) > most_tokens:
            yield _row(begun)
            begun = []
        begun.append((ids, first))
    if begun:
        yield _row(begun)


def _row(rows: Sequence[TokenRow]) -> PackedRow:
    made = PackedRow([], [], [], [])
    for ids, first in rows:
        start = len(made.ids)
        made.ids.extend(ids)
        made.positions.extend(range(len(ids)))
        made.asked.extend(range(start + first - 1, start + len(ids) - 1))
        made.said.extend(ids[first:])
    return made


def scores_packed(network: Any, row: PackedRow) -> Any:
    """Scores of the vocabulary at the places that are asked for, (places, vocabulary).

    Args:
        network: of transformers, or an adapter on one.
        row: the documents.
    """
    import torch

    ids, positions = (torch.tensor([one], device=network.device) for one in (row.ids, row.positions))
    places = torch.zeros(ids.shape, dtype=torch.bool, device=network.device)
    places[0, row.asked] = True
    with scored_at(network, places):
        return network(input_ids=ids, position_ids=positions, use_cache=False).logits


def packs_exactly(network: Any) -> bool:
    """Whether a document has the same scores after another one as alone, but for rounding.

    Args:
        network: of transformers, ready to be evaluated.
    """
    import torch

    words = int(network.config.vocab_size)
    first, second = (
        [(at * at + seed) % words for at in range(length)] for seed, length in ((1, _FIRST), (5, _SECOND))
    )
    try:
        with torch.inference_mode():
            alone, after = (
                scores_packed(network, next(packed(rows, _FIRST + _SECOND)))[-(_SECOND - 1) :].double()
                for rows in ([(second, 1)], [(first, 1), (second, 1)])
            )
    except (TypeError, ValueError, RuntimeError, IndexError):  # it takes no positions, or not these
        return False
    room = _ROOM.get(str(network.dtype), 0.0)
    return bool(((alone - after).abs() <= room * (1 + alone.abs())).all())
