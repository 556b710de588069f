"""The next arm follows from the log, the bucket and the seed, and from nothing else."""

import pytest

from cryoflux.scheduling.efficiency import Outcome, expected_efficiency
from cryoflux.scheduling.policy import Arm, choose

A, B = Arm("lora_delta", "a", 120), Arm("lora_delta", "b", 80)
TASK_A = Outcome("lora_delta", "a", 0.01, 100)
TASK_B = Outcome("lora_delta", "b", 0.03, 80)


def test_the_whitepapers_task_b_is_preferred() -> None:
    choice = choose([A, B], [TASK_A, TASK_B], bucket_uj=500, seed=0)
    assert choice is not None
    assert choice.arm is B
    assert expected_efficiency([TASK_A, TASK_B], "lora_delta", "b") == pytest.approx(0.000375)


def test_an_arm_that_the_bucket_cannot_pay_for_is_not_considered() -> None:
    assert choose([A, B], [TASK_A, TASK_B], bucket_uj=100, seed=0).arm is B
    assert choose([A, B], [], bucket_uj=79, seed=0) is None


def test_an_untried_arm_goes_first() -> None:
    assert choose([A, B], [TASK_A], bucket_uj=500, seed=0).arm is B


def test_joules_that_brought_nothing_lower_an_arms_efficiency() -> None:
    rejected = Outcome("lora_delta", "b", 0.0, 80)
    wasted = [TASK_B, *[rejected] * 8]
    assert choose([A, B], [TASK_A, *wasted], bucket_uj=500, seed=0).arm is A


def test_ties_are_broken_by_the_seed_and_reproducibly() -> None:
    tie = [TASK_A, Outcome("lora_delta", "b", 0.01, 100)]
    picks = [choose([A, B], tie, bucket_uj=500, seed=seed).arm.name for seed in range(40)]
    assert set(picks) == {"a", "b"}
    assert picks == [choose([A, B], tie, bucket_uj=500, seed=seed).arm.name for seed in range(40)]
