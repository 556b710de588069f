"""What every tracker is told of an attempt: one attempt is one step.

Names and units are those of the rows of ``cryoflux export`` (docs/reference/export.md). Numbers go where a
tracker draws lines, texts where it keeps words; that joules are modelled is said in both.
"""

from __future__ import annotations

__all__ = ["Told", "Tracker", "missing", "moment_s", "numbers_of", "sentence_of", "texts_of"]

import math
from datetime import UTC, datetime
from typing import Any, Protocol

from cryoflux.errors import UsageError
from cryoflux.quantities import RangeKind, Tier
from cryoflux.queries.rows import ATTEMPT_COLUMNS
from cryoflux.queries.tracked import TrackedAttempt

_LEFT_OUT = {"number", "state"}


class Tracker(Protocol):
    """Something that keeps the attempts of one log, in one run however often it is exported."""

    def knows(self, one: TrackedAttempt) -> bool:
        """Whether it has an attempt from an earlier export."""

    def attempt(self, one: TrackedAttempt) -> None:
        """Take a finished attempt."""

    def close(self) -> str:
        """Hand everything on, and say where it can be looked at."""


class Told:
    """What has all attempts up to one, which are told in their order."""

    last_told = 0
    """number of the newest attempt of an earlier export; 0 where there was none"""

    def knows(self, one: TrackedAttempt) -> bool:
        """Whether it has an attempt from an earlier export."""
        return bool(one.row["number"] <= self.last_told)


def missing(package: str, error: ImportError) -> UsageError:
    """What is said where the library of a tracker is not installed."""
    return UsageError(
        f"{package} is not installed.",
        why=f"What is handed on goes through its own library ({error}).",
        hint=f"Install it: pip install {package}",
    )


def numbers_of(one: TrackedAttempt) -> dict[str, float]:
    """The numbers of an attempt that are known, by the names of their columns."""
    row = one.row
    names = (column.name for column in ATTEMPT_COLUMNS if column.kind in {"number", "integer"})
    found = {name: float(row[name]) for name in names if name not in _LEFT_OUT and row[name] is not None}
    if one.gross:
        found["gross_joules"] = sum(source.joules for source in one.gross)
    found["kept"] = float(row["outcome"] == "kept")
    found["modelled"] = float(row["tier"] == Tier.MODELLED.value)
    return {name: number for name, number in found.items() if math.isfinite(number)}


def texts_of(one: TrackedAttempt) -> dict[str, str]:
    """The texts of an attempt that are not empty."""
    names = (column.name for column in ATTEMPT_COLUMNS if column.kind == "text")
    return {name: str(one.row[name]) for name in names if one.row[name]}


def moment_s(label: str | None) -> float | None:
    """A time of a row in seconds since 1970; none where there is none."""
    if not label:
        return None
    return datetime.strptime(label, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def sentence_of(one: TrackedAttempt) -> str:
    """An attempt in a line, with both ends of what has some."""
    row = one.row
    said = [f"{row['task_name']} {row['arm']}: {row['outcome']}", _joules(row)]
    if row["delta"] is not None:
        ends = f" [{row['delta_lo_95']:+.4f}, {row['delta_hi_95']:+.4f}]"
        said.append(f"Δ {row['delta']:+.4f}{ends if row['delta_lo_95'] is not None else ''} {row['unit']}")
    return "; ".join([*said, str(row["reason"])])


def _joules(row: Any) -> str:
    kind = RangeKind(row["range_kind"]).words
    return f"{row['joules']:.1f} J [{row['joules_lo']:.1f}, {row['joules_hi']:.1f}] ({row['tier']}, {kind})"
