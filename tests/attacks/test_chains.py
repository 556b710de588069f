"""Chains of attempts that tell another story than what was done, and honest ones that look odd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_borrowed_adapter import Recomputer

from chains import CARRYING, ENOUGH, STAKING, TOO_LITTLE, chain_of, due_link, go_on
from cryoflux.claims.evaluation import add_up
from cryoflux.decision.reason import Reason
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Cause, ChainLink, Outcome, Receipt
from cryoflux.receipts.sums import evidence_of
from cryoflux.verification.again import Again
from cryoflux.verification.result import Check, Status
from cryoflux.verification.temperatures import FAR_NANO, INNOCENT_NANO, Fit
from synthetic_parts import RULE, TASK, digest_of, screen
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

Lie = Callable[[SyntheticState], object]


def carried(path: Path) -> SyntheticState:
    """A kept update, and two attempts that went on from it and were carried."""
    state = open_state(path)
    go_on(state)
    go_on(state, shown=TOO_LITTLE)
    go_on(state, gain=TOO_LITTLE)
    return state


def faults(state: SyntheticState) -> list[Check]:
    """What does not hold, or is open, but for what the synthetic state itself leaves open."""
    report = verify_target(state.finish())
    return [check for check in report.checks if check.status is Status.FAIL]


def open_questions(state: SyntheticState) -> str:
    checks = verify_target(state.finish()).checks
    return " ".join(check.detail for check in checks if check.status is Status.UNKNOWN)


def test_an_honest_chain_is_not_accused(tmp_path: Path) -> None:
    """Kept, not shown to the holdout, rejected by it, kept again, aborted, and ended at its plateau."""
    state = carried(tmp_path / "state")
    kept = go_on(state)
    state.abort(state.announce(rule=STAKING, recipe=CARRYING, chain=due_link(state)))
    go_on(state, shown=TOO_LITTLE, ended="plateau")
    go_on(state)
    receipts = [entry.receipt for entry in state.entries if entry.receipt is not None]
    assert [r.outcome.word for r in receipts] == [
        "kept", "carried", "carried", "kept", "aborted", "rejected", "kept"
    ]  # fmt: skip
    assert kept.receipt is not None
    assert kept.receipt.training is not None
    assert kept.receipt.training.before == 60
    assert not faults(state)


def going_on(**fields: object) -> Lie:
    return lambda state: go_on(state, **fields)


def another_working_update(state: SyntheticState) -> object:
    return go_on(state, link=due_link(state).but(working=digest_of("a better one")))


def an_older_working_update(state: SyntheticState) -> object:
    """What the first attempt left is taken up again, as if the two after it had not been."""
    first = next(entry for entry in state.entries if entry.receipt is not None)
    assert first.receipt is not None
    assert first.receipt.training is not None
    left = {"working": first.receipt.training.working, "left_by": first.leaf_hash}
    return go_on(state, link=due_link(state).but(**left))


def silently_anew(state: SyntheticState) -> object:
    return go_on(state, link=ChainLink(start=state.head))


def of_no_chain(state: SyntheticState) -> object:
    return go_on(state, intent={"chain": None}, training={"working": "", "before": 0})


def with_another_recipe(state: SyntheticState) -> object:
    return go_on(state, intent={"recipe": {**CARRYING, "rank": 4}})


def with_a_recipe_that_does_not_carry(state: SyntheticState) -> object:
    recipe = {**CARRYING, "carry": 0}
    return go_on(state, intent={"recipe": recipe}, link=ChainLink(start=state.head, left_by=left_by(state)))


def left_by(state: SyntheticState) -> str:
    chain = chain_of(state)
    return chain.left_by if chain is not None else ""


def after_a_move(state: SyntheticState) -> object:
    """The head goes back, and the chain goes on as if it had not."""
    link = due_link(state)
    first = next(entry.intent for entry in state.entries if entry.intent is not None)
    state.move(first.base)
    return go_on(state, link=link)


def from_another_start(state: SyntheticState) -> object:
    return go_on(state, link=due_link(state).but(start=state.head))


def judged_again(state: SyntheticState) -> object:
    """The candidate that the holdout rejected is shown to it once more."""
    go_on(state, gain=TOO_LITTLE, adapter=[7.0, 7.0])
    return go_on(state, adapter=[7.0, 7.0])


LARGEST: dict[str, object] = {"stake_milli": 950, "needed_milli": 7000}
"""stake, and a bar that goes with it"""
LIES: dict[str, tuple[Lie, str]] = {
    "another working update": (another_working_update, "that no receipt before it left"),
    "an older working update": (an_older_working_update, "that no receipt before it left"),
    "anew, silently": (silently_anew, "without naming the one that it gives up"),
    "of no chain": (of_no_chain, "is of no chain, though its recipe carries"),
    "another recipe": (with_another_recipe, "with another recipe than it began with"),
    "a recipe that does not carry": (with_a_recipe_that_does_not_carry, "though its recipe does not carry"),
    "another seed": (going_on(intent={"seed": 8}), "with another seed"),
    "another start": (from_another_start, "from another start"),
    "after a move of the head": (after_a_move, "that no receipt before it left"),
    "steps forgotten": (going_on(training={"before": 20}), "by the log 60"),
    "steps invented": (going_on(training={"before": 600}), "by the log 60"),
    "more steps than are left": (
        going_on(steps=150, section={"plannedSteps": 150}), "more steps than the recipe's max_steps 200"
    ),
    "ended by steps too soon": (going_on(ended="steps"), "before they were all made"),
    "another end": (going_on(training={"stopped_by": "boredom"}), "which ends no attempt of a chain"),
    "carried without a working update": (
        going_on(shown=TOO_LITTLE, training={"working": ""}, receipt={"outcome": Outcome.CARRIED}),
        "leaves nothing to go on from",
    ),
    "rejected with one": (
        going_on(shown=TOO_LITTLE, receipt={"outcome": Outcome.REJECTED}), "is rejected, but screen/v2"
    ),
    "ended, and a working update": (
        going_on(shown=TOO_LITTLE, ended="plateau", training={"working": "a" * 64}),
        "leaves a working update, though it was ended by 'plateau'",
    ),
    "a look that was not due": (
        going_on(shown=TOO_LITTLE, looks=True, bar=LARGEST), "was shown to the holdout, but"
    ),
    "a look that was due": (
        going_on(looks=False, receipt={"reason": Reason(code="stake.not-yet", numbers={})}),
        "was not shown to the holdout",
    ),
    "another stake": (going_on(bar={"stake_milli": 500}), "says that it staked 500/1000"),
    "another bar": (going_on(bar={"needed_milli": 1}), "for a bar of 1/1000"),
    "another budget": (going_on(bar={"left": 10**15}), "of its error budget are left, but by the log"),
    "judged twice": (judged_again, "was shown to the holdout, but"),
    "the head's list": (going_on(on_head=True), "its list of updates is not the one of the log"),
    "no temperature": (going_on(section={"temperatureMilli": "none"}), "says no temperature"),
    "a temperature out of bounds": (
        going_on(section={"temperatureMilli": 2001}), "not between 200 and 2000"
    ),
    "a temperature that was not asked for": (
        going_on(intent={"recipe": {**CARRYING, "temperature": 0}}), "fits no temperature"
    ),
    "an average that there is not": (going_on(section={"average": "2"}), "which is none of 1, 3"),
    "a plan": (going_on(section={"plannedSteps": 99}), "makes no plan"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_chain_that_tells_another_story_is_refuted(tmp_path: Path, name: str) -> None:
    lie, said = LIES[name]
    state = carried(tmp_path / "state")
    lie(state)
    found = faults(state)
    assert said in " ".join(check.detail for check in found), [check.detail for check in found]


def test_an_attempt_that_is_left_out_is_missed_by_the_one_after_it(tmp_path: Path) -> None:
    """The owner writes the log once more, without the attempt in the middle."""
    state = carried(tmp_path / "state")
    chain = chain_of(state)
    assert chain is not None
    told = open_state(tmp_path / "told")
    go_on(told)
    go_on(told, link=ChainLink(start=chain.start, working=chain.working, left_by=chain.left_by))
    assert "that no receipt before it left" in " ".join(check.detail for check in faults(told))


def at_once(state: SyntheticState) -> Entry:
    """An attempt is announced that goes on as the next one does; both may be open."""
    state.policy = "uniform/v1"
    spare = state.announce(rule=STAKING, recipe=CARRYING, chain=due_link(state), slots=2)
    go_on(state, shown=TOO_LITTLE, intent={"slots": 2})
    return spare


def concluded(state: SyntheticState, spare: Entry, monkeypatch: pytest.MonkeyPatch) -> Receipt:
    monkeypatch.setattr(state, "announce", lambda **_said: spare)
    receipt = go_on(state, training={"before": 0}).receipt
    assert receipt is not None
    assert receipt.outcome is Outcome.ACCEPTED
    return receipt


def test_an_update_is_not_paid_for_anew_by_announcing_two_attempts_from_one_working_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one would begin a chain of its own: no steps, no joules, what the holdout saw forgotten."""
    state = carried(tmp_path / "state")
    receipt = concluded(state, at_once(state), monkeypatch)
    said = " ".join(check.detail for check in faults(state))
    assert "goes on from a working update that its chain had left behind by then" in said
    assert "had made 0 steps before it, though it goes on from a working update" in said
    told = [entry.receipt for entry in state.entries if entry.receipt is not None]
    assert told[-1] == receipt


