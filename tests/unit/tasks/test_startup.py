"""What starting has cost adds up, and is said once and for all."""

from __future__ import annotations

from cryoflux.tasks.startup import StartupClock


def test_phases_and_the_rest_make_up_the_whole() -> None:
    now = [2.0]
    clock = StartupClock(lambda: now[0])
    for name, cost in (("data", 1.5), ("weights", 0.25), ("data", 0.5)):
        with clock.phase(name):
            now[0] += cost
        now[0] += 0.125
    found = clock.done()
    assert (found.before_s, found.cpu_s) == (2.0, 2.625)
    assert found.phases == {"data": 2.0, "weights": 0.25, "rest": 0.375}
    now[0] += 9
    assert clock.done() is found
