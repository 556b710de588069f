"""Recorded readings: the file format ``cryoflux energy trace/v2``, and its strict reader.

JSON lines. Each measurement begins with a line that names the sources, what bounds them, and what else its
figures depend on; a trace that is continued has several:

    {"format": "cryoflux energy trace/v2", "boot_id": …, "wall_s": …, "sources": [{"name": …, …}, …],
     "idles": [{"source": …, "idle_uw": …, …}, …], "flags": […], "unread_uw": 0, "cpus": 2}

Each further line is one round of reading, all sources in the order of the first line:

    {"monotonic_ns": 12, "readings": [[energy_uj, epoch], [null, epoch], [energy_uj, epoch, check_uj, 7]],
     "busy_us": [all, allowed], "mark": "begins"}

``null`` is a failed read; ``check_uj`` may be null or absent; the fourth number is how many ns before the
round's end the source was read, absent where 0. ``busy_us``, absent where unknown, is the machine's CPU time.
What was measured goes from the first round marked ``begins`` to the last one marked ``ends``, which has the
``gain_error`` of each source as it was then. A line is one write, so a crash can only cut off the last one:
that is tolerated and said, any other damage is refused. ``trace/v1`` had no idle powers, CPU times or marks.
"""

from __future__ import annotations

__all__ = [
    "FORMAT",
    "Conditions",
    "Part",
    "RecordedSource",
    "Round",
    "RoundMark",
    "Trace",
    "check_sources",
    "parse_trace",
    "read_trace",
    "same_sources",
]

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from cryoflux.energy.baseline import BaselineState, Idle
from cryoflux.energy.interface import Reading, Source, SourceKind
from cryoflux.energy.processes import Busy
from cryoflux.errors import UsageError
from cryoflux.files import read_regular
from cryoflux.quantities import Tier

FORMAT = "cryoflux energy trace/v2"
_FORMAT_V1 = "cryoflux energy trace/v1"
_LARGEST = 2**63 - 1
_MOST_BYTES = 2**30
_OPTIONAL = ("busy_us", "mark", "gain_error")

RoundMark = Literal["", "begins", "ends"]
"""Where in a recording the measurement begins and ends."""


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """What the recorded source said about itself; the fields are those of `Source`."""

    name: str
    kind: SourceKind
    tier: Tier
    range_uj: int | None
    max_power_uw: int
    gain_error: tuple[float, float]
    resolution_uj: int
    update_s: float
    curve: str
    idle_uw: int | None
    ceiling_uw: int = 0
    """what its hardware cannot exceed, where ``max_power_uw`` is only what it states; 0 where it is not"""

    @classmethod
    def of(cls, source: Source) -> RecordedSource:
        """The properties of a live source."""
        return cls(
            name=source.name,
            kind=source.kind,
            tier=source.tier,
            range_uj=source.range_uj,
            max_power_uw=source.max_power_uw,
            gain_error=source.gain_error,
            resolution_uj=source.resolution_uj,
            update_s=source.update_s,
            curve=source.curve,
            idle_uw=source.idle_uw,
            ceiling_uw=int(getattr(source, "ceiling_uw", 0)),
        )


@dataclass(frozen=True, slots=True)
class Round:
    """What all sources showed when they were read together."""

    monotonic_ns: int
    """when all of them had been read"""
    readings: tuple[Reading, ...]
    busy: Busy | None = None
    """CPU time of the machine; none where it is not known"""
    mark: RoundMark = ""
    gain_errors: tuple[tuple[float, float], ...] = ()
    """of the sources as they were then; empty where that was not noted"""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the figures of a measurement depend on beside its readings."""

    idles: tuple[Idle, ...] = ()
    """the baseline that was measured against; empty where that was not noted"""
    flags: tuple[str, ...] = ()
    """what was wrong with every figure"""
    unread_uw: int = 0
    """no more than this could flow unseen beside the sources"""
    cpus: int = 1
    """how many CPUs were allowed"""


@dataclass(frozen=True, slots=True)
class Part:
    """The recording of one measurement."""

    wall_s: float
    sources: tuple[RecordedSource, ...]
    conditions: Conditions
    rounds: tuple[Round, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole recording."""

    boot_id: str
    wall_s: float
    """wall time at its start, seconds since 1970; a label"""
    sources: tuple[RecordedSource, ...]
    rounds: tuple[Round, ...]
    """at least one"""
    truncated: bool = False
    """whether the last line was cut off by a crash, and left out"""
    parts: tuple[Part, ...] = field(default=(), compare=False)
    """the same, measurement by measurement"""

    @property
    def flags(self) -> tuple[str, ...]:
        """What is wrong with all figures from it."""
        return ("trace-truncated",) if self.truncated else ()


