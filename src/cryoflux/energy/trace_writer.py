"""Appends what is measured to a trace (`energy.trace`), a line at a time."""

from __future__ import annotations

__all__ = ["TraceWriter"]

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryoflux.energy.clock import Clock
from cryoflux.energy.interface import Reading, Source
from cryoflux.energy.processes import Busy
from cryoflux.energy.trace import (
    FORMAT,
    Conditions,
    RecordedSource,
    RoundMark,
    check_sources,
    parse_trace,
    same_sources,
)
from cryoflux.errors import UsageError
from cryoflux.files import storage_errors


class TraceWriter:
    """Appends rounds to a trace, a line at a time.

    Args:
        path: a new file, or a trace of the same sources since the same boot, which is continued.
        sources: what is recorded, in the order of the readings.
        clock: names the boot, and labels the start.
        conditions: what the figures depend on beside the readings.

    Raises:
        UsageError: there is another file of that name.
        StorageError: it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        sources: Sequence[Source],
        clock: Clock,
        conditions: Conditions = Conditions(),  # noqa: B008 - it is frozen
    ) -> None:
        self._path = path
        self._live = tuple(sources)
        self._sources = tuple(RecordedSource.of(source) for source in sources)
        check_sources(self._sources, path)
        with storage_errors(path):
            kept = self._kept(clock.boot_id) if path.exists() and path.stat().st_size else 0
            self._file = path.open("ab", buffering=0)
            if kept:
                self._file.truncate(kept)
        self._begin(clock, conditions)

    def _begin(self, clock: Clock, conditions: Conditions) -> None:
        header = {
            "format": FORMAT,
            "boot_id": clock.boot_id,
            "wall_s": clock.wall_s(),
            "sources": [asdict(source) for source in self._sources],
            # Which machine it was is nobody's business.
            **asdict(conditions),
            "idles": [asdict(idle) | {"machine": ""} for idle in conditions.idles],
        }
        try:
            self._append(header)
        except BaseException:
            self.close()
            raise

    def _kept(self, boot_id: str) -> int:
        # What a crash cut off is not part of the trace; what follows must begin on a line of its own.
        content = self._path.read_bytes()
        trace = parse_trace(content, self._path, least_rounds=0)
        if trace.boot_id != boot_id or not same_sources(trace.sources, self._sources):
            raise UsageError(
                f"{self._path} is a trace of other sources, or from before the last start of this machine.",
                why="Its counters do not continue here.",
                hint="Give the new trace another name.",
            )
        return content.rfind(b"\n") + 1

    def write(
        self,
        readings: Sequence[Reading],
        *,
        busy: Busy | None = None,
        at_ns: int | None = None,
        mark: RoundMark = "",
    ) -> None:
        """Append one round.

        Args:
            readings: one of each source.
            busy: CPU time of the machine.
            at_ns: when all had been read; the time of the last of them by default.
            mark: whether what is measured begins or ends here.

        Raises:
            StorageError: the disk refuses.
        """
        if len(readings) != len(self._sources):
            raise ValueError(f"{len(readings)} readings of {len(self._sources)} sources")
        end_ns = max(*(reading.monotonic_ns for reading in readings), at_ns or 0)
        line: dict[str, Any] = {
            "monotonic_ns": end_ns,
            "readings": [_entry(reading, end_ns) for reading in readings],
        }
        if busy is not None:
            line["busy_us"] = [busy.all_us, busy.allowed_us]
        if mark:
            line["mark"] = mark
        if mark == "ends":
            line["gain_error"] = [source.gain_error for source in self._live]
        self._append(line)

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
