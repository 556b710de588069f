"""A crew: who is lost, what that costs, who comes in its place, and that none ends for want of a word."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.energy.clock import BILLION
from cryoflux.energy.interface import lent_request, worker_request
from cryoflux.errors import BudgetError
from cryoflux.fleet.crew import Crew, LeaseEnd
from cryoflux.fleet.documents import SessionTerms, WorkerState
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.parts import most_workers
from cryoflux.fleet.words import LastWords
from cryoflux.quantities import SO_FAR
from cryoflux.receipts.charged import WORKER_LOST
from fleet_fakes import LENT_UJ, LOG, FakeDispatcher, FakeStation, lease_of
from synthetic_parts import digest_of

SESSION = "session/1"


class World:
    """A crew of fakes with a clock that is turned by hand."""

    def __init__(self, tmp_path: Path, *names: str) -> None:
        self.now_ns, self.path, self.poor = BILLION, tmp_path, False
        self.dispatcher, self.words = FakeDispatcher(tmp_path, names), LastWords(tmp_path / "words")
        self.crew = Crew(
            self.dispatcher,
            self.words,
            self.terms,
            ["lora_delta"],
            digest_of("baseline"),
            monotonic_ns=lambda: self.now_ns,
        )
        self.crew.start()

    def terms(self, worker: str) -> SessionTerms:
        if self.poor:
            raise BudgetError("The bucket is empty.")
        return SessionTerms(id=SESSION, log=LOG, lent_microjoules=5_000_000)

    def begin(self, worker: str, attempt: str = "a1") -> None:
        self.crew.begin(self.dispatcher.stations[worker], lease_of(attempt, worker), self.path)

    @property
    def free(self) -> list[FakeStation]:
        return self.crew.free(lambda _: None)

    def later(self, seconds: float) -> None:
        self.now_ns += round(seconds * BILLION)


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    return lambda *names: World(tmp_path, *names)


def lost(world: World, worker: str, attempt: str) -> LeaseEnd:
    world.begin(worker, attempt)
    world.dispatcher.stations[worker].dies()
    ended = world.crew.ended()
    assert ended is not None
    assert ended.why
    return ended


def test_workers_that_wait_for_a_word_get_one_while_their_coordinator_computes(world) -> None:
    made = world("w1", "w2")
    made.begin("w1")
    busy, idle = (made.dispatcher.stations[name] for name in ("w1", "w2"))
    busy.answers = [WorkerState(doing="training", lease="a1", step=3)]
    before = busy.asked, idle.asked
    made.later(2)
    made.crew.keep_alive()
    assert (busy.asked, idle.asked) == before, "it was asked just now"
    for _ in range(3):
        made.later(2)
        made.crew.keep_alive()
    assert (busy.asked, idle.asked) == (before[0] + 2, before[1])
    busy.answers = [None]
    for _ in range(30):
        made.later(0.1)
        made.crew.keep_alive()
    assert busy.asked == before[0] + 3, "one that does not answer is not asked at every step of an evaluation"


def test_they_get_one_while_another_is_started_in_the_place_of_one_that_was_lost(world) -> None:
    made = world("w1", "w2")
    made.begin("w2", "a2")
    busy, heard = made.dispatcher.stations["w2"], threading.Event()
    busy.answers = [WorkerState(doing="training", lease="a2", step=3)]

    def replace(worker: str) -> FakeStation:
        station = FakeDispatcher.replace(made.dispatcher, worker)
        station.open_session = lambda _: (made.later(9), heard.wait())  # nearly as long as others wait
        return station

    made.dispatcher.replace = replace
    answer = busy.state
    busy.state = lambda: (heard.set(), answer())[1]
    lost(made, "w1", "a1")
    assert heard.is_set()


def test_one_that_says_nothing_is_lost_once_it_must_have_ended_by_itself(world) -> None:
    made = world("w1")
    made.begin("w1")
    made.dispatcher.stations["w1"].answers = [None]
    made.later(15)
    assert made.crew.ended() is None
    made.later(0.1)
    ended = made.crew.ended()
    assert "nothing was heard of it for 15 s" in ended.why
    assert ended.part.settlement, "another process has settled it"
    assert [station.name for station in made.free] == ["w1.2"]


LIES = {
    "another meter": {"key": Ed25519PrivateKey.generate()},
    "another log": {"log": "cryoflux.dev/another"},
    "another announcement": {"intent": digest_of("another")},
    "another reservation": {"reserved_microjoules": LENT_UJ * 2},
    "no last word": {"flags": [SO_FAR]},
    "more joules than flowed": {"moved_uj": 0},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_statement_about_something_else_is_no_delivery(world, lie: str) -> None:
    made = world("w1")
    made.begin("w1")
    station = made.dispatcher.stations["w1"]
    station.delivers("a1", **LIES[lie])
    ended = made.crew.ended()
    assert (ended.station, ended.delivery) == (None, None)
    assert "What the meter of w1 signed for a1 is" in ended.why
    assert ended.part.microjoules == 7_000_000, "what its account says, once its process is gone"


def test_of_one_that_cannot_be_settled_the_last_believable_word_counts(world) -> None:
    made = world("w1", "w2")
    made.dispatcher.away = {"a1", "a2"}
    for worker, attempt, changes in (("w1", "a1", {}), ("w2", "a2", {"log": "another"})):
        made.begin(worker, attempt)
        station = made.dispatcher.stations[worker]
        word = station.signed(attempt, 3_000_000, flags=[SO_FAR], **changes)
        station.answers = [WorkerState(doing="training", lease=attempt, step=1, word=word)]
        made.later(3)
        assert made.crew.ended() is None
        station.dies()
        ended = made.crew.ended()
        assert "node is away" in ended.why
        if worker == "w1":
            assert (ended.part.microjoules, ended.part.flags) == (3_000_000, [SO_FAR])
            assert ended.part.hi_microjoules > LENT_UJ
        else:
            assert (ended.part.microjoules, ended.part.flags) == (LENT_UJ, [WORKER_LOST]), "nothing is known"
        assert made.words.get(lent_request(attempt, worker)).part == ended.part
    assert made.free == [], "nobody comes in the place of one that may still be there"


def test_a_session_that_cannot_be_settled_takes_nothing_from_what_the_attempt_was_signed(world) -> None:
    made = world("w1")
    made.dispatcher.away = {worker_request(SESSION, "w1")}
    ended = lost(made, "w1", "a1")
    assert (ended.part.microjoules, ended.part.flags) == (7_000_000, [])
    (session,) = [word.part for word in made.words.all() if word.lent.startswith(SESSION)]
    assert session.flags == [WORKER_LOST]
    assert [station.name for station in made.free] == ["w1.2"]


def test_what_ends_every_worker_is_not_fed_with_ever_more_of_them(world) -> None:
    made = world("w1")
    for attempt in ("a1", "a2"):
        (station,) = made.free
        lost(made, station.name, attempt)
    (station,) = made.free
    made.begin(station.name, "a3")
    station.delivers("a3")
    assert made.crew.ended().delivery is not None  # from here on they are counted anew
    made.crew.forget(station, "a3")
    for number in range(3):
        (station,) = made.free
        lost(made, station.name, f"b{number}")
    assert made.free == []
    assert "3 workers in a row were lost" in made.crew.troubles[-1]


def test_one_whose_start_nobody_pays_for_is_ended_again(world) -> None:
    made = world("w1")
    made.poor = True
    lost(made, "w1", "a1")
    assert made.free == []
    assert made.dispatcher.stations["w1.2"].closed == 1
    assert made.crew.troubles == ["The bucket is empty."]


def test_no_more_workers_come_than_the_entry_of_a_session_can_tell_of(tmp_path: Path) -> None:
    most = most_workers(1)
    World(tmp_path / "as many", *(f"w{number}" for number in range(1, most + 1)))
    with pytest.raises(FleetError, match=f"{most} workers at most"):
        World(tmp_path / "more", *(f"w{number}" for number in range(1, most + 2)))
