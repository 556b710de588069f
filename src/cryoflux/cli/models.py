"""``cryoflux models``: every version by the log, what lies between two, and what is done to them by hand."""

from __future__ import annotations

__all__ = ["app"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli import model_card, model_chat, model_moves, model_push
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.cli.model_moves import TaskOption
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryoflux.runs.catalogue import Catalogue
    from cryoflux.runs.version_diff import VersionDiff

VersionArgument = Annotated[
    str,
    typer.Argument(
        help="First digits of a digest, what made it ('#3', round '#r2'), head, champion, an alias; head~1 "
        "for the one before."
    ),
]
app = typer.Typer(
    cls=CommandGroup,
    help="The versions that were kept, which one is the head, and going back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("card")(model_card.card)
app.command("push")(model_push.push)
app.command("chat")(model_chat.chat)
app.command("promote")(model_moves.promote)
app.command("rollback")(model_moves.rollback)
app.command("alias")(model_moves.alias)
app.command("prune")(model_moves.prune)
app.command("rebuild")(model_moves.rebuild)


def _catalogue(state: str | None) -> Catalogue:
    from cryoflux.config import load_settings
    from cryoflux.runs.catalogue import read_catalogue
    from cryoflux.state import StateFolder

    folder = Path(load_settings({"state": state}).settings.run.state)
    if not (folder / "models").is_dir():
        raise UsageError(
            f"{folder} holds no models.",
            why="Models are made by a run.",
            hint="Start one: cryoflux run --budget 2kJ, or name another folder with --state DIR.",
        )
    return read_catalogue(StateFolder(folder))


@app.command("list")
def list_versions(
    state: StateOption = None,
    task: TaskOption = None,
    every: Annotated[bool, typer.Option("--all", help="Those whose files were freed, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Every version whose files are here, task by task, oldest first; heads are marked."""
    from cryoflux.report.version_words import (
        VERSION_HEADING,
        VERSION_RIGHT,
        VERSION_SPARE,
        version_cells,
        version_document,
        version_note,
    )
    from cryoflux.runs.version_facts import version_facts
    from cryoflux.runs.version_names import task_of

    catalogue = _catalogue(state)
    if task is not None:
        task_of(catalogue, task)
    facts = version_facts(catalogue)
    wanted = [
        one
        for one in catalogue.versions()
        if (every or one.digest in catalogue.present) and (task is None or one.task == task)
    ]
    if as_json:
        rows = [version_document(catalogue, one, facts[one.task, one.digest]) for one in wanted]
        emit_json("models.list/1", {"versions": rows})
        return
    tasks = [*dict.fromkeys(one.task for one in wanted if one.task)]
    for name in tasks or [""]:
        # What no entry names stands below the last of them.
        some = [one for one in wanted if one.task == name or (not one.task and name == tasks[-1])]
        if len(tasks) > 1:
            stdout.print(f"{name}:")
        cells = [version_cells(catalogue, one, facts[one.task, one.digest]) for one in some]
        left_out = stdout.table(
            [VERSION_HEADING, *cells], VERSION_RIGHT, ["", *map(version_note, some)], VERSION_SPARE
        )
        if left_out:
            stdout.print(f"The screen is too narrow for: {', '.join(left_out)}; models show has them.")
    gone = [one for one in catalogue.versions() if one.digest not in catalogue.present]
    if hidden := sum(task is None or one.task == task for one in gone) * (not every):
        stdout.print(f"{hidden} more are freed: cryoflux models list --all{catalogue.state.flag()}")


@app.command("show")
def show_version(
    version: VersionArgument = "head",
    state: StateOption = None,
    task: TaskOption = None,
    as_json: JsonOption = False,
) -> None:
    """One version: where it lies, what made it, what it scores, what it cost."""
    from cryoflux.report.version_words import version_document, version_lines
    from cryoflux.runs.version_facts import version_facts
    from cryoflux.runs.version_names import find_version

    catalogue = _catalogue(state)
    found = find_version(catalogue, version, task)
    facts = version_facts(catalogue)[found.task, found.digest]
    if as_json:
        emit_json("models.show/1", version_document(catalogue, found, facts))
        return
    for label, text in version_lines(catalogue, found, facts):
        stdout.print(f"{label:<8} {text}", indent=9)


@app.command("diff")
def diff(
    first: VersionArgument,
    second: VersionArgument = "head",
    state: StateOption = None,
    task: TaskOption = None,
    as_json: JsonOption = False,
) -> None:
    """What lies between two versions: tensors, settings, Δ, joules and receipts."""
    from cryoflux.report.version_diff_words import diff_document, diff_lines
    from cryoflux.runs.version_diff import diff_versions
    from cryoflux.runs.version_names import find_version

    catalogue = _catalogue(state)
    pair = (find_version(catalogue, name, task) for name in (first, second))
    found: VersionDiff = diff_versions(catalogue, *pair)
    if as_json:
        emit_json("models.diff/1", diff_document(found))
        return
    for line in diff_lines(found):
        stdout.print(line)
