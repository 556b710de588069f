"""What a run leaves for whoever watches it, and that nothing of the run depends on it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from cryoflux.attempt.watch import Observer, Step
from cryoflux.energy.started import Started
from cryoflux.errors import AgentError, BudgetError
from cryoflux.quantities import MICRO, Energy, Tier
from cryoflux.queries.activity import Activity, read_activity
from cryoflux.queries.power import power_of_attempt, power_since
from cryoflux.receipts.statement import Outcome
from cryoflux.runs import activity_files
from cryoflux.runs.activity import ActivityObserver
from cryoflux.runs.activity_files import ActivityFiles
from cryoflux.runs.activity_form import NOW, OLDER_ROWS, ROW_BYTES, ROWS, SampleRow, pack_row, unpack_row
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.open_session import OpenSession
from cryoflux.runs.spending import spend
from cryoflux.runs.watch import Observers, RunObserver
from small_context import BETTER, WORSE, Made, SmallRun


class Looking(RunObserver):
    """Reads what is said, each time that something happens."""

    def __init__(self, run: SmallRun, activity: ActivityObserver) -> None:
        self._run, self._activity = run, activity
        self.seen: list[tuple[str, Activity]] = []

    def _look(self, what: str) -> None:
        found = read_activity(self._run.state)
        assert found is not None
        self.seen.append((what, found))

    def step(self, step, moment) -> None:
        self._look(f"{step} {moment}")

    def trained(self, progress, reserved_uj) -> None:
        self._activity._note()
        self._look("trained")

    def closing(self) -> None:
        self._look("closing")

    def evaluated(self, done, count) -> None:
        self._activity._note()
        self._look(f"evaluated {done}")

    def finished(self, record) -> None:
        self._look("finished")

    def of(self, what: str) -> list[Activity]:
        return [one for name, one in self.seen if name == what]


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes only where a test says so."""
    monkeypatch.setattr("cryoflux.runs.activity._PERIOD_S", 1e6)


def watched(run: SmallRun, *plans: Made, attempts: int = 2) -> Looking:
    activity = ActivityObserver(run.state, 60.0)
    looking = Looking(run, activity)
    both = Observers([activity, looking])
    run.change(observer=both)
    run.task.plans = list(plans)
    with activity, activity.metering(run.machine.settings, run.agent):
        session = OpenSession(run.context, 500 * MICRO, Started.now())
        both.funded(session.reservation, session.budget_uj)
        activity._logged = run.context.memory.attempts
        activity.ended(spend(run.context, RunLimits(attempts=attempts), both, time.monotonic(), session))
    return looking


def states(activity: Activity) -> dict[str, str]:
    return {mark.step.value: mark.state for mark in activity.attempt.steps}


@pytest.mark.usefixtures("by_hand")
def test_each_moment_of_a_run_is_told(run) -> None:
    run.task.evaluation_j = 1
    looking = watched(run, BETTER, WORSE)
    (first, second) = looking.of("trained")
    assert (first.alive, first.phase, first.attempt.number, second.attempt.number) == (
        True,
        "attempting",
        1,
        2,
    )
    assert (first.attempt.task, first.attempt.arm) == ("toy", "only")
    assert first.attempt.why
    assert [first.attempt.training.step, first.attempt.training.loss] == [1, 0.5]
    assert first.deadline_at == pytest.approx(first.began_at + 60)
    assert list(states(first).values()) == [*["done"] * 4, "now", *["to come"] * 5]
    assert list(states(looking.of("decide begin")[0]).values()) == [*["done"] * 6, "now", *["to come"] * 3]
    done = looking.of("finished")[0]
    assert (set(states(done).values()), done.attempt.outcome) == ({"done"}, "kept")
    assert [one.attempt.outcome for one in looking.of("finished")] == ["kept", "rejected"]
    whose = [one.attempt.evaluation.what for name, one in looking.seen if name.startswith("evaluated 32")]
    assert set(whose) == {"candidate"}
    assert [one.phase for one in looking.of("closing")] == ["closing"]
    assert first.meter.gross.uj > 0
    assert first.silent_s is not None


@pytest.mark.usefixtures("by_hand")
def test_what_is_spent_adds_up_to_what_is_charged(run) -> None:
    run.task.evaluation_j = 1
    looking = watched(run, BETTER, WORSE)
    spent = [one.budget.spent_uj for name, one in looking.seen if name.startswith(("eval", "train", "fin"))]
    assert spent == sorted(spent)
    assert looking.of("trained")[1].budget.attempts_uj == run.charges()[0]
    ended = read_activity(run.state)
    assert (ended.alive, ended.phase, ended.end.word) == (False, "ended", "attempts")
    assert ended.end.sentence == "As many attempts as were asked for are made: 2."
    assert ended.budget.attempts_uj == sum(run.charges()[:2])
    assert ended.budget.spent_uj == sum(run.charges())
    assert ended.budget.spendable_uj == 500 * MICRO


