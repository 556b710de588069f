"""The next arm follows from the log, the arms, the bucket and the seed, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cryoflux.errors import ConfigError
from cryoflux.scheduling.efficiency import ArmState, Continuation, Lesson, Memory
from cryoflux.scheduling.lessons import Lessons
from cryoflux.scheduling.policy import ACROSS_UNITS, POLICIES, POLICY, Arm, Choice, Plateau
from cryoflux.scheduling.policy import choose as choose_by_memory
from cryoflux.sentences import say

NANO = 10**9
J = 10**6
LEAST = 2_000_000
TASK = "lora_delta"
COSTS = {"head-first": 4, "prefix-1": 8, "prefix-2": 25, "prefix-3": 40, "lean": 90}
ARMS = [Arm(TASK, name, 2 * joules * J, joules * J) for name, joules in COSTS.items()]


def choose(
    arms: Sequence[Arm],
    log: Sequence[Lesson],
    *,
    bucket_uj: int,
    min_delta_nano: int,
    seed: int,
    policy: str = POLICY,
) -> Choice | Plateau | None:
    """The choice after a log of one task."""
    memory = Memory(min_delta_nano)
    for lesson in log:
        memory.learn(lesson)
    return choose_by_memory(arms, {TASK: memory}, len(log), bucket_uj=bucket_uj, seed=seed, policy=policy)


def kept(arm: str, delta: float, joules: float | None = None) -> Lesson:
    prior = COSTS[arm] * J
    return Lesson(TASK, arm, True, round(delta * NANO), prior, round((joules or COSTS[arm]) * J))


def test_units_are_compared_by_the_smallest_delta_of_each_and_never_as_they_are() -> None:
    """Ten times the number, but in a unit in which a hundred times as much is the least that counts."""
    nats, ranks = Arm("lora_delta", "carry-1", 2 * J, J), Arm("index_refresh", "refresh", 2 * J, J, "MRR")
    memories = {"lora_delta": Memory(LEAST), "index_refresh": Memory(100 * LEAST)}
    memories["lora_delta"].learn(Lesson("lora_delta", "carry-1", True, 50 * LEAST, J, J))
    memories["index_refresh"].learn(Lesson("index_refresh", "refresh", True, 500 * LEAST, J, J))

    def chosen(policy: str) -> str:
        found = choose_by_memory([nats, ranks], memories, 2, bucket_uj=9 * J, seed=0, policy=policy)
        assert isinstance(found, Choice)
        return found.arm.task

    assert chosen(POLICY) == "index_refresh"
    assert chosen(ACROSS_UNITS) == "lora_delta"


def test_with_one_unit_both_policies_choose_the_same() -> None:
    log = [kept("head-first", 0.2), kept("prefix-1", 0.1), failure("head-first"), kept("prefix-2", 0.02)]
    for count in range(len(log) + 1):
        one, other = (
            choose(ARMS, log[:count], bucket_uj=200 * J, min_delta_nano=LEAST, seed=3, policy=policy)
            for policy in (POLICY, ACROSS_UNITS)
        )
        assert one == other


def test_where_no_task_offers_an_arm_there_is_nothing_to_do() -> None:
    found = choose_by_memory([], {}, 0, bucket_uj=J, seed=0)
    assert isinstance(found, Plateau)
    assert say(found.reason) == "There is nothing to do: no task offers an attempt."


def failure(arm: str, screen: float | None = None) -> Lesson:
    delta = None if screen is None else round(screen * NANO)
    return Lesson(TASK, arm, False, delta, COSTS[arm] * J, COSTS[arm] * J)


def pick(
    log: list[Lesson], *, arms: list[Arm] = ARMS, bucket: float = 1e6, seed: int = 0
) -> Choice | Plateau:
    answer = choose(arms, log, bucket_uj=round(bucket * J), min_delta_nano=LEAST, seed=seed)
    assert answer is not None
    return answer


def arm_of(answer: Choice | Plateau | None) -> str:
    assert isinstance(answer, Choice), answer
    return answer.arm.name


def state_of(answer: Choice | Plateau, name: str) -> ArmState:
    return next(row.expected.state for row in answer.table if row.arm.name == name)


lessons = st.builds(
    Lesson,
    task=st.just(TASK),
    arm=st.sampled_from([*COSTS, "an arm of another run"]),
    kept=st.booleans(),
    screen_delta_nano=st.none() | st.integers(-NANO, NANO),
    prior_uj=st.integers(0, 200 * J),
    hi_uj=st.integers(-J, 400 * J),
)
logs = st.lists(lessons, max_size=30)
seeds = st.integers(0, 2**32 - 1)
buckets = st.integers(0, 300 * J)


@given(logs, buckets, seeds, st.sampled_from(POLICIES), st.permutations(ARMS))
def test_the_same_inputs_give_the_same_answer_in_whatever_order_the_arms_come(
    log: list[Lesson], bucket: int, seed: int, policy: str, arms: list[Arm]
) -> None:
    def answer(arms: list[Arm]) -> Choice | Plateau | None:
        return choose(arms, log, bucket_uj=bucket, min_delta_nano=LEAST, seed=seed, policy=policy)

    assert answer(arms) == answer(ARMS)


@given(logs, buckets, seeds, st.sampled_from(POLICIES), st.integers(0, NANO))
def test_an_arm_that_the_bucket_cannot_pay_for_is_never_chosen(
    log: list[Lesson], bucket: int, seed: int, policy: str, least: int
) -> None:
    answer = choose(ARMS, log, bucket_uj=bucket, min_delta_nano=least, seed=seed, policy=policy)
    assert (answer is None) == (bucket < min(arm.reserve_uj for arm in ARMS))
    if isinstance(answer, Choice):
        assert answer.arm.reserve_uj <= bucket
    if answer is not None:
        assert [row.arm for row in answer.table] == sorted(ARMS, key=lambda arm: arm.name)


@given(logs, seeds, st.integers(0, NANO))
def test_failures_alone_lead_to_a_plateau_within_a_bounded_number_of_attempts(
    log: list[Lesson], seed: int, least: int
) -> None:
    for _ in range(2 * len(ARMS)):
        answer = choose(ARMS, log, bucket_uj=10**15, min_delta_nano=least, seed=seed)
        if isinstance(answer, Choice):
            log = [*log, failure(answer.arm.name)]
    answer = choose(ARMS, log, bucket_uj=10**15, min_delta_nano=least, seed=seed)
    assert isinstance(answer, Plateau)
    assert all(row.expected.state is ArmState.SPENT for row in answer.table)


@given(logs, st.sampled_from(list(COSTS)), st.integers(0, NANO))
def test_there_is_no_plateau_while_an_arm_keeps_paying(log: list[Lesson], arm: str, delta: int) -> None:
    answer = pick([*log, kept(arm, delta / NANO)])
    assert isinstance(answer, Choice)
    assert state_of(answer, arm) is ArmState.TRIED


@given(st.lists(st.integers(-NANO, NANO), max_size=10), st.lists(st.integers(-NANO, NANO), max_size=10))
def test_how_much_a_rejected_attempt_gained_on_the_screen_changes_nothing(a: list[int], b: list[int]) -> None:
    size = min(len(a), len(b))
    first, second = ([failure("prefix-1", (abs(x) + 1) / NANO) for x in some[:size]] for some in (a, b))
    assert pick(first) == pick(second)


def test_an_arm_whose_screen_got_worse_is_not_tried_again_before_others_have_gained() -> None:
    paid = kept("lean", 0.2)
    worse = pick([paid, failure("prefix-1", -0.01)])
    assert state_of(worse, "prefix-1") is ArmState.SPENT
    assert state_of(pick([paid, failure("prefix-1", 0.01)]), "prefix-1") is ArmState.TRIED
    assert state_of(pick([paid, failure("prefix-1", -0.01), paid]), "prefix-1") is ArmState.TRIED


# Chains.

TOP, DEEP = Arm(TASK, "carry-1", 120 * J, 30 * J), Arm(TASK, "carry-3", 120 * J, 90 * J, after="carry-1")
LADDER = [DEEP, TOP]


def went_on(arm: str, screen: float | None, *, was_kept: bool = False, aborted: bool = False) -> Lesson:
    delta = None if screen is None else round(screen * NANO)
    return Lesson(TASK, arm, was_kept, delta, 30 * J, 30 * J, chain=Continuation.GOES_ON, aborted=aborted)


def came_to_its_end(arm: str, screen: float = 0.0, *, was_kept: bool = False) -> Lesson:
    return replace(went_on(arm, screen, was_kept=was_kept), chain=Continuation.ENDED)


def test_what_is_carried_goes_on_before_anything_else_is_begun() -> None:
    dear = [Arm(TASK, "carry-3", 120 * J, 90 * J), TOP]
    log = [went_on("carry-3", -0.5), went_on("carry-3", -0.2), went_on("carry-3", 0.001)]
    chosen = pick(log, arms=dear)
    assert arm_of(chosen) == "carry-3"
    assert say(chosen.reason).startswith("carry-3 goes on from what it has carried so far: ")
    assert arm_of(
        choose(dear, log, bucket_uj=10**9, min_delta_nano=LEAST, seed=0, policy="prior-eta/v1")
    ) == ("carry-1")


def test_a_chain_of_one_task_does_not_stop_another_task() -> None:
    index = Arm("index_refresh", "flat", 20 * J, 20 * J)
    memories = {TASK: Memory(LEAST), "index_refresh": Memory(LEAST)}
    memories[TASK].learn(went_on("carry-1", 0.001))
    choice = choose_by_memory([TOP, index], memories, 1, bucket_uj=10**9, seed=0)
    assert arm_of(choice) == "flat"


def test_a_deeper_arm_waits_for_the_cheaper_one_and_then_has_its_turn() -> None:
    first = went_on("carry-1", 0.4, was_kept=True)
    assert state_of(pick([], arms=LADDER), "carry-3") is ArmState.WAITING
    assert arm_of(pick([first], arms=LADDER)) == "carry-1"
    assert arm_of(pick([first, came_to_its_end("carry-1", 0.008)], arms=LADDER)) == "carry-3"
    assert arm_of(pick([came_to_its_end("carry-1", -0.1)], arms=LADDER)) == "carry-3"


def test_a_chain_that_came_to_its_end_is_spent_for_good() -> None:
    log = [went_on("carry-1", 0.4, was_kept=True), came_to_its_end("carry-1"), kept("lean", 0.5)]
    assert state_of(pick(log, arms=[TOP]), "carry-1") is ArmState.SPENT


def test_a_chain_that_breaks_off_again_and_again_is_left_until_more_can_be_reserved() -> None:
    broken = [went_on("carry-1", None, aborted=True)] * 4
    assert arm_of(pick(broken[:3], arms=[TOP])) == "carry-1"
    assert isinstance(pick(broken, arms=[TOP]), Plateau)
    starved = [replace(lesson, starved_uj=120 * J) for lesson in broken]
    assert isinstance(pick(starved, arms=[TOP]), Plateau)
    assert arm_of(pick(starved, arms=[replace(TOP, reserve_uj=121 * J)])) == "carry-1"


def test_without_a_screen_only_verdicts_tell_when_a_chain_is_spent() -> None:
    assert isinstance(pick([went_on("carry-1", None)] * 4, arms=[TOP]), Plateau)
    assert arm_of(pick([went_on("carry-1", None)] * 3, arms=[TOP])) == "carry-1"


@given(
    st.lists(lessons.flatmap(lambda one: st.sampled_from(Continuation).map(lambda c: replace(one, chain=c))))
)
def test_lessons_come_back_from_little_memory_as_they_were(log: list[Lesson]) -> None:
    few = Lessons()
    for lesson in log:
        few.append(lesson)
    assert list(few) == log


def test_a_run_begins_with_the_cheapest_arm() -> None:
    assert arm_of(pick([])) == "head-first"
    assert state_of(pick([]), "lean") is ArmState.UNTRIED


def test_the_whitepapers_task_b_is_preferred() -> None:
    # Δ 0.01 for 100 J against 0.03 for 80 J
    a, b = Arm(TASK, "a", 120 * J, 100 * J), Arm(TASK, "b", 80 * J, 80 * J)
    log = [
        Lesson(TASK, "a", True, NANO // 100, 100 * J, 100 * J),
        Lesson(TASK, "b", True, 3 * NANO // 100, 80 * J, 80 * J),
    ]
    assert arm_of(choose([a, b], log, bucket_uj=500 * J, min_delta_nano=LEAST, seed=0)) == "b"


def test_a_dear_arm_is_tried_when_the_cheap_ones_stop_paying() -> None:
    log = [kept("head-first", 0.05), kept("head-first", 0.03), kept("prefix-1", 0.1)]
    assert arm_of(pick(log)) in {"head-first", "prefix-1"}
    log += [failure(name) for name in ("head-first", "prefix-1", "prefix-1", "head-first")]
    assert arm_of(pick(log)) == "prefix-2"
    log += [failure("prefix-2"), failure("prefix-2"), failure("prefix-3"), failure("prefix-3")]
    assert arm_of(pick(log)) == "lean"


def test_at_the_plateau_an_untried_arm_is_tried_once_and_no_more() -> None:
    log = [failure(name) for name in ("head-first", "prefix-1", "prefix-2", "prefix-3") for _ in range(2)]
    assert arm_of(pick(log)) == "lean"
    answer = pick([*log, failure("lean")], bucket=1500)
    assert isinstance(answer, Plateau)
    assert state_of(answer, "lean") is ArmState.SPENT
    assert say(answer.reason) == "No arm is expected to pay: 5 arms spent."


def test_one_rejection_does_not_end_an_arm_that_has_paid() -> None:
    others = [failure(name) for name in ("head-first", "prefix-2", "prefix-3", "lean") for _ in range(2)]
    log = [*others, kept("prefix-1", 0.003), failure("prefix-1")]
    assert arm_of(pick(log)) == "prefix-1"
    assert isinstance(pick([*log, failure("prefix-1")]), Plateau)


@pytest.mark.parametrize(("count", "patience"), [(1, 4), (2, 3), (3, 2), (5, 2)])
def test_the_fewer_arms_there_are_the_more_failures_it_takes(count: int, patience: int) -> None:
    arms = ARMS[:count]
    paid = [kept(arm.name, 0.02) for arm in arms]
    failures = [failure(arm.name) for arm in arms for _ in range(patience)]
    assert isinstance(pick([*paid, *failures], arms=arms), Plateau)
    assert isinstance(pick([*paid, *failures[:-1]], arms=arms), Choice)
    assert isinstance(pick([failure(arms[0].name)], arms=arms), Choice), "a first failure ends no run"


def test_an_arm_beyond_the_bucket_does_not_hide_the_plateau() -> None:
    log = [failure(name) for name in ("head-first", "prefix-1", "prefix-2", "prefix-3") for _ in range(2)]
    answer = pick(log, bucket=100)
    assert isinstance(answer, Plateau)
    assert say(answer.reason) == ("No arm is expected to pay: 4 arms spent, another reserves 180.0 J.")


def test_gains_elsewhere_revive_a_spent_arm_and_each_time_it_takes_more() -> None:
    log = [kept("prefix-1", 0.05), failure("head-first"), failure("head-first")]
    needed = []
    for _ in range(4):
        gains = 0
        while state_of(pick(log), "head-first") is ArmState.SPENT:
            log.append(kept("prefix-1", 0.002))
            gains += 1
        needed.append(gains)
        log.append(failure("head-first"))
    assert needed == [2, 4, 8, 16]


def test_an_arm_that_costs_more_than_its_prior_says_is_expected_to_do_so_again() -> None:
    log = [kept("prefix-1", 0.02, joules=80)] * 3
    rows = {row.arm.name: row.expected.cost_uj for row in pick(log).table}
    assert rows["prefix-1"] > 60 * J
    assert 90 * J < rows["lean"] < 900 * J, "a prior that is wrong for one arm is doubted for all"


def test_an_arm_whose_cost_falls_as_its_cache_warms_up_is_taken_by_its_prior() -> None:
    log = [kept("prefix-2", 0.02), kept("prefix-1", 0.01)]
    assert arm_of(pick(log, arms=ARMS[1:3])) == "prefix-1"
    warm = [ARMS[1], replace(ARMS[2], prior_uj=5 * J)]
    assert arm_of(pick(log, arms=warm)) == "prefix-2"


def test_a_kept_update_counts_for_the_smallest_delta_at_least() -> None:
    low = pick([kept("lean", -0.01)])
    assert low == pick([kept("lean", 0.002)])


def test_ties_are_broken_by_the_seed_and_reproducibly() -> None:
    twins = [Arm(TASK, "a", 120 * J, 8 * J), Arm(TASK, "b", 120 * J, 8 * J)]
    picks = [arm_of(pick([], arms=twins, seed=seed)) for seed in range(40)]
    assert set(picks) == {"a", "b"}
    assert picks == [arm_of(pick([], arms=twins[::-1], seed=seed)) for seed in range(40)]


def test_the_reason_says_what_was_expected() -> None:
    answer = pick([])
    assert isinstance(answer, Choice)
    assert say(answer.reason) == (
        "head-first is best of 5 arms that may pay, never tried: "
        "expected Δ 0.1000 nats for 4.0 J, η = 25.0000 nats/kJ."
    )
    alone = pick([kept("lean", 0.02)], arms=[ARMS[4]])
    assert isinstance(alone, Choice)
    assert say(alone.reason).startswith("lean is the only arm that may pay: expected Δ")


def test_uniform_draws_from_all_that_can_be_paid_for_and_never_stops() -> None:
    log = [failure(name) for name in COSTS for _ in range(4)]

    def draw(number: int) -> Choice | Plateau | None:
        return choose(
            ARMS, log[:number], bucket_uj=100 * J, min_delta_nano=LEAST, seed=0, policy="uniform/v1"
        )

    answers = [draw(number) for number in range(20)]
    assert {arm_of(answer) for answer in answers} == {"head-first", "prefix-1", "prefix-2", "prefix-3"}
    first = answers[0]
    assert isinstance(first, Choice)
    assert say(first.reason) == f"{first.arm.name} was drawn from 4 arms."


def test_an_unknown_policy_is_an_error() -> None:
    with pytest.raises(ConfigError, match="greedy-eta"):
        choose(ARMS, [], bucket_uj=10**9, min_delta_nano=LEAST, seed=0, policy="greedy-eta/v1")


def test_a_larger_reservation_revives_an_arm_that_the_smaller_one_starved() -> None:
    starved = Lesson("lora_delta", "lean", False, None, 100, 120, starved_uj=120)
    small, large = (Arm("lora_delta", "lean", uj, 100) for uj in (120, 500))
    rule = {"bucket_uj": 10_000, "min_delta_nano": 2_000_000, "seed": 0}
    assert isinstance(choose([small], [starved] * 4, **rule), Plateau)
    assert isinstance(choose([large], [starved] * 4, **rule), Choice)


def test_each_task_is_expected_from_its_own_memory() -> None:
    memories = {"lora_delta": Memory(LEAST), "index_refresh": Memory(LEAST)}
    for _ in range(4):
        memories["lora_delta"].learn(failure("lean"))
    arms = [Arm("lora_delta", "lean", 10 * J, 5 * J), Arm("index_refresh", "lean", 20 * J, 10 * J, "bits")]
    answer = choose_by_memory(arms, memories, 4, bucket_uj=10**9, seed=0)
    assert isinstance(answer, Choice)
    assert (answer.arm.task, answer.reason.numbers["unit"]) == ("index_refresh", "bits")
    assert "bits/kJ" in say(answer.reason)


def test_the_reason_has_what_the_sentence_needs_and_no_sentence() -> None:
    answer = pick([])
    assert isinstance(answer, Choice)
    assert answer.reason.code == "chosen"
    assert answer.reason.numbers == {
        "arm": "head-first",
        "rivals": 5,
        "delta": 100_000_000,
        "cost_uj": 4 * J,
        "untried": 1,
    }
