"""``cryoflux fork``: a state of its own that goes on from another one."""

from __future__ import annotations

__all__ = ["fork"]

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.console import JsonOption, emit_json, stdout

if TYPE_CHECKING:
    from cryoflux.runs.fork import ForkedState


def _amount(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB" if size >= 1_000_000 else f"{size / 1000:.1f} kB"


def _print(made: ForkedState, source: Path, shown: str) -> None:
    new = shlex.quote(shown)
    size, log = made.parent.size, made.parent.origin
    where = f"the first {size} entries of {log}" if size else f"{log}, still empty"
    stdout.print(f"{shown} goes on from {where}, as {made.origin}.", markup=False)
    for task, digest in made.heads.items():
        stdout.print(f"  {task}: head {digest[:16]}…", markup=False)
    shared, copied = _amount(made.linked_bytes), _amount(made.copied_bytes)
    stdout.print(f"  disk: {shared} of models shared with {source}, {copied} copied", markup=False)
    stdout.print(f"  looks: {made.looks} from the parent count here too", markup=False)
    stdout.print("  joules: none; what was granted to the parent stays there", markup=False)
    if made.guests:
        stays = "1 guest holdout stays" if made.guests == 1 else f"{made.guests} guest holdouts stay"
        stdout.print(
            f"  node: {stays} with the parent; what it adopted is in the head, and is recalled there alone",
            markup=False,
        )
    if not made.vouched:
        stdout.print(
            "  keys: new ones, and the parent's receipt key is not here to vouch for them", markup=False
        )
    stdout.print(f"Next: cryoflux run --state {new} --budget 2kJ", markup=False)
    stdout.print(f"Check: cryoflux verify {new} --parent {shlex.quote(str(source))}", markup=False)


def fork(
    state: Annotated[Path, typer.Argument(metavar="STATE", help="State to go on from; it is not changed.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Folder of the new state: not there, or empty.")],
    as_json: JsonOption = False,
) -> None:
    """Make a state of its own that goes on from another one, such as to try another recipe."""
    from cryoflux.runs.fork import fork_state

    made = fork_state(state, new, datetime.now(UTC))
    if not as_json:
        _print(made, state, str(new))
        return
    emit_json(
        "fork/1",
        {
            "event": "forked",
            "state": str(made.path),
            "origin": made.origin,
            "parent": {
                "origin": made.parent.origin,
                "entries": made.parent.size,
                "root": made.parent.root.hex(),
            },
            "heads": dict(made.heads),
            "looks": made.looks,
            "guest_holdouts_left": made.guests,
            "linked_bytes": made.linked_bytes,
            "copied_bytes": made.copied_bytes,
            "granted_joules": 0,
            "vouched": made.vouched,
        },
    )
