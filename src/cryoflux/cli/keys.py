"""``cryoflux keys``: name a root key, see which key signed what, rotate and revoke."""

from __future__ import annotations

__all__ = ["app"]

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.chosen import state_of
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.cli.signed_text import signed_text
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryoflux.receipts.log import ReceiptLog
    from cryoflux.receipts.revocation import Authority, Reign

app = typer.Typer(
    cls=CommandGroup,
    help="Name a root key, rotate and revoke receipt keys.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
RootOption = Annotated[
    Path, typer.Option("--root", metavar="FILE", help="The root key; keep it outside the state.")
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the log.")]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def _opened(state: Path) -> Iterator[ReceiptLog]:
    from cryoflux.files import lock_exclusively
    from cryoflux.receipts.log import ReceiptLog
    from cryoflux.receipts.store import DATABASE

    if not (state / DATABASE).is_file():
        raise UsageError(
            f"{state} holds no receipts.",
            why="Its keys are made by its first run.",
            hint="Name another one with --state DIR, or make one with cryoflux run.",
        )
    with lock_exclusively(state / "lock", holder="cryoflux keys"):
        log = ReceiptLog.open(state)
        try:
            yield log
        finally:
            log.close()


def _refuse_inside(state: Path, root: Path) -> None:
    if root.absolute().resolve().is_relative_to(state.absolute().resolve()):
        raise UsageError(
            f"{root} lies inside the state directory.",
            why="Whoever steals the state would get the key that is there to recover from that.",
            hint="Keep it elsewhere, such as on a memory stick: --root FILE.",
        )


def _reign(reign: Reign) -> dict[str, Any]:
    return {"keyid": reign.keyid, "from": reign.start, "until": reign.end, "ended_by": reign.ended_by or None}


def _view(authority: Authority, entries: int) -> dict[str, Any]:
    from cryoflux.signing.keys import key_id

    valid, root = authority.receipt_key, authority.root_key
    return {
        "entries": entries,
        "receipt_key": key_id(valid) if valid is not None else None,
        "root_key": key_id(root) if root is not None else None,
        "receipt_keys": [_reign(reign) for reign in authority.reigns],
    }


def _print(view: dict[str, Any]) -> None:
    for key in view["receipt_keys"]:
        until = "…" if key["until"] is None else key["until"] - 1
        ended = f"  ended by {key['ended_by']}" if key["ended_by"] else ""
        stdout.print(
            f"receipt key {key['keyid'][:16]}…  entries {key['from']} to {until}{ended}", markup=False
        )
    if view["receipt_key"] is None:
        stdout.print("no receipt key is valid; name one: cryoflux keys rotate --root FILE", markup=False)
    root = f"root key    {view['root_key'][:16]}…" if view["root_key"] else "root key    none"
    stdout.print(root, markup=False)


def _done(event: str, what: str, log: ReceiptLog, index: int, *, as_json: bool) -> None:
    if as_json:
        emit_json("keys/1", {"event": event, "entry": index, **_view(log.authority, log.size)})
    else:
        stderr.print(f"{what} (entry {index} of the log)", markup=False)


@app.command("init")
def init(root: RootOption, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Make a root key, or take the one in FILE, and name it in the log of the state."""
    from cryoflux.receipts.rotation import enrol_root
    from cryoflux.signing.keys import load_root

    folder = state_of(state)
    _refuse_inside(folder, root)
    with _opened(folder) as log:
        known = root.exists()
        key = log.authority.root_key or load_root(root, create=True).public_key()
        entry = enrol_root(log, folder, key, _now())
        made = "taken from" if known else "made in"
        _done("root-named", f"Root key {made} {root}; keep it offline", log, entry.index, as_json=as_json)


@app.command("show")
def show(state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show which key signed which entries; read from the log, without changing it."""
    from cryoflux.receipts.reading import read_authority

    authority, entries = read_authority(state_of(state))
    view = _view(authority, entries)
    if as_json:
        emit_json("keys/1", view)
    else:
        _print(view)


@app.command("rotate")
def rotate(
    root: RootOption, state: StateOption = None, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Put a new receipt key in the place of the last; what that one signed stays valid."""
    from cryoflux.receipts.rotation import rotate_key
    from cryoflux.signing.keys import load_root

    folder, why = state_of(state), signed_text(reason, "--reason")
    with _opened(folder) as log:
        entry = rotate_key(log, folder, load_root(root, create=False), why, _now())
        keyid = log.authority.reigns[-1].keyid
        _done("rotated", f"Receipt key {keyid[:16]}… signs from now on", log, entry.index, as_json=as_json)


@app.command("revoke")
def revoke(
    keyid: Annotated[str, typer.Argument(metavar="KEYID", help="Id of the key, or its first digits.")],
    root: RootOption,
    state: StateOption = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a receipt key: nothing that it signs from now on is valid."""
    from cryoflux.receipts.rotation import revoke_key
    from cryoflux.signing.keys import load_root

    why = signed_text(reason, "--reason")
    with _opened(state_of(state)) as log:
        entry = revoke_key(log, load_root(root, create=False), keyid, why, _now())
        done = "Revoked; name a new key: cryoflux keys rotate --root FILE"
        _done("revoked", done, log, entry.index, as_json=as_json)