def test_of_two_beginnings_the_better_one_cannot_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = open_state(tmp_path / "state")
    concluded(state, at_once(state), monkeypatch)
    said = " ".join(check.detail for check in faults(state))
    assert "begins a chain, though one had begun by then that it does not give up" in said


def test_an_attempt_that_died_before_the_head_was_moved_is_not_accused(tmp_path: Path) -> None:
    state = carried(tmp_path / "state")
    first = next(entry.intent for entry in state.entries if entry.intent is not None)
    died = state.announce(rule=STAKING, recipe=CARRYING, chain=due_link(state))
    state.move(first.base)
    state.abort(died, cause=Cause.CRASHED, reason=Reason(code="crashed"))
    go_on(state, link=ChainLink(start=first.base))
    assert not faults(state)


def test_a_chain_whose_working_update_is_lost_is_given_up_and_named(tmp_path: Path) -> None:
    state = carried(tmp_path / "state")
    go_on(state, link=ChainLink(start=state.head, left_by=left_by(state)))
    assert "gives up one of 60 steps: its working update is gone" in open_questions(state)


def test_a_chain_whose_recipe_was_changed_is_given_up_and_named(tmp_path: Path) -> None:
    state = carried(tmp_path / "state")
    recipe = {**CARRYING, "rank": 4}
    go_on(state, link=ChainLink(start=state.head, left_by=left_by(state)), intent={"recipe": recipe})
    assert not [c for c in verify_target(state.path).checks if c.status is Status.FAIL]
    assert "gives up one of 60 steps: its recipe is another one" in open_questions(state)


