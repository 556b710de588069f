"""A guard set may get worse by 0.05 nats on average at most, as far as its examples can tell."""

from __future__ import annotations

import pytest

from cryoflux.decision.evidence import pair_losses
from cryoflux.network.looking import guard_passes
from cryoflux.quantities import NANO


def passes(*changes: float, times: int = 1) -> bool:
    """Whether losses of 1 nat may change by so much, one example after the other."""
    base = [NANO] * len(changes) * times
    return guard_passes(pair_losses(base, [NANO + round(one * NANO) for one in changes] * times))


@pytest.mark.parametrize(
    ("change", "due"), [(-0.5, True), (0.0, True), (0.05, True), (0.0501, False), (0.5, False)]
)
def test_what_is_the_same_everywhere_is_known_exactly(change: float, due: bool) -> None:
    assert passes(change, times=10) is due


def test_the_fewer_examples_the_less_is_believed() -> None:
    """They get worse by 0.02 on average, and differ by 0.2: of 20 nobody can say that it is below 0.05."""
    uneven = (0.22, -0.18)
    assert not passes(*uneven, times=10)
    assert passes(*uneven, times=200)


def test_the_bound_is_one_sided_at_95_percent() -> None:
    """mean + 1.645 · sd/√n against 0.05: with a mean of 0 and an sd of 0.3, from 98 examples on."""
    assert not passes(0.3, -0.3, times=48)
    assert passes(0.3, -0.3, times=49)
