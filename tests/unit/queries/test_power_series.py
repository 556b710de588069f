"""Watts out of rows of cumulative joules: peaks survive, ends are not averaged, gaps stay gaps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.attempt.watch import Step
from cryoflux.quantities import MICRO, Energy, Tier
from cryoflux.queries.power import (
    PowerGap,
    PowerPoint,
    Watts,
    _thinned,
    power_of_attempt,
    power_since,
)
from cryoflux.runs.activity_files import ActivityFiles
from cryoflux.runs.activity_form import (
    FLAGS,
    FURTHER_FLAG,
    OLDER_ROWS,
    ROW_BYTES,
    ROWS,
    SampleRow,
    pack_row,
    unpack_row,
)
from cryoflux.state import StateFolder

BEGAN = 1_700_000_000


def row(number: int, at_s: float, joules: float, *, first: bool = False, attempt: int = 0) -> SampleRow:
    """Net is half of gross; the ends are 10 % off."""
    gross = round(joules * MICRO)
    return SampleRow(
        sequence=number,
        at_us=round((BEGAN + at_s) * MICRO),
        gross=Energy(gross, gross * 9 // 10, gross * 11 // 10, Tier.COUNTER, ("failed-read",)),
        net=Energy(gross // 2, gross * 4 // 10, gross * 6 // 10, Tier.MODELLED),
        bucket_uj=7,
        attempt=attempt,
        step=Step.TRAIN if attempt else None,
        first=first,
    )


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path)


def left(state: StateFolder, rows: list[SampleRow], name: str = ROWS, *, after: bytes = b"") -> None:
    state.activity.mkdir(exist_ok=True)
    (state.activity / name).write_bytes(b"".join(map(pack_row, rows)) + after)


def test_a_row_comes_back_as_it_was_written() -> None:
    said = row(5, 0.25, 300, attempt=9, first=True)
    back = unpack_row(pack_row(said))
    assert back is not None
    assert back.net == Energy(*(said.net.uj, said.net.lo_uj, said.net.hi_uj), Tier.MODELLED, ("failed-read",))
    assert (back.sequence, back.at_us, back.gross, back.bucket_uj) == (5, said.at_us, said.gross, 7)
    assert (back.attempt, back.step, back.first) == (9, Step.TRAIN, True)


@pytest.mark.parametrize("flag", [*FLAGS, "something-new"])
def test_a_flag_keeps_its_name_or_is_said_to_be_another(flag) -> None:
    said = row(1, 0, 1)
    gross = Energy(1, 0, 2, Tier.COUNTER, (flag,))
    back = unpack_row(pack_row(SampleRow(1, 1, gross, said.net, 0, 0, None, first=False)))
    assert back is not None
    assert back.gross.flags == ((flag,) if flag in FLAGS else (FURTHER_FLAG,))


@given(st.binary(max_size=3 * ROW_BYTES))
def test_foreign_bytes_are_no_row(content) -> None:
    assert unpack_row(content) is None


@given(st.integers(0, ROW_BYTES - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place, change) -> None:
    content = bytearray(pack_row(row(3, 1, 2)))
    content[place] ^= change
    assert unpack_row(bytes(content)) is None


def test_watts_are_differences_with_both_ends(state) -> None:
    left(state, [row(1, 0, 100, first=True), row(2, 1, 110), row(3, 3, 150)])
    found = power_since(state, 0)
    assert [one.gross for one in found.points] == [
        Watts(10.0, 9.0, 11.0, Tier.COUNTER),
        Watts(20.0, 18.0, 22.0, Tier.COUNTER),
    ]
    assert [one.net for one in found.points] == [
        Watts(5.0, 4.0, 6.0, Tier.MODELLED),
        Watts(10.0, 8.0, 12.0, Tier.MODELLED),
    ]
    assert [(one.sequence, one.at, one.seconds) for one in found.points] == [
        (2, BEGAN + 1, 1),
        (3, BEGAN + 3, 2),
    ]
    assert (found.gaps, found.newest, found.left_out) == ((), 3, 0)


def test_silence_and_another_meter_are_gaps_and_no_watts(state) -> None:
    left(
        state,
        [row(1, 0, 1, first=True), row(2, 1, 2), row(3, 8, 3), row(4, 9, 900, first=True), row(5, 10, 901)],
    )
    found = power_since(state, 0)
    assert [one.sequence for one in found.points] == [2, 5]
    assert found.gaps == (PowerGap(BEGAN + 1, BEGAN + 8), PowerGap(BEGAN + 8, BEGAN + 9))


def test_who_has_seen_a_number_gets_what_came_after_it(state) -> None:
    left(state, [row(i, i, i, first=i == 1) for i in range(1, 3001)])
    assert [one.sequence for one in power_since(state, 2998).points] == [2999, 3000]
    assert power_since(state, 3000).points == ()
    newest = power_since(state, 5, most=3)
    assert [one.sequence for one in newest.points] == [2998, 2999, 3000]
    assert newest.left_out > 0
    assert len(power_since(state, 5, most=10_000).points) == 2995
    assert len(power_since(state, 9000, most=10_000).points) == 2999, "the series was begun anew meanwhile"


def test_both_files_are_one_series(state) -> None:
    everything = [row(i, i, i, first=i == 1) for i in range(1, 21)]
    left(state, everything[:12], OLDER_ROWS)
    left(state, everything[12:])
    assert [one.sequence for one in power_since(state, 0).points] == list(range(2, 21))
    left(state, everything[8:])  # as if the older one had been replaced between two reads
    assert [one.sequence for one in power_since(state, 0).points] == list(range(2, 21))


def test_torn_and_foreign_rows_are_passed_over(state) -> None:
    rows = [row(i, i, i, first=i == 1) for i in range(1, 6)]
    left(state, rows, after=b"\0" * ROW_BYTES + b"<script>" + b"x" * 30)
    assert [one.sequence for one in power_since(state, 0).points] == [2, 3, 4, 5]
    (state.activity / ROWS).write_bytes(os.urandom(50_001))
    assert power_since(state, 0) == power_of_attempt(state, 1)
    assert power_since(state, 0).points == ()


def test_an_attempt_is_cut_out(state) -> None:
    left(state, [row(i, i, i, first=i == 1, attempt=i // 1000) for i in range(1, 3001)])
    one = power_of_attempt(state, 1, points=5000)
    assert [point.sequence for point in one.points] == list(range(1000, 2000))
    assert {point.step for point in one.points} == {Step.TRAIN}
    assert power_of_attempt(state, 0).points == power_of_attempt(state, 77).points == ()


def test_where_nothing_is_there_is_nothing(state) -> None:
    assert (power_since(state, 0).points, power_since(state, 0).newest) == ((), 0)
    assert power_of_attempt(state, 1).points == ()


def points_of(watts: list[tuple[int, int]]) -> list[PowerPoint]:
    return [
        PowerPoint(
            number,
            float(number),
            1.0,
            Watts(gross, gross - 1, gross + 1, Tier.COUNTER),
            Watts(net, net - 1, net + 1, Tier.COUNTER),
            (),
            0,
            0,
            None,
        )
        for number, (gross, net) in enumerate(watts, 1)
    ]


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(-50, 400)), min_size=1, max_size=300),
    st.integers(4, 60),
)
def test_the_peaks_of_every_part_survive(watts, most) -> None:
    points = points_of(watts)
    gaps = [PowerGap(1.0, 2.0)]
    found = _thinned(points, gaps, 9, most)
    assert len(found.points) <= most
    assert set(found.points) <= set(points)
    assert list(found.points) == sorted(found.points, key=lambda point: point.sequence)
    assert (list(found.gaps), found.left_out) == (gaps, len(points) - len(found.points))
    if len(points) <= most:
        assert list(found.points) == points
        return
    parts, width = most // 4, points[-1].at - points[0].at
    for number in range(parts):
        part = [p for p in points if min(int((p.at - 1) / width * parts), parts - 1) == number]
        kept = [p for p in found.points if p in part]
        for power in (lambda p: p.net.value, lambda p: p.gross.value):
            assert [min(map(power, part), default=0), max(map(power, part), default=0)] == [
                min(map(power, kept), default=0),
                max(map(power, kept), default=0),
            ]


def test_what_a_writer_writes_is_read(state) -> None:
    files = ActivityFiles(state.activity)
    for number in range(3):
        files.append(pack_row(row(files.next_sequence(), number, number, first=not number)))
    assert [one.sequence for one in power_since(state, 0).points] == [2, 3]
