"""The event stream: what it tells, how often, and that it goes on where it was over a cut and a restart."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from acting_run import ActingRun
from browser import Dashboard, dashboard
from cryoflux.attempt.watch import Step
from cryoflux.runs.activity_form import SaidEnd
from hearing import Event, events_of
from synthetic_state import make_state, open_state
from waiting import PLAINLY


@contextmanager
def stream(running: Dashboard, since: str = "", **headers: str) -> Iterator[Iterator[Event]]:
    """The events of a stream as they come."""
    client = httpx2.Client(**PLAINLY)
    with client, client.stream("GET", f"{running.url}/events?since={since}", headers=headers) as answer:
        assert answer.status_code == 200
        yield events_of(answer.iter_lines())


def first(events: Iterator[Event], kind: str) -> Event:
    return next(event for event in events if event["kind"] == kind)


def finished(events: Iterator[Event]) -> Event:
    """The next event of entries among which an attempt's receipt is."""
    return next(event for event in events if event.get("attempts"))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Any]:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    yield made
    made.finish()


def test_a_receipt_is_told_of_and_the_stream_goes_on_over_a_restart(state: Any) -> None:
    with dashboard(state.path) as running:
        with stream(running, "2.0") as events:
            state.attempt(0.02)
            told = finished(events)
            assert told["attempts"] == [2]
        port = running.port
    state.attempt(0.01)
    with (
        dashboard(state.path, port=port) as running,
        stream(running, **{"last-event-id": told["id"]}) as events,
    ):
        assert finished(events)["attempts"] == [3]


def test_what_the_meter_has_noted_is_told_from_where_the_reader_was(state: Any) -> None:
    run = ActingRun(state.path, time.time())
    began = time.time() - 20
    for n in range(20):
        run.sample(began + n, float(n), first=n == 0)
    with dashboard(state.path) as running:
        with stream(running, "2.15") as events:
            told = first(events, "power")
            assert [round(point[2]) for point in told["points"]] == [15, 16, 17, 18, 19]
            assert told["id"] == "2.20"
            assert told["tier"] == "modelled"
            assert told["points"][0][told["columns"].index("net_lo_w")] < 15.0
            run.sample(run.now.meter.at + 1, 7.0)  # type: ignore[union-attr]
            assert first(events, "power")["id"] == "2.21"
        with stream(running, "2.") as events:  # who knows nothing yet is told what comes from now on
            assert first(events, "activity")
            run.sample(run.now.meter.at + 1, 9.0)  # type: ignore[union-attr]
            assert [round(point[2]) for point in first(events, "power")["points"]] == [9]


def test_a_series_that_was_begun_anew_is_told_from_its_beginning(state: Any) -> None:
    run = ActingRun(state.path, time.time())
    began = time.time() - 3
    for n in range(3):
        run.sample(began + n, 5.0, first=n == 0)
    with dashboard(state.path) as running, stream(running, "2.900") as events:
        assert len(first(events, "power")["points"]) == 2


def test_what_the_run_does_and_that_it_has_ended_is_told(state: Any) -> None:
    run = ActingRun(state.path, time.time())
    with dashboard(state.path) as running, stream(running, "2.0") as events:
        assert first(events, "activity")["phase"] == "preparing"
        run.attempt(2, Step.TRAIN, time.time())
        assert first(events, "activity")["attempt"] == 2
        run.say(phase="ended", end=SaidEnd(time.time(), "budget", "It is spent."))
        told = first(events, "ended")
        assert (told["word"], told["sentence"], told["closing"]) == ("budget", "It is spent.", "")


def test_a_run_that_has_ended_before_is_no_news(state: Any) -> None:
    run = ActingRun(state.path, time.time())
    run.say(phase="ended", end=SaidEnd(time.time(), "budget", "It is spent."))
    with dashboard(state.path) as running, stream(running, "2.0") as events:
        assert next(events)["kind"] == "activity"
        state.attempt(0.02)
        assert next(events)["kind"] == "log"


