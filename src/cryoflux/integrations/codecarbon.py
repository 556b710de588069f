"""Attempts as rows of ``emissions.csv``, with the columns of codecarbon 3, for whatever reads these.

What is not known is an empty cell: CO₂e without a factor that somebody set, the country, the processor. The
energy is net of idle power, unlike codecarbon's own: ``tracking_mode`` says so, and how it came about.
"""

from __future__ import annotations

__all__ = ["COLUMNS", "EmissionsFile"]

import csv
from io import StringIO
from pathlib import Path
from typing import Any

from cryoflux import __version__
from cryoflux.energy.derived import Rates, carbon_g, kilowatt_hours
from cryoflux.errors import UsageError
from cryoflux.files import replacing
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
_PARTS = {"cpu": "cpu", "gpu": "gpu", "dram": "ram"}


class EmissionsFile:
    """A file of rows, one an attempt.

    Args:
        run: name of the log.
        place: the file; ``emissions.csv`` where none is named.
        rates: what a kilowatt-hour emits, as far as it was set.

    Raises:
        UsageError: a file of that name is there: rows of others are not written over.
    """

    def __init__(self, run: str, place: str | None, rates: Rates = Rates()) -> None:  # noqa: B008
        self._run, self._place, self._rates = run, Path(place or "emissions.csv"), rates
        if self._place.exists():
            raise UsageError(
                f"{self._place} is there already.",
                why="Rows of others are not written over.",
                hint="Name another file: --at cryoflux-emissions.csv",
            )
        self._rows: list[dict[str, Any]] = []

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
        writer.writeheader()
        writer.writerows(self._rows)
        with replacing(self._place) as stream:
            stream.write(text.getvalue().encode("utf-8", "backslashreplace"))
        return str(self._place)
