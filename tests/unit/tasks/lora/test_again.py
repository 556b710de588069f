"""A schedule that joules made is played back without them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cryoflux.tasks.again import played_back
from cryoflux.tasks.pacing import Limits, Pacer
from synthetic_parts import training

MOST = 60


def paced(limits: Limits, most: int, seen: list | None = None) -> Pacer:
    """A pacer that was run to its end; ``seen`` counts its steps."""
    pacer = Pacer(limits, most)
    while pacer.goes_on():
        done = pacer.done(0.5)
        if seen is not None:
            seen.append(done)
    return pacer


@given(
    costs=st.lists(st.integers(0, 50), min_size=MOST, max_size=MOST),
    limit=st.integers(1, 2000),
    most=st.integers(1, MOST),
)
def test_what_joules_decided_is_decided_again(costs: list[int], limit: int, most: int) -> None:
    spent, asked = 0, 0

    def spent_uj() -> int:
        nonlocal spent, asked
        spent += costs[asked - 1] if 0 < asked <= MOST else 0
        asked += 1
        return spent

    then = paced(Limits(limit, spent_uj, lambda: False), most)
    assume(then.step > 1 or then.stopped_by == "steps")
    said = training(
        steps=then.step,
        planned_steps=then.planned,
        planned_at_step=then.planned_at,
        stopped_by=then.ended_by(),
    )
    limits, steps = played_back(said)
    again = paced(limits, most, steps)
    assert (again.step, again.planned) == (then.step, then.planned)
    assert again.planned_at == then.planned_at
    assert again.ended_by() == then.ended_by()


def test_what_somebody_stopped_stops_again() -> None:
    said = training(steps=7, planned_steps=50, planned_at_step=3, stopped_by="interrupt")
    limits, seen = played_back(said)
    pacer = paced(limits, 400, seen)
    assert (pacer.step, pacer.ended_by()) == (7, "interrupt")


@pytest.mark.parametrize(("planned", "steps"), [(200, 20), (103, 92), (50, 50)])
def test_a_plan_that_was_cut_short_is_cut_short_again(planned: int, steps: int) -> None:
    said = training(steps=steps, planned_steps=planned, planned_at_step=3, stopped_by="joules")
    limits, seen = played_back(said)
    pacer = paced(limits, 400, seen)
    assert (pacer.step, pacer.planned, pacer.planned_at) == (steps, planned, 3)
