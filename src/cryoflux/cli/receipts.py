"""``cryoflux receipts``: list, show, prove and hand on what the log holds, without changing anything."""

from __future__ import annotations

__all__ = ["app"]

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryoflux.receipts.entry import Entry

app = typer.Typer(help="List, show, prove and hand on receipts.", no_args_is_help=True, rich_markup_mode=None)


def _state(flag: str | None) -> Path:
    from cryoflux.config import load_settings

    return Path(load_settings({"state": flag}).settings.run.state)


def _signed(entry: Entry) -> dict[str, Any]:
    """The statement of an entry, exactly as it was signed."""
    found: dict[str, Any] = json.loads(entry.signed.payload)
    return found


def _delta(view: dict[str, Any]) -> str:
    from cryoflux.quantities import NATS, format_nats

    if view.get("delta") is None:
        return "      –"
    unit = view["unit"]
    return format_nats(view["delta"]) + ("" if unit == NATS else f" {unit}")


def _line(view: dict[str, Any]) -> str:
    from cryoflux.quantities import MICRO, format_energy

    joules = view.get("joules_spent", view.get("joules_reserved"))
    energy = "–" if joules is None else format_energy(round(joules * MICRO))
    tier = view.get("tier") or ("reserved" if joules is not None else "")
    about = view.get("task_id") or view.get("parent") or view.get("task_name") or view.get("key_id", "")
    more = [text for text in (view.get("arm"), view.get("cause")) if text]
    return (
        f"{view['index']:>5}  {view['outcome']:<9}  Δ {_delta(view)}  {energy:>9} {tier:<16} "
        f"{view['receipt_hash'][:12]}  {'  '.join([about, *more])}"
    )


@app.command("list")
def list_receipts(
    state: StateOption = None,
    intents: Annotated[
        bool,
        typer.Option("--intents", help="List all entries: announcements, moves of heads and keys too."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the receipts of a state, oldest first."""
    from cryoflux.receipts.flat import flat_view
    from cryoflux.receipts.reading import read_entries

    entries = read_entries(_state(state))
    views = [flat_view(entry) for entry in entries if intents or entry.receipt is not None]
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
    """Show one entry: the flat view, and with --json the statement exactly as it was signed too."""
    from cryoflux.receipts.flat import flat_view
    from cryoflux.receipts.reading import find_entry, read_entries

    entry = find_entry(read_entries(_state(state)), entry_id)
    view = flat_view(entry)
    if as_json:
        emit_json({**view, "statement": _signed(entry)})
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
    _require_folder(Path(output))
    write_atomic(Path(output), content)
    if as_json:
        emit_json({"event": "exported", "entries": len(entries), "file": output})
    else:
        check = f"cryoflux verify {shlex.quote(output)}"
        stderr.print(f"{len(entries)} entries written to {output}; check it: {check}", markup=False)


@app.command("schema")
def schema(as_json: JsonOption = False) -> None:
    """Print the JSON Schema of envelopes and statements."""
    from cryoflux.receipts.schema import receipt_schema, schema_bytes

    if as_json:
        emit_json(receipt_schema())
        return
    sys.stdout.write(schema_bytes().decode())
    sys.stdout.flush()


@app.command("proof")
def proof(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="Index, task id or receipt hash.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File.", show_default="receipt-INDEX.tlog-proof"),
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one file that proves one entry offline (C2SP tlog-proof)."""
    from cryoflux.files import write_atomic
    from cryoflux.receipts.proof import format_proof, prove

    folder = _state(state)
    found = prove(folder, _index(folder, entry_id))
    target = output or Path(f"receipt-{found.index}.tlog-proof")
    _require_folder(target)
    write_atomic(target, format_proof(found))
    keys = folder / "keys"
    check = f"--key {shlex.quote(str(keys / 'receipt.pub'))} --log-key {shlex.quote(str(keys / 'log.pub'))}"
    if as_json:
        emit_json({"event": "proven", "index": found.index, "file": str(target)})
    else:
        said = f"Proof of entry {found.index} written to {target}; check it: cryoflux receipts check-proof"
        stderr.print(f"{said} {shlex.quote(str(target))} {check}", markup=False)


def _index(state: Path, entry_id: str) -> int:
    from cryoflux.receipts.reading import find_entry, read_entries

    if entry_id.isascii() and entry_id.isdecimal() and len(entry_id) <= 9:
        return int(entry_id)
    return find_entry(read_entries(state), entry_id).index


@app.command("check-proof")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File that cryoflux receipts proof wrote.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="Public key (PEM) that must have signed the entry.")
    ],
    log_key: Annotated[
        Path,
        typer.Option("--log-key", metavar="FILE", help="Public key (PEM) that must have signed the head."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Check such a file offline; exit 1 if it does not prove what it claims."""
    from cryoflux.receipts.checkpoint import origin_of
    from cryoflux.receipts.proof import check_proof, parse_proof
    from cryoflux.signing.keys import load_public_key

    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {error.strerror}.", hint="Name a file made by cryoflux receipts proof."
        ) from error
    named, found = load_public_key(key), parse_proof(content)
    entry = check_proof(found, named, load_public_key(log_key))
    origin = found.checkpoint.decode().split("\n", 1)[0]
    first = origin == origin_of(named)
    if as_json:
        proven = {"index": entry.index, "receipt_hash": entry.leaf_hash, "origin": origin, "first_key": first}
        emit_json({"ok": True, **proven, "statement": _signed(entry)})
        return
    whose = (
        "its first key" if first else "a later key of it; only the whole log shows that it was valid there"
    )
    stdout.print(
        f"✓ PROVEN: entry {entry.index} of {origin}, hash {entry.leaf_hash[:16]}…, signed by {whose}. "
        "Not shown: that nothing came before or after it, or anything that it attests.",
        markup=False,
    )


def _require_folder(target: Path) -> None:
    if not target.absolute().parent.is_dir():
        raise UsageError(
            f"{target.parent} is not a folder.",
            why="An export makes a file, and no folders on the way to it.",
            hint=f"Make it first: mkdir -p {shlex.quote(str(target.parent))}",
        )


@app.command("bundle")
def bundle(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="New or empty folder.")],
    state: StateOption = None,
    adapters: Annotated[bool, typer.Option("--with-adapters", help="Add the adapters.")] = False,
    models: Annotated[bool, typer.Option("--with-model", help="Add the first model and the head.")] = False,
    holdout: Annotated[
        bool, typer.Option("--with-holdout", help="Add the holdouts and the losses of each example.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write all that a stranger needs to check the log without CryoFlux: see its README.txt and verify.sh."""
    from cryoflux.receipts.bundle import Extras, write_bundle

    made = write_bundle(_state(state), output, Extras(adapters=adapters, models=models, holdout=holdout))
    if as_json:
        emit_json(
            {
                "event": "bundled",
                "folder": str(output),
                "entries": made.entries,
                "uncovered": made.uncovered,
                "missing": list(made.missing),
                "heads": made.heads,
            }
        )
        return
    stderr.print(
        f"{made.entries} entries written to {output}; check them: sh {output}/verify.sh", markup=False
    )
    if made.uncovered:
        stderr.print(f"{made.uncovered} newer entries are not covered by the checkpoint yet.")
    if made.missing:
        stderr.print(f"{len(made.missing)} artefacts are not kept here and were left out.")