def test_after_a_move_a_chain_begins_anew_and_is_not_accused(tmp_path: Path) -> None:
    state = carried(tmp_path / "state")
    first = next(entry.intent for entry in state.entries if entry.intent is not None)
    state.move(first.base)
    go_on(state, link=ChainLink(start=first.base))
    assert not faults(state)


def test_a_log_that_is_forked_in_the_middle_of_a_chain_begins_it_anew(tmp_path: Path) -> None:
    """What a fork goes on with names no working update: its first intent of the arm begins a chain."""
    state = carried(tmp_path / "state")
    (handed,) = state.memory.handed_on()
    taken = type(state.memory.tasks[TASK]).taken_up(handed, "f" * 64)
    assert not taken.chains
    chain = chain_of(state)
    assert chain is not None
    assert taken.tally(state.data.holdout.sha256).left == (
        state.memory.tasks[TASK].tally(state.data.holdout.sha256).left
    )
    assert taken.head == state.head
    assert not faults(state)


def test_joules_of_a_chain_before_the_range_of_a_claim_are_not_hidden(tmp_path: Path) -> None:
    """Two attempts were paid for and carried; a claim over the third alone would hide what they cost."""
    state = carried(tmp_path / "state")
    go_on(state)
    told = [entry.receipt for entry in state.entries if entry.receipt is not None]
    hidden, whole, since_kept = add_up(told[3:]), add_up(told), add_up(told[1:])
    assert hidden.delta is None
    assert "paid for by attempts of its chain before the range" in hidden.no_gain
    assert whole.delta is not None
    assert whole.estimate_uj == 4 * 100_000_000
    assert since_kept.delta is None, "that one was kept before the range is nothing that the range shows"
    state.finish()