def read_trace(path: Path) -> Trace:
    """The trace in a file.

    Raises:
        UsageError: there is no such file, or it is not a whole trace; says in which line.
    """
    try:
        content = read_regular(path, _MOST_BYTES)
    except OSError as error:
        raise UsageError(
            f"The trace {path} cannot be read: {error.strerror}.",
            hint="Record one with `cryoflux energy measure --trace FILE`.",
        ) from error
    return parse_trace(content, path, least_rounds=1)


class _DamageError(ValueError):
    """What is wrong with a line."""


def _refuse(path: Path, line: int, reason: str) -> NoReturn:
    raise UsageError(
        f"{path}, line {line}: {reason}.",
        why="A trace that is not whole cannot stand in for the readings it holds.",
        hint="Use the file as it was recorded.",
    )


def parse_trace(content: bytes, path: Path, *, least_rounds: int) -> Trace:
    """The trace that these bytes are, which were read at ``path``; it needs so many rounds at least.

    Raises:
        UsageError: it is not a whole trace; says in which line.
    """
    lines = content.split(b"\n")
    cut_off = lines.pop()
    if not lines:
        _refuse(path, 1, "the file is empty" if not content else "the first line was cut off")
    number = 1
    try:
        boot_id, first = _header(_json(lines[0]))
        check_sources(first.sources, path)
        parts, rounds = [(first, 0)], list[Round]()
        for number, line in enumerate(lines[1:], start=2):  # noqa: B007 - names the line in the error
            document = _json(line)
            if "format" in document:
                parts.append((_next_part(document, boot_id, first), len(rounds)))
            else:
                count = len(first.sources)
                rounds.append(_round(document, count, rounds[-1] if rounds else None))
    except _DamageError as error:
        _refuse(path, number, str(error))
    if len(rounds) < least_rounds:
        _refuse(path, number + 1, "there is no reading")
    ends = [begin for _, begin in parts[1:]] + [len(rounds)]
    whole = tuple(
        Part(part.wall_s, part.sources, part.conditions, tuple(rounds[begin:end]))
        for (part, begin), end in zip(parts, ends, strict=True)
    )
    return Trace(boot_id, first.wall_s, first.sources, tuple(rounds), bool(cut_off), whole)


def _next_part(document: dict[str, Any], boot_id: str, first: Part) -> Part:
    boot, part = _header(document)
    if boot != boot_id or not same_sources(part.sources, first.sources):
        raise _DamageError("it goes on with other sources, or after a restart of the machine")
    return part


def same_sources(some: Sequence[RecordedSource], others: Sequence[RecordedSource]) -> bool:
    """Whether the counters of the one go on in the other."""
    # The gain of a source that is integrated moves with the rhythm of its reads.
    ours, theirs = ([(one.name, one.kind, one.tier, one.range_uj) for one in each] for each in (some, others))
    return ours == theirs


def check_sources(sources: Sequence[RecordedSource], path: Path) -> None:
    """Refuse sources that cannot be told apart.

    Raises:
        UsageError: there is none, or two have one name.
    """
    names = [source.name for source in sources]
    if not names or len(set(names)) != len(names):
        _refuse(path, 1, "it needs one source at least, each with a name of its own")


def _json(line: bytes) -> dict[str, Any]:
    def no_constant(name: str) -> NoReturn:
        raise _DamageError(f"{name} is not a number")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise _DamageError("a name is given twice")
        return dict(pairs)

    try:
        document = json.loads(line.decode("utf-8"), parse_constant=no_constant, object_pairs_hook=once)
    except _DamageError:
        raise
    except (ValueError, RecursionError) as error:
        raise _DamageError("it is not JSON") from error
    if not isinstance(document, dict):
        raise _DamageError("it is not a JSON object")
    return document


def _exactly(document: dict[str, Any], fields: Iterable[str]) -> None:
    if set(document) != set(fields):
        odd = sorted(set(document) ^ set(fields))
        raise _DamageError(f"unknown or missing: {', '.join(odd)}")


