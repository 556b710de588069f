"""A choice that the policy did not make is found, whatever the intent says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cryoflux.scheduling.efficiency import Outcome
from cryoflux.scheduling.policy import POLICIES, Arm, Choice, choose
from cryoflux.verification.result import Status
from cryoflux.verification.schedule import Rederived, Scheduled

J = 10**6
LEAST = 2_000_000
TASK = "lora_delta"
ARMS = tuple(Arm(TASK, name, 2 * joules * J, joules * J) for name, joules in (("a", 4), ("b", 9), ("c", 30)))
GAINS = {"a": 30, "b": 60, "c": 50}
"""first Δ in thousandths of a nat; it halves with every attempt of the arm"""


def rederive(attempts):
    """What is wrong with the choices of a whole log."""
    again = Rederived()
    return [finding for attempt in attempts for finding in again.take(attempt)]


def honest(
    policy: str = POLICIES[0], *, least: tuple[int, ...] = (LEAST,), count: int = 40
) -> list[Scheduled]:
    log: list[Scheduled] = []
    learned: list[Outcome] = []
    for number in range(count):
        bucket, seed, smallest = 500 * J - number, number // 4, least[number % len(least)]
        due = choose(ARMS, learned, bucket_uj=bucket, min_delta_nano=smallest, seed=seed, policy=policy)
        if not isinstance(due, Choice):
            break
        name = due.arm.name
        gain = GAINS[name] * 10**6 >> sum(outcome.arm == name for outcome in learned)
        outcome = Outcome(TASK, name, gain > LEAST, gain, due.arm.prior_uj, due.arm.prior_uj + number)
        # every fifth attempt is interrupted and teaches nothing
        taught = None if number % 5 == 4 else outcome
        where = (f"entry {2 * number}", policy, due.reason, TASK, name, due.arm.reserve_uj)
        log.append(Scheduled(*where, ARMS, bucket, seed, smallest, taught))
        learned += [taught] if taught else []
    return log


def complaint(log: list[Scheduled], position: int, change: Scheduled) -> str:
    findings = rederive([*log[:position], change, *log[position + 1 :]])
    assert [finding.subject for finding in findings][:1] == [change.subject]
    assert findings[0].status is Status.FAIL
    return findings[0].detail


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("least", [(LEAST,), (0,), (LEAST, 3 * LEAST)])
def test_an_honest_log_is_found_so(policy: str, least: tuple[int, ...]) -> None:
    log = honest(policy, least=least)
    assert len(log) > 6
    assert len({step.arm for step in log}) == 3
    assert rederive(log) == []
    assert rederive([]) == []


def test_a_favourite_arm_is_found() -> None:
    log = honest()
    other = next(arm for arm in ARMS if arm.name != log[5].arm)
    said = replace(log[5], arm=other.name, reserved_uj=other.reserve_uj)
    assert complaint(log, 5, said) == f"pulled {other.name}, but prior-eta/v1 gives: {log[5].reason}"


def test_another_reason_reservation_or_list_is_found() -> None:
    log = honest()
    step = log[3]
    assert "is not the sentence of prior-eta/v1" in complaint(log, 3, replace(step, reason="I like it."))
    assert "but its schedule lists" in complaint(log, 3, replace(step, reserved_uj=1))
    assert complaint(log, 3, replace(step, arms=(*ARMS, ARMS[0]))) == "lists an arm twice"
    assert complaint(log, 3, replace(step, arms=())) == "pulled an arm, but its bucket pays for none"
    assert complaint(log, 3, replace(step, bucket_uj=7 * J)).endswith("its bucket pays for none")


def test_going_on_past_the_plateau_is_found() -> None:
    failures = [Outcome(TASK, name, False, None, 4 * J, 4 * J) for name in "abc" for _ in range(2)]
    past = [
        Scheduled(f"entry {n}", POLICIES[0], "", TASK, o.arm, 0, ARMS, 200 * J, 0, LEAST, o)
        for n, o in enumerate([*failures, failures[0]])
    ]
    assert "No arm is expected to pay: 3 arms spent" in rederive(past)[-1].detail


def test_an_outcome_that_was_made_up_later_is_found_in_what_follows() -> None:
    log = honest()
    outcome = log[0].outcome
    assert outcome is not None
    better = replace(log[0], outcome=replace(outcome, screen_delta_nano=10**9))
    assert rederive([better, *log[1:]])


def test_a_policy_that_is_not_known_here_is_an_open_question() -> None:
    log = [replace(step, policy="greedy-eta/v1") for step in honest(count=2)]
    assert [finding.status for finding in rederive(log)] == [Status.UNKNOWN] * 2
