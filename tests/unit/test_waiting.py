"""What is waited for comes, or the test ends and says what did not come."""

from __future__ import annotations

import threading

import pytest

from waiting import Watch, share_of_a_processor, until, watched


def test_what_comes_is_handed_on() -> None:
    answers = iter([None, 0, "here"])
    assert until(lambda: next(answers), "an answer") == "here"


def test_what_never_comes_is_named() -> None:
    with pytest.raises(pytest.fail.Exception, match="waiting for a word that nobody says"), watched(0.3):
        until(lambda: False, "a word that nobody says")


def test_a_wait_without_a_name_is_placed() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"waiting for .*test_waiting\.py:\d+"), watched(0.3):
        threading.Event().wait()


def test_a_busy_machine_has_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, *range(10, 401, 10)])
    monkeypatch.setattr("waiting.time.perf_counter", lambda: next(moments))
    watch = Watch(100.0, share=lambda: 0.25)
    for _ in range(39):
        watch.look(0, None)
    with pytest.raises(pytest.fail.Exception, match="400 s, as long as 100 s on an idle machine"):
        watch.look(0, None)


def test_a_thread_is_given_a_part_of_a_processor() -> None:
    assert 0 < share_of_a_processor() <= 1
