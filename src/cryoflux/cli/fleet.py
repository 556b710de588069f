"""``cryoflux fleet``: the machines that train for a run, and what each of them came to."""

from __future__ import annotations

__all__ = ["app"]

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.chosen import state_of, there
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.quantities import counted, format_energy

if TYPE_CHECKING:
    from cryoflux.queries.workers import WorkerRow
    from cryoflux.state import StateFolder

app = typer.Typer(
    cls=CommandGroup,
    help="Have a run's attempts trained by workers, each with a meter of its own: cryoflux run --workers N.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_RIGHT = (False, *(True,) * 8)
_KEY_CHARACTERS, _FEW_CHARACTERS = 16, 6
_BEGIN = "run --workers 2 --recipes prefix-1 --budget 1kJ"


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
    asked = f"--workers {workers} --recipes prefix-1 --budget 1kJ{folder.flag()}"
    stdout.print(f"next     cryoflux run --fleet {address} {asked}")


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
    from cryoflux.fleet.words import LastWords
    from cryoflux.queries.workers import worker_rows
    from cryoflux.receipts.reading import each_entry
    from cryoflux.state import StateFolder

    folder = StateFolder(there(state_of(state), _BEGIN))
    fold = MeterFold()
    for entry in each_entry(folder.path):
        fold.take(entry)
    rows, open_loans = worker_rows(fold), len(LastWords(folder.words).all())
    if as_json:
        document = {"workers": [_document(row) for row in rows], "open_loans": open_loans}
        emit_json("fleet.status/1", document)
        return
    if rows:
        _show_rows(rows, folder)
    else:
        stdout.print("No worker is told of in this log yet.")
    if open_loans:
        lent = counted(open_loans, "attempt or session", "attempts and sessions")
        stdout.print(f"lent     to workers for {lent}: a run goes on, or the next one settles that")
    elif not rows:
        stdout.print(f"next     cryoflux {_BEGIN}{folder.flag()}")


def _show_rows(rows: list[WorkerRow], folder: StateFolder) -> None:
    units = {row.unit for row in rows if row.unit and row.kept}
    unit = units.pop() if len(units) == 1 else ""
    gain, eta = (f"Δ, {unit}", f"η, {unit}/kJ") if unit else ("Δ", "η per kJ")
    heading = ("worker", "attempts", "kept", "lost", gain, "joules", "beside", eta, "example")
    names = [row.worker for row in rows]
    stdout.table([heading, *(_cells(row, names, unit) for row in rows)], _RIGHT)
    tiers = sorted({row.charged.tier.value for row in rows if row.charged is not None})
    stdout.print(f"Joules are {' and '.join(tiers)}; η counts what the coordinator spent on judging, too.")
    keys = sorted({row.meter_key_id[:_KEY_CHARACTERS] for row in rows if row.meter_key_id})
    said = ", ".join(f"{key}…" for key in keys) or "none has signed anything"
    stdout.print(f"meters   {said}")
    if folder.meters.is_dir():
        check = shlex.join(["verify", str(folder.path), "--meter-key", str(folder.meters)])
        stdout.print(f"next     cryoflux {check}")


def _cells(row: WorkerRow, names: list[str], unit: str) -> tuple[str, ...]:
    eta, each, of = row.eta_per_kj, row.joules_per_example, "" if unit else f" {row.unit}"
    alike = names.count(row.worker) > 1 and row.meter_key_id
    return (
        f"{row.worker} {row.meter_key_id[:_FEW_CHARACTERS]}" if alike else row.worker,
        str(row.attempts),
        str(row.kept),
        str(row.lost),
        f"{row.delta:+.4f}{of}" if row.delta is not None and row.kept else "–",
        format_energy(row.charged.uj) if row.charged is not None else "–",
        format_energy(row.beside.uj) if row.beside is not None else "–",
        f"{eta:+.3f}{of}" if eta is not None and row.kept else "–",
        f"{each * 1000:.2f} mJ" if each is not None else "–",
    )


def _document(row: WorkerRow) -> dict[str, Any]:
    from cryoflux.report.attempt_words import energy_document

    return {
        "worker": row.worker,
        "meter_key": row.meter_key or None,
        "meter_key_id": row.meter_key_id or None,
        "boot": row.boot or None,
        "attempts": row.attempts,
        "kept": row.kept,
        "lost": row.lost,
        "delta": row.delta,
        "unit": row.unit or None,
        "joules": energy_document(row.charged),
        "joules_with_judging": energy_document(row.whole),
        "joules_beside": energy_document(row.beside),
        "eta_per_kj": row.eta_per_kj,
        "joules_per_example": row.joules_per_example,
    }
