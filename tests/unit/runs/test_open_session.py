"""What a run spends beside its attempts is paid, written down once, and kept under its budget."""

from __future__ import annotations

import json
import re
import time
from functools import partial

import pytest

from cryoflux.attempt.metered_parts import own_part, signed_part
from cryoflux.attempt.watch import Step
from cryoflux.energy.started import Started
from cryoflux.errors import BudgetError, StateTamperedError, StorageError
from cryoflux.quantities import MICRO
from cryoflux.receipts.charged import PARTS_BYTES, EnergyFigure, bytes_of_parts
from cryoflux.receipts.session import BaseCharge, MonitorCheck, Session, SessionEnd
from cryoflux.receipts.statement import CheckedAgainst
from cryoflux.runs import open_session
from cryoflux.runs.inputs import stored_origins
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.open_session import OpenSession
from cryoflux.runs.recovery import recover
from cryoflux.runs.session import _spend
from cryoflux.runs.spending import spend
from cryoflux.runs.summary import Summary
from cryoflux.runs.watch import RunObserver
from cryoflux.tasks.interface import Offer
from metering import sign
from small_context import BATCH, BETTER, COUNT, WORSE, Deadly, Killed, Made, SmallRun
from synthetic_parts import figure


class Spends(RunObserver):
    """Something beside the attempts costs so much after each of them."""

    def __init__(self, run: SmallRun, joules: float) -> None:
        self.run, self.joules = run, joules

    def finished(self, record) -> None:
        self.run.machine.spend(self.joules)


def spent(run: SmallRun, *plans: Made, budget_j: int = 500, start_j: float = 0, each_j: float = 0) -> Summary:
    run.task.plans = list(plans)
    session = OpenSession(run.context, budget_j * MICRO, Started.now())
    if start_j:
        run.machine.spend(start_j)
    limits = RunLimits(attempts=len(plans) or None)
    return spend(
        run.context, limits, Spends(run, each_j) if each_j else RunObserver(), time.monotonic(), session
    )


def sessions(run: SmallRun) -> list[Session]:
    return [entry.session for entry in run.context.log.entries() if entry.session is not None]


def test_attempts_and_session_add_up_to_what_the_account_was_charged(run) -> None:
    before_uj = run.agent.bucket_uj()
    summary = spent(run, BETTER, WORSE, BETTER, start_j=5, each_j=3)
    assert (summary.spent.uj, summary.overhead.uj) == (6 * MICRO, 14 * MICRO)
    assert summary.all_in.uj == 20 * MICRO == sum(run.charges()) == before_uj - run.agent.bucket_uj()
    (written,) = sessions(run)
    assert written.energy.microjoules == 14 * MICRO
    assert (written.first_attempt, written.attempts, written.ended) == (1, 3, SessionEnd.ATTEMPTS)
    assert not run.state.session.exists()


def test_sessions_follow_one_another(run) -> None:
    first, second = spent(run, BETTER, start_j=5), spent(run, WORSE, WORSE, each_j=1)
    told = [(said.first_attempt, said.attempts, said.energy.microjoules) for said in sessions(run)]
    assert told == [(1, 1, 5 * MICRO), (2, 2, 2 * MICRO)]
    assert first.all_in.uj + second.all_in.uj == sum(run.charges())


def test_what_a_run_costs_beside_its_attempts_counts_against_its_budget(run) -> None:
    eight = [Made(950_000_000 - n * 10_000_000, joules=8) for n in range(9)]
    run.task.plans = eight
    session = OpenSession(run.context, 60 * MICRO, Started.now())
    summary = spend(run.context, RunLimits(), Spends(run, 8), time.monotonic(), session)
    assert (summary.ended, summary.attempts) == ("budget", 3), "12 J of 60 J are left after three times 16 J"
    assert summary.all_in.uj == 48 * MICRO
    assert summary.unspent_uj == 12 * MICRO


def test_a_start_that_leaves_too_little_is_an_error_with_figures_and_is_written_down(run) -> None:
    with pytest.raises(BudgetError, match=r"30\.0 J do not pay for one attempt") as refused:
        spent(run, budget_j=30, start_j=15)
    assert "Starting up took 15.0 J" in refused.value.why
    assert "at least 35 J" in refused.value.hint
    (written,) = sessions(run)
    assert (written.attempts, written.ended, written.energy.microjoules) == (0, SessionEnd.BUDGET, 15 * MICRO)


