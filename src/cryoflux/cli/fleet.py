"""``cryoflux fleet``: the machines that train for a run, and what each of them came to."""

from __future__ import annotations

__all__ = ["app"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.chosen import reader_state
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.quantities import format_energy

if TYPE_CHECKING:
    from cryoflux.queries.workers import WorkerRow

app = typer.Typer(
    cls=CommandGroup,
    help="Have a run's attempts trained by workers, each with a meter of its own: cryoflux run --workers N.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_HEADING = (
    *("worker", "meter", "attempts", "kept", "lost", "Δ kept"),
    *("joules", "beside", "η per kJ", "an example"),
)
_RIGHT = (False, False, *(True,) * 8)
_KEY_CHARACTERS = 12


@app.command()
def up(
    workers: Annotated[int, typer.Option(min=1, max=12, help="Workers that there may be at once.")] = 2,
    address: Annotated[
        str | None, typer.Option(metavar="ray://HOST:PORT", help="Look at this cluster, and start none.")
    ] = None,
    port: Annotated[int, typer.Option(min=1024, max=65535, help="That a run speaks to.")] = 10001,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a Ray cluster of this machine for workers, or see whether another one has room for them."""
    from cryoflux.config import load_settings
    from cryoflux.fleet.cluster import LocalCluster, start_cluster
    from cryoflux.state import StateFolder

    settings = load_settings({"state": state}).settings
    folder = StateFolder(Path(settings.run.state))
    if address is not None:
        from cryoflux.fleet.on_ray import room_at

        LocalCluster.open_door(folder, address)
        room = room_at(address, workers, settings)
    else:
        found = start_cluster(folder, workers, port)
        address, room = found.address, found.workers
    if as_json:
        emit_json("fleet.up/1", {"address": address, "room": room})
        return
    stdout.print(f"cluster  {address}, with room for {room} workers")
    stdout.print(f"next     cryoflux run --fleet {address} --workers {workers} --budget 1kJ{folder.flag()}")


@app.command()
def down(state: StateOption = None, as_json: JsonOption = False) -> None:
    """End the cluster that `fleet up` started; what workers had reserved is settled by the next run."""
    from cryoflux.config import load_settings
    from cryoflux.errors import StateError
    from cryoflux.fleet.cluster import LocalCluster
    from cryoflux.state import StateFolder

    folder = StateFolder(Path(load_settings({"state": state}).settings.run.state))
    found = LocalCluster.of(folder)
    if found is None:
        raise StateError(
            f"No cluster of {folder.path} runs.",
            why="One is started by cryoflux fleet up, and ended by this.",
            hint=f"Start one: cryoflux fleet up{folder.flag()}",
        )
    found.end(folder)
    if as_json:
        emit_json("fleet.down/1", {"address": found.address})
        return
    stdout.print(f"ended    {found.address}")


@app.command()
def status(state: StateOption = None, as_json: JsonOption = False) -> None:
    """Say what each worker did for a state's log, the most frugal first."""
    from cryoflux.fleet.by_meter import MeterFold
    from cryoflux.queries.workers import worker_rows
    from cryoflux.receipts.reading import each_entry

    fold = MeterFold()
    for entry in each_entry(reader_state(state)):
        fold.take(entry)
    rows = worker_rows(fold)
    if as_json:
        emit_json("fleet.status/1", {"workers": [_document(row) for row in rows]})
        return
    if not rows:
        stdout.print("No worker has trained for this log: its runs made their attempts alone.")
        stdout.print("next     cryoflux run --workers 2 --recipes prefix-1 --budget 1kJ")
        return
    stdout.table([_HEADING, *map(_cells, rows)], _RIGHT)
    tiers = sorted({row.charged.tier.value for row in rows if row.charged is not None})
    stdout.print(f"Joules are {' and '.join(tiers)}; η counts what the coordinator spent on judging, too.")
    stdout.print("Nothing was verified by this: cryoflux verify does that.")


def _cells(row: WorkerRow) -> tuple[str, ...]:
    eta, each = row.eta_per_kj, row.joules_per_example
    return (
        row.worker,
        f"{row.meter_key[:_KEY_CHARACTERS]}…" if row.meter_key else "never signed",
        str(row.attempts),
        str(row.kept),
        str(row.lost),
        f"{row.delta:+.4f} {row.unit}" if row.delta is not None and row.kept else "–",
        format_energy(row.charged.uj) if row.charged is not None else "–",
        format_energy(row.beside.uj) if row.beside is not None else "–",
        f"{eta:+.3f}" if eta is not None and row.kept else "–",
        f"{each * 1000:.2f} mJ" if each is not None else "–",
    )


def _document(row: WorkerRow) -> dict[str, Any]:
    return {
        "worker": row.worker,
        "meter_key": row.meter_key or None,
        "boot": row.boot or None,
        "attempts": row.attempts,
        "kept": row.kept,
        "lost": row.lost,
        "delta": row.delta,
        "unit": row.unit or None,
        "joules": _joules(row.charged),
        "joules_with_judging": _joules(row.whole),
        "joules_beside": _joules(row.beside),
        "eta_per_kj": row.eta_per_kj,
        "joules_per_example": row.joules_per_example,
    }


def _joules(energy: Any) -> dict[str, Any] | None:
    if energy is None:
        return None
    mega = 1_000_000
    return {
        "joules": energy.uj / mega,
        "joules_lo": energy.lo_uj / mega,
        "joules_hi": energy.hi_uj / mega,
        "tier": energy.tier.value,
    }
