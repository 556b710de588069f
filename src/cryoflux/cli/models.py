"""``cryoflux models``: the versions that were kept."""

from __future__ import annotations

__all__ = ["app"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryoflux.receipts.entry import Entry

_OF_RECEIPT = ("attempt", "task_id", "arm", "receipt_hash", "base", "unit", "holdout_loss", "delta")
_HEADING = ("", "version", "made by", "recipe", "Δ", "holdout loss")
_RIGHT = (False, False, False, False, True, True)

app = typer.Typer(
    cls=CommandGroup,
    help="The versions that were kept, and the head.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _versions(state: Path) -> list[dict[str, Any]]:
    from cryoflux.receipts.reading import read_entries
    from cryoflux.receipts.store import DATABASE
    from cryoflux.registry.versions import Versions

    versions = Versions(state)
    # A state can lose its log; then its models are still there, and nothing says where they came from.
    entries = read_entries(state) if (state / DATABASE).is_file() else []
    firsts = {intent.task.name: intent.base.digest for e in reversed(entries) if (intent := e.intent)}
    made, forked = _makers(entries), _taken_up(entries)
    head = versions.head_digest()
    rows = []
    for digest in versions.kept():
        origin = "version 0" if digest in firsts.values() else "receipt" if digest in made else "unknown"
        origin = forked.get(digest, origin)
        row = {"digest": digest, "head": digest == head, "folder": str(versions.folder(digest))}
        rows.append({**row, "origin": origin, **made.get(digest, dict.fromkeys(_OF_RECEIPT))})
    return rows


def _taken_up(entries: list[Entry]) -> dict[str, str]:
    """Digest of a version that a fork brought along → what it was to the log that it goes on from."""
    fork = entries[0].fork if entries else None
    tasks = fork.tasks if fork is not None else []
    return {said.head.digest: "parent" for said in tasks} | {said.first.digest: "version 0" for said in tasks}


def _makers(entries: list[Entry]) -> dict[str, dict[str, Any]]:
    """Digest of a version → what the receipt that made it says."""
    from cryoflux.quantities import NANO
    from cryoflux.receipts.numbering import number_entries
    from cryoflux.receipts.statement import Outcome

    made: dict[str, dict[str, Any]] = {}
    for entry, number in zip(entries, number_entries(entries), strict=True):
        receipt = entry.receipt
        if receipt is None or receipt.evaluation is None or receipt.outcome is not Outcome.ACCEPTED:
            continue
        scale = receipt.evaluation.read * NANO
        loss = receipt.evaluation.new_loss_sum / scale
        delta = receipt.evaluation.delta_sum / scale
        names = (number, receipt.task.id, receipt.task.arm, entry.leaf_hash)
        values = (*names, receipt.base.digest, receipt.evaluation.metric.unit, loss, delta)
        made[receipt.result.digest] = dict(zip(_OF_RECEIPT, values, strict=True))
    return made


def _state(state: str | None) -> Path:
    from cryoflux.config import load_settings

    folder = Path(load_settings({"state": state}).settings.run.state)
    if not (folder / "models").is_dir():
        raise UsageError(
            f"{folder} holds no models.",
            why="Models are made by a run.",
            hint="Start one: cryoflux run --budget 2kJ, or name another folder with --state DIR.",
        )
    return folder


@app.command("list")
def list_versions(state: StateOption = None, as_json: JsonOption = False) -> None:
    """Every kept version, oldest first; the head is marked."""
    rows = _versions(_state(state))
    if as_json:
        emit_json("models.list/1", {"versions": rows})
        return
    below = ["no receipt says where it came from" if row["origin"] == "unknown" else "" for row in rows]
    stdout.table([_HEADING, *map(_cells, rows)], _RIGHT, ["", *below])


_ORIGINS = {"parent": "from parent"}
"""what the list says of versions that no receipt made"""


def _cells(row: dict[str, Any]) -> list[str]:
    from cryoflux.quantities import format_nats

    begun = ["→" if row["head"] else "", f"{row['digest'][:16]}…"]
    if row["origin"] != "receipt":
        return [*begun, _ORIGINS.get(row["origin"], row["origin"]), "", "", ""]
    number = f"#{row['attempt']}" if row["attempt"] else row["task_id"]
    return [*begun, number, row["arm"], format_nats(row["delta"]), f"{row['holdout_loss']:.4f}"]


@app.command("show")
def show_version(
    version: Annotated[
        str,
        typer.Argument(help="First digits of a digest, the attempt that made it as '#3', or: head."),
    ] = "head",
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """One version: where it lies, which receipt made it, what it scores."""
    rows = _versions(_state(state))
    found = [row for row in rows if _is_called(row, version)]
    if len(found) != 1:
        raise _not_one(version, len(found), len(rows))
    if as_json:
        emit_json("models.show/1", found[0])
        return
    for key, value in found[0].items():
        stdout.print(f"{key:<13} {'unknown' if value is None else value}", indent=14)


def _not_one(name: str, found: int, of: int) -> UsageError:
    if found:
        return UsageError(
            f"{name!r} names {found} versions.",
            why="Exactly one can be shown.",
            hint="Give more digits; they are listed by: cryoflux models list.",
        )
    return UsageError(
        f"{name!r} names none of the {of} versions.",
        why="A version is called by the first digits of its digest, by the attempt that made it, or head.",
        hint="Give one that is listed by: cryoflux models list.",
    )


def _is_called(row: dict[str, Any], name: str) -> bool:
    if name == "head":
        return bool(row["head"])
    if name.startswith("#"):
        return row["attempt"] is not None and name == f"#{row['attempt']}"
    return bool(row["digest"].startswith(name))