@pytest.mark.parametrize(("guessed_j", "cost_j"), [(2, 2), (2, 4), (6, 3), (20, 40)])
def test_what_the_hint_names_really_pays_for_an_attempt(run, monkeypatch, guessed_j, cost_j) -> None:
    task = run.task
    task.evaluation_j = cost_j / -(-COUNT // BATCH)  # so many joules a holdout
    measured = type(task).evaluation_uj
    monkeypatch.setattr(task, "evaluation_uj", lambda part: measured(task, part) or guessed_j * MICRO)
    monkeypatch.setattr(
        task,
        "arms",
        lambda _drawn, part: [
            Offer("only", {"kind": "toy"}, 0, screens=False, least_uj=2 * measured(task, part))
        ],
    )
    with pytest.raises(BudgetError) as refused:
        spent(run, budget_j=25, start_j=10)
    assert f"reading the holdout before the first one would take about {guessed_j}.0 J" in refused.value.why
    named_j = int(re.search(r"Grant at least (\d+) J", refused.value.hint)[1])
    summary = spent(run, BETTER, budget_j=named_j, start_j=10)
    assert (summary.attempts, summary.kept) == (1, 1)
    assert summary.all_in.uj <= named_j * MICRO


def test_an_audit_that_the_budget_does_not_pay_for_is_left_out(run) -> None:
    run.task.evaluation_j = 1
    summary = spent(run, Made(900_000_000, joules=15), budget_j=21)
    assert (summary.kept, summary.tasks[0].audit) == (1, (None, None))
    assert summary.all_in.uj <= 21 * MICRO


@pytest.mark.parametrize("step", [Step.TRAIN, Step.SETTLE, Step.RECORD])
def test_a_run_that_dies_leaves_its_session_to_the_next_one(run, step) -> None:
    OpenSession(run.context, 100 * MICRO, Started.now())
    run.machine.spend(5)
    run.agent.sample()
    run.change(observer=Deadly(step, "begin"))
    with pytest.raises(Killed):
        run.attempt(BETTER)
    run.reopen()
    (written,) = sessions(run)
    assert (written.attempts, written.ended) == (1, SessionEnd.CRASHED)
    assert written.energy.microjoules == 5 * MICRO
    assert written.energy.microjoules + run.receipts()[0].energy.microjoules == sum(run.charges())
    recover(run.context, run.named)
    assert len(sessions(run)) == 1


def test_a_run_that_dies_between_its_entry_and_the_end_writes_it_once(run) -> None:
    session = OpenSession(run.context, 100 * MICRO, Started.now())
    left_behind = run.state.session.read_bytes()
    session.end(SessionEnd.BUDGET)
    run.state.session.write_bytes(left_behind)
    run.reopen()
    assert len(sessions(run)) == 1
    assert not run.state.session.exists()


def test_a_run_that_dies_between_charge_and_entry_is_charged_once(run) -> None:
    session = OpenSession(run.context, 100 * MICRO, Started.now())
    run.machine.spend(5)
    run.agent.settle(session.reservation.id)
    run.reopen()
    (written,) = sessions(run)
    assert run.charges() == [written.energy.microjoules] == [5 * MICRO]


def test_a_damaged_note_of_a_session_is_named(run) -> None:
    run.state.session.write_bytes(b"{}")
    with pytest.raises(StateTamperedError, match=r"session\.json cannot be read"):
        run.reopen()


def test_starting_with_the_process_counts_what_it_has_done() -> None:
    earlier = Started.with_process().earlier()
    assert earlier.cpu_us >= time.process_time_ns() // 1000 - 200_000
    assert earlier.ns > 0
    assert Started.now().earlier().cpu_us < earlier.cpu_us


def test_a_run_that_dies_at_once_has_its_start_charged(run) -> None:
    OpenSession(run.context, 100 * MICRO, Started(0, 0))
    run.reopen()
    (written,) = sessions(run)
    assert "start-unmetered" in written.energy.flags, "where only counters tell, the interval holds it"
    assert written.energy.hi_microjoules > MICRO
    assert written.energy.cpu_microseconds > 0


def test_a_session_of_another_log_is_never_taken_for_ones_own(run) -> None:
    OpenSession(run.context, 100 * MICRO, Started.now())
    said = json.loads(run.state.session.read_bytes())
    assert run.context.log.origin.rpartition("/")[2] in said["id"], "a daemon serves several logs at once"
    theirs = run.agent.take(MICRO, request_id="session/theirs_1_0", log="cryoflux.dev/another")
    run.state.session.write_bytes(json.dumps({**said, "id": theirs.request_id}).encode())
    run.reopen()
    (written,) = sessions(run)
    assert written.energy.flags == ["never-reserved"]
    assert run.agent.view(theirs.id).state == "open"
    assert run.charges() == []


def test_an_attempt_that_is_left_open_is_closed_before_its_session(run) -> None:
    def full() -> None:
        raise StorageError("The disk is full.")

    run.task.plans = [Made(900_000_000, meanwhile=full)]
    session = OpenSession(run.context, 100 * MICRO, Started.now())
    watcher = RunObserver()
    spending = partial(spend, run.context, RunLimits(attempts=1), watcher, 0.0, session)
    with pytest.raises(StorageError):
        _spend(run.context, spending, watcher, session, stored_origins(run.state))
    assert sessions(run) == []
    run.reopen()
    kinds = [entry.kind.value for entry in run.context.log.entries()]
    assert kinds == ["intent", "receipt", "session"]


def test_an_end_that_fails_is_not_written_twice(run, monkeypatch) -> None:
    session = OpenSession(run.context, 100 * MICRO, Started.now())
    with monkeypatch.context() as broken:
        broken.setattr(open_session, "_forget", _refuse)
        with pytest.raises(StorageError):
            session.end(SessionEnd.BUDGET)
    assert session.ended
    run.reopen()
    assert len(sessions(run)) == 1


def _refuse(path) -> None:
    raise StorageError(f"{path} could not be removed.")


@pytest.mark.parametrize("kind", ["looks", "measurements", "both"])
def test_a_session_of_very_many_looks_is_an_entry_that_can_be_read(run, kind: str) -> None:
    """The newest are told; an entry that is too long would be malformed for ever."""
    session = OpenSession(run.context, 500 * MICRO, Started.now())
    look_and_measure(run, session, kind)
    session.end(SessionEnd.TIME)
    (said,) = sessions(run)
    told = [[one.microjoules for one in parts] for parts in (said.checks, said.bases)]
    for parts in told:
        assert parts == list(range(101 - len(parts), 101))
    assert [len(parts) > 15 for parts in told] == [kind != "measurements", kind != "looks"]


def test_so_is_one_of_many_workers_all_of_whose_meters_are_told(run, tmp_path, monkeypatch) -> None:
    """Looks and measurements make room for what was charged."""
    figure_of = open_session.figure_of

    def with_workers(*about, **options) -> EnergyFigure:
        own = own_part(figure_of(*about, **options))
        trained = figure(microjoules=10**12, lo_microjoules=10**12, hi_microjoules=10**12)
        names = [f"w{number:02}" for number in range(12)]
        signed = (sign(tmp_path / name, "session/1796042449_12345", trained) for name in names)
        parts = [own, *(signed_part(name, said) for name, said in zip(names, signed, strict=True))]
        boot = "b" * ((PARTS_BYTES - bytes_of_parts(parts)) // 12)
        return EnergyFigure.of_parts([own, *(part.but(boot=boot) for part in parts[1:])])

    monkeypatch.setattr(open_session, "figure_of", with_workers)
    session = OpenSession(run.context, 500 * MICRO, Started.now())
    look_and_measure(run, session, "both")
    session.end(SessionEnd.TIME)
    (said,) = sessions(run)
    assert PARTS_BYTES - 100 < bytes_of_parts(said.energy.parts) <= PARTS_BYTES
    assert len(said.energy.parts) == 13
    assert said.checks
    assert said.bases


def look_and_measure(run: SmallRun, session: OpenSession, kind: str) -> None:
    head = run.opened.base
    for number in range(1, 101):
        if kind != "measurements":
            listed = [
                CheckedAgainst(version=f"{n:064x}", evidence_milli=-(10**9), worse_nano=-(10**12))
                for n in range(5)
            ]
            session.checked(
                MonitorCheck(
                    task="toy",
                    head=head,
                    sha256="5" * 64,
                    count=10**9,
                    compared=5,
                    needed_milli=10**9,
                    evidence_milli=-(10**9),
                    microjoules=number,
                    alpha_ppm=10_000,
                    head_number=10**6,
                    profile="f64-nanonat/v1",
                    against=listed,
                )
            )
        if kind != "looks":
            measured = {"task": "toy", "base": head, "holdout": "6" * 64, "count": 9, "profile": "p"}
            session.paid_for(BaseCharge(**measured, loss_sum=10**15, microjoules=number))