def test_so_much_news_at_once_is_told_in_few_messages(state: Any) -> None:
    run = ActingRun(state.path, time.time())
    with dashboard(state.path) as running, stream(running, "0.0") as events:
        began, kinds = time.monotonic(), []
        for n in range(60):
            run.attempt(n + 2, Step.TRAIN, time.time())
            run.sample(time.time() + n, 5.0, first=n == 0)
        while not {"log", "activity", "power"} <= set(kinds) or time.monotonic() - began < 3:
            kinds.append(next(events)["kind"])
            run.sample(time.time() + 100 + len(kinds), 5.0)
        # Two a second, and one at the beginning; a slow machine tells fewer.
        assert len(kinds) <= 2 * (time.monotonic() - began) + 1


def test_a_log_that_cannot_be_read_is_told_as_trouble(tmp_path: Path) -> None:
    path = make_state(tmp_path / "closed").path
    ActingRun(path, time.time())
    with dashboard(path) as running, stream(running, "2.0") as events:
        assert not first(events, "activity")["trouble"]
        path.joinpath("receipts.db").write_bytes(b"nothing" * 1000)
        assert first(events, "activity")["trouble"]


@pytest.mark.parametrize("count", [1, 2, 5], ids=["shorter", "as long", "longer"])
def test_another_state_that_lies_there_now_is_told_and_shown_whole(
    state: Any, tmp_path: Path, count: int
) -> None:
    state.attempt(0.02)
    run = ActingRun(state.path, time.time())
    for n in range(20):
        run.sample(time.time() - 20 + n, 5.0, first=n == 0)
    other = open_state(tmp_path / "other")
    for _ in range(count):
        other.attempt(0.04)
    other.finish()
    run = ActingRun(other.path, time.time())
    for n in range(30):
        run.sample(time.time() - 30 + n, 3.0, first=n == 0)
    with dashboard(state.path) as running, stream(running, "4.20") as events:
        first(events, "activity")
        state.path.rename(tmp_path / "before")
        other.path.rename(state.path)
        told = next(event for event in events if event.get("anew"))
        assert (told["kind"], told["entries"]) == ("log", 2 * count)
        assert {round(point[2]) for point in first(events, "power")["points"]} == {3}
        rows = running.get("/attempts").text
        assert f"<h1>{count} attempt" in rows
        assert rows.count('aria-label="compare #') == count
        assert "0.020" not in rows
        made = running.get("/receipts").text
        assert f"log of {2 * count} entries" in made


def test_a_state_that_is_gone_and_comes_as_a_new_one_is_told(state: Any, tmp_path: Path) -> None:
    with dashboard(state.path) as running, stream(running, "2.0") as events:
        ActingRun(state.path, time.time())
        first(events, "activity")
        state.path.rename(tmp_path / "before")
        state.path.mkdir()
        assert first(events, "log")["entries"] == 0
        assert "Nothing has been tried yet." in running.get("/").text
        (tmp_path / "new").mkdir()
        state.path.rmdir()
        (tmp_path / "before").rename(state.path)  # the fixture closes what lies there
        assert first(events, "log")["entries"] == 2


def test_only_so_many_listen_at_once(state: Any) -> None:
    with dashboard(state.path) as running:
        opened = [stream(running) for _ in range(64)]
        for one in opened:
            one.__enter__()
        try:
            assert running.get("/events").status_code == 503
            assert running.get("/attempts").status_code == 200
        finally:
            for one in opened:
                one.__exit__(None, None, None)


def test_a_server_that_ends_does_not_wait_for_who_listens(state: Any) -> None:
    with dashboard(state.path) as running, stream(running) as events:
        running.process.send_signal(signal.SIGTERM)
        assert list(events) == []
        assert running.process.wait() == 0


def test_several_states_have_one_stream_that_holds_a_place_in_each(state: Any, tmp_path: Path) -> None:
    other = make_state(tmp_path / "other").path
    with dashboard(state.path, other) as running:
        with stream(running, "2.8") as events:
            state.attempt(0.02)
            told = next(event for event in events if event["id"] == "4.8")
        state.attempt(0.01)
        with stream(running, **{"last-event-id": told["id"]}) as events:
            assert next(event for event in events if event["id"] == "6.8")["kind"] == "log"
