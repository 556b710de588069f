"""The forms of what a run leaves for whoever watches it: one document of now, and rows of the meter.

Both are read by another process while they are written, and by anybody who finds them: a document is checked
against its types and bounds, and a row against its sum of check.

A row has 80 bytes, so that a place in a file is a multiplication: sequence number and attempt (u32), time
(i64 µs since 1970, steady within a run), gross and net energy with both ends and the bucket (i64 µJ), tiers
and step (u8), flags (u32, a bit each) and the lower half of the CRC-32 of all that.
"""

from __future__ import annotations

__all__ = [
    "FLAGS",
    "FURTHER_FLAG",
    "LONGEST_LINE",
    "LONGEST_WORD",
    "MOST_NOW_BYTES",
    "MOST_WORDS",
    "NOW",
    "OLDER_ROWS",
    "ROWS",
    "ROW_BYTES",
    "SCHEMA",
    "SaidAttempt",
    "SaidBudget",
    "SaidCount",
    "SaidEnd",
    "SaidEnergy",
    "SaidMeter",
    "SaidNow",
    "SaidProcess",
    "SaidSource",
    "SaidStep",
    "SaidTraining",
    "SampleRow",
    "pack_row",
    "rows_of_attempt",
    "said_line",
    "said_word",
    "unpack_row",
]

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from cryoflux.attempt.watch import Step
from cryoflux.quantities import MICRO, Energy, Tier

SCHEMA: Final = "cryoflux.activity/1"
NOW = "now.json"
ROWS, OLDER_ROWS = "meter.rows", "meter-older.rows"
"""the series goes on in the first; once it is full it takes the place of the second"""
MOST_NOW_BYTES = 65_536
FLAGS = (
    *("above-power-limit", "baseline-drift", "baseline-relearned", "baseline-too-high"),
    *("baseline-unsettled", "counter-against-power", "counter-reset", "cpu-time-unplaced"),
    *("epoch-changed", "failed-read", "gpu-found-late", "gpu-shared", "gpu-users-hidden"),
    *("impossible-jump", "metered-across-restart", "meter-stumbled", "not-written", "own-time-only"),
    *("process-gone", "several-wraps", "start-unmetered", "no-source", "face-value"),
)
"""what the bits of a row mean, from the lowest on; never reordered"""
FURTHER_FLAG = "further-flag"
"""stands for any other one"""
_FURTHER, _FIRST = 1 << 30, 1 << 31
_ROW = struct.Struct("<IIqqqqqqqqBBI")
_CHECK = struct.Struct("<H")
ROW_BYTES = _ROW.size + _CHECK.size
_ATTEMPT = struct.Struct(f"<4xI{ROW_BYTES - 8}x")
"""a row, of which nothing but its attempt is looked at"""
_TIERS, _STEPS = tuple(Tier), tuple(Step)
_LEAST, _MOST = -(2**63), 2**63 - 1
_LATEST_US = 253_402_300_799 * MICRO
"""the end of the year 9999, which calendars know"""

LONGEST_WORD, LONGEST_LINE, MOST_WORDS = 200, 2000, 50
"""characters, and words or sources in a list: a reader takes no more"""
_Word = Annotated[str, Meta(max_length=LONGEST_WORD)]
_Line = Annotated[str, Meta(max_length=LONGEST_LINE)]
_Count = Annotated[int, Meta(ge=0, le=2**53)]
_Uj = Annotated[int, Meta(ge=_LEAST, le=_MOST)]
_Time = Annotated[float, Meta(ge=0, le=253_402_300_799)]
"""seconds since 1970, at most to the end of the year 9999"""
_Flags = Annotated[list[_Word], Meta(max_length=MOST_WORDS)]


def said_word(text: str) -> str:
    """As much of a name as a reader takes."""
    return _clean(text)[:LONGEST_WORD]


def said_line(text: str) -> str:
    """As much of a sentence as a reader takes."""
    return _clean(text)[:LONGEST_LINE]


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


class SaidProcess(Struct, frozen=True):
    """Which process a run is."""

    pid: _Count
    start_ticks: _Count
    """when it began, in ticks since boot; 0 where that is not told"""
    boot_id: _Word
    namespace: _Word
    """in which its number means it; empty where that is not told"""


class SaidCount(Struct, frozen=True):
    """How far something is."""

    what: _Line
    done: _Count
    total: _Count


class SaidStep(Struct, frozen=True):
    """One of the ten steps; it has begun, or was passed by."""

    step: Step
    began_at: _Time | None = None
    ended_at: _Time | None = None


class SaidTraining(Struct, frozen=True):
    """The last training step."""

    step: _Count
    planned: _Count
    loss: float | None
    spent_uj: _Uj
    reserved_uj: _Uj


class SaidAttempt(Struct, frozen=True):
    """The attempt that goes on, or the last one until the next begins."""

    number: _Count
    began_at: _Time
    steps: Annotated[list[SaidStep], Meta(max_length=len(_STEPS))]
    task: _Word = ""
    arm: _Word = ""
    why: _Line = ""
    finished: bool = False
    outcome: _Word = ""
    spent_uj: _Uj = 0
    preparing: SaidCount | None = None
    training: SaidTraining | None = None
    evaluation: SaidCount | None = None


