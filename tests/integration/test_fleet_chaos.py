"""Workers and coordinators that are killed, frozen or out of disk: the log and the account stay whole.

Each run starts processes that load the training libraries, so there are few of them, and each shows much.
"""

from __future__ import annotations

import signal
from pathlib import Path

from cryoflux.receipts.charged import NEVER_RESERVED
from cryoflux.receipts.session import SessionEnd
from cryoflux.receipts.statement import Cause, Outcome
from fleet_end import assert_settled, begun, driven, entries, processes_of, receipts
from running import Outcome as LeaseEnd
from running import cryoflux, ended
from waiting import until

LONG = [
    *("--learning-rate", "0.01", "--reserve", "40J", "--recipes", "prefix-1", "--max-steps", "80"),
    *("--policy", "uniform/v1", "--worker-silence", "6", "--json"),
]
STEP = "cryoflux.fleet.worker:Worker.trained:after:3"
LEND = "cryoflux.energy.local_agent:LocalAgent.lend"


def lost(outcome: LeaseEnd) -> dict[str, str]:
    return {event["worker"]: event["why"] for event in outcome.of("worker_lost")}


def test_workers_that_die_freeze_and_run_out_of_disk_cost_their_attempts_and_nothing_else(
    tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "state"
    plan = {
        "w1": "kill@cryoflux.fleet.worker:Worker._forget_others:before",  # while it prepares
        "w2": f"kill@{STEP}",
        "w3": "kill@cryoflux.fleet.worker:write_atomic:after",  # its delivery is written, and not taken over
        "w1.2": f"freeze@{STEP}",
        "w2.2": f"fill@{STEP}",
        "w3.2": "clock+86400",
    }
    words = ["--budget", "2000J", "--attempts", "10", "--workers", "3", "--state", state]
    outcome = ended(driven(plan, *LONG, *inputs, *words))
    assert outcome.summary["attempts"] == 10, "no more and no fewer, whatever becomes of them"
    assert lost(outcome).keys() == {"w1", "w2", "w3", "w1.2", "w2.2"}
    assert "nothing was heard of it" in lost(outcome)["w1.2"]
    assert "account.db" in lost(outcome)["w2.2"], "it says that it cannot write"
    assert_settled(state)
    found = receipts(state)
    died = [one for one in found if one.cause is Cause.LOST]
    assert sorted(one.reason.numbers["worker"] for one in died) == ["w1", "w1.2", "w2", "w2.2", "w3"]
    whole = [one for one in found if one.outcome is not Outcome.ABORTED]
    assert len(whole) == 5
    made_by = {part.worker for one in whole for part in one.energy.parts}
    assert {"", "w3.2"} <= made_by <= {"", "w1.3", "w2.3", "w3.2"}, "a wrong clock hinders nobody"
    assert sum(begun(state).values()) == 10
    assert all(part.settlement for one in died for part in one.energy.parts), "every meter has said its word"
    times = [one.finished_at for one in found]
    assert times == sorted(times), "a worker's clock says nothing in the log"


def killed(plan: str, state: Path, *words: object, worker: str = "", workers: int = 1) -> LeaseEnd:
    """A run whose coordinator dies at a call."""
    happens = {"": f"kill@{plan}", **({"w1": worker} if worker else {})}
    outcome = ended(
        driven(happens, *LONG, *words, "--workers", str(workers), "--attempts", "2", "--state", state)
    )
    assert outcome.code == -signal.SIGKILL, outcome.stderr + outcome.stdout
    return outcome


def test_a_coordinator_that_dies_at_any_move_is_gone_on_with(tmp_path: Path, inputs: list[str]) -> None:
    state = tmp_path / "state"
    killed(f"{LEND}:after", state, *inputs, "--budget", "3000J")  # lent for a session that no worker opens
    killed(f"{LEND}:before:2", state)  # announced, and nothing lent
    killed(f"{LEND}:after:2", state)  # lent, and nothing sent
    frozen = "freeze@cryoflux.fleet.worker:Worker._forget_others:before"
    killed("cryoflux.fleet.crew:Crew.begin:after", state, worker=frozen)  # begun, by one that is frozen
    (orphan,) = until(lambda: processes_of(state), "its worker")
    killed("cryoflux.fleet.left:repay:after", state)  # in the middle of closing that
    assert orphan not in processes_of(state), "who closes what it left has ended it"
    killed("cryoflux.fleet.charging:repay:after", state)  # repaid, and no receipt
    killed("cryoflux.attempt.recording:record:after:2", state)  # a receipt, and the word is not forgotten
    killed("cryoflux.runs.open_session:figure_of:before:2", state)  # a session settled, and no entry
    killed("cryoflux.runs.open_session:_forget:before:2", state)  # its entry, and its file is still there
    outcome = cryoflux("run", *LONG, "--attempts", "1", "--state", state)  # without workers
    assert outcome.summary["attempts"] == 1
    assert_settled(state)
    parts = [one.energy.parts for one in receipts(state) if one.cause is Cause.CRASHED]
    assert [[part.flags for part in some if NEVER_RESERVED in part.flags] for some in parts] == [
        [],  # nothing was lent
        [[NEVER_RESERVED], [NEVER_RESERVED]],  # lent, and given back whole
        [[NEVER_RESERVED]],  # here nothing was done for it; its worker's meter has said what it cost
        [],
    ]
    trained = [some[1] for some in parts[2:]]
    assert all(part.worker == "w1" and part.settlement for part in trained)
    assert trained[1].microjoules > 0
    sessions = [entry.session for entry in entries(state) if entry.session is not None]
    assert [one.ended for one in sessions] == [*[SessionEnd.CRASHED] * 7, *[SessionEnd.ATTEMPTS] * 2]


def test_a_coordinator_whose_disk_fills_ends_with_that_and_loses_nothing(
    tmp_path: Path, inputs: list[str]
) -> None:
    state, given = tmp_path / "state", [*inputs, "--budget", "3000J"]
    moves = [
        "cryoflux.fleet.crew:Crew.begin:after",  # its worker trains
        "cryoflux.fleet.crew:Crew._done:before",  # its worker has delivered
        "cryoflux.fleet.charging:repay:before",  # it was judged
    ]
    for move in moves:
        words = ["--workers", "1", "--attempts", "2", "--state", state]
        outcome = ended(driven({"": f"fill@{move}"}, *LONG, *given, *words))
        assert outcome.code == 5, (move, outcome.stderr)
        assert len(outcome.stderr.splitlines()) == 3, outcome.stderr
        until(lambda: not processes_of(state), "its worker to end")
        given = []
    outcome = cryoflux("run", *LONG, "--attempts", "1", "--state", state)
    assert outcome.summary["attempts"] == 1
    assert_settled(state)
    assert [one.cause for one in receipts(state)] == [Cause.CRASHED] * 3 + [Cause.NONE]
