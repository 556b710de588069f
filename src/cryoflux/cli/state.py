"""``cryoflux state``: what a state takes on the disk, and how to get some of it back."""

from __future__ import annotations

__all__ = ["app"]

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryoflux.state import StateFolder

app = typer.Typer(
    help="What a state takes on the disk, and freeing its cache.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _state(state: str | None) -> tuple[StateFolder, int]:
    """The folder, and the most bytes of its cache."""
    from cryoflux.config import load_settings
    from cryoflux.state import StateFolder

    settings = load_settings({"state": state}).settings
    return StateFolder(Path(settings.run.state)), settings.attempt.cache_mb * 1_000_000


def _size(count: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


@app.command("size")
def size(state: StateOption = None, as_json: JsonOption = False) -> None:
    """What lies where, how large it is, and how much of it can be freed."""
    from cryoflux.runs.disk_use import disk_use

    folder, most_bytes = _state(state)
    found = disk_use(folder)
    if as_json:
        emit_json(
            "state.size/1",
            {
                "state": str(found.state),
                "bytes": found.size,
                "freeable_bytes": found.freeable,
                "cache_most_bytes": most_bytes,
                "places": [
                    {"name": one.name, "bytes": one.size, "files": one.files, "note": one.note}
                    for one in found.places
                ],
            },
        )
        return
    for one in found.places:
        if one.files:
            stdout.print(f"{one.name:<9} {_size(one.size):>9}  {one.note}", markup=False)
    stdout.print(f"{'in all':<9} {_size(found.size):>9}", markup=False)
    most = f"a run leaves at most {_size(most_bytes)} in the cache (--cache-mb)"
    if found.freeable:
        command = f"cryoflux state clean --state {shlex.quote(str(found.state))}"
        stdout.print(f"can be freed: {_size(found.freeable)}, by {command}", markup=False)
        stdout.print(most, markup=False)
    else:
        stdout.print(f"nothing can be freed; {most}", markup=False)


@app.command("clean")
def clean(
    state: StateOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Free the cache. Receipts, keys, log, account, models and examples are not touched."""
    from cryoflux.runs.disk_use import disk_use, free_cache

    folder, _ = _state(state)
    freeable = disk_use(folder).freeable
    if freeable and not yes and not _agreed(folder.cache, freeable, as_json=as_json):
        stdout.print("nothing was deleted")
        return
    freed = free_cache(folder)
    if as_json:
        emit_json(
            "state.clean/1",
            {
                "state": str(folder.path),
                "freed_bytes": freed.size,
                "freed_files": freed.files,
                "in_use_bytes": freed.in_use_size,
                "in_use_files": freed.in_use,
            },
        )
        return
    stdout.print(f"freed {_size(freed.size)} of {folder.cache}; the next run computes it again", markup=False)
    if freed.in_use:
        stdout.print(f"{_size(freed.in_use_size)} are in use by a run and stay", markup=False)


def _agreed(cache: Path, count: int, *, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        raise UsageError(
            f"{_size(count)} of {cache} would be deleted, and nobody can be asked.",
            why="Nothing was deleted.",
            hint=f"Say so beforehand: cryoflux state clean --yes --state {shlex.quote(str(cache.parent))}.",
        )
    stderr.print(f"{cache} holds {_size(count)} that can be computed again.", markup=False)
    return typer.confirm("Delete it?", err=True)
