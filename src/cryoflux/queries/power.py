"""The power of the machine over time, as a run has noted it once a second.

A run notes cumulative joules with both ends; watts are differences of these, so that no end is averaged away.
Where nothing was noted for a while, or another meter began, there is a gap and no figure.
"""

from __future__ import annotations

__all__ = [
    "PowerGap",
    "PowerPoint",
    "PowerSeries",
    "Watts",
    "power_of_attempt",
    "power_since",
]

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryoflux.attempt.watch import Step
from cryoflux.files import open_regular
from cryoflux.quantities import MICRO, Energy, Tier
from cryoflux.runs.activity_form import (
    OLDER_ROWS,
    ROW_BYTES,
    ROWS,
    SampleRow,
    rows_of_attempt,
    unpack_row,
)
from cryoflux.state import StateFolder

_GAP_US = 5 * MICRO
"""longer than that between two rows is a gap"""
_FEW_ROWS, _MANY_ROWS = 64, 4096
"""read at once: what comes each second asks for few, and a day for many"""
_MOST_ROWS = 40_000
"""of a file, the newest ones; a run keeps fewer"""
_MOST_GAPS = 50
"""of a series; a picture of more would be nothing else"""
_MOST_W = 1_000_000.0
"""a machine draws less: what says more, or as much less than nothing, is no figure of one"""
_SHOWN = 4
"""rows that a part of a long series can need: the least and the greatest, gross and net"""


@dataclass(frozen=True, slots=True)
class Watts:
    """A mean power between two ends, W: 95 % where it was measured, plausible where it was modelled."""

    value: float
    low: float
    high: float
    tier: Tier


@dataclass(frozen=True, slots=True)
class PowerPoint:
    """The power over about a second."""

    sequence: int
    """goes on over all runs of a state"""
    at: float
    """the end of that second, seconds since 1970"""
    seconds: float
    """how long it really was"""
    gross: Watts
    net: Watts
    flags: tuple[str, ...]
    bucket_uj: int
    """what could be taken at its end, µJ"""
    attempt: int
    """that went on at its end; 0 where none did"""
    step: Step | None


@dataclass(frozen=True, slots=True)
class PowerGap:
    """A time of which nothing is known: no run, or a silent meter."""

    began_at: float
    """seconds since 1970"""
    ended_at: float


@dataclass(frozen=True, slots=True)
class PowerSeries:
    """What was asked for, in its order."""

    points: tuple[PowerPoint, ...]
    gaps: tuple[PowerGap, ...]
    newest: int
    """sequence number of the newest row that there is; 0 where there is none"""
    left_out: int = 0
    """points that were asked for and are not shown: older ones, or those between the peaks"""


def power_since(state: StateFolder, sequence: int, *, most: int = 600) -> PowerSeries:
    """What came after a sequence number, the newest ``most`` points of it.

    A number that is beyond the newest one is of a series that was deleted: all is new then.

    Args:
        state: whose run.
        sequence: the newest number that is known already; 0 for none.
        most: so many points.
    """
    found = list[SampleRow]()
    for chunk in _chunks_back(state):
        found[:0] = chunk
        if found[0].sequence <= sequence <= found[-1].sequence or len(found) > most + 1:
            break
    newest = found[-1].sequence if found else 0
    begin = sequence if sequence <= newest else 0
    points, gaps = _few_gaps(*_differences(_with_one_before(found, lambda row: row.sequence > begin)))
    shown = points[-most:] if most > 0 else []
    return _series(shown, gaps, newest, len(points) - len(shown))


