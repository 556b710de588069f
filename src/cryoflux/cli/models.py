"""``cryoflux models``: the versions that were kept."""

from __future__ import annotations

__all__ = ["app"]

from pathlib import Path
from typing import Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.errors import UsageError

app = typer.Typer(help="Model versions and the head.", no_args_is_help=True, rich_markup_mode=None)


def _versions(state: Path) -> list[dict[str, Any]]:
    from cryoflux.receipts.entry import receipt_of
    from cryoflux.receipts.reading import read_entries
    from cryoflux.receipts.statement import Outcome
    from cryoflux.registry.versions import Versions

    versions = Versions(state)
    entries = read_entries(state)
    kept_by = {
        receipt.result.digest: (entry, receipt)
        for entry in entries
        if (receipt := receipt_of(entry)) and receipt.outcome is Outcome.ACCEPTED
    }
    head = versions.head_digest()
    rows = []
    for digest in versions.kept():
        entry, receipt = kept_by.get(digest, (None, None))
        evaluation = receipt.evaluation if receipt else None
        rows.append(
            {
                "digest": digest,
                "head": digest == head,
                "folder": str(versions.folder(digest)),
                "task_id": receipt.task.id if receipt else None,
                "receipt_hash": entry.leaf_hash if entry else None,
                "base": receipt.base.digest if receipt else None,
                "holdout_loss": evaluation.new_loss_nano_nat_sum / receipt.holdout.count / 1e9
                if receipt and evaluation
                else None,
                "delta": evaluation.delta_nano_nat_sum / receipt.holdout.count / 1e9
                if receipt and evaluation
                else None,
            }
        )
    return rows


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
        emit_json(rows)
        return
    for row in rows:
        mark = "→" if row["head"] else " "
        origin = f"Δ {row['delta']:+.4f}, {row['task_id']}" if row["delta"] is not None else "version 0"
        stdout.print(f"{mark} {row['digest'][:16]}…  {origin}", markup=False)


@app.command("show")
def show_version(
    digest: Annotated[str, typer.Argument(help="First digits of a version's digest, or: head.")] = "head",
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """One version: where it lies, which receipt made it, what it scores."""
    rows = _versions(_state(state))
    found = [r for r in rows if (r["head"] if digest == "head" else r["digest"].startswith(digest))]
    if len(found) != 1:
        raise UsageError(
            f"{digest!r} names {len(found)} versions.",
            why="Exactly one can be shown.",
            hint="`cryoflux models list` lists them; give more digits.",
        )
    if as_json:
        emit_json(found[0])
        return
    for key, value in found[0].items():
        stdout.print(f"{key:<13} {'unknown' if value is None else value}", markup=False)
