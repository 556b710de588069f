"""What a run does now, read out of a document that anybody may have written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.attempt.watch import Step
from cryoflux.queries.activity import _marks, read_activity
from cryoflux.runs.activity import _this_process
from cryoflux.runs.activity_form import MOST_NOW_BYTES, NOW, SaidProcess, SaidStep
from cryoflux.state import StateFolder

HTML = "<script>alert(1)</script>"


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    (tmp_path / "activity").mkdir()
    return StateFolder(tmp_path)


def said(process: SaidProcess | None = None, **changes: object) -> dict:
    process = process or _this_process()
    return {
        "schema": "cryoflux.activity/1",
        "written_at": time.time(),
        "process": {name: getattr(process, name) for name in process.__struct_fields__},
        "began_at": 1000.0,
        "phase": "attempting",
        **changes,
    }


def leave(state: StateFolder, document: object) -> None:
    (state.activity / NOW).write_text(json.dumps(document))


ENERGY = {"uj": 5, "lo_uj": 4, "hi_uj": 6, "tier": "modelled"}
METER = {"at": 1000.0, "net_w": 3.5, "bucket_uj": 9, "gross": ENERGY, "net": ENERGY}
METER |= {"baseline_state": "settled", "flags": [], "sources": []}
ATTEMPT = {"number": 3, "began_at": 1001.0, "steps": [], "spent_uj": 40}
BUDGET = {"spendable_uj": 1000, "attempts_uj": 100, "session_uj": 10, "closing_uj": 5, "reserve_uj": 50}


def test_a_run_is_alive_while_its_process_is(state) -> None:
    leave(state, said())
    found = read_activity(state)
    assert found is not None
    assert (found.alive, found.died, found.pid, found.silent_s) == (True, False, os.getpid(), None)


def test_a_run_whose_process_is_gone_is_dead(state) -> None:
    mine = _this_process()
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    for other in (
        SaidProcess(process.pid, 1, mine.boot_id, mine.namespace),
        SaidProcess(mine.pid, mine.start_ticks + 1, mine.boot_id, mine.namespace),
    ):
        leave(state, said(other, meter=METER))
        found = read_activity(state)
        assert found is not None
        assert (found.alive, found.died, found.silent_s) == (False, True, None)


def test_a_run_of_another_machine_lives_while_it_says_so(state) -> None:
    leave(state, said(SaidProcess(4, 5, "another boot", "pid:[1]"), written_at=5000.0))
    alive = [read_activity(state, now=now).alive for now in (5000.0, 5009.0, 5011.0, 9999.0)]
    assert alive == [True, True, False, False]


def test_an_ended_run_is_neither_alive_nor_dead(state) -> None:
    end = {"at": 1002.0, "word": "budget", "sentence": HTML}
    leave(state, said(phase="ended", end=end, meter=METER))
    found = read_activity(state)
    assert (found.alive, found.died, found.silent_s) == (False, False, None)
    assert (found.end.word, found.end.sentence) == ("budget", HTML), "text stays text"


def test_a_silent_meter_is_told_by_its_seconds(state) -> None:
    leave(state, said(meter=METER))
    assert read_activity(state, now=1030.0).silent_s == 30.0
    assert read_activity(state, now=900.0).silent_s == 0.0


def test_what_the_attempt_under_way_has_spent_is_counted_once(state) -> None:
    leave(state, said(attempt=ATTEMPT, budget=BUDGET))
    under_way = read_activity(state).budget
    assert (under_way.spent_uj, under_way.left_uj) == (150, 850)
    leave(state, said(attempt={**ATTEMPT, "finished": True}, budget={**BUDGET, "attempts_uj": 140}))
    assert read_activity(state).budget.spent_uj == 150
    leave(state, said(budget={**BUDGET, "session_uj": 5000}))
    assert read_activity(state).budget.left_uj == 0


def marks(*steps: tuple[Step, float | None], finished: bool = False) -> list[str]:
    given = {step: SaidStep(step, 1.0, ended) for step, ended in steps}
    return [mark.state for mark in _marks(given, finished=finished)]


def test_each_of_the_ten_steps_has_its_state() -> None:
    assert marks() == ["to come"] * 10
    assert marks((Step.SAMPLE, 2.0), (Step.SCHEDULE, None)) == ["done", "now", *["to come"] * 8]
    until_reserve = [(step, 2.0) for step in list(Step)[:4]]
    stopped = marks(*until_reserve, (Step.TRAIN, None), (Step.SETTLE, 2.0), (Step.RECORD, 2.0), finished=True)
    assert stopped == [*["done"] * 5, *["skipped"] * 3, "done", "done"]
    assert marks(*until_reserve, (Step.SETTLE, None))[4:] == [*["skipped"] * 4, "now", "to come"]


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "cryoflux.activity/2"},
        {"phase": "dancing"},
        {"began_at": 1e300},
        {"began_at": -1},
        {"waiting_for": "x" * 201},
        {"process": {"pid": "1", "start_ticks": 0, "boot_id": "", "namespace": ""}},
        {"meter": {**METER, "gross": {**ENERGY, "lo_uj": 6}}},
        {"meter": {**METER, "gross": {**ENERGY, "uj": 2**70}}},
        {"meter": {**METER, "flags": ["a"] * 51}},
        {"attempt": {**ATTEMPT, "steps": [{"step": "train"}] * 11}},
        {"attempt": {**ATTEMPT, "steps": [{"step": HTML}]}},
    ],
    ids=str,
)
def test_what_is_out_of_bounds_is_nothing(state, changes) -> None:
    leave(state, said())
    assert read_activity(state) is not None
    leave(state, {**said(), **changes})
    assert read_activity(state) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"null",
        b"[" * MOST_NOW_BYTES,
        b'{"a":' * 10_000,
        b" " * (MOST_NOW_BYTES + 1),
        json.dumps(said()).encode()[:-1],
        b'{"began_at": NaN}',
        b"\xff\xfe",
    ],
    ids=["empty", "bracket", "null", "brackets", "nested", "too long", "cut off", "no number", "no text"],
)
def test_what_is_no_document_is_nothing(state, content) -> None:
    (state.activity / NOW).write_bytes(content)
    assert read_activity(state) is None


def test_pipes_and_devices_are_not_waited_for(state) -> None:
    os.mkfifo(state.activity / NOW)
    assert read_activity(state) is None
    (state.activity / NOW).unlink()
    (state.activity / NOW).symlink_to("/dev/zero")
    assert read_activity(state) is None


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda a: st.lists(a) | st.dictionaries(st.text(), a))
)
def test_any_value_in_any_place_is_read_or_is_nothing(tmp_path_factory, value) -> None:
    state = StateFolder(tmp_path_factory.mktemp("state"))
    state.activity.mkdir()
    whole = said(meter=METER, attempt=ATTEMPT, budget=BUDGET)
    for name in whole:
        leave(state, {**whole, name: value})
        read_activity(state)
