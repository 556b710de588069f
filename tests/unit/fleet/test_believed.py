"""Phases that a worker tells: the same story as its meter's, or none."""

from __future__ import annotations

import pytest

from cryoflux.attempt.metered_parts import signed_part
from cryoflux.fleet.believed import believed_phases
from fleet_fakes import FakeStation
from synthetic_parts import phases


@pytest.fixture
def part(tmp_path):
    word = FakeStation("w1", tmp_path).signed(
        "a1", 7_000_000, lo_microjoules=3_000_000, hi_microjoules=14_000_000
    )
    return signed_part("w1", word)


def test_phases_that_add_up_are_told(part) -> None:
    told = phases(train=(5, 2, 9), settle=(2, 1, 5))
    assert believed_phases(told, part) == told


@pytest.mark.parametrize(
    "told",
    [
        [],
        phases(train=(5, 2, 9)),
        phases(train=(5, 2, 9), sleep=(2, 1, 5)),
        [*phases(train=(5, 2, 9)), *phases(train=(2, 1, 5))],
        phases(train=(5, 2, 4), settle=(2, 1, 10)),
        phases(train=(8, 8, 8), settle=(-1, -5, 6)),
    ],
)
def test_others_are_left_out_and_cost_nobody_the_receipt(part, told) -> None:
    assert believed_phases(told, part) == []
