"""What a model scored on the examples that it is judged on."""

from __future__ import annotations

__all__ = ["SideScores"]

from dataclasses import dataclass

from cryoflux.evaluation.losses import Losses


@dataclass(frozen=True, slots=True)
class SideScores:
    """What one of two models scored, in the order of the examples."""

    losses: Losses
    cut: tuple[bool, ...]
    """of which examples the end was not read"""
    most_tokens: int
    """of an example that are read"""
    targets: int = 0
    """of a language model: tokens that it had to say, over all documents"""
    read_as: str = ""
    """of a language model: digest of the tokens that were read, targets told apart: two models compare where
    it is the same"""