def _integer(value: Any, name: str, *, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= _LARGEST:
        raise _DamageError(f"{name} is not a whole number of at least {least}")
    return value


def _optional(value: Any, name: str, *, least: int = 0) -> int | None:
    return None if value is None else _integer(value, name, least=least)


def _number(value: Any, name: str) -> float:
    if type(value) not in {int, float} or not 0 <= value < math.inf:
        raise _DamageError(f"{name} is not a number of at least 0")
    return float(value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise _DamageError(f"{name} is not a text")
    return value


def _header(document: dict[str, Any]) -> tuple[str, Part]:
    named = ("format", "boot_id", "wall_s", "sources")
    if document.get("format") not in {FORMAT, _FORMAT_V1}:
        raise _DamageError(f"this is not a {FORMAT}")
    conditions = Conditions()
    if document["format"] == FORMAT:
        _exactly(document, (*named, *Conditions.__dataclass_fields__))
        conditions = _conditions(document)
    else:
        _exactly(document, named)
    sources = tuple(_source(entry) for entry in _list(document["sources"], "sources"))
    part = Part(_number(document["wall_s"], "wall_s"), sources, conditions, ())
    return _text(document["boot_id"], "boot_id"), part


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise _DamageError(f"{name} is not a list")
    return value


def _conditions(document: dict[str, Any]) -> Conditions:
    return Conditions(
        idles=tuple(_idle(entry) for entry in _list(document["idles"], "idles")),
        flags=tuple(_text(flag, "a flag") for flag in _list(document["flags"], "flags")),
        unread_uw=_integer(document["unread_uw"], "unread_uw"),
        cpus=_integer(document["cpus"], "cpus", least=1),
    )


def _idle(entry: Any) -> Idle:
    if not isinstance(entry, dict):
        raise _DamageError("an idle power is not an object")
    _exactly(entry, Idle.__dataclass_fields__)
    if entry["tier"] not in list(Tier) or entry["state"] not in get_args(BaselineState):
        raise _DamageError(f"there is no tier {entry['tier']!r}, or no state {entry['state']!r}")
    for one in fields(Idle):
        check = _integer if one.name in {"idle_uw", "error_uw", "blocks", "doubt_uw"} else _text
        check(entry[one.name], one.name)
    return Idle(**{**entry, "tier": Tier(entry["tier"])})


def _source(entry: Any) -> RecordedSource:
    if not isinstance(entry, dict):
        raise _DamageError("a source is not an object")
    entry = {"ceiling_uw": 0, **entry}  # older traces have none
    _exactly(entry, RecordedSource.__dataclass_fields__)
    kind, tier = entry["kind"], entry["tier"]
    if kind not in get_args(SourceKind) or tier not in list(Tier):
        raise _DamageError(f"there is no kind {kind!r}, or no tier {tier!r}")
    return RecordedSource(
        name=_text(entry["name"], "name"),
        kind=kind,
        tier=Tier(tier),
        range_uj=_optional(entry["range_uj"], "range_uj", least=1),
        max_power_uw=_integer(entry["max_power_uw"], "max_power_uw", least=1),
        gain_error=_gain_error(entry["gain_error"]),
        resolution_uj=_integer(entry["resolution_uj"], "resolution_uj"),
        update_s=_number(entry["update_s"], "update_s"),
        curve=_text(entry["curve"], "curve"),
        idle_uw=_optional(entry["idle_uw"], "idle_uw"),
        ceiling_uw=_integer(entry["ceiling_uw"], "ceiling_uw"),
    )


def _gain_error(pair: Any) -> tuple[float, float]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise _DamageError("gain_error is not a pair")
    low, high = (_number(end, "gain_error") for end in pair)
    if not low <= 1 <= high:
        raise _DamageError("gain_error does not hold 1")
    return low, high


def _round(document: dict[str, Any], count: int, before: Round | None) -> Round:
    _exactly({**dict.fromkeys(_OPTIONAL), **document}, ("monotonic_ns", "readings", *_OPTIONAL))
    end_ns = _integer(document["monotonic_ns"], "monotonic_ns")
    entries = document["readings"]
    if not isinstance(entries, list) or len(entries) != count:
        raise _DamageError(f"it needs {count} readings")
    readings = tuple(_reading(entry, end_ns) for entry in entries)
    then_ns = [reading.monotonic_ns for reading in before.readings] if before else [0] * count
    if any(now.monotonic_ns < then for now, then in zip(readings, then_ns, strict=True)):
        raise _DamageError("time goes back")
    mark = document.get("mark", "")
    if mark not in get_args(RoundMark):
        raise _DamageError(f"there is no mark {mark!r}")
    gains = tuple(_gain_error(pair) for pair in _list(document.get("gain_error", []), "gain_error"))
    if len(gains) not in {0, count}:
        raise _DamageError(f"gain_error is not of {count} sources")
    return Round(end_ns, readings, _busy(document.get("busy_us")), mark, gains)


def _busy(entry: Any) -> Busy | None:
    if entry is None:
        return None
    if not isinstance(entry, list) or len(entry) != 2:
        raise _DamageError("busy_us is not a pair")
    return Busy(*(_integer(us, "busy_us") for us in entry))


def _reading(entry: Any, end_ns: int) -> Reading:
    if not isinstance(entry, list) or not 2 <= len(entry) <= 4:
        raise _DamageError("a reading is not [energy_uj, epoch, check_uj, ns before]")
    check = entry[2] if len(entry) > 2 else None
    at_ns = end_ns - _integer(entry[3] if len(entry) > 3 else 0, "ns before")
    if at_ns < 0:
        raise _DamageError("a reading lies before time began")
    return Reading(
        _optional(entry[0], "energy_uj"), at_ns, _text(entry[1], "epoch"), _optional(check, "check_uj")
    )
