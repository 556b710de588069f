"""How many tokens of a text are read where nobody says so: it follows from the lengths of the training texts.

A limit is chosen once, when a state begins, and is the state's from then on, because losses under two limits
cannot be compared. It is the smallest of `LIMITS` that holds `HELD` of the training texts whole, unless
preparing the data would cost more than `PAYS` reservations: then it is the largest one that costs no more,
but not less than `FLOOR`. What preparing costs is modelled by its floating-point operations: the layers of
the training texts once, and the first losses of the holdout in float64.

Lengths are those of a sample: the training texts whose SHA-256 is lowest, so that they cost the same whether
there are a thousand texts or a million, and are the same whoever asks.
"""

from __future__ import annotations

__all__ = [
    "FLOOR",
    "HELD",
    "LIMITS",
    "MOST_PREPARED",
    "PAYS",
    "SAMPLE",
    "Lengths",
    "Preparing",
    "choose_limit",
    "measure_lengths",
    "parameters_of",
]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoflux.data.lowest_hash import by_hash
from cryoflux.digests import tensor_shapes
from cryoflux.encoder.wordpiece import known_tokenizer
from cryoflux.quantities import MICRO
from cryoflux.receipts.profiles import parameters_in
from cryoflux.registry.plain_model import harmless
from cryoflux.registry.tokenizing import read_tokenizer, token_rows
from cryoflux.tasks.lora.libraries import quieten_transformers
from cryoflux.tasks.lora.prices import F64_FACTOR, UJ_PER_GFLOP

LIMITS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""tokens of a text, special ones included"""
HELD = 0.95
"""share of the training texts that are to be read whole"""
PAYS = 2.0
"""most reservations that preparing the data may cost"""
FLOOR = 32
"""cost alone never lowers a limit below this"""
SAMPLE = 2048
"""texts whose lengths are counted"""
MOST_PREPARED = 8192
"""training texts that are prepared before the first verdict, however many there are"""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of some texts, none counted beyond one more than the largest limit."""

    counts: tuple[int, ...]

    def longer_ppm(self, limit: int) -> int:
        """Share of the texts that are longer than a limit, in millionths."""
        longer = sum(count > limit for count in self.counts)
        return round(MICRO * longer / len(self.counts)) if self.counts else 0

    def mean(self, limit: int) -> float:
        """Tokens of a text once it is cut."""
        return sum(min(count, limit) for count in self.counts) / len(self.counts) if self.counts else 0.0


@dataclass(frozen=True, slots=True)
class Preparing:
    """What it takes to prepare a data set for a model."""

    parameters: int
    """of the model, outside embeddings: each costs two operations a token"""
    train: int
    """texts"""
    holdout: int
    """texts"""

    def cost_uj(self, lengths: Lengths, limit: int) -> float:
        """Preparing it under a limit, µJ; modelled."""
        texts = min(self.train, MOST_PREPARED) + F64_FACTOR * self.holdout
        return 2e-9 * self.parameters * lengths.mean(limit) * texts * UJ_PER_GFLOP


def choose_limit(
    lengths: Lengths, preparing: Preparing, *, reserve_uj: int, positions: int | None = None
) -> int:
    """The limit that a state begins with where nobody says one.

    Args:
        lengths: of the training texts.
        preparing: what the data and the model cost.
        reserve_uj: what an attempt reserves, µJ.
        positions: most tokens that the model reads; none where it does not say.
    """
    most = LIMITS[-1] if positions is None else min(positions, LIMITS[-1])
    limits = sorted({most, *(limit for limit in LIMITS if limit <= most)})
    held = [limit for limit in limits if lengths.longer_ppm(limit) <= round(MICRO * (1 - HELD))]
    wanted = held[0] if held else most
    affordable = [n for n in limits if n <= FLOOR or preparing.cost_uj(lengths, n) <= PAYS * reserve_uj]
    return min(wanted, max(affordable, default=most))


def measure_lengths(folder: Path, texts: Sequence[str], *, embedded: bool = False) -> Lengths:
    """Tokens of the training texts that stand for all of them.

    Args:
        folder: of the model, with its tokenizer.
        texts: all that are trained on.
        embedded: whether it is the embedded model as its authors published it.

    Raises:
        ModelError: its tokenizer cannot read them.
    """
    sample = by_hash(texts)[:SAMPLE]
    longest = LIMITS[-1] + 1
    if (known := known_tokenizer(folder, alone=not embedded)) is not None:
        rows = known[0](sample, longest)
    else:
        quieten_transformers()
        with harmless(folder) as copy:
            tokenizer = read_tokenizer(copy)
        rows = token_rows(tokenizer, sample, longest)
    return Lengths(tuple(len(row) for row in rows))


def parameters_of(folder: Path) -> int:
    """The parameters of a model outside embeddings, by the headers of its files."""
    files = sorted(folder.glob("*.safetensors"))
    return parameters_in({name: shape for file in files for name, shape in tensor_shapes(file).items()})