def test_from_staking_back_to_counting_is_a_question_on_a_holdout_that_was_looked_at(tmp_path: Path) -> None:
    state = carried(tmp_path / "state")
    state.conclude_attempt(state.announce(rule=RULE), 0.05)
    assert "goes from evidence/v3 back to evidence/v2" in open_questions(state)


def test_from_counting_to_staking_is_none(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    go_on(state)
    assert "goes " not in open_questions(state)


class Fitting(Recomputer):
    """Evaluates what was recorded; fits what it is told to."""

    def __init__(self, fit: Fit) -> None:
        self.found = fit

    def fit(self, *_model: Path, **_how: object) -> Fit:
        return self.found


@pytest.mark.parametrize(
    ("said", "fit", "status"),
    [
        (900, Fit(1000, 0), Status.OK),
        (900, Fit(990, INNOCENT_NANO), Status.OK),
        (900, Fit(800, INNOCENT_NANO + 1), Status.UNKNOWN),
        (900, Fit(500, FAR_NANO + 1), Status.FAIL),
        (200, Fit(500, FAR_NANO + 1), Status.OK),
        (2000, Fit(1500, FAR_NANO + 1), Status.OK),
        (2000, Fit(500, FAR_NANO + 1), Status.FAIL),
    ],
)
def test_a_temperature_that_the_screen_does_not_ask_for_is_said(
    tmp_path: Path, said: int, fit: Fit, status: Status
) -> None:
    state = open_state(tmp_path / "state")
    go_on(state, section={"temperatureMilli": said, "merge": None, "genesis": None, "list": None})
    report = verify_target(state.finish(), again=Again(lambda _most: Fitting(fit), losses=1))
    (check,) = [check for check in report.checks if check.number == 11]
    assert check.status is status, check.detail
    assert ("it was fitted on something else" in check.detail) == (status is not Status.OK)


@pytest.mark.parametrize(
    ("shown", "status"),
    [(ENOUGH, Status.OK), (1.05 * ENOUGH, Status.OK), (2 * ENOUGH, Status.UNKNOWN), (-0.01, Status.UNKNOWN)],
)
def test_a_screen_that_was_made_up_to_choose_a_stake_is_asked_about(
    tmp_path: Path, shown: float, status: Status
) -> None:
    """Sums of a screen that nobody evaluated: whoever knows the holdout would have any stake, or no look."""
    state = open_state(tmp_path / "state")
    go_on(state, section={"merge": None, "genesis": None, "list": None})
    fit = Fit(1000, 0, evidence_of(screen(shown)))
    report = verify_target(state.finish(), again=Again(lambda _most: Fitting(fit), losses=1))
    (check,) = [check for check in report.checks if check.number == 11]
    assert check.status is status, check.detail
    assert ("its screen says" in check.detail) == (status is Status.UNKNOWN)
