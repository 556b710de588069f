"""``cryoflux receipts``: list, show and export what the log holds, without changing anything."""

from __future__ import annotations

__all__ = ["app"]

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryoflux.receipts.entry import Entry

app = typer.Typer(help="List, show and export receipts.", no_args_is_help=True, rich_markup_mode=None)


def _state(flag: str | None) -> Path:
    from cryoflux.config import load_settings

    return Path(load_settings({"state": flag}).settings.run.state)


def _flat(entry: Entry) -> dict[str, Any]:
    from cryoflux.receipts.flat import flat_intent, flat_view
    from cryoflux.receipts.statement import ReceiptStatement

    if isinstance(entry.statement, ReceiptStatement):
        return {"index": entry.index, **flat_view(entry.statement, entry.leaf_hash)}
    return {"index": entry.index, **flat_intent(entry)}


def _line(view: dict[str, Any]) -> str:
    from cryoflux.quantities import MICRO, format_energy, format_nats

    delta = format_nats(view["delta"]) if view.get("delta") is not None else "      –"
    joules = view.get("joules_spent", view.get("joules_reserved", 0.0))
    energy = format_energy(round(joules * MICRO))
    tier = view.get("tier", "reserved")
    return (
        f"{view['index']:>5}  {view['outcome']:<9}  Δ {delta}  {energy:>9} {tier:<16} "
        f"{view['receipt_hash'][:12]}  {view['task_id']}"
    )


@app.command("list")
def list_receipts(
    state: StateOption = None,
    intents: Annotated[bool, typer.Option("--intents", help="List announcements too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the receipts of a state, oldest first."""
    from cryoflux.receipts.reading import read_entries
    from cryoflux.receipts.statement import ReceiptStatement

    entries = read_entries(_state(state))
    views = [_flat(e) for e in entries if intents or isinstance(e.statement, ReceiptStatement)]
    if as_json:
        emit_json(views)
        return
    for view in views:
        stdout.print(_line(view), markup=False)
    if not views:
        stderr.print("There are no receipts yet.")


@app.command("show")
def show_receipt(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="Index, task id or receipt hash.")],
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one receipt: the flat view, and with --json the signed statement too."""
    from cryoflux.receipts.reading import find_entry, read_entries

    entry = find_entry(read_entries(_state(state)), entry_id)
    view = _flat(entry)
    if as_json:
        emit_json({**view, "statement": entry.statement.model_dump(mode="json", by_alias=True)})
        return
    for name, value in view.items():
        stdout.print(f"{name:<16} {'–' if value is None else value}", markup=False)


@app.command("export")
def export_receipts(
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="File, or - for stdout.")],
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the exact signed envelopes, one a line, for others to verify."""
    from cryoflux.files import write_atomic
    from cryoflux.receipts.reading import read_entries

    entries = read_entries(_state(state))
    content = b"".join(entry.envelope + b"\n" for entry in entries)
    if output == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    if not Path(output).absolute().parent.is_dir():
        raise UsageError(
            f"{Path(output).parent} is not a folder.",
            why="An export makes a file, and no folders on the way to it.",
            hint=f"Make it first: mkdir -p {shlex.quote(str(Path(output).parent))}",
        )
    write_atomic(Path(output), content)
    if as_json:
        emit_json({"event": "exported", "entries": len(entries), "file": output})
    else:
        check = f"cryoflux verify {shlex.quote(output)}"
        stderr.print(f"{len(entries)} entries written to {output}; check it: {check}", markup=False)