@pytest.mark.usefixtures("by_hand")
def test_an_aborted_attempt_passes_over_its_steps(run) -> None:
    looking = watched(run, Made(900_000_000, stopped_by="interrupt"), attempts=1)
    marks = states(looking.of("finished")[0])
    assert [marks[step] for step in ("train", "evaluate", "decide", "merge", "settle", "record")] == [
        *("done", "skipped", "skipped", "skipped", "done", "done"),
    ]
    assert looking.of("finished")[0].attempt.outcome == "aborted"


@pytest.mark.usefixtures("by_hand")
def test_the_series_names_attempt_and_step_and_goes_on_over_runs(run) -> None:
    run.task.evaluation_j = 1
    watched(run, BETTER, WORSE)
    first = power_since(run.state, 0)
    assert {one.attempt for one in first.points} == {1, 2}
    assert {Step.TRAIN, Step.EVALUATE} <= {one.step for one in first.points}
    of_two = power_of_attempt(run.state, 2)
    assert of_two.points == tuple(one for one in first.points if one.attempt == 2)
    watched(run, Made(890_000_000), attempts=1)
    later = power_since(run.state, first.newest)
    assert later.newest > first.newest
    assert {one.attempt for one in later.points} == {3}
    assert len(later.gaps) == 1, "nothing is known of the time between two runs"


@pytest.mark.usefixtures("by_hand")
def test_an_error_ends_it_with_what_it_says(run) -> None:
    for error, word, sentence in (
        (BudgetError("Too little."), "failed", "Too little."),
        (KeyError("x"), "failed", "It ended with KeyError."),
        (KeyboardInterrupt(), "interrupted", "It was stopped at once."),
    ):
        activity = ActivityObserver(run.state)
        with pytest.raises(type(error)), activity:
            raise error
        end = read_activity(run.state).end
        assert (end.word, end.sentence) == (word, sentence)


@pytest.mark.usefixtures("by_hand")
def test_a_base_that_an_attempt_evaluates_is_told_from_its_candidate(run) -> None:
    activity = ActivityObserver(run.state)
    looking = Looking(run, activity)
    run.change(observer=Observers([activity, looking]))
    with activity:
        run.attempt(BETTER)
    told = [one.attempt.evaluation.what for name, one in looking.seen if name.startswith("evaluated")]
    assert told == sorted(told)
    assert set(told) == {"base", "candidate"}


@pytest.mark.usefixtures("by_hand")
def test_what_it_waits_for_and_prepares_is_told_as_text(run) -> None:
    activity = ActivityObserver(run.state)
    with activity:
        activity.preparing("a\ud800\n<b>", 1, 2)
        found = read_activity(run.state)
        assert (found.phase, found.doing.what, found.doing.total) == ("preparing", "a?\n<b>", 2)
        activity.waiting("budget")
        found = read_activity(run.state)
        assert (found.phase, found.doing, found.waiting_for) == ("waiting", None, "budget")
        activity.step(Step.SAMPLE, "begin")
        found = read_activity(run.state)
        assert (found.phase, found.waiting_for, found.attempt.number) == ("attempting", "", 1)
        activity.waiting("x" * 5000)
        assert read_activity(run.state).waiting_for == "x" * 200


@pytest.mark.usefixtures("by_hand")
def test_a_daemon_is_waited_for_until_it_answers_again(run) -> None:
    activity = ActivityObserver(run.state)
    with activity, activity.metering(run.machine.settings, run.agent):
        activity.waiting("plateau")
        for _ in range(2):  # it is said again and again
            activity.waiting("agent")
        assert read_activity(run.state).waiting_for == "agent"
        activity._note()
        found = read_activity(run.state)
        assert (found.phase, found.waiting_for) == ("waiting", "plateau")
        activity.waiting("agent")
        activity.step(Step.SAMPLE, "begin")
        activity._note()
        assert read_activity(run.state).phase == "attempting", "what it does by now is not taken back"


