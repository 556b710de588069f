"""A recipe: every number that decides what an attempt does to the weights."""

from __future__ import annotations

__all__ = ["Recipe"]

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """The whitepaper's parameters; the defaults of `cryoflux.config` are its values."""

    name: str
    rank: int
    alpha: int
    dropout: float
    learning_rate: float
    batch_size: int
    max_steps: int
    slice_size: int
    max_tokens: int

    def as_receipt(self) -> dict[str, str | int]:
        """What a receipt says of it: integers as they are, ratios as decimal text."""
        return {k: repr(v) if isinstance(v, float) else v for k, v in asdict(self).items()}