def power_of_attempt(state: StateFolder, number: int, *, points: int = 600) -> PowerSeries:
    """What was drawn while an attempt went on, in at most so many points; nothing where it is too long ago.

    Where there are more, the time is cut into equal parts, and of each its lowest and highest point stay,
    gross and net: a peak of one second is seen in the picture of a day.

    Args:
        state: whose run.
        number: of the attempt, from 1 on.
        points: so many at most, four at least.
    """
    content = _newest_bytes(state.activity / ROWS)
    # Where each row stands is a multiplication, so that only those of the attempt are read and checked.
    places = rows_of_attempt(content, number) if number > 0 else range(0)
    if not places.start:  # it begins in the older file, or there is nothing of it
        content = _newest_bytes(state.activity / OLDER_ROWS) + content
        places = rows_of_attempt(content, number) if number > 0 else range(0)
    begin = max(0, places.start - _FEW_ROWS)
    found = _rising(_rows(content[begin * ROW_BYTES : places.stop * ROW_BYTES]))
    last = _rows(content[-_FEW_ROWS * ROW_BYTES :])
    pairs = _with_one_before(found, lambda row: row.attempt == number)
    all_points, gaps = _few_gaps(*_differences(pairs))
    return _thinned(all_points, gaps, last[-1].sequence if last else 0, points)


