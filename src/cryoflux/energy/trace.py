"""Recorded readings: the file format ``cryoflux energy trace/v1``, its writer and its strict reader.

JSON lines. The first names the sources and what bounds them:

    {"format": "cryoflux energy trace/v1", "boot_id": …, "wall_s": …, "sources": [{"name": …, …}, …]}

Each further line is one round of reading, all sources in the order of the first line:

    {"monotonic_ns": 12, "readings": [[energy_uj, epoch], [null, epoch], [energy_uj, epoch, check_uj, 7]]}

``null`` is a failed read. ``check_uj`` may be null or absent. The fourth number is how many nanoseconds
before the round's end that source was read; it is absent where it is 0. A line goes to the file in one
write, so a crash can only cut off the last one; that is tolerated and said. Any other damage is refused.
"""

from __future__ import annotations

__all__ = ["FORMAT", "RecordedSource", "Round", "Trace", "TraceWriter", "read_trace"]

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, get_args

from cryoflux.energy.clock import Clock
from cryoflux.energy.interface import Reading, Source, SourceKind
from cryoflux.errors import UsageError
from cryoflux.files import storage_errors
from cryoflux.quantities import Tier

FORMAT = "cryoflux energy trace/v1"
_LARGEST = 2**63 - 1


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
    """when the last of them was read"""
    readings: tuple[Reading, ...]


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

    @property
    def flags(self) -> tuple[str, ...]:
        """What is wrong with all figures from it."""
        return ("trace-truncated",) if self.truncated else ()


class TraceWriter:
    """Appends rounds to a trace, a line at a time.

    Args:
        path: a new file, or a trace of the same sources since the same boot, which is continued.
        sources: what is recorded, in the order of the readings.
        clock: names the boot, and labels the start.

    Raises:
        UsageError: there is another file of that name.
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path, sources: Sequence[Source], clock: Clock) -> None:
        self._path = path
        self._sources = tuple(RecordedSource.of(source) for source in sources)
        _check_sources(self._sources, path)
        with storage_errors(path):
            kept = self._kept(clock.boot_id) if path.exists() and path.stat().st_size else 0
            self._file = path.open("ab", buffering=0)
            if kept:
                self._file.truncate(kept)
        if not kept:
            self._begin(clock)

    def _begin(self, clock: Clock) -> None:
        described = [{**asdict(source), "tier": str(source.tier)} for source in self._sources]
        header = {"format": FORMAT, "boot_id": clock.boot_id, "wall_s": clock.wall_s(), "sources": described}
        try:
            self._append(header)
        except BaseException:
            self.close()
            raise

    def _kept(self, boot_id: str) -> int:
        # What a crash cut off is not part of the trace; what follows must begin on a line of its own.
        content = self._path.read_bytes()
        trace = _parse(content, self._path, least_rounds=0)
        # The gain of a source that is integrated moves with the rhythm of its reads.
        same = [(one.name, one.kind, one.tier, one.range_uj) for one in trace.sources] == [
            (one.name, one.kind, one.tier, one.range_uj) for one in self._sources
        ]
        if trace.boot_id != boot_id or not same:
            raise UsageError(
                f"{self._path} is a trace of other sources, or from before the last start of this machine.",
                why="Its counters do not continue here.",
                hint="Give the new trace another name.",
            )
        return content.rfind(b"\n") + 1

    def write(self, readings: Sequence[Reading]) -> None:
        """Append one round: the reading of each source.

        Raises:
            StorageError: the disk refuses.
        """
        if len(readings) != len(self._sources):
            raise ValueError(f"{len(readings)} readings of {len(self._sources)} sources")
        end_ns = max(reading.monotonic_ns for reading in readings)
        entries = [_entry(reading, end_ns) for reading in readings]
        self._append({"monotonic_ns": end_ns, "readings": entries})

    def _append(self, document: dict[str, object]) -> None:
        line = json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
        with storage_errors(self._path):
            written = self._file.write(line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes of a line")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        """The writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def _entry(reading: Reading, end_ns: int) -> list[object]:
    entry: list[object] = [
        reading.energy_uj,
        reading.epoch,
        reading.check_uj,
        end_ns - reading.monotonic_ns,
    ]
    if not entry[3]:
        entry.pop()
        if entry[2] is None:
            entry.pop()
    return entry


