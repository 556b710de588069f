"""How often workers are asked how it goes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cryoflux.fleet.attempts import FleetAttempts


class Asked:
    """A crew of which one is at its end once all were asked some times."""

    def __init__(self, busy: int, rounds: int) -> None:
        self.busy, self._rounds = busy, rounds
        self.states: dict[str, Any] = {}

    def ended(self) -> object | None:
        self._rounds -= 1
        return self if self._rounds < 0 else None


@pytest.mark.parametrize(("busy", "most_a_second"), [(1, 4), (8, 30), (63, 30)])
def test_a_large_crew_is_asked_no_more_often_than_its_coordinator_can_bear(
    busy: int, most_a_second: float
) -> None:
    slept: list[float] = []
    crew: Any = Asked(busy, rounds=20)
    context: Any = SimpleNamespace(stop=lambda: False)
    words: Any = None
    FleetAttempts(context, crew, words, 60, sleep=slept.append)._waited()
    assert len(slept) == 20
    assert busy * len(slept) / sum(slept) <= most_a_second
    assert max(slept) < 5  # and often enough that nobody waits for long, or takes the silence for an end
