"""The attempts of a log one after the other, for whoever hands them on: rows, and what the meter counted.

A log that grows is followed: what was handed on is not read again.
"""

from __future__ import annotations

__all__ = ["GrossEnergy", "TrackedAttempt", "run_name", "tracked_attempts"]

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.energy.account.settlement import CounterWindow, read_settlement
from cryoflux.energy.interface import SourceKind
from cryoflux.errors import VerificationError
from cryoflux.quantities import MICRO
from cryoflux.queries.rows import attempt_row, each_attempt
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.charged import MeteredPart
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.reading import each_entry

_Waits = Callable[[], bool]
_NAME = 8


@dataclass(frozen=True, slots=True)
class GrossEnergy:
    """What a source of the meter counted during an attempt: of the whole machine, its idle power included."""

    source: str
    """its name; ``w1/cpu-model`` where it is one of a worker's machine"""
    kind: SourceKind
    joules: float


@dataclass(frozen=True, slots=True)
class TrackedAttempt:
    """A finished attempt."""

    row: Mapping[str, Any]
    """as `queries.rows.attempt_row` makes it"""
    gross: tuple[GrossEnergy, ...]
    """by source; empty where a meter did not say, or began to count anew meanwhile"""


def run_name(state: Path) -> str:
    """What a log is called among others: its folder, and the beginning of the hash of its first entry.

    Raises:
        UsageError, StateTamperedError, StateError: as for `tracked_attempts`.
    """
    first = next(iter(each_entry(state)), None)
    folder = state.resolve().name
    return folder if first is None else f"{folder}-{first.leaf_hash[:_NAME]}"


def tracked_attempts(state: Path, waits: _Waits = lambda: False) -> Iterator[TrackedAttempt]:
    """The finished attempts of a state, oldest first.

    Args:
        state: the state directory.
        waits: asked when all were given; waits for more, and says whether to look again.

    Raises:
        UsageError: it holds no log.
        StateTamperedError: an entry is not well formed.
        StateError: a newer version wrote an entry.
    """
    for entry, attempt, unit in each_attempt(state, waits):
        yield _tracked(state, entry, attempt, unit)


def _tracked(state: Path, entry: Entry, attempt: Attempt, unit: str | None) -> TrackedAttempt:
    parts = entry.receipt.energy.by_meter if entry.receipt is not None else ()
    found = [_gross(part) for part in parts]
    gross = tuple(one for part in found for one in part) if all(found) else ()
    return TrackedAttempt(attempt_row(str(state), attempt, unit), gross)


def _gross(part: MeteredPart) -> tuple[GrossEnergy, ...]:
    """What the sources of one meter counted; those of a worker have its name before their own."""
    found: list[GrossEnergy] = []
    of = f"{part.worker}/" if part.worker else ""
    for one in _counters(part):
        first, last = one.first_microjoules, one.last_microjoules
        if first is None or last is None or last < first or one.first_epoch != one.last_epoch:
            return ()
        found.append(GrossEnergy(f"{of}{one.source}", _kind(one.source), (last - first) / MICRO))
    return tuple(found)


def _counters(part: MeteredPart) -> list[CounterWindow]:
    try:
        return read_settlement(part.settlement).counters if part.settlement else []
    except VerificationError:  # that it cannot be read, `verify` says
        return []


def _kind(source: str) -> SourceKind:
    """Of what a source is, by its name: a statement of a meter does not say more."""
    if source.startswith(("nvml:", "zeus:nvidia", "zeus:amd", "zeus:gpu")):
        return "gpu"
    return "dram" if "dram" in source else "cpu"
