"""``cryoflux capsule recall``: take an adopted update out of the head."""

from __future__ import annotations

__all__ = ["recall"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.changing import changing
from cryoflux.cli.chosen import settings_of, there
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.cli.signed_text import signed_text

if TYPE_CHECKING:
    from cryoflux.queries.descendants import Descendants
    from cryoflux.runs.by_hand import VersionsByHand


def recall(
    sha: Annotated[str, typer.Argument(metavar="SHA", help="First digits of an adopted update.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the log.")],
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", metavar="FILE", help="A file that shows why; its digest is signed."),
    ] = None,
    with_descendants: Annotated[
        bool,
        typer.Option("--with-descendants", help="Recall adopted ones that were trained on top of it, too."),
    ] = False,
    task: Annotated[
        str, typer.Option("--task", metavar="NAME", help="Whose head is composed.")
    ] = "lora_delta",
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an adopted update out of the head, which is then the one that never adopted it."""
    from cryoflux.cli.capsule_words import descendant_lines, descendants_document
    from cryoflux.digests import file_digest
    from cryoflux.runs.node_by_hand import adopted_named
    from cryoflux.runs.node_by_hand import recall as take_out

    settings, folder = settings_of(state)
    signed_text(reason, "--reason", room=len(_below("0" * 64, "")) if with_descendants else 0)
    shown = file_digest(evidence) if evidence is not None else ""
    with changing(there(folder), settings, "cryoflux capsule recall") as opened:
        capsule = adopted_named(opened, sha, task)
        found, also = take_out(opened, capsule, task, reason, shown), list[str]()
        for one in _descendants(opened, capsule).found if with_descendants else ():
            if one.adopted:
                why = _below(capsule, reason)
                found, also = take_out(opened, one.capsule, task, why, shown), [*also, one.capsule]
        below = _descendants(opened, capsule)
    if as_json:
        emit_json(
            "capsule.recall/1",
            {
                "event": "recalled",
                "capsule": capsule,
                "task_name": task,
                "base_model_hash": found.head.digest,
                "updates": found.updates,
                "same_as_before": found.same_as_before,
                "also_recalled": also,
                **descendants_document(below),
            },
        )
        return
    updates = f"{found.updates} update{'' if found.updates == 1 else 's'}"
    same = ": the version from before it was adopted, byte for byte" if found.same_as_before else ""
    stdout.print(f"recalled {capsule[:16]}…; the head is {found.head.digest[:16]}…, of {updates}{same}")
    for other in also:
        stdout.print(f"recalled {other[:16]}… too, which was trained on top of it")
    for line in descendant_lines(below):
        stdout.print(line)


def _below(capsule: str, reason: str) -> str:
    """Why what was trained on top of a recalled update is recalled too."""
    return f"it rests on {capsule[:16]}…: {reason}"


def _descendants(opened: VersionsByHand, capsule: str) -> Descendants:
    from cryoflux.queries.capsules import capsules_here
    from cryoflux.queries.descendants import descendants_of

    return descendants_of(capsule, capsules_here(opened.state), opened.memory, opened.state)
