"""Any number of observers: each is told everything, in order, in values that nobody can change."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError

import msgspec
import pytest

from cryoflux.attempt.watch import Observer
from cryoflux.energy.started import Started
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.open_session import OpenSession
from cryoflux.runs.spending import spend
from cryoflux.runs.watch import Observers, RunObserver
from small_context import BETTER, WORSE

EVENTS = sorted(name for name in dir(RunObserver) if not name.startswith("_"))


class Everything(RunObserver):
    """Notes each event with what it was told."""

    def __init__(self, name: str, into: list) -> None:
        for event in EVENTS:
            setattr(self, event, lambda *told, event=event: into.append((name, event, told)))


@pytest.mark.parametrize("event", EVENTS)
def test_all_are_told_each_event_in_their_order(event) -> None:
    seen = []
    observers = Observers([Everything("first", seen), Everything("second", seen)])
    count = len(inspect.signature(getattr(RunObserver, event)).parameters) - 1
    told = tuple(object() for _ in range(count))
    getattr(observers, event)(*told)
    assert seen == [("first", event, told), ("second", event, told)]
    assert getattr(Observers([]), event)(*told) is None
    assert getattr(RunObserver(), event)(*told) is None


def test_a_run_knows_all_that_an_attempt_knows() -> None:
    assert {name for name in vars(Observer) if not name.startswith("_")} < set(EVENTS)


def assert_frozen(value: object) -> None:
    if isinstance(value, str | int | float | None):
        return
    name = value.__struct_fields__[0] if isinstance(value, msgspec.Struct) else next(iter(value.__slots__))
    with pytest.raises((FrozenInstanceError, AttributeError), match=r"immutable|cannot assign"):
        setattr(value, name, None)


def test_what_they_are_told_cannot_be_changed(run) -> None:
    seen = []
    observers = Observers([Everything("one", seen), Everything("two", seen)])
    run.change(observer=observers)
    run.task.plans = [BETTER, WORSE]
    session = OpenSession(run.context, 10**9, Started.now())
    spend(run.context, RunLimits(attempts=2), observers, 0.0, session)
    events = [event for name, event, _ in seen if name == "one"]
    assert events == [event for name, event, _ in seen if name == "two"]
    assert set(events) >= {"step", "sampled", "chosen", "trained", "evaluated", "finished"}
    for _, _, told in seen:
        for value in told:
            assert_frozen(value)


def test_a_run_comes_to_the_same_with_observers_and_without(small, tmp_path_factory) -> None:
    from small_context import SmallRun

    seen, said = [], []
    for observers in ([], [Everything("a", seen), Everything("b", seen)]):
        run = SmallRun(tmp_path_factory.mktemp("run"))
        run.change(observer=Observers(observers))
        run.task.plans = [WORSE, BETTER]
        session = OpenSession(run.context, 10**9, Started.now())
        summary = spend(run.context, RunLimits(attempts=2), Observers(observers), 0.0, session)
        said.append((summary.kept, summary.spent, [r.reason for r in run.receipts()]))
        run.close()
    assert said[0] == said[1]
    assert seen