class SaidBudget(Struct, frozen=True):
    """What the run may spend and has spent."""

    spendable_uj: _Uj
    attempts_uj: _Uj
    """charged to the attempts and rounds that are finished"""
    session_uj: _Uj
    """spent beside attempts"""
    closing_uj: _Uj
    reserve_uj: _Uj


class SaidEnergy(Struct, frozen=True):
    """An energy and its ends."""

    uj: _Uj
    lo_uj: _Uj
    hi_uj: _Uj
    tier: Tier


class SaidSource(Struct, frozen=True):
    """What one source of the meter shows."""

    name: _Word
    kind: _Word
    tier: Tier
    power_w: float
    idle_w: float


class SaidMeter(Struct, frozen=True):
    """The last sample of the meter."""

    at: _Time
    net_w: float
    bucket_uj: _Uj
    gross: SaidEnergy
    net: SaidEnergy
    baseline_state: _Word
    flags: _Flags
    sources: Annotated[list[SaidSource], Meta(max_length=MOST_WORDS)]
    daemon: bool = False
    """whether it is a JouleAgent's, and not in the run's process"""


class SaidEnd(Struct, frozen=True):
    """Why a run has ended."""

    at: _Time
    word: _Word
    sentence: _Line


class SaidNow(Struct, frozen=True):
    """What happens now."""

    schema: Literal["cryoflux.activity/1"]
    written_at: _Time
    process: SaidProcess
    began_at: _Time
    phase: Literal["preparing", "attempting", "waiting", "ended"]
    deadline_at: _Time | None = None
    doing: SaidCount | None = None
    waiting_for: _Word = ""
    budget: SaidBudget | None = None
    attempt: SaidAttempt | None = None
    meter: SaidMeter | None = None
    end: SaidEnd | None = None
    closing: bool = False
    """whether no attempt follows in this session; its phase is ``preparing`` for who does not know it"""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """The meter at one moment."""

    sequence: int
    """goes on over all runs of a state"""
    at_us: int
    """µs since 1970, by a clock that is steady within a run"""
    gross: Energy
    """since the meter started"""
    net: Energy
    """since the meter started, signed"""
    bucket_uj: int
    attempt: int
    """that went on; 0 where none did"""
    step: Step | None
    first: bool
    """whether nothing before it comes from the same meter"""


def pack_row(row: SampleRow) -> bytes:
    """The bytes of a row."""
    bits = _FIRST if row.first else 0
    for flag in {*row.gross.flags, *row.net.flags}:
        bits |= 1 << FLAGS.index(flag) if flag in FLAGS else _FURTHER
    amounts = (
        *(row.gross.uj, row.gross.lo_uj, row.gross.hi_uj),
        *(row.net.uj, row.net.lo_uj, row.net.hi_uj, row.bucket_uj),
    )
    body = _ROW.pack(
        row.sequence & 0xFFFFFFFF,
        row.attempt & 0xFFFFFFFF,
        row.at_us,
        *(min(max(amount, _LEAST), _MOST) for amount in amounts),
        _TIERS.index(row.gross.tier) << 4 | _TIERS.index(row.net.tier),
        _STEPS.index(row.step) + 1 if row.step is not None else 0,
        bits,
    )
    return body + _CHECK.pack(zlib.crc32(body) & 0xFFFF)


@lru_cache(maxsize=256)
def _flags_of(bits: int) -> tuple[str, ...]:
    flags = sorted(flag for place, flag in enumerate(FLAGS) if bits & 1 << place)
    return (*flags, FURTHER_FLAG) if bits & _FURTHER else tuple(flags)


def unpack_row(content: bytes) -> SampleRow | None:
    """The row that some bytes are; none where they are no row."""
    if len(content) != ROW_BYTES:
        return None
    body = content[: _ROW.size]
    if _CHECK.unpack(content[_ROW.size :])[0] != zlib.crc32(body) & 0xFFFF:
        return None
    sequence, attempt, at_us, *amounts, tiers, step, bits = _ROW.unpack(body)
    gross, gross_lo, gross_hi, net, net_lo, net_hi, bucket = amounts
    if not 0 <= at_us <= _LATEST_US:
        return None
    told = _flags_of(bits & ~_FIRST)
    try:
        return SampleRow(
            sequence,
            at_us,
            Energy(gross, gross_lo, gross_hi, _TIERS[tiers >> 4], told),
            Energy(net, net_lo, net_hi, _TIERS[tiers & 15], told),
            bucket,
            attempt,
            _STEPS[step - 1] if step else None,
            bool(bits & _FIRST),
        )
    except (IndexError, ValueError):  # the sum of check agrees by chance, or by intent
        return None


def rows_of_attempt(content: bytes, number: int) -> range:
    """Which of some rows, by their places, begin and end with one that names an attempt.

    Args:
        content: whole rows, one after the other; none of them is checked here.
        number: of the attempt.
    """
    places = [place for place, (said,) in enumerate(_ATTEMPT.iter_unpack(content)) if said == number]
    return range(places[0], places[-1] + 1) if places else range(0)