def read_trace(path: Path) -> Trace:
    """The trace in a file.

    Raises:
        UsageError: there is no such file, or it is not a whole trace; says in which line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"The trace {path} cannot be read: {error.strerror}.",
            hint="Record one with `cryoflux energy measure --trace FILE`.",
        ) from error
    return _parse(content, path, least_rounds=1)


class _DamageError(ValueError):
    """What is wrong with a line."""


def _refuse(path: Path, line: int, reason: str) -> NoReturn:
    raise UsageError(
        f"{path}, line {line}: {reason}.",
        why="A trace that is not whole cannot stand in for the readings it holds.",
        hint="Use the file as it was recorded.",
    )


def _parse(content: bytes, path: Path, *, least_rounds: int) -> Trace:
    lines = content.split(b"\n")
    cut_off = lines.pop()
    if not lines:
        _refuse(path, 1, "the file is empty" if not content else "the first line was cut off")
    number = 1
    try:
        boot_id, wall_s, sources = _header(_json(lines[0]))
        _check_sources(sources, path)
        rounds: list[Round] = []
        for number, line in enumerate(lines[1:], start=2):  # noqa: B007 - names the line in the error
            rounds.append(_round(_json(line), len(sources), rounds[-1] if rounds else None))
    except _DamageError as error:
        _refuse(path, number, str(error))
    if len(rounds) < least_rounds:
        _refuse(path, number + 1, "there is no reading")
    return Trace(boot_id, wall_s, sources, tuple(rounds), truncated=bool(cut_off))


def _check_sources(sources: Sequence[RecordedSource], path: Path) -> None:
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


def _header(document: dict[str, Any]) -> tuple[str, float, tuple[RecordedSource, ...]]:
    if document.get("format") != FORMAT:
        raise _DamageError(f"this is not a {FORMAT}")
    _exactly(document, ("format", "boot_id", "wall_s", "sources"))
    if not isinstance(document["sources"], list):
        raise _DamageError("sources is not a list")
    sources = tuple(_source(entry) for entry in document["sources"])
    return _text(document["boot_id"], "boot_id"), _number(document["wall_s"], "wall_s"), sources


def _source(entry: Any) -> RecordedSource:
    if not isinstance(entry, dict):
        raise _DamageError("a source is not an object")
    entry = {"ceiling_uw": 0, **entry}  # older traces have none
    _exactly(entry, RecordedSource.__dataclass_fields__)
    kind, tier, gain = entry["kind"], entry["tier"], entry["gain_error"]
    if kind not in get_args(SourceKind) or tier not in list(Tier):
        raise _DamageError(f"there is no kind {kind!r}, or no tier {tier!r}")
    if not isinstance(gain, list) or len(gain) != 2:
        raise _DamageError("gain_error is not a pair")
    low, high = (_number(end, "gain_error") for end in gain)
    if not low <= 1 <= high:
        raise _DamageError("gain_error does not hold 1")
    return RecordedSource(
        name=_text(entry["name"], "name"),
        kind=kind,
        tier=Tier(tier),
        range_uj=_optional(entry["range_uj"], "range_uj", least=1),
        max_power_uw=_integer(entry["max_power_uw"], "max_power_uw", least=1),
        gain_error=(low, high),
        resolution_uj=_integer(entry["resolution_uj"], "resolution_uj"),
        update_s=_number(entry["update_s"], "update_s"),
        curve=_text(entry["curve"], "curve"),
        idle_uw=_optional(entry["idle_uw"], "idle_uw"),
        ceiling_uw=_integer(entry["ceiling_uw"], "ceiling_uw"),
    )


def _round(document: dict[str, Any], count: int, before: Round | None) -> Round:
    _exactly(document, ("monotonic_ns", "readings"))
    end_ns = _integer(document["monotonic_ns"], "monotonic_ns")
    entries = document["readings"]
    if not isinstance(entries, list) or len(entries) != count:
        raise _DamageError(f"it needs {count} readings")
    readings = tuple(_reading(entry, end_ns) for entry in entries)
    then_ns = [reading.monotonic_ns for reading in before.readings] if before else [0] * count
    if any(now.monotonic_ns < then for now, then in zip(readings, then_ns, strict=True)):
        raise _DamageError("time goes back")
    return Round(end_ns, readings)


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
