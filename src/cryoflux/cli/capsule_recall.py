"""``cryoflux capsule recall``: take an adopted update out of the head."""

from __future__ import annotations

__all__ = ["recall"]

from pathlib import Path
from typing import Annotated

import typer

from cryoflux.cli.chosen import settings_of
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout


def recall(
    sha: Annotated[str, typer.Argument(metavar="SHA", help="First digits of an adopted update.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the log.")],
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", metavar="FILE", help="A file that shows why; its digest is signed."),
    ] = None,
    task: Annotated[
        str, typer.Option("--task", metavar="NAME", help="Whose head is composed.")
    ] = "lora_delta",
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an adopted update out of the head, which is then the one that never adopted it."""
    from cryoflux.digests import file_digest
    from cryoflux.runs.by_hand import versions_by_hand
    from cryoflux.runs.node_by_hand import adopted_named
    from cryoflux.runs.node_by_hand import recall as take_out

    settings, folder = settings_of(state)
    shown = file_digest(evidence) if evidence is not None else ""
    with versions_by_hand(folder, settings, "cryoflux capsule recall") as opened:
        found = take_out(opened, adopted_named(opened, sha, task), task, reason, shown)
    if as_json:
        emit_json(
            "capsule.recall/1",
            {
                "event": "recalled",
                "capsule": found.capsule,
                "task_name": task,
                "base_model_hash": found.head.digest,
                "updates": found.updates,
                "same_as_before": found.same_as_before,
            },
        )
        return
    updates = f"{found.updates} update{'' if found.updates == 1 else 's'}"
    same = ": the version from before it was adopted, byte for byte" if found.same_as_before else ""
    stdout.print(f"recalled {found.capsule[:16]}…; the head is {found.head.digest[:16]}…, of {updates}{same}")
