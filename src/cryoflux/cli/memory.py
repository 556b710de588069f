"""``cryoflux memory``: which logs were seen here before, and how to begin anew with one of them."""

from __future__ import annotations

__all__ = ["HeadsOption", "app", "heads_folder"]

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, emit_json, stderr, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.errors import UsageError
from cryoflux.quantities import utc_label

if TYPE_CHECKING:
    from cryoflux.verification.remembered import RememberedHead, RememberedLog

app = typer.Typer(
    cls=CommandGroup,
    help="List the logs that were seen here before, and forget one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_WORD = {
    "first-entry": "its first entry vouches for its log key",
    "named": "by the log key that you named",
    "none": "nothing vouches for its log key: an older version remembered it",
}
HeadsOption = Annotated[
    Path | None,
    typer.Option(
        "--heads",
        metavar="DIR",
        help="Where the heads that were seen are remembered.",
        show_default="~/.local/state/cryoflux/heads",
    ),
]


def heads_folder() -> Path | None:
    """Where heads that were seen are remembered, unless a folder is named; none where there is no home."""
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return Path(home).expanduser() / "cryoflux" / "heads"
    except RuntimeError:
        return None


def _folder(named: Path | None) -> Path:
    if (folder := named or heads_folder()) is None:
        raise UsageError(
            "There is no home directory.",
            why="What was seen is remembered below it.",
            hint="Name the folder with --heads DIR.",
        )
    return folder


def _document(log: RememberedLog) -> dict[str, Any]:
    head, verified = log.head, log.verified
    return {
        "origin": log.origin,
        "head": _head(head) if head is not None else None,
        "verified": {"file": str(verified.path), "at": utc_label(verified.at_s)} if verified else None,
        "evidence": [str(path) for path in log.evidence],
    }


def _head(head: RememberedHead) -> dict[str, Any]:
    return {
        "size": head.point.size,
        "root": head.point.root.hex(),
        "log_key": str(head.log) if head.log is not None else "",
        "binding": head.binding.value,
        "at": head.at,
    }


def _lines(log: RememberedLog) -> list[str]:
    lines = [log.origin]
    if (head := log.head) is not None:
        when = f", remembered {head.at}" if head.at else ""
        lines.append(f"  head      {head.point.size} entries, root {head.point.root.hex()[:16]}…{when}")
        lines.append(f"            {_WORD[head.binding.value]}")
    if log.verified is not None:
        lines.append(f"  verified  what it had come to at {utc_label(log.verified.at_s)}, for --trust-memory")
    lines += [f"  evidence  that it told two stories: {path}" for path in log.evidence]
    return lines


def _print(lines: list[str]) -> None:
    for line in lines:
        stdout.print(line, markup=False)


@app.command("list")
def list_logs(heads: HeadsOption = None, as_json: JsonOption = False) -> None:
    """List the logs that were seen, with the head that the next verification compares with."""
    from cryoflux.verification.remembered import remembered_logs, unreadable_files

    folder = _folder(heads)
    found = remembered_logs(folder)
    damaged = unreadable_files(folder)
    if as_json:
        logs, files = [_document(log) for log in found], [str(path) for path in damaged]
        emit_json("memory.list/1", {"folder": str(folder), "logs": logs, "unreadable": files})
        return
    for log in found:
        _print(_lines(log))
    for path in damaged:
        stdout.print(f"{path} cannot be read, so of which log it is is not known", markup=False)
    if not found and not damaged:
        stderr.print(f"No log is remembered in {folder}.", markup=False)


@app.command("forget")
def forget_log(
    origin: Annotated[str, typer.Argument(metavar="ORIGIN", help="Name of the log, by memory list.")],
    heads: HeadsOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget the head of a log: the next verification compares with nothing. Evidence stays."""
    from cryoflux.verification.remembered import forget, remembered_logs, unreadable_head

    folder = _folder(heads)
    log = next((found for found in remembered_logs(folder) if found.origin == origin), None)
    damaged = unreadable_head(folder, origin)
    if (log is None or (log.head is None and log.verified is None)) and damaged is None:
        raise UsageError(
            f"Nothing of a log {origin!r} is remembered in {folder}.",
            why="Nothing was forgotten.",
            hint="See what is: cryoflux memory list.",
        )
    if not as_json:
        _print(_lines(log) if log is not None else [origin])
        if damaged is not None:
            stdout.print(f"  head      {damaged}, which is damaged or cannot be read", markup=False)
    if not yes:
        _ask(origin, heads, as_json=as_json)
    gone = forget(folder, origin)
    if as_json:
        said = _document(log) if log is not None else {"origin": origin}
        removed = [str(path) for path in gone]
        emit_json("memory.forget/1", {"event": "forgotten", **said, "removed": removed})
        return
    kept = "; the evidence is kept" if log is not None and log.evidence else ""
    stdout.print(f"forgotten: the next verification compares with nothing{kept}", markup=False)


def _ask(origin: str, heads: Path | None, *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        where = f" --heads {shlex.quote(str(heads))}" if heads is not None else ""
        raise UsageError(
            f"What was seen of {origin} would be forgotten, and nobody can be asked.",
            why="Nothing was forgotten.",
            hint=f"Say so beforehand: cryoflux memory forget {shlex.quote(origin)}{where} --yes",
        )
    stderr.print("Whoever cuts or rewrites this log is not found by memory the next time.")
    if not typer.confirm("Forget it?", err=True):
        stdout.print("nothing was forgotten")
        raise typer.Exit
