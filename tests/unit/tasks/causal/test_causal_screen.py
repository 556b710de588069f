"""The screen is read no further than it takes, and what the head scores on it is read once."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.evidence import pair_losses
from cryoflux.tasks.causal.screening import HeadOnScreen, ScreenInLooks
from cryoflux.tasks.pacing import JoulesEndedError, Limits

LOSS = 5_000_000_000


@dataclass
class Documents:
    """Losses with and without an update; each reading costs a joule."""

    gains: list[int]
    read: list[str] = field(default_factory=list)

    def base(self, at: int) -> int:
        self.read.append(f"base {at}")
        return LOSS

    def new(self, at: int) -> int:
        self.read.append(f"new {at}")
        return LOSS - self.gains[at]

    def limits(self, joules: int) -> Limits:
        return Limits(joules * 1_000_000, lambda: len(self.read) * 1_000_000, lambda: False)


def screened(documents: Documents, known: HeadOnScreen | None = None, joules: int = 1_000) -> ScreenInLooks:
    count = len(documents.gains)
    screen = ScreenInLooks(count, documents.base, documents.new, known or HeadOnScreen())
    screen.before(documents.limits(joules))
    return screen


def test_what_is_plain_after_eight_documents_is_read_no_further() -> None:
    for gain in (900_000_000, -900_000_000):
        documents = Documents([gain + at for at in range(32)])
        found = screened(documents).after()
        assert found is not None
        assert found.count == 8
        assert len(documents.read) == 16


def test_what_is_not_plain_is_read_to_the_end() -> None:
    documents = Documents([(-1) ** at * 400_000_000 for at in range(32)])
    found = screened(documents).after()
    assert found is not None
    assert found.count == 32


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=70))
def test_what_is_said_is_what_the_first_documents_show(gains: list[int]) -> None:
    found = screened(Documents(gains)).after()
    assert found is not None
    assert found.count in {8, 16, 32, 64, len(gains)}
    assert found == pair_losses([LOSS] * found.count, [LOSS - gain for gain in gains[: found.count]])


def test_the_head_is_read_once_whatever_becomes_of_an_attempt() -> None:
    documents, known = Documents([(-1) ** at * 400_000_000 for at in range(32)]), HeadOnScreen()
    with pytest.raises(JoulesEndedError):
        screened(documents, known, joules=20)
    assert len(known.losses) == 8
    screened(documents, known).after()
    screened(documents, known).after()
    assert sum(said.startswith("base") for said in documents.read) == 32


def test_what_reading_may_still_cost_is_set_aside() -> None:
    documents = Documents([0] * 32)
    screen = ScreenInLooks(32, documents.base, documents.new, HeadOnScreen())
    left = screen.before(documents.limits(1_000))
    assert left.limit_uj <= (1_000 - 24 - 32) * 1_000_000


def test_no_screen_costs_nothing_and_says_nothing() -> None:
    documents = Documents([])
    assert screened(documents).after() is None
    assert documents.read == []
