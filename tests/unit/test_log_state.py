"""What a log comes to, whoever folds it and however."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.reason import Reason
from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import ZERO_HASH, Bar, Cause, Move
from cryoflux.scheduling.efficiency import ArmState
from cryoflux.task_state import TaskState
from cryoflux.task_tallies import HoldoutTally, SignedLosses
from plain_log import COUNT, RESERVED_UJ, RULE, PlainLog, digest_of, evaluation, figure, model, plain_log

LEAST = {"lora_delta": RULE.min_delta, "index_refresh": RULE.min_delta}


def folded(entries: list[Entry]) -> LogState:
    state = LogState()
    for entry in entries:
        state.take(entry)
    return state


def summary(state: LogState) -> dict[str, Any]:
    """Everything that it knows."""
    said = (state.size, state.last, state.attempts, state.tasks, state.open)
    return {"said": said, "lessons": list(state.lessons), "memories": state.memories(LEAST)}


def test_an_empty_log_has_come_to_nothing() -> None:
    state = LogState()
    assert (state.size, state.last, state.attempts, state.tasks, state.open) == (0, ZERO_HASH, 0, {}, {})
    assert state.head("lora_delta") is None
    assert state.bar("lora_delta", digest_of("holdout"), RULE) == Bar(
        looks=0, kept=0, needed_milli=ErrorBudget(RULE.alpha_ppm).needed_milli
    )


def test_a_log_of_two_tasks_is_kept_apart() -> None:
    log = plain_log()
    state = folded(log.entries)
    assert (state.size, state.last, state.attempts) == (9, log.entries[-1].leaf_hash, 4)
    assert set(state.tasks) == {"lora_delta", "index_refresh"}
    lora, index = state.tasks["lora_delta"], state.tasks["index_refresh"]
    assert state.head("lora_delta") == model("first lora_delta"), "it was moved back"
    assert state.head("index_refresh") == model("made by 6")
    assert lora.tally(digest_of("holdout of lora_delta")) == HoldoutTally(COUNT, uses=3, looks=2, kept=1)
    assert index.tally(digest_of("holdout of index_refresh")) == HoldoutTally(COUNT, uses=1, looks=1, kept=1)
    assert lora.tally(digest_of("holdout of index_refresh")) == HoldoutTally(0)
    assert (lora.drawn, index.drawn) == (96, 48)
    first = log.entries[0].intent
    assert first is not None
    assert (lora.data, lora.first, lora.pool_seed) == (first.data, first.base, 11)
    assert index.data.digest != lora.data.digest


def test_what_is_handed_on_to_a_fork_is_what_the_fork_takes_up() -> None:
    state = folded(plain_log().entries)
    for task, known in state.tasks.items():
        said = known.handed_on(task)
        taken = TaskState.taken_up(said, "f" * 64)
        assert taken.handed_on(task) == said
        assert (taken.start, taken.head, taken.first) == (known.head, known.head, known.first)
        assert (taken.holdouts, taken.losses, taken.drawn) == (known.holdouts, known.losses, known.drawn)
        assert (taken.alpha_ppm, taken.min_delta) == (known.alpha_ppm, known.min_delta)


@pytest.mark.parametrize("task", ["lora_delta", "index_refresh"])
def test_a_task_is_what_it_would_be_alone(task: str) -> None:
    both, alone = PlainLog(), PlainLog()
    for kept in (True, False, True):
        for name in LEAST:
            both.conclude(both.announce(name), kept=kept)
        alone.conclude(alone.announce(task), kept=kept)
    together, single = folded(both.entries), folded(alone.entries)
    assert together.memories(LEAST)[task] == single.memories(LEAST)[task]
    there, here = together.tasks[task], single.tasks[task]
    assert (there.drawn, there.holdouts, there.alpha_ppm) == (here.drawn, here.holdouts, here.alpha_ppm)
    assert list(there.losses.values()) == list(here.losses.values())


def test_an_attempt_is_open_from_its_announcement_to_its_receipt() -> None:
    log = PlainLog()
    first, second = log.announce(slots=2), log.announce("index_refresh", "rebuild", slots=2)
    state = folded(log.entries)
    assert list(state.open) == [first.leaf_hash, second.leaf_hash]
    assert state.open[second.leaf_hash].index == 1
    state.take(log.abort(first))
    assert list(state.open) == [second.leaf_hash]
    state.take(log.conclude(second))
    assert state.open == {}


def test_nor_after_the_session_of_its_run() -> None:
    log = PlainLog()
    log.announce(slots=2)
    log.announce(slots=2)
    log.session()
    assert folded(log.entries).open == {}


def test_a_receipt_without_an_intent_teaches_nothing() -> None:
    log = PlainLog()
    state = folded([log.announce()])
    state.take(log.conclude(log.entries[0], intent=digest_of("another")))
    assert len(state.lessons) == 0
    assert len(state.open) == 1
    stranger = PlainLog()
    intent = stranger.announce("elsewhere")
    state.take(stranger.conclude(intent))
    assert set(state.tasks) == {"lora_delta"}


def test_an_entry_that_cannot_be_read_only_takes_its_place() -> None:
    log = plain_log()
    state = folded(log.entries[:4])
    before = summary(state)["said"][2:]
    state.skip(digest_of("unreadable"))
    assert (state.size, state.last) == (5, digest_of("unreadable"))
    assert summary(state)["said"][2:] == before


def test_the_bar_rises_with_each_look_at_the_holdout() -> None:
    log = PlainLog()
    holdout, state = digest_of("holdout of lora_delta"), LogState()
    for looks in range(3):
        bar = state.bar("lora_delta", holdout, RULE)
        assert bar == Bar(
            looks=looks, kept=0, needed_milli=ErrorBudget(RULE.alpha_ppm, looks, 0).needed_milli
        )
        state.take(log.announce())
        state.take(log.conclude(log.entries[-1], kept=False))
    assert state.bar("lora_delta", digest_of("a fresh one"), RULE).looks == 0
    assert state.bar("lora_delta", holdout, RULE.but(name="evidence/v1")) == Bar(
        looks=0, kept=0, needed_milli=0
    )


def test_an_error_budget_is_tightened_and_never_widened() -> None:
    log = PlainLog()
    for alpha in (50_000, 10_000, 90_000):
        log.abort(log.announce(rule=RULE.but(alpha_ppm=alpha)))
    assert folded(log.entries).tasks["lora_delta"].alpha_ppm == 10_000


PLACE = (digest_of("holdout of lora_delta"), "f64-nanonat/v1", 32)


def test_signed_losses_are_those_of_the_present_head() -> None:
    log = PlainLog()
    first = log.announce()
    log.conclude(first)
    state = folded(log.entries)
    assert state.tasks["lora_delta"].losses == {PLACE: SignedLosses(56_800_000_000, 33)}
    state.take(log.announce())
    state.take(log.conclude(log.entries[-1], kept=False, evaluation=evaluation(model("x"), -64_000_000)))
    assert state.tasks["lora_delta"].losses == {PLACE: SignedLosses(60_000_000_000, 30)}, "said last"
    state.take(log.move("lora_delta", model("first lora_delta"), first))
    assert state.tasks["lora_delta"].losses == {}
    assert state.head("lora_delta") == model("first lora_delta")


def test_losses_of_a_part_of_the_holdout_or_of_another_base_are_not_kept() -> None:
    log = PlainLog()
    intent = log.announce()
    log.conclude(intent, kept=False, evaluation=evaluation(model("x"), -64_000_000, read=32))
    assert folded(log.entries).tasks["lora_delta"].losses == {}
    log.conclude(log.announce(), kept=False, base=model("another"), result=model("first lora_delta"))
    assert folded(log.entries).tasks["lora_delta"].losses == {}


def test_a_move_of_a_task_that_is_not_known_changes_nothing() -> None:
    log = PlainLog()
    log.announce()
    state = folded(log.entries)
    before = summary(state)["said"][2:]
    state.take(log.move("index_refresh", model("x"), log.entries[0]))
    assert summary(state)["said"][2:] == before


def starved(cause: Cause, attempts: int = 4, **changes: object) -> LogState:
    log = PlainLog()
    for _ in range(attempts):
        log.abort(log.announce(), cause, Reason(code="exhausted.preparing"), **changes)
    return folded(log.entries)


def test_a_larger_reservation_revives_an_arm_that_ran_out_before_one_example_was_ready() -> None:
    memory = starved(Cause.EXHAUSTED).memories(LEAST)["lora_delta"]

    def state(reserve_uj: int) -> ArmState:
        return memory.expect("lean", 90_000_000, 1, reserve_uj).state

    assert state(RESERVED_UJ) is ArmState.SPENT
    assert state(RESERVED_UJ + 1) is ArmState.TRIED


def test_an_arm_that_failed_for_another_reason_is_not_revived_by_joules() -> None:
    memory = starved(Cause.FAILED).memories(LEAST)["lora_delta"]
    assert memory.expect("lean", 90_000_000, 1, 10 * RESERVED_UJ).state is ArmState.SPENT


def test_what_starved_counts_by_what_was_reserved_and_not_by_the_announcement() -> None:
    state = starved(Cause.EXHAUSTED, energy=figure(reserved_microjoules=2 * RESERVED_UJ))
    memory = state.memories(LEAST)["lora_delta"]
    assert memory.expect("lean", 90_000_000, 1, 2 * RESERVED_UJ).state is ArmState.SPENT


@pytest.mark.parametrize("cause", [Cause.INTERRUPTED, Cause.CRASHED, Cause.UNRESERVED])
def test_what_ended_an_attempt_from_outside_says_nothing_of_its_arm(cause: Cause) -> None:
    state = starved(cause)
    assert len(state.lessons) == 0
    assert state.memories(LEAST)["lora_delta"].expect("lean", 90_000_000, 1).state is ArmState.UNTRIED


TASKS = st.sampled_from(["lora_delta", "index_refresh"])
ENDS = st.sampled_from(["kept", "rejected", "open", "move", *(cause for cause in Cause if cause)])
STORIES = st.lists(st.tuples(TASKS, st.sampled_from(["lean", "prefix-1"]), ENDS), max_size=12)


def told(story: list[tuple[str, str, str]]) -> list[Entry]:
    log = PlainLog()
    for task, arm, end in story:
        if end == "move":
            if task in log.heads:
                log.move(task, model(f"first {task}"), log.entries[0])
            continue
        intent = log.announce(task, arm, slots=12)
        if end in {"kept", "rejected"}:
            log.conclude(intent, kept=end == "kept")
        elif end != "open":
            log.abort(intent, Cause(end))
    return log.entries


@given(STORIES, st.lists(st.booleans(), min_size=40, max_size=40))
def test_folding_in_pieces_and_asking_in_between_is_folding_at_once(
    story: list[tuple[str, str, str]], asks: list[bool]
) -> None:
    entries = told(story)
    state = LogState()
    for entry, asked in zip(entries, asks, strict=False):
        state.take(entry)
        if asked:
            state.memories(LEAST)
            state.memories({"lora_delta": 7_000_000})
            state.bar("lora_delta", digest_of("holdout of lora_delta"), RULE)
    assert summary(state) == summary(folded(entries))


@given(STORIES)
def test_what_is_open_and_counted_follows_from_the_story(story: list[tuple[str, str, str]]) -> None:
    state = folded(told(story))
    announced = [(task, end) for task, _, end in story if end != "move"]
    assert state.attempts == len(announced)
    assert len(state.open) == sum(end == "open" for _, end in announced)
    for task, known in state.tasks.items():
        tally = known.tally(digest_of(f"holdout of {task}"))
        ends = [end for name, end in announced if name == task]
        assert tally.uses == len(ends)
        assert (tally.looks, tally.kept) == (ends.count("kept") + ends.count("rejected"), ends.count("kept"))


def test_after_a_rollback_looks_and_lessons_stay_and_the_next_head_has_a_part_of_its_own() -> None:
    log = PlainLog()
    first = log.announce()
    log.conclude(first)
    log.conclude(log.announce())
    state = folded(log.entries)
    known, begun = state.tasks["lora_delta"], model("first lora_delta")
    heads, looks, lessons = known.heads, known.tally(known.holdout).looks, len(state.lessons)
    assert (heads, looks) == (3, 2)
    assert begun in [made.version for made in known.before_head()]
    state.take(log.move("lora_delta", begun, first))
    assert known.heads == heads + 1, "whoever goes back begins no error budget anew"
    assert (known.tally(known.holdout).looks, len(state.lessons)) == (looks, lessons)
    assert known.chains == {}
    assert begun not in [made.version for made in known.before_head()]


def test_the_versions_to_go_back_to_are_few_and_the_first_is_one_of_them() -> None:
    log = PlainLog()
    for _ in range(9):
        log.conclude(log.announce())
    known = folded(log.entries).tasks["lora_delta"]
    before = known.before_head()
    assert len(before) == 5
    assert before[0].version == known.start
    assert [made.index for made in before[1:]] == sorted(made.index for made in before[1:])
    assert all(log.entries[made.index].leaf_hash == made.leaf_hash for made in before)


def test_a_prune_moves_no_head_and_costs_nothing_of_the_monitor() -> None:
    log = PlainLog()
    log.conclude(log.announce())
    state = folded(log.entries)
    known = state.tasks["lora_delta"]
    heads, before = known.heads, known.before_head()
    freed = [model("first lora_delta")]
    state.take(log.move("lora_delta", known.head, log.entries[-1], Move.PRUNE, pruned=freed))
    assert (known.heads, known.before_head()) == (heads, before)
