"""``cryoflux node audit``: verify a peer by what was pulled of it, with models that are made here."""

from __future__ import annotations

__all__ = ["audit_peer"]

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.chosen import reader_state
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.errors import ExitCode

if TYPE_CHECKING:
    from cryoflux.network.auditing import Audited
    from cryoflux.verification.result import Check

_AGAIN = 11
_NO_MORE = "its verdicts count no more in your books"


def audit_peer(
    name: Annotated[str, typer.Argument(help="The peer, as the file of peers calls it.")],
    recompute: Annotated[
        int,
        typer.Option(
            "--recompute",
            metavar="N",
            min=0,
            help="Make the newest N versions of its rounds, and its newest N opened looks, again.",
        ),
    ] = 0,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a peer by what was pulled of it; exit 1 if something that it says is refuted."""
    from cryoflux.log_check import asked_again, sections_of
    from cryoflux.network.auditing import audit
    from cryoflux.network.folder import NetworkFolder
    from cryoflux.network.peers import read_peers

    path = reader_state(state)
    peers = read_peers(NetworkFolder.of(path).known_peers)
    again = asked_again(recompute, 0, 1, 0)
    found = audit(path, peers, name, again, sections_of(()), int(time.time()))
    if as_json:
        emit_json("node.audit/1", _document(found))
    else:
        _show(found, recompute)
    if found.refuted:
        raise typer.Exit(ExitCode.NEGATIVE_VERDICT)


def _parts(found: Audited) -> dict[str, list[Check]]:
    """What was made again, what was refuted, and what could not be had or told."""
    checks = found.report.checks
    return {
        "reproduced": [one for one in checks if one.number == _AGAIN and one.status.value == "ok"],
        "refuted": [one for one in checks if one.status.value == "fail"],
        "open": [one for one in checks if one.status.value == "unknown"],
    }


def _document(found: Audited) -> dict[str, Any]:
    said = {what: [one.to_json() for one in checks] for what, checks in _parts(found).items()}
    return {
        "name": found.node.name,
        "origin": found.node.origin,
        "entries": found.report.entries,
        "convicted": found.convicted,
        "holds": not found.refuted,
        "lacking": [
            {"guest": root, "path": one.lacks, "tries": one.tries, "why": one.why}
            for root, some in found.unmade.items()
            for one in some
        ],
        **said,
        "checks": [one.to_json() for one in found.report.checks],
    }


def _show(found: Audited, recompute: int) -> None:
    from cryoflux.cli.verdict import print_check

    parts = _parts(found)
    stdout.print(f"{found.node.name}  {found.node.origin}  {found.report.entries:,} entries here")
    for check in found.report.checks:
        print_check(check)
    if found.convicted:
        stdout.print("✗     it told two histories: cryoflux node pull names the evidence", indent=6)
    for root, some in found.unmade.items():
        more = f" and {len(some) - 1:,} more" if len(some) > 1 else ""
        lacks = f"?     guest holdout {root[:16]}… lacks {some[0].lacks[:28]}…{more}: each pull asks for it"
        stdout.print(f"{lacks}; once two did in vain, a day after it was opened, {_NO_MORE}", indent=6)
        if some[0].why:
            stdout.print(f"      why it did not come: {some[0].why}", indent=6)
    again = f"{len(parts['reproduced'])} reproduced" if recompute else "nothing made again: --recompute N"
    words = [again, f"{len(parts['refuted'])} refuted", f"{len(parts['open'])} open"]
    stdout.print(f"{found.node.name}: {'refuted' if found.refuted else 'holds'} ({', '.join(words)})")
