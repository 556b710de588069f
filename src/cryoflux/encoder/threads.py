"""How many CPU threads take the fewest joules for the same work: found by trying."""

from __future__ import annotations

__all__ = ["frugal_threads", "seed_torch", "torch_as_before"]

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.nn.functional import gelu, layer_norm

from cryoflux.encoder.linear import Backend, FrozenLinear, choose_backend

_TRIAL_S = 0.15
_MOST = 8
_WORTHWHILE = 0.85
"""what a trial so short must show before more threads are believed to be cheaper"""
_HIDDEN = 384
_TOKENS = 800


def _some_work(backend: Backend) -> Callable[[], None]:
    """A little of everything that a training step consists of, on a batch of short texts."""
    up = FrozenLinear(torch.randn(4 * _HIDDEN, _HIDDEN), torch.zeros(4 * _HIDDEN), backend)
    down = FrozenLinear(torch.randn(_HIDDEN, 4 * _HIDDEN), torch.zeros(_HIDDEN), backend)
    x = torch.randn(_TOKENS, _HIDDEN, dtype=backend.dtype)

    def work() -> None:
        with torch.no_grad():
            layer_norm(x + down(gelu(up(x))), (_HIDDEN,))

    return work


def frugal_threads(own_uj: Callable[[], int | None]) -> int:
    """The number of threads, a power of two, whose matrix products cost this process the fewest joules.

    One where nobody can tell this process's joules, or where a second thread saves none of them: on most
    machines more threads finish sooner and cost more.

    Args:
        own_uj: cumulative energy of this process, µJ; none where it is not known.
    """
    most = min(_MOST, len(os.sched_getaffinity(0)))
    torch.set_num_threads(1)
    if most == 1 or own_uj() is None:
        return 1
    work = _some_work(choose_backend("cpu", _HIDDEN))
    costs: dict[int, float] = {}
    count = 1
    while count <= most:
        torch.set_num_threads(count)
        before, products = own_uj(), 0
        until = time.monotonic() + _TRIAL_S
        while time.monotonic() < until:
            work()
            products += 1
        after = own_uj()
        if before is None or after is None or after <= before:
            return 1
        costs[count] = (after - before) / products
        count *= 2
    best = min(costs, key=costs.__getitem__)
    return best if costs[best] < _WORTHWHILE * costs[1] else 1


def seed_torch(seed: int, device: str) -> None:
    """Seed what random numbers of a device are drawn from; each is drawn as after ``torch.manual_seed``.

    That one seeds every kind of device there could be, and where none of a kind is there it writes down the
    stack for later: half a millisecond, and some memory, each time.

    Args:
        seed: any.
        device: ``cpu`` or ``cuda``; numbers drawn on the CPU are seeded with either.
    """
    torch.default_generator.manual_seed(seed)
    if device != "cpu":
        torch.cuda.manual_seed_all(seed)


@contextmanager
def torch_as_before() -> Iterator[None]:
    """Give torch its threads and random states back afterwards: they are those of the whole process."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
        if gpus:
            torch.cuda.set_rng_state_all(gpus)
