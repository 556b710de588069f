"""Attempts as rows of ``emissions.csv``, with the columns of codecarbon 3, for whatever reads these.

What is not known is an empty cell: CO₂e without a factor that somebody set, the country, the processor. The
energy is net of idle power, unlike codecarbon's own: ``tracking_mode`` says so, and how it came about.
"""

from __future__ import annotations

__all__ = ["COLUMNS", "STDOUT", "EmissionsFile"]

import csv
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from cryoflux import __version__
from cryoflux.energy.derived import Rates, carbon_g, kilowatt_hours
from cryoflux.errors import UsageError
from cryoflux.files import read_beginning, replacing
from cryoflux.integrations.tracking import moment_s
from cryoflux.quantities import MICRO
from cryoflux.queries.tracked import TrackedAttempt
from cryoflux.report.exporting import csv_text

COLUMNS = (
    *("timestamp", "project_name", "run_id", "experiment_id", "duration", "emissions", "emissions_rate"),
    *("cpu_power", "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed"),
    *("water_consumed", "country_name", "country_iso_code", "region", "cloud_provider", "cloud_region"),
    *("os", "python_version", "codecarbon_version", "cpu_count", "cpu_model", "gpu_count", "gpu_model"),
    *("longitude", "latitude", "ram_total_size", "tracking_mode", "cpu_utilization_percent"),
    *("gpu_utilization_percent", "ram_utilization_percent", "ram_used_gb", "on_cloud", "pue", "wue"),
)
STDOUT = "-"
_MOST_BYTES = 64_000_000
"""of a file that rows are added to"""
_PARTS = {"cpu": "cpu", "gpu": "gpu", "dram": "ram"}


class EmissionsFile:
    """A file of rows, one an attempt; to a file that is there, what it lacks is added.

    Args:
        run: name of the log.
        place: the file, or ``-`` for stdout; ``emissions.csv`` where none is named.
        rates: what a kilowatt-hour emits, as far as it was set.

    Raises:
        UsageError: a file of that name is there and has other columns: it is not written over.
    """

    def __init__(self, run: str, place: str | None, rates: Rates = Rates()) -> None:  # noqa: B008
        self._run, self._rates = run, rates
        self._place = None if place == STDOUT else Path(place or "emissions.csv")
        self._there = b"" if self._place is None else _content(self._place)
        self._known = _known_ids(self._there, self._place) if self._there else frozenset[str]()
        self._rows: list[dict[str, Any]] = []

    def knows(self, one: TrackedAttempt) -> bool:
        """Whether the file has a row of an attempt."""
        return one.row["task_id"] in self._known

    def attempt(self, one: TrackedAttempt) -> None:
        """One row."""
        row = one.row
        begins, ends = moment_s(row["started_at"]), moment_s(row["finished_at"])
        seconds = ends - begins if begins is not None and ends is not None else None
        uj = round(row["joules"] * MICRO)
        said = {
            "timestamp": (row["finished_at"] or "").removesuffix("Z"),
            "project_name": csv_text(self._run),
            "run_id": row["task_id"],
            "experiment_id": csv_text(f"{row['task_name']} {row['arm']}"),
            "duration": seconds,
            "energy_consumed": kilowatt_hours(uj),
            "codecarbon_version": f"cryoflux {__version__}",
            "tracking_mode": f"process, net of idle, {row['tier']}",
            "pue": 1,
        }
        if (grams := self._rates.carbon_g_per_kwh) is not None:
            said["emissions"] = carbon_g(uj, grams) / 1000
            said["emissions_rate"] = said["emissions"] / seconds if seconds else None
        kinds = {_PARTS[source.kind] for source in one.gross}
        if len(kinds) == 1:  # of several, nobody knows which part of the net energy was whose
            (kind,) = kinds
            said[f"{kind}_energy"] = said["energy_consumed"]
            said[f"{kind}_power"] = row["joules"] / seconds if seconds else None
        self._rows.append(said)

    def close(self) -> str:
        """Write the file."""
        text = StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        if not self._there:
            writer.writeheader()
        elif not self._there.endswith(b"\n"):
            text.write("\n")
        writer.writerows(self._rows)
        content = text.getvalue().encode("utf-8", "backslashreplace")
        if self._place is None:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
            return "stdout"
        if content:
            with replacing(self._place) as stream:
                stream.write(self._there + content)
        return str(self._place)


def _content(place: Path) -> bytes:
    try:
        found = read_beginning(place, _MOST_BYTES + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _not_ours(place, f"It cannot be read: {error.strerror}.") from error
    if len(found) > _MOST_BYTES:
        raise _not_ours(place, f"It has more than {_MOST_BYTES:,} B.")
    return found


def _known_ids(content: bytes, place: Path | None) -> frozenset[str]:
    """The attempts that a file has rows of."""
    rows = csv.DictReader(StringIO(content.decode("utf-8", "replace"), newline=""))
    try:
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise _not_ours(place, "Its columns are not those of codecarbon 3.")
        return frozenset(row["run_id"] for row in rows)
    except csv.Error as error:
        raise _not_ours(place, f"It is no CSV: {error}.") from error


def _not_ours(place: Path | None, why: str) -> UsageError:
    return UsageError(
        f"{place} is there already, and nothing can be added to it.",
        why=why,
        hint="Name another file: --at cryoflux-emissions.csv",
    )
