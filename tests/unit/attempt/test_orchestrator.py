"""Ten steps: how an attempt can end, and what a death at any of them leaves behind."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from cryoflux.attempt.orchestrator import _reservation
from cryoflux.attempt.watch import Observer, Step
from cryoflux.decision.rules import BARE
from cryoflux.errors import BudgetError, StateError
from cryoflux.quantities import MICRO
from cryoflux.receipts.statement import Cause, Outcome
from cryoflux.runs.recovery import recover
from cryoflux.scheduling.policy import Plateau
from cryoflux.sentences import say
from cryoflux.tasks.interface import Offer
from cryoflux.tasks.pacing import JoulesEndedError, TrainingFailedError, TrainingInterruptedError
from small_context import (
    BETTER,
    COUNT,
    NOISY,
    RULE,
    WORSE,
    Deadly,
    Killed,
    Made,
    OtherTask,
    ToyTask,
    gained,
    run_attempt,
)
from verifying import verify_target

PATIENT = RULE.but(name="evidence/v1", alpha_ppm=0)
"""reads every holdout to its end"""
WAYS = {
    "accepted": (RULE, BETTER, Outcome.ACCEPTED, "evidence.delta", COUNT),
    "undecided": (RULE, NOISY, Outcome.UNDECIDED, "evidence.undecided", COUNT),
    "hopeless": (RULE, WORSE, Outcome.REJECTED, "hopeless", 32),
    "rejected": (PATIENT, Made(999_900_000), Outcome.REJECTED, "below-smallest", COUNT),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_verdict_is_written_down_charged_and_followed(small, way) -> None:
    rule, made, outcome, code, read = WAYS[way]
    run = small(rule=rule)
    first, held_uj = run.task.head, run.agent.bucket_uj()
    record = run.attempt(made)
    receipt = record.receipt
    assert (receipt.outcome, receipt.reason.code, receipt.evaluation.read) == (outcome, code, read)
    assert receipt.cause is Cause.NONE
    accepted = outcome is Outcome.ACCEPTED
    assert receipt.decision.accepted == accepted
    assert (receipt.result == receipt.evaluation.candidate) == accepted
    assert (receipt.result == receipt.base) != accepted
    assert receipt.base.digest == first.digest
    head = receipt.result.digest
    assert run.task.head.digest == head == run.context.versions.head_digest("toy")
    assert run.context.memory.head("toy") == receipt.result
    assert set(run.context.versions.kept()) == {first.digest, head}
    assert not list(run.state.models.glob(".*"))
    assert run.charges() == [2 * MICRO] == [receipt.energy.microjoules]
    assert record.bucket_uj == held_uj - 2 * MICRO == run.agent.bucket_uj()


def test_a_rejected_draft_is_discarded_by_its_task_too(run) -> None:
    record = run.attempt(WORSE)
    assert run.task.discarded == [record.receipt.evaluation.candidate.digest]
    run.attempt(BETTER)
    assert len(run.task.discarded) == 1


def test_an_early_end_says_what_it_saved(run) -> None:
    run.task.evaluation_j = 1
    record = run.attempt(WORSE)
    assert record.saved_uj == 2 * MICRO, "one of three batches was read"
    assert record.receipt.energy.microjoules == (3 + 2 + 1) * MICRO


class Screening(ToyTask):
    screens = True


def test_an_update_that_its_own_examples_refuse_is_not_shown_to_the_holdout(small) -> None:
    run = small(Screening)
    run.task.evaluation_j = 1
    record = run.attempt(Made(900_000_000, screening=gained(-5_000_000)))
    receipt = record.receipt
    assert (receipt.outcome, receipt.reason.code) == (Outcome.REJECTED, "screen.below-smallest")
    assert run.intents()[0].rule.screen == receipt.decision.rule.screen == "screen/v1"
    assert receipt.evaluation is None
    assert receipt.training.screen.count == 40
    assert run.context.memory.tasks["toy"].tally(receipt.holdout.sha256).looks == 0
    assert [part for _, part, _ in run.task.scored] == ["holdout"], "the base alone"
    assert record.saved_uj == 3 * MICRO, "a whole evaluation"
    assert run.attempt(Made(900_000_000, screening=gained(50_000_000))).receipt.outcome is Outcome.ACCEPTED


def test_an_update_is_screened_where_that_was_announced_and_nowhere_else(small) -> None:
    run = small()
    found = run.attempt(Made(900_000_000, screening=gained(-5_000_000))).receipt
    assert (found.outcome, found.decision.rule.screen) == (Outcome.ACCEPTED, "")
    run.task.screens = True
    unscreened = run.attempt(Made(880_000_000)).receipt
    assert (unscreened.outcome, unscreened.cause) == (Outcome.ABORTED, Cause.FAILED)
    assert (unscreened.evaluation, "did not screen" in say(unscreened.reason)) == (None, True)
    bad = [check for check in verify_target(run.state.path).checks if check.status == "fail"]
    assert {check.number for check in bad} <= {9}, "the toy data hold no examples; all else is in order"


def test_the_bare_rule_screens_nothing(small) -> None:
    run = small(Screening, rule=RULE.but(name=BARE, alpha_ppm=0))
    receipt = run.attempt(Made(900_000_000, screening=gained(-5_000_000))).receipt
    assert (receipt.outcome, receipt.decision.rule.screen) == (Outcome.ACCEPTED, "")
    assert receipt.decision.bar.needed_milli == 0


def stop_now(run) -> None:
    run.asked = True


ENDS = {
    "interrupted.preparing": Made(0, error=TrainingInterruptedError("Asked to stop.")),
    "interrupted.training": Made(900_000_000, stopped_by="interrupt"),
    "exhausted.preparing": Made(0, error=JoulesEndedError("None are left.", code="exhausted.preparing")),
    "exhausted.training": Made(0, error=JoulesEndedError("None are left.")),
    "exhausted.evaluating": Made(900_000_000, joules=21),
    "failed": Made(0, error=TrainingFailedError("The training loss became nan.")),
}


def assert_ended(run, record, code: str, charged_j: float) -> None:
    receipt = record.receipt
    assert (receipt.outcome, receipt.reason.code) == (Outcome.ABORTED, code)
    assert receipt.cause == code.partition(".")[0]
    assert receipt.result == receipt.base == run.opened.base
    assert (receipt.training, receipt.evaluation, receipt.decision) == (None, None, None)
    assert receipt.energy.microjoules == charged_j * MICRO
    assert run.charges() == [charged_j * MICRO]
    assert not run.context.memory.open
    assert not [*run.state.models.glob(".*"), *run.state.capsules.glob(".*")]
    assert len(run.context.versions.kept()) == 1


@pytest.mark.parametrize("code", ENDS)
def test_an_attempt_that_was_stopped_says_by_what_and_is_charged(run, code) -> None:
    made = ENDS[code]
    record = run.attempt(made)
    assert_ended(run, record, code, made.joules)
    if code == "failed":
        assert record.receipt.reason.numbers == {"what": "The training loss became nan."}
    assert run.attempt(BETTER).receipt.outcome is Outcome.ACCEPTED


def test_being_asked_to_stop_ends_the_evaluation_of_the_base(run) -> None:
    run.asked = True
    assert_ended(run, run.attempt(BETTER), "interrupted.evaluating", 0)
    assert run.task.orders == []


def test_being_asked_to_stop_ends_the_evaluation_of_the_update(run) -> None:
    record = run.attempt(Made(900_000_000, meanwhile=lambda: stop_now(run)))
    assert_ended(run, record, "interrupted.evaluating", 2)
    assert record.head_loss == 1.0, "the base was measured"
    assert len(run.task.discarded) == 1, "its task knows that the draft is gone"


def test_a_base_that_is_too_dear_leaves_nothing_to_train_with(run) -> None:
    run.task.evaluation_j = 6
    assert_ended(run, run.attempt(BETTER), "exhausted.training", 18)
    assert run.task.orders == []


def test_evaluation_ends_soon_after_the_reservation_does(run) -> None:
    run.task.evaluation_j = 11
    assert_ended(run, run.attempt(BETTER), "exhausted.evaluating", 22)


@pytest.mark.parametrize(
    "made", [Made(-1), Made(10**13), Made(900_000_000, noise=2_000_000_000)], ids=["negative", "huge", "half"]
)
def test_an_update_whose_losses_cannot_be_is_a_failure(run, made) -> None:
    assert_ended(run, run.attempt(made), "failed", 2)


def test_losses_that_are_no_whole_numbers_are_a_failure(run) -> None:
    run.task.numbers = float
    assert_ended(run, run.attempt(BETTER), "failed", 0)


def test_losses_in_numpys_numbers_are_as_good_as_any(run) -> None:
    numpy = pytest.importorskip("numpy")
    run.task.numbers = numpy.int64
    assert run.attempt(BETTER).receipt.outcome is Outcome.ACCEPTED


class Greedy(Observer):
    """Takes what the bucket holds as soon as an arm was chosen."""

    def __init__(self, run) -> None:
        self.run = run

    def chosen(self, choice) -> None:
        agent = self.run.agent
        agent.take(agent.bucket_uj(), request_id="somebody else")


def test_joules_that_somebody_else_took_meanwhile_end_the_attempt_before_it_begins(run) -> None:
    run.change(observer=Greedy(run))
    with pytest.raises(BudgetError):
        run.attempt(BETTER)
    (receipt,) = run.receipts()
    assert (receipt.cause, receipt.reason.code) == (Cause.UNRESERVED, "unreserved")
    assert (receipt.energy.microjoules, receipt.energy.hi_microjoules) == (0, 0)
    assert receipt.energy.flags == ["never-reserved"]
    assert not run.context.memory.open
    assert len(run.context.memory.lessons) == 0, "it says nothing of its arm"
    assert run.task.orders == []


def test_where_nothing_can_be_paid_nothing_is_announced(small) -> None:
    run = small(granted_j=19)
    with pytest.raises(BudgetError, match=r"19\.0 J.*no attempt"):
        run_attempt(run.context)
    assert run.context.log.size == 0


def test_where_no_arm_pays_nothing_is_announced(small) -> None:
    run = small(policy="prior-eta/v1")
    run.task.plans, sizes = [WORSE] * 9, [0]
    while not isinstance(record := run_attempt(run.context), Plateau):
        sizes.append(run.context.log.size)
    assert record.reason.code == "plateau"
    assert run.context.log.size == sizes[-1] == 2 * len(run.receipts())
    assert 1 <= len(run.receipts()) < 9


class Steps(Observer):
    def __init__(self) -> None:
        self.seen = []

    def step(self, step, moment) -> None:
        self.seen.append((step, moment))


@pytest.mark.parametrize("made", [BETTER, WORSE], ids=["kept", "not"])
def test_there_are_ten_steps_in_this_order_whatever_the_verdict(run, made) -> None:
    steps = Steps()
    run.change(observer=steps)
    record = run.attempt(made)
    assert steps.seen == [(step, moment) for step in Step for moment in ("begin", "end")]
    assert len(Step) == 10
    assert set(Step) <= set(record.phases)


def test_what_was_stopped_is_settled_and_recorded_all_the_same(run) -> None:
    steps = Steps()
    run.change(observer=steps)
    run.attempt(ENDS["failed"])
    ended = [step for step, moment in steps.seen if moment == "end"]
    assert ended == [Step.SAMPLE, Step.SCHEDULE, Step.ANNOUNCE, Step.RESERVE, Step.SETTLE, Step.RECORD]


MOMENTS = [(step, moment) for step in Step for moment in ("begin", "end")]
ANNOUNCED = MOMENTS[MOMENTS.index((Step.ANNOUNCE, "end")) :]
RESERVED = MOMENTS[MOMENTS.index((Step.RESERVE, "end")) :]
TRAINED = MOMENTS[MOMENTS.index((Step.TRAIN, "end")) :]


@pytest.mark.parametrize("at", MOMENTS, ids="-".join)
def test_a_death_at_any_step_is_closed_once_and_charged_once(run, at) -> None:
    run.task.evaluation_j = 1
    run.change(observer=Deadly(*at))
    before_uj = run.machine.spent_uj
    with pytest.raises(Killed):
        run.attempt(BETTER)
    used_uj, recorded = run.machine.spent_uj - before_uj, at == MOMENTS[-1]
    closed = run.reopen()

    assert len(closed) == (at in ANNOUNCED and not recorded)
    receipts = run.receipts()
    assert len(receipts) == (at in ANNOUNCED)
    for receipt in closed:
        assert (receipt.outcome, receipt.cause) == (Outcome.ABORTED, Cause.CRASHED)
        assert receipt.result == receipt.base
        assert receipt.energy.microjoules == used_uj <= receipt.energy.hi_microjoules
    assert sum(run.charges()) == used_uj == sum(r.energy.microjoules for r in receipts)
    assert len(run.charges()) == (at in RESERVED)
    assert run.agent.bucket_uj() == 1000 * MICRO - used_uj
    assert run.agent.views() == ()

    head = run.task.head.digest
    assert run.context.versions.head_digest("toy") == head
    assert (run.context.memory.head("toy") is None) == (at not in ANNOUNCED)
    assert set(run.context.versions.kept()) == {head, *(r.base.digest for r in receipts)}
    assert not [*run.state.models.glob(".*"), *run.state.capsules.glob(".*")]

    assert run.reopen() == []
    assert run.receipts() == receipts
    more = run.attempt(Made(800_000_000))
    assert more.receipt.outcome is Outcome.ACCEPTED
    assert more.receipt.base.digest == head


def test_what_a_dead_attempt_measured_of_the_base_is_not_measured_again(run) -> None:
    run.change(observer=Deadly(Step.TRAIN, "begin"))
    with pytest.raises(Killed):
        run.attempt()
    run.reopen()
    base = run.task.head.digest
    run.attempt()
    assert base not in [digest for digest, _, _ in run.task.scored]


class Quorum:
    """Witnesses that see nothing."""

    def __init__(self, run) -> None:
        self.run = run
        self.seen = []

    def published(self, *, binding: bool) -> None:
        links = self.run.context.versions
        self.seen.append((binding, self.run.context.log.size, links.head_digest("toy")))
        if binding:
            raise StateError("A quorum has not seen it.")


def test_nothing_takes_effect_before_the_witnesses_it_needs_have_seen_it(run) -> None:
    witnesses, first = Quorum(run), run.task.head.digest
    run.change(witnessing=witnesses)
    run.attempt(WORSE)
    run.attempt(ENDS["failed"])
    assert [binding for binding, _, _ in witnesses.seen] == [False, False]
    with pytest.raises(StateError):
        run.attempt(BETTER)
    assert witnesses.seen[-1] == (True, 6, first), "its receipt is in the log, the head is where it was"
    assert run.task.head.digest == first == run.context.versions.head_digest("toy")
    assert run.receipts()[-1].outcome is Outcome.ACCEPTED
    # The log says that it was kept; the next run goes on from there.
    assert run.reopen() == []
    assert run.task.head.digest == run.receipts()[-1].result.digest == run.context.versions.head_digest("toy")


def test_the_bar_is_that_of_the_moment_of_the_verdict(run) -> None:
    # S²/V is 13.5: enough for a first look, which needs 12.0, and not for a second one, which needs 15.6.
    close = Made(990_000_000, noise=24_720_000)
    record = run.attempt(Made(**{**vars(close), "meanwhile": lambda: run_attempt(run.context)}), WORSE)
    mine, other = run.intents()
    assert (mine.bar.looks, other.bar.looks) == (0, 0)
    assert [r.intent for r in run.receipts()] == [r.leaf_hash for r in run.context.log.entries()][1::-1]
    assert record.receipt.decision.bar.looks == 1
    assert record.receipt.decision.bar.needed_milli > mine.bar.needed_milli
    assert record.receipt.outcome is Outcome.UNDECIDED


def test_the_same_evidence_is_enough_for_a_first_look(run) -> None:
    assert run.attempt(Made(990_000_000, noise=24_720_000)).receipt.outcome is Outcome.ACCEPTED


def test_two_tasks_in_one_log_keep_to_themselves(small) -> None:
    run = small(ToyTask, OtherTask)
    for _ in range(8):
        for opened in run.context.tasks.values():
            level = json_level(opened.task)
            opened.task.plans = [Made(level * 9 // 10)]
        run_attempt(run.context)
    memory, receipts = run.context.memory, run.receipts()
    names = [r.task.name for r in receipts]
    assert min(names.count("toy"), names.count("other")) >= 2
    for name, opened in run.context.tasks.items():
        mine = [r for r in receipts if r.task.name == name]
        assert [r.base for r in mine[1:]] == [r.result for r in mine[:-1]]
        assert memory.head(name) == mine[-1].result
        assert run.context.versions.head_digest(name) == mine[-1].result.digest
        intents = [i for i in run.intents() if i.task.name == name]
        assert {i.data.digest for i in intents} == {opened.data.digest}
        assert [i.data.holdout.use_index for i in intents] == list(range(1, len(mine) + 1))
        assert {i.metric for i in intents} == {opened.task.metric} == {r.evaluation.metric for r in mine}
        assert [r.decision.bar.looks for r in mine] == list(range(len(mine)))
    assert len({opened.data.digest for opened in run.context.tasks.values()}) == 2
    run.reopen()
    assert {name: o.task.head.digest for name, o in run.context.tasks.items()} == {
        name: memory.head(name).digest for name in ("toy", "other")
    }


def json_level(task: ToyTask) -> int:
    return json.loads((task.head.folder / "losses.json").read_bytes())["level"]


def test_recovering_twice_over_writes_nothing(run) -> None:
    run.attempt(BETTER)
    size = run.context.log.size
    assert recover(run.context, run.named | {run.task.head.digest}) == []
    assert run.context.log.size == size


@pytest.mark.parametrize(("left", "due"), [(None, 50), (60, 50), (26, 26), (10, 20)])
def test_a_reservation_grows_with_the_attempts_of_a_chain_but_not_beyond_what_is_left(left, due) -> None:
    """Else a run would end with joules that the reservation asked for would have had use for."""
    context = SimpleNamespace(
        terms=SimpleNamespace(reserve_uj=20), agent=SimpleNamespace(bucket_uj=lambda: 1000)
    )
    opened = SimpleNamespace(chain=lambda _arm: SimpleNamespace(attempts=3), reserve_uj=0)
    offer = Offer("carry-1", {}, 5, screens=True, carries=True)
    assert _reservation(context, opened, offer, left) == due