def _newest_bytes(path: Path) -> bytes:
    """The rows of a file that a run may have left, whole and unchecked; nothing where it cannot be read."""
    try:
        with open_regular(path) as stream:
            rows = os.fstat(stream.fileno()).st_size // ROW_BYTES
            stream.seek(max(0, rows - _MOST_ROWS) * ROW_BYTES)
            content = stream.read(min(rows, _MOST_ROWS) * ROW_BYTES)
    except OSError:
        return b""
    return content[: len(content) // ROW_BYTES * ROW_BYTES]


def _rows(content: bytes) -> list[SampleRow]:
    """Some bytes as rows, without those that are none."""
    cut = (content[at : at + ROW_BYTES] for at in range(0, len(content), ROW_BYTES))
    return [row for part in cut if (row := unpack_row(part)) is not None]


def _chunks_back(state: StateFolder) -> Iterator[list[SampleRow]]:
    """The rows of both files, from the newest on, in parts that are in order within."""
    before: int | None = None
    # The newer file first: if it becomes the older one meanwhile, rows are met twice and none is missed.
    for name in (ROWS, OLDER_ROWS):
        with suppress(OSError):
            for chunk in _of_file(state.activity / name, _MOST_ROWS):
                # What stands behind its successor is no part of the series.
                rows = [row for row in chunk if before is None or row.sequence < before]
                rows = _rising(rows)
                if rows:
                    before = rows[0].sequence
                    yield rows


def _rising(rows: Sequence[SampleRow]) -> list[SampleRow]:
    kept = list[SampleRow]()
    for row in rows:
        if not kept or row.sequence > kept[-1].sequence:
            kept.append(row)
    return kept


def _of_file(path: Path, most: int) -> Iterator[list[SampleRow]]:
    count = _FEW_ROWS
    with open_regular(path) as stream:
        end = os.fstat(stream.fileno()).st_size // ROW_BYTES
        least = max(0, end - most)
        while end > least:
            begin, count = max(least, end - count), min(2 * count, _MANY_ROWS)
            stream.seek(begin * ROW_BYTES)
            yield _rows(stream.read((end - begin) * ROW_BYTES))
            end = begin


def _with_one_before(
    rows: Sequence[SampleRow], wanted: Callable[[SampleRow], bool]
) -> list[tuple[SampleRow | None, SampleRow]]:
    """The rows that are wanted, each with the one before it."""
    before: list[SampleRow | None] = [None, *rows]
    return [(earlier, row) for earlier, row in zip(before, rows, strict=False) if wanted(row)]


def _differences(
    pairs: Sequence[tuple[SampleRow | None, SampleRow]],
) -> tuple[list[PowerPoint], list[PowerGap]]:
    points, gaps = list[PowerPoint](), list[PowerGap]()
    for earlier, row in pairs:
        if earlier is None:
            continue
        width_us = row.at_us - earlier.at_us
        if row.first or not 0 < width_us <= _GAP_US:
            gaps.append(PowerGap(*(at_us / MICRO for at_us in sorted((earlier.at_us, row.at_us)))))
        elif _can_be((point := _point(earlier, row, width_us)).net) and _can_be(point.gross):
            points.append(point)
        else:
            gaps.append(PowerGap(earlier.at_us / MICRO, row.at_us / MICRO))
    return points, gaps


def _point(earlier: SampleRow, row: SampleRow, width_us: int) -> PowerPoint:
    return PowerPoint(
        sequence=row.sequence,
        at=row.at_us / MICRO,
        seconds=width_us / MICRO,
        gross=_watts(earlier.gross, row.gross, width_us),
        net=_watts(earlier.net, row.net, width_us),
        flags=row.gross.flags,
        bucket_uj=row.bucket_uj,
        attempt=row.attempt,
        step=row.step,
    )


def _few_gaps(points: list[PowerPoint], gaps: list[PowerGap]) -> tuple[list[PowerPoint], list[PowerGap]]:
    """The same with few gaps: where there are many, those of a part of the time are one, with all between."""
    if len(gaps) <= _MOST_GAPS:
        return points, gaps
    begin, end = min(gap.began_at for gap in gaps), max(gap.ended_at for gap in gaps)

    def part(at: float) -> int:
        return min(int((at - begin) / max(end - begin, 1 / MICRO) * _MOST_GAPS), _MOST_GAPS - 1)

    joined: dict[int, PowerGap] = {}
    for gap in gaps:
        known = joined.setdefault(part(gap.began_at), gap)
        joined[part(gap.began_at)] = PowerGap(
            min(known.began_at, gap.began_at), max(known.ended_at, gap.ended_at)
        )

    def is_known(point: PowerPoint) -> bool:
        gap = joined.get(part(point.at))
        return gap is None or not gap.began_at < point.at <= gap.ended_at

    return [point for point in points if is_known(point)], sorted(
        joined.values(), key=lambda one: one.began_at
    )


def _can_be(watts: Watts) -> bool:
    return max(abs(watts.low), abs(watts.high)) <= _MOST_W


def _watts(earlier: Energy, later: Energy, width_us: int) -> Watts:
    value = (later.uj - earlier.uj) / width_us
    # The ends of a sum are those of its parts together; what they do not share can only widen them.
    low, high = (later.lo_uj - earlier.lo_uj) / width_us, (later.hi_uj - earlier.hi_uj) / width_us
    return Watts(value, min(value, low), max(value, high), later.tier)


def _thinned(points: Sequence[PowerPoint], gaps: Sequence[PowerGap], newest: int, most: int) -> PowerSeries:
    kept = list(points) if len(points) <= most else _peaks(points, max(1, most // _SHOWN))
    return _series(kept, gaps, newest, len(points) - len(kept))


def _peaks(points: Sequence[PowerPoint], parts: int) -> list[PowerPoint]:
    """Of each of some equal parts of the time, the points with the least and the greatest power."""
    begin, end = min(point.at for point in points), max(point.at for point in points)
    cut: dict[int, list[PowerPoint]] = {}
    for point in points:
        place = int((point.at - begin) / (end - begin) * parts) if end > begin else 0
        cut.setdefault(min(place, parts - 1), []).append(point)
    kept: dict[int, PowerPoint] = {}
    for part in cut.values():
        for one in (
            *(min(part, key=_net), max(part, key=_net)),
            *(min(part, key=_gross), max(part, key=_gross)),
        ):
            kept[one.sequence] = one
    return [kept[sequence] for sequence in sorted(kept)]


def _net(point: PowerPoint) -> float:
    return point.net.value


def _gross(point: PowerPoint) -> float:
    return point.gross.value


def _series(
    points: Sequence[PowerPoint], gaps: Sequence[PowerGap], newest: int, left_out: int
) -> PowerSeries:
    return PowerSeries(tuple(points), tuple(gaps), newest, left_out)