def test_the_thread_notes_by_itself_and_survives_a_meter_that_does_not_answer(run, monkeypatch) -> None:
    monkeypatch.setattr("cryoflux.runs.activity._PERIOD_S", 0.001)
    sample, asked = run.agent.sample, []

    def stumbling():
        asked.append(1)
        if len(asked) in (3, 4):
            raise (AgentError("gone.") if len(asked) == 3 else ZeroDivisionError)
        run.machine.spend(1)
        return sample()

    monkeypatch.setattr(run.agent, "sample", stumbling)
    activity = ActivityObserver(run.state)
    with activity, activity.metering(run.machine.settings, run.agent):
        while len(asked) < 9:
            time.sleep(0.001)
    assert power_since(run.state, 0).newest in (len(asked) - 2, len(asked) - 3)
    count = len(asked)
    activity._note()
    assert len(asked) == count, "nobody asks a meter that is closed"


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize("accident", ["full", "gone", "a file", "a link", "a pipe"])
def test_no_accident_of_its_folder_changes_the_run(run, monkeypatch, tmp_path, accident) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    folder = run.state.activity
    if accident == "full":
        monkeypatch.setattr(activity_files, "os", _FullDisk())
    elif accident == "a file":
        folder.write_text("mine")
    elif accident == "a link":
        folder.symlink_to(theirs)
    elif accident == "a pipe":
        folder.mkdir()
        os.mkfifo(folder / ROWS)
    activity = ActivityObserver(run.state)
    run.change(observer=Observers([activity, Removing(folder if accident == "gone" else None)]))
    with activity, activity.metering(run.machine.settings, run.agent):
        assert run.attempt(BETTER).receipt.outcome is Outcome.ACCEPTED
        with nullcontext() if accident in {"gone", "a pipe"} else pytest.raises(OSError, match=r".*"):
            activity._note()
    assert list(theirs.iterdir()) == []
    if accident == "a pipe":
        assert stat.S_ISREG((folder / ROWS).stat().st_mode), "it was put aside"
    if accident == "gone":
        assert read_activity(run.state).attempt.number == 1
        assert (folder / ROWS).stat().st_size == ROW_BYTES


class _FullDisk:
    """The operating system, but for its disk."""

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def write(self, *_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


class Removing(Observer):
    """Somebody deletes the folder while the run goes on."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def trained(self, progress, reserved_uj) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder)


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity_files, "ROWS_A_FILE", 5)


def a_row(sequence: int) -> bytes:
    drawn = Energy(sequence, sequence, sequence, Tier.COUNTER)
    return pack_row(SampleRow(sequence, sequence, drawn, drawn, 0, 0, None, first=False))


def numbers(path: Path) -> list[int]:
    content = path.read_bytes()
    assert len(content) % ROW_BYTES == 0
    rows = [unpack_row(content[at : at + ROW_BYTES]) for at in range(0, len(content), ROW_BYTES)]
    return [found.sequence for found in rows if found is not None]


@pytest.mark.usefixtures("small_files")
def test_a_full_file_becomes_the_older_one_and_nothing_grows_without_end(tmp_path) -> None:
    files = ActivityFiles(tmp_path / "activity")
    for number in range(1, 13):
        assert files.next_sequence() == number
        files.append(a_row(number))
    assert numbers(tmp_path / "activity" / OLDER_ROWS) == [6, 7, 8, 9, 10]
    assert numbers(tmp_path / "activity" / ROWS) == [11, 12]
    assert ActivityFiles(tmp_path / "activity").next_sequence() == 13
    (tmp_path / "activity" / ROWS).unlink()
    assert ActivityFiles(tmp_path / "activity").next_sequence() == 11


def test_a_row_that_was_torn_is_cut_off(tmp_path) -> None:
    files = ActivityFiles(tmp_path / "activity")
    files.append(a_row(1))
    path = tmp_path / "activity" / ROWS
    path.write_bytes(path.read_bytes() + b"torn")
    files.append(a_row(2))
    assert numbers(path) == [1, 2]


def test_a_number_at_the_end_of_all_numbers_begins_anew(tmp_path) -> None:
    folder = tmp_path / "activity"
    folder.mkdir()
    (folder / ROWS).write_bytes(a_row(2**32 - 1))
    files = ActivityFiles(folder)
    assert files.next_sequence() == 1
    files.append(a_row(1))
    assert numbers(folder / ROWS) == [1]


def test_a_document_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch) -> None:
    files = ActivityFiles(tmp_path / "activity")
    files.write_now(b"one")
    monkeypatch.setattr(activity_files, "os", _FullDisk())
    with pytest.raises(OSError, match="No space"):
        files.write_now(b"two")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "activity").iterdir()] == [(NOW, b"one")]


def test_a_document_of_which_the_disk_takes_a_part_leaves_the_one_before(tmp_path, monkeypatch) -> None:
    files, write = ActivityFiles(tmp_path / "activity"), os.write
    files.write_now(b"the one before")
    monkeypatch.setattr(activity_files.os, "write", lambda number, content: write(number, content[:3]))
    with pytest.raises(OSError, match="to its end"):
        files.write_now(b"the next one")
    monkeypatch.undo()
    assert [path.read_bytes() for path in (tmp_path / "activity").iterdir()] == [b"the one before"]


def test_nothing_is_written_before_the_lock_is_held_or_after(run) -> None:
    activity = ActivityObserver(run.state)
    activity.preparing("reading", 1, 2)
    assert not run.state.activity.exists()
    with activity:
        assert read_activity(run.state).doing is None, "what was read is read by now"
    before = (run.state.activity / NOW).read_bytes()
    activity.waiting("budget")
    assert (run.state.activity / NOW).read_bytes() == before
