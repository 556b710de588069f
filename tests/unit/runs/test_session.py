"""A whole run, opened as the command opens it: on a task that is named in full, and on the real meter."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from cryoflux.config import Sourced, load_settings
from cryoflux.errors import BudgetError, StateError, StateLockedError, StateTamperedError, UsageError
from cryoflux.files import lock_exclusively
from cryoflux.quantities import MICRO
from cryoflux.queries.activity import read_activity
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Outcome
from cryoflux.runs import session
from cryoflux.runs.checks import task_list
from cryoflux.runs.inputs import begin, stored_origins
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.recovery import read_log
from cryoflux.runs.session import run
from cryoflux.runs.summary import Summary
from cryoflux.runs.watch import RunObserver
from cryoflux.state import StateFolder
from small_context import ToyTask

TOY, DIGITS = "small_context:ToyTask", "digits:DigitsTask"


class Particular(ToyTask):
    """Has another name, and refuses to go on with what it was not begun with."""

    name = "particular"

    def confirm(self, origin) -> None:
        raise StateError("It was begun with something else.")


class Namesake(ToyTask):
    """Another task of the same name."""


class Nameless(ToyTask):
    """Its name cannot be in a receipt."""

    name = "../Toy"


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


def settings(state: StateFolder, task: str = TOY, **flags: object) -> Sourced:
    """A machine without counters, on which joules are modelled."""
    nowhere = str(state.path.parent / "nowhere")
    machine = {
        "powercap_root": nowhere,
        "hwmon_root": nowhere,
        "nvml": False,
        "tdp_w": 6.0 * len(os.sched_getaffinity(0)),
    }
    chosen = {"task": task, "state": str(state.path), "reserve": "40J", "threads": 1, **machine, **flags}
    return load_settings(chosen, environ={}, folder=state.path.parent)


def ran(
    state: StateFolder, task: str = TOY, *, budget_j: int | None = 400, attempts: int = 2, **flags
) -> Summary:
    limits = RunLimits(None if budget_j is None else budget_j * MICRO, None, attempts)
    return run(settings(state, task, **flags), limits)


def entries(state: StateFolder) -> list:
    log = ReceiptLog.open(state.path)
    try:
        return list(log.entries())
    finally:
        log.close()


class Openings(RunObserver):
    def __init__(self) -> None:
        self.opening = None
        self.recovered_ids = []

    def opened(self, opening) -> None:
        self.opening = opening

    def recovered(self, receipt) -> None:
        self.recovered_ids.append(receipt.task.id)


def test_another_task_goes_through_the_whole_run_and_a_second_run_goes_on(state) -> None:
    first = ran(state, DIGITS, attempts=1)
    (digits,) = first.tasks
    assert (first.ended, first.kept, digits.name) == ("attempts", 1, "digits")
    for before, after in (digits.holdout, digits.audit):
        assert before.loss == pytest.approx(2.302585, abs=1e-6), "ten digits, and nothing known"
        assert after.loss < 1
        assert after.accuracy > 0.8
    openings = Openings()
    sourced = settings(state, DIGITS)
    second = run(sourced, RunLimits(None, None, 1), observers=[openings])
    (again,) = second.tasks
    (begun,) = openings.opening.tasks
    assert (begun.head, begun.looks, openings.recovered_ids) == (digits.head, 1, [])
    assert begun.examples == {"train": 1197, "holdout": 400, "audit": 200}
    assert again.holdout[0] == digits.holdout[1]
    assert again.audit[0] == digits.audit[1]
    assert second.spendable_uj == first.remaining_uj
    intents = [entry.intent for entry in entries(state) if entry.intent]
    assert [i.base.digest for i in intents] == [
        stored_origins(state)["digits"].version,
        digits.head,
    ]
    assert len({i.data.digest for i in intents}) == 1
    receipts = [entry.receipt for entry in entries(state) if entry.receipt]
    assert receipts[0].outcome is Outcome.ACCEPTED
    assert receipts[1].training.fresh_count == 300
    assert (state.head("digits").resolve()).name == again.head


def test_tasks_are_named_with_commas_and_each_once() -> None:
    def named(text: str) -> list[str]:
        return task_list(load_settings({"task": text}, environ={}, folder=Path.cwd()).settings)

    assert named("lora_delta") == ["lora_delta"]
    assert named(" a:B, lora_delta ,,a:B") == ["a:B", "lora_delta"]
    with pytest.raises(UsageError, match="No task is named"):
        named(" , ")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("surprise", "no task 'surprise'"),
        ("small_context:Missing", "cannot be imported"),
        ("nowhere_at_all:Task", "cannot be imported"),
        ("small_context:Machine", "is no task"),
        (f"{__name__}:Nameless", "name"),
        (f"{TOY},{__name__}:Namesake", "both"),
    ],
)
def test_a_task_that_cannot_be_is_refused_before_anything_is_written(state, task, message) -> None:
    with pytest.raises(UsageError, match=message):
        ran(state, task)
    assert not state.path.exists()


@pytest.mark.parametrize("budget_j", [None, 39])
def test_a_budget_that_pays_for_nothing_is_refused_before_anything_is_written(state, budget_j) -> None:
    with pytest.raises(UsageError):
        ran(state, budget_j=budget_j)
    assert not state.path.exists()


def test_a_budget_is_all_that_a_run_may_spend_unless_it_carries_over_what_is_left(state) -> None:
    first = ran(state, budget_j=200, attempts=1)
    assert first.spendable_uj == 200 * MICRO
    assert first.remaining_uj == first.unspent_uj == 200 * MICRO - first.all_in.uj
    second = ran(state, budget_j=150, attempts=1)
    assert second.spendable_uj == 150 * MICRO
    third = run(settings(state), RunLimits(50 * MICRO, attempts=1, carry=True))
    assert third.spendable_uj == second.remaining_uj + 50 * MICRO
    fourth = ran(state, budget_j=None, attempts=1)
    assert fourth.spendable_uj == third.remaining_uj
    with pytest.raises(BudgetError, match="one attempt reserves 900"):
        ran(state, budget_j=None, attempts=1, reserve="900J")


def test_runs_and_account_agree_to_the_microjoule(state) -> None:
    found = [ran(state, attempts=2), ran(state, attempts=1)]
    written = [entry.session for entry in entries(state) if entry.session]
    assert [said.energy.energy for said in written] == [one.overhead for one in found]
    charged_uj = 2 * 400 * MICRO - found[-1].remaining_uj
    assert sum(one.all_in.uj for one in found) == charged_uj
    assert all(one.overhead.uj > 0 for one in found), "starting up costs something"


def test_a_run_that_is_asked_to_stop_as_it_begins_is_granted_nothing(state) -> None:
    summary = run(settings(state), RunLimits(400 * MICRO), stop=lambda: True)
    assert (summary.ended, summary.spendable_uj, summary.remaining_uj) == ("interrupted", 0, 0)
    assert entries(state) == []


def test_one_run_at_a_time(state) -> None:
    state.path.mkdir()
    with lock_exclusively(state.lock, holder="cryoflux run"), pytest.raises(StateLockedError):
        ran(state)
    assert not state.origin.exists()


def test_two_tasks_share_a_state_and_one_of_them_may_go_on_alone(state) -> None:
    both = ran(state, f"{TOY},small_context:OtherTask", attempts=4, policy="uniform/v1")
    assert [task.name for task in both.tasks] == ["toy", "other"]
    heads = {task.name: task.head for task in both.tasks}
    alone = ran(state, "small_context:OtherTask", attempts=1)
    assert [task.name for task in alone.tasks] == ["other"]
    assert state.head("toy").resolve().name == heads["toy"]
    assert set(stored_origins(state)) == {"toy", "other"}


def test_a_task_may_join_later(state) -> None:
    first = ran(state, attempts=1)
    both = ran(state, f"{TOY},small_context:OtherTask", budget_j=None, attempts=0)
    assert both.tasks[0].head == first.tasks[0].head
    assert set(stored_origins(state)) == {"toy", "other"}


def test_an_error_budget_may_be_tightened_and_never_widened(state) -> None:
    for budget in (0.01, 0.001, 0.5):
        ran(state, attempts=1, error_budget=budget)
    told = [entry.intent.rule.alpha_ppm for entry in entries(state) if entry.intent]
    assert told == [10_000, 1_000, 1_000]


def test_the_order_of_the_examples_is_that_of_the_first_run_whatever_seed_a_later_one_has(
    state, monkeypatch
) -> None:
    seen = []
    opened = ToyTask.open

    def noting(self, place, head) -> None:
        seen.append(place.pool_seed)
        opened(self, place, head)

    monkeypatch.setattr(ToyTask, "open", noting)
    ran(state, attempts=1, seed=5)
    ran(state, attempts=1, seed=6)
    assert seen == [5, 5]


def test_a_later_run_asks_the_task_whether_it_goes_on_with_the_same(state) -> None:
    name = f"{__name__}:Particular"
    ran(state, name, attempts=1)
    size = len(entries(state))
    with pytest.raises(StateError, match="something else"):
        ran(state, name)
    assert len(entries(state)) == size


def test_a_state_that_another_run_began_meanwhile_is_gone_on_with_only_if_it_is_the_same(
    state, monkeypatch
) -> None:
    whole = session._meter

    def meanwhile(settings, folder, *others):
        if not folder.origin.exists():
            begin(folder, "particular", Particular().beginning(lambda *_: None), {})
        return whole(settings, folder, *others)

    monkeypatch.setattr(session, "_meter", meanwhile)
    with pytest.raises(StateError, match="something else"):
        ran(state, f"{__name__}:Particular")


def test_an_origin_that_the_log_does_not_bear_out_is_refused(state) -> None:
    ran(state, attempts=1)
    document = json.loads(state.origin.read_bytes())
    document["tasks"]["toy"]["version"] = "f" * 64
    state.origin.write_text(json.dumps(document))
    with pytest.raises(StateTamperedError, match="another data set or model"):
        ran(state)


def test_a_state_goes_on_without_its_cache(state) -> None:
    first = ran(state, attempts=1)
    shutil.rmtree(state.cache)
    again = ran(state, attempts=1)
    assert again.tasks[0].holdout[0] == first.tasks[0].holdout[1]


def test_a_folder_that_is_there_says_what_happens_from_the_first_check_on(state, monkeypatch) -> None:
    seen = []
    beginning = ToyTask.beginning

    def looked(self, progress):
        progress("reading what it begins with", 1, 2)
        seen.append(read_activity(state))
        return beginning(self, progress)

    monkeypatch.setattr(ToyTask, "beginning", looked)
    state.path.mkdir()
    ran(state, attempts=1)
    assert (seen[0].alive, seen[0].phase, seen[0].doing.what) == (
        True,
        "preparing",
        "reading what it begins with",
    )


def test_a_new_folder_is_not_made_before_its_inputs_are_checked(state, monkeypatch) -> None:
    monkeypatch.setattr(ToyTask, "beginning", lambda *_: (_ for _ in ()).throw(UsageError("Not like that.")))
    with pytest.raises(UsageError, match="Not like that"):
        ran(state)
    assert not state.path.exists()


def test_what_an_attempt_left_open_is_closed_before_anything_is_spent(state, monkeypatch) -> None:
    def dies(self, *_: object):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ToyTask, "train", dies)
        with pytest.raises(KeyboardInterrupt):
            ran(state)
    openings = Openings()
    run(settings(state), RunLimits(None, None, 0), observers=[openings])
    assert len(openings.recovered_ids) == 1
    log = ReceiptLog.open(state.path)
    memory, _ = read_log(log)
    log.close()
    assert not memory.open
