"""``cryoflux receipts``: list, show, prove and hand on what the log holds, without changing anything."""

from __future__ import annotations

__all__ = ["app"]

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.chosen import state_of
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.cli.outputs import require_output
from cryoflux.errors import UsageError
from cryoflux.report.layout import unbroken

if TYPE_CHECKING:
    from cryoflux.receipts.entry import Entry

app = typer.Typer(
    cls=CommandGroup,
    help="List, show, prove and hand on receipts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _signed(entry: Entry) -> dict[str, Any]:
    """The statement of an entry, exactly as it was signed."""
    found: dict[str, Any] = json.loads(entry.signed.payload)
    return found


_HEADING = ("attempt", "entry", "outcome", "recipe", "Δ", "accuracy", "energy", "receipt")
_RIGHT = (True, True, False, False, True, True, True, False)
_ID_HELP = "Attempt as '#3', round as '#r2', index, task id or receipt hash."


def _cells(view: dict[str, Any], *, several: bool) -> list[str]:
    from cryoflux.quantities import MICRO, NATS, format_energy, format_nats

    names = ("joules_spent", "joules_reserved", "joules_beside", "joules_stated")
    joules = next((view[name] for name in names if name in view), None)
    arm = view.get("arm", "")
    task = view.get("task_name", "")
    delta = view.get("delta")
    unit = "" if view.get("unit") in {None, NATS} else f" {view['unit']}"
    after = view.get("accuracy_after")
    name = task or view.get("parent") or view.get("name") or view["kind"]
    named = view.get("round_id", "")
    change = "" if delta is None else format_nats(delta) + unit
    if (certified := view.get("certified_delta")) is not None:
        change = f"> {format_nats(certified)}{unit}"  # what its look certifies; the figure is sealed
    return [
        _number(view),
        str(view["index"]),
        view["outcome"],
        f"{task}/{arm}" if arm and several else arm or named or name,
        change,
        "" if after is None else f"{100 * after:.1f} %",
        "" if joules is None else format_energy(round(joules * MICRO)),
        view["receipt_hash"][:12],
    ]


def _number(view: Mapping[str, Any]) -> str:
    """The number of the attempt or round that an entry is about, as it can be typed; empty for others."""
    from cryoflux.receipts.numbering import round_name

    if view.get("round_number"):
        return round_name(view["round_number"])
    return f"#{view['attempt']}" if view["attempt"] else ""


def _why(view: dict[str, Any], entry: Entry, *, tiers: set[str]) -> str:
    """Why it ended as it did and, where that is not one for all, how its joules came about."""
    from cryoflux.report.network_words import round_sentence
    from cryoflux.sentences import brief

    if (receipt := entry.receipt) is None:
        return round_sentence(entry.round) if entry.round is not None else str(view.get("reason") or "")
    return brief(receipt.reason) + (f"  {receipt.energy.tier.value} joules" if len(tiers) > 1 else "")


def _views(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    from cryoflux.log_state import LogState
    from cryoflux.receipts.flat import flat_view
    from cryoflux.receipts.numbering import number_entries, number_rounds

    memory, paid = LogState(), []
    for entry in entries:
        paid.append(memory.paid(entry))
        memory.take(entry)

    units = {entry.leaf_hash: intent.metric.unit for entry in entries if (intent := entry.intent) is not None}
    of_task = {name: known.metric.unit for name, known in memory.tasks.items()}
    its = (_unit(entry, units, of_task) for entry in entries)
    return list(map(flat_view, entries, number_entries(entries), its, paid, number_rounds(entries)))


def _unit(entry: Entry, units: Mapping[str, str], of_task: Mapping[str, str]) -> str | None:
    """Of the losses that an entry is about: an attempt's as its intent said, a round's as its task has."""
    if entry.receipt is not None:
        return units.get(entry.receipt.intent)
    return of_task.get(entry.round.task) if entry.round is not None else None


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
    from cryoflux.receipts.reading import read_entries

    entries = read_entries(state_of(state))
    shown = [
        (e, view)
        for e, view in zip(entries, _views(entries), strict=True)
        if intents or e.receipt or e.judgement or e.round
    ]
    if as_json:
        emit_json("receipts.list/1", {"entries": [view for _, view in shown]})
        return
    several = len({view["task_name"] for _, view in shown if "task_name" in view}) > 1
    rows = [_cells(view, several=several) for _, view in shown]
    tiers = {view["tier"] for _, view in shown if "tier" in view}
    below = ["", *(_why(view, entry, tiers=tiers) for entry, view in shown)]
    stdout.table([_HEADING, *rows], _RIGHT, below)
    if len(tiers) == 1:
        stdout.print(f"All joules are {' '.join(tiers)}.")
    if not shown:
        stderr.print("There are no receipts yet.")


@app.command("show")
def show_receipt(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help=_ID_HELP)],
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one entry: the flat view, and with --json the statement exactly as it was signed too."""
    from cryoflux.receipts.reading import find_entry, read_entries
    from cryoflux.report.attempt_words import parts_text, phases_text

    entries = read_entries(state_of(state))
    entry = find_entry(entries, entry_id)
    view = _views(entries)[entry.index]
    if as_json:
        emit_json("receipts.show/1", {**view, "statement": _signed(entry)})
        return
    kind = "round " if view.get("round_number") else "attempt "
    number = f"{kind}{_number(view)}, " if _number(view) else ""
    stdout.print(f"{number}entry {entry.index}, {view['outcome'].removeprefix('round ')}")
    if entry.receipt is not None:
        view["phases"] = phases_text(entry.receipt.energy) or None
    if view.get("parts"):
        view["parts"] = parts_text(view["parts"])
    for name, value in view.items():
        stdout.print(f"{name:<15} {_spelt(value)}", indent=16)


def _spelt(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_spelt(one)}" for name, one in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_spelt, value)) or "none"
    return f"{value:.9g}" if isinstance(value, float) else str(value)


@app.command("export")
def export_receipts(
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="File, or - for stdout.")],
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the exact signed envelopes, one a line, for others to verify."""
    from cryoflux.files import write_atomic
    from cryoflux.receipts.reading import read_entries

    entries = read_entries(state_of(state))
    content = b"".join(entry.envelope + b"\n" for entry in entries)
    if output == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    require_output(Path(output))
    write_atomic(Path(output), content)
    if as_json:
        done = {"event": "exported", "entries": len(entries), "file": output}
        emit_json("receipts.export/1", done)
    else:
        check = unbroken(f"cryoflux verify {shlex.quote(output)}")
        stderr.print(f"{len(entries)} entries written to {output}; check it:  {check}")


@app.command("schema")
def schema(as_json: JsonOption = False) -> None:
    """Print the JSON Schema of envelopes and statements."""
    from cryoflux.receipts.schema import receipt_schema, schema_bytes

    if as_json:
        sys.stdout.write(json.dumps(receipt_schema(), ensure_ascii=False) + "\n")
        return
    sys.stdout.write(schema_bytes().decode())
    sys.stdout.flush()


@app.command("verify-script")
def verify_script(as_json: JsonOption = False) -> None:
    """Print verify.sh, so that it need not be taken from whom it checks: sh verify.sh BUNDLE [KEYID]."""
    from cryoflux.digests import sha256_hex
    from cryoflux.receipts.bundle import verify_script_bytes

    script = verify_script_bytes()
    if as_json:
        said = {"sha256": sha256_hex(script), "script": script.decode()}
        emit_json("receipts.verify-script/1", said)
        return
    sys.stdout.buffer.write(script)
    sys.stdout.buffer.flush()


@app.command("proof")
def proof(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help=_ID_HELP)],
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

    folder = state_of(state)
    found = prove(folder, _index(folder, entry_id))
    target = output or Path(f"receipt-{found.index}.tlog-proof")
    require_output(target)
    write_atomic(target, format_proof(found))
    keys = folder / "keys"
    check = f"--key {shlex.quote(str(keys / 'receipt.pub'))} --log-key {shlex.quote(str(keys / 'log.pub'))}"
    if as_json:
        emit_json("receipts.proof/1", {"event": "proven", "index": found.index, "file": str(target)})
    else:
        said = f"Proof of entry {found.index} written to {target}; check it: cryoflux receipts check-proof"
        stderr.print(f"{said} {shlex.quote(str(target))} {check}")


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
    entry_file: Annotated[
        Path | None,
        typer.Option("--entry", metavar="FILE", help="The entry, where the proof does not bring it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check such a file offline; exit 1 if it does not prove what it claims."""
    from cryoflux.receipts.checkpoint import origin_of
    from cryoflux.receipts.proof import MAX_PROOF_BYTES, check_proof, parse_proof
    from cryoflux.signing.canonical import MAX_ENTRY_BYTES
    from cryoflux.signing.keys import key_id, load_public_key

    named, found = load_public_key(key), parse_proof(_content(file, MAX_PROOF_BYTES))
    brought = _content(entry_file, MAX_ENTRY_BYTES).removesuffix(b"\n") if entry_file is not None else b""
    entry = check_proof(found, named, load_public_key(log_key), brought)
    origin = found.checkpoint.decode().split("\n", 1)[0]
    first = origin == origin_of(named)
    if as_json:
        proven = {"index": entry.index, "receipt_hash": entry.leaf_hash, "origin": origin, "first_key": first}
        emit_json("receipts.check-proof/1", {"ok": True, **proven, "statement": _signed(entry)})
        return
    # Anybody can sign a head under the name of another log; only the first key of a log is in its name.
    which = origin if first else f"a log that calls itself {origin}"
    whose = (
        "its first key"
        if first
        else f"key {key_id(named)[:16]}…; nothing here shows that it is one of that log"
    )
    stdout.print(
        f"✓ PROVEN: entry {entry.index} of {which}, hash {entry.leaf_hash[:16]}…, signed by {whose}. "
        "Not shown: that nothing came before or after it, or anything that it attests."
    )


def _content(file: Path, most: int) -> bytes:
    """What a file holds, as far as it may be looked at; one byte more where it is longer."""
    from cryoflux.files import read_beginning

    try:
        return read_beginning(file, most + 1)
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {error.strerror}.", hint="Name a file made by cryoflux receipts proof."
        ) from error


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

    made = write_bundle(state_of(state), output, Extras(adapters=adapters, models=models, holdout=holdout))
    if as_json:
        emit_json(
            "receipts.bundle/1",
            {
                "event": "bundled",
                "folder": str(output),
                "entries": made.entries,
                "uncovered": made.uncovered,
                "missing": list(made.missing),
                "heads": made.heads,
            },
        )
        return
    check = unbroken(f"sh {shlex.quote(f'{output}/verify.sh')}")
    stderr.print(f"{made.entries} entries written to {output}; check them:  {check}")
    if made.uncovered:
        stderr.print(f"{made.uncovered} newer entries are not covered by the checkpoint yet.")
    if made.missing:
        stderr.print(f"{len(made.missing)} artefacts are not kept here and were left out.")
