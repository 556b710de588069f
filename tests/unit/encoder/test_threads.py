"""More threads are taken only where they were seen to cost fewer joules for the same work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
import torch

from cryoflux.encoder import threads
from cryoflux.encoder.threads import frugal_threads, seed_torch


@pytest.fixture(autouse=True)
def _trial(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "_TRIAL_S", 0.02)
    monkeypatch.setattr(threads, "_some_work", lambda _: lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    yield
    torch.set_num_threads(before)


def meter(watts: Callable[[int], float], monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A process whose joules follow from the threads that it is told to use; each trial does as much."""
    clock = {"s": 0.0, "uj": 0.0}

    def monotonic() -> float:
        clock["s"] += 0.001
        clock["uj"] += 1_000 * watts(torch.get_num_threads())
        return clock["s"]

    monkeypatch.setattr(threads.time, "monotonic", monotonic)
    return lambda: round(clock["uj"])


@pytest.mark.parametrize(
    ("watts", "best"),
    [
        (lambda n: {1: 10, 2: 5, 4: 8}[n], 2),
        (lambda n: {1: 10, 2: 7, 4: 5}[n], 4),
        (lambda n: 10 * n, 1),
        (lambda n: {1: 10, 2: 9.8, 4: 9.9}[n], 1),
    ],
    ids=["two", "four", "one", "a difference that may be noise"],
)
def test_the_cheapest_count_is_taken(watts, best: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert frugal_threads(meter(watts, monkeypatch)) == best


@pytest.mark.parametrize("reading", [None, 5], ids=["no meter", "a meter that stands still"])
def test_where_nobody_can_tell_one_thread_is_used(reading: int | None) -> None:
    assert frugal_threads(lambda: reading) == 1


def test_seeding_draws_the_numbers_of_torch_and_writes_down_no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for seed in (torch.manual_seed, lambda seed: seed_torch(seed, "cpu")):
        for number in (0, 7, 2**63 - 1):
            seed(number)
            dropped = torch.nn.functional.dropout(torch.ones(64), 0.3)
            drawn.append(torch.cat([torch.rand(3), torch.randn(3), dropped]))
        monkeypatch.setattr(torch.cuda, "manual_seed_all", None)
    for theirs, ours in zip(drawn[:3], drawn[3:], strict=True):
        assert torch.equal(theirs, ours)
