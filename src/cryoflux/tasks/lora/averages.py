"""Averages of all weights so far, that can be taken at any time.

Step t counts in proportion to t^e: the polynomial-decay averaging of Shamir and Zhang 2013 (*Stochastic
Gradient Descent for Non-smooth Optimization*, §3), which needs to know neither how many steps there will
be nor when to begin. A larger exponent forgets the beginning sooner; which one is better shows the screen.
"""

from __future__ import annotations

__all__ = ["PolynomialAverage"]

from collections.abc import Sequence

import torch


class PolynomialAverage:
    """One average."""

    def __init__(self, exponent: int, start: Sequence[torch.Tensor]) -> None:
        """Begin at some weights; the first step that is added replaces them."""
        self.exponent = exponent
        self.values = [value.detach().clone() for value in start]

    def add(self, parameters: Sequence[torch.Tensor], step: int) -> None:
        """Count the weights after a step, numbered from 1."""
        weight = (self.exponent + 1) / (step + self.exponent)
        with torch.no_grad():
            for average, parameter in zip(self.values, parameters, strict=True):
                average.lerp_(parameter, weight)
