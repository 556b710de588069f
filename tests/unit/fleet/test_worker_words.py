"""A worker that is asked all the time signs a word now and then, and each that it says is its meter's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.config import load_settings
from cryoflux.energy.account.settlement import read_settlement
from cryoflux.energy.clock import BILLION
from cryoflux.energy.interface import worker_request
from cryoflux.fleet.documents import SessionTerms
from cryoflux.fleet.store import FileStore
from cryoflux.fleet.worker import Worker
from cryoflux.quantities import SO_FAR

SESSION = SessionTerms(id="session/1_0", log="cryoflux.dev/log", lent_microjoules=5_000_000)


class Watch:
    """A clock that stands still until it is set."""

    ns = 10 * BILLION

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def worker(tmp_path: Path, watch: Watch) -> Iterator[Worker]:
    settings = load_settings({}, environ={}, folder=tmp_path).settings
    store = FileStore(tmp_path / "files")
    with closing(Worker("w1", tmp_path / "w1", store, settings, monotonic_ns=watch)) as made:
        yield made


def test_a_word_is_said_again_until_it_is_old(worker: Worker, watch: Watch) -> None:
    worker.open_session(SESSION)
    first = worker.state().beside
    watch.ns += BILLION
    assert worker.state().beside == first
    watch.ns += 10 * BILLION
    later = worker.state().beside
    before, after = read_settlement(first), read_settlement(later)
    assert before.request == after.request == worker_request(SESSION.id, "w1")
    assert SO_FAR in before.flags
    assert SO_FAR in after.flags
    assert after.window_nanoseconds > before.window_nanoseconds


def test_what_is_settled_is_not_said_to_be_open(worker: Worker) -> None:
    worker.open_session(SESSION)
    word = read_settlement(worker.state().beside)
    settled = read_settlement(worker.close_session(worker_request(SESSION.id, "w1")))
    assert SO_FAR not in settled.flags
    assert settled.charged.microjoules >= word.charged.microjoules
    assert worker.state().beside == ""
    again = SESSION.but(id="session/2_0")
    worker.open_session(again)
    assert read_settlement(worker.state().beside).request == worker_request(
        again.id, "w1"
    )  # at once, though no time has gone by
