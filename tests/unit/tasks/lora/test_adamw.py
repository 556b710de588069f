"""Our optimiser is torch's own, to the bit: what was trained with one can be trained again with the other."""

from __future__ import annotations

import pytest
import torch

from cryoflux.tasks.lora.adamw import FusedAdamW


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_every_step_moves_every_parameter_as_torch_does(weight_decay: float) -> None:
    generator = torch.Generator().manual_seed(3)
    shapes = [(7, 5), (5,), (1, 33), (64, 16)]
    start = [torch.randn(shape, generator=generator) for shape in shapes]
    ours, theirs = ([one.clone().requires_grad_() for one in start] for _ in range(2))
    mine = FusedAdamW(ours, weight_decay=weight_decay)
    other = torch.optim.AdamW(theirs, lr=1.0, weight_decay=weight_decay, fused=True)
    for step in range(40):
        rate = 0.01 * (1 + step % 7)
        for number, (one, another) in enumerate(zip(ours, theirs, strict=True)):
            gradient = torch.randn(one.shape, generator=generator)
            without = number == 1 and step % 3 == 0  # a parameter that this step did not reach
            one.grad, another.grad = (None, None) if without else (gradient.clone(), gradient.clone())
        other.param_groups[0]["lr"] = rate
        other.step()
        mine.step(rate)
        assert all(torch.equal(one, another) for one, another in zip(ours, theirs, strict=True))
        assert all(one.grad is None for one in ours)
