"""Over HTTP too, a reservation says which receipt log it is an attempt of."""

from __future__ import annotations

import json

import pytest
from test_agent_daemon import daemon


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with daemon(tmp_path_factory.mktemp("agent"), "--credit", "grant") as running:
        yield running


def test_a_reservation_keeps_the_log_that_it_is_an_attempt_of(shared):
    shared.post("/v1/grant", {"joules": 10_000, "request_id": "for-logs"})
    request = {"joules": 1, "request_id": "marked", "log": "cryoflux.dev/log/ours"}
    taken = shared.post("/v1/take", request)
    assert (taken["ok"], taken["log"]) == (True, "cryoflux.dev/log/ours")
    assert shared.post("/v1/take", request)["reservation"] == taken["reservation"]
    for other in ({**request, "log": "cryoflux.dev/log/theirs"}, {"joules": 1, "request_id": "marked"}):
        assert shared.status("/v1/take", other) == 409
    (listed,) = json.loads(shared.get("/v1/reservations?request_id=marked"))["reservations"]
    assert listed == {**listed, "log": "cryoflux.dev/log/ours", "state": "open"}
    shared.post("/v1/release", {"reservation": taken["reservation"]})
    assert shared.post("/v1/take", {"joules": 1, "request_id": "unmarked"})["log"] == ""


@pytest.mark.parametrize("log", ["x" * 201, "a\n", "µ", 7, None, ["a"]])
def test_what_is_no_origin_of_a_log_is_unprocessable_and_takes_nothing(shared, log):
    shared.post("/v1/grant", {"joules": 5, "request_id": "for-bad-logs"})
    before = json.loads(shared.get("/v1/sample"))["bucket_uj"]
    assert shared.status("/v1/take", {"joules": 1, "request_id": "bad-log", "log": log}) == 422
    assert json.loads(shared.get("/v1/sample"))["bucket_uj"] == before
    assert json.loads(shared.get("/v1/reservations?request_id=bad-log"))["reservations"] == []
