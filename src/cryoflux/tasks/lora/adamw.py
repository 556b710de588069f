"""AdamW in one fused operation of torch: the same bits as ``torch.optim.AdamW(fused=True)``.

The class in ``torch.optim`` brings torch's compiler with it when the first optimiser is made, which costs a
process more CPU time than an attempt's training may take. Source: Loshchilov and Hutter 2019.
"""

from __future__ import annotations

__all__ = ["FusedAdamW"]

from collections.abc import Sequence

import torch

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
"""the defaults of ``torch.optim.AdamW``"""


class FusedAdamW:
    """Parameters that learn, on one device, with the moments of their gradients."""

    def __init__(self, parameters: Sequence[torch.Tensor], *, weight_decay: float) -> None:
        self._parameters = list(parameters)
        self._weight_decay = weight_decay
        self._means = [torch.zeros_like(one) for one in self._parameters]
        self._squares = [torch.zeros_like(one) for one in self._parameters]
        self._steps = [torch.zeros((), dtype=torch.float32, device=one.device) for one in self._parameters]

    @property
    def moments(self) -> list[torch.Tensor]:
        """First and second moments and the number of steps of each parameter, in one fixed order."""
        return [*self._means, *self._squares, *self._steps]

    def load(self, moments: Sequence[torch.Tensor]) -> None:
        """Take other moments, in the same order."""
        for own, value in zip(self.moments, moments, strict=True):
            own.copy_(value)

    def step(self, rate: float) -> None:
        """Move every parameter that has a gradient, and forget the gradients.

        Args:
            rate: learning rate of this step.
        """
        learns = [i for i, one in enumerate(self._parameters) if one.grad is not None]
        if not learns:
            return
        steps = [self._steps[i] for i in learns]
        with torch.no_grad():
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                [self._parameters[i] for i in learns],
                [self._parameters[i].grad for i in learns],
                [self._means[i] for i in learns],
                [self._squares[i] for i in learns],
                [],
                steps,
                amsgrad=False,
                lr=rate,
                beta1=_BETA1,
                beta2=_BETA2,
                weight_decay=self._weight_decay,
                eps=_EPSILON,
                maximize=False,
                grad_scale=None,
                found_inf=None,
            )
        for parameter in self._parameters:
            parameter.grad = None
