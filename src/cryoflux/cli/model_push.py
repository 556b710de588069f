"""``cryoflux models push``: a version to the Hugging Face Hub, after it was said what would go."""

from __future__ import annotations

__all__ = ["push"]

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.cli.model_moves import TaskOption
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryoflux.integrations.hub import HubFile, RepositoryParts
    from cryoflux.report.card import CardNames


def push(
    version: Annotated[
        str,
        typer.Argument(help="First digits of a digest, '#3', head, champion, an alias, head~1."),
    ],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Of the Hub; made where needed.")],
    adapter_only: Annotated[
        bool, typer.Option("--adapter-only", help="The adapters, card and receipts, and not the version.")
    ] = False,
    whole_log: Annotated[
        bool, typer.Option("--whole-log", help="Also every entry of the log, whatever it is about.")
    ] = False,
    sign: Annotated[
        Path | None,
        typer.Option("--sign", metavar="FILE", help="Sign all files by model-signing with this private key."),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="If the repository is made, only you can read it.")
    ] = False,
    licence: Annotated[
        str, typer.Option("--license", metavar="ID", help="As the Hub calls it: apache-2.0.")
    ] = "",
    location: Annotated[str, typer.Option(metavar="TEXT", help="Where it was trained, for CO₂e.")] = "",
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="DIR", help="Write the files there, and upload nothing."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Upload; without it, only say what would go.")] = False,
    state: StateOption = None,
    task: TaskOption = None,
    as_json: JsonOption = False,
) -> None:
    """A version, its adapters, its card and its receipts, to the Hub: first say what goes, then --yes."""
    from cryoflux.integrations.hub import RepositoryParts, push_files, write_files
    from cryoflux.report.card import CardNames

    if into is not None and yes:
        raise UsageError(
            "--into writes files, and --yes uploads them.",
            why="Only one of both can be done.",
            hint="Look at the files first: leave --yes out.",
        )
    names = CardNames(name=repository.rpartition("/")[2], licence=licence, location=location)
    parts = RepositoryParts(version=not adapter_only, whole_log=whole_log)
    url = None
    with ExitStack() as opened:
        digest, files = _files(version, state, task, names, parts, sign, opened)
        if into is not None:
            write_files(into, files)
        elif yes:
            url = push_files(repository, files, private=private, message=f"Version {digest[:12]} of CryoFlux")
        if as_json:
            told = [{"name": one.name, "bytes": one.size} for one in files]
            said = {"digest": digest, "repository": repository, "bytes": _size(files), "listed": told}
            emit_json(
                "models.push/1", {**said, "url": url, "folder": str(into) if into is not None else None}
            )
            return
        _print(files, repository, into, url)


def _size(files: Sequence[HubFile]) -> int:
    return sum(one.size for one in files)


def _print(files: Sequence[HubFile], repository: str, into: Path | None, url: str | None) -> None:
    size = _size(files)
    for one in files:
        stdout.print(f"{one.size:>12,} B  {one.name}", markup=False)
    if into is not None:
        where = f"into {into}; nothing was uploaded"
        stderr.print(f"written: {len(files)} files, {size:,} B, {where}", markup=False)
    elif url is not None:
        stdout.print(f"uploaded: {len(files)} files, {size:,} B; {url}", markup=False)
    else:
        stdout.print(f"Nothing was uploaded. {len(files)} files, {size:,} B, would go to {repository}: --yes")


def _files(
    version: str,
    state: str | None,
    task: str | None,
    names: CardNames,
    parts: RepositoryParts,
    sign: Path | None,
    opened: ExitStack,
) -> tuple[str, tuple[HubFile, ...]]:
    """The digest of the version, and all that goes of it."""
    from cryoflux.config import load_settings
    from cryoflux.energy.derived import rates_of
    from cryoflux.integrations.hub import files_to_push
    from cryoflux.integrations.model_signing import sign_files
    from cryoflux.log_view import open_log
    from cryoflux.queries.card import card_facts
    from cryoflux.queries.made_of import made_of
    from cryoflux.receipts.reading import each_entry
    from cryoflux.report.card import write_card
    from cryoflux.runs.catalogue import read_catalogue
    from cryoflux.runs.version_names import find_version
    from cryoflux.state import StateFolder

    settings = load_settings({"state": state}).settings
    folder = StateFolder(Path(settings.run.state))
    log, catalogue = open_log(folder.path), read_catalogue(folder)
    found = find_version(catalogue, version, task)
    facts = card_facts(log, catalogue, found, rates_of(settings.energy))
    made = made_of(folder, each_entry(folder.path), catalogue.tasks[found.task].line(found.digest))
    card = write_card(facts, names, made, signed=sign is not None)
    files = files_to_push(folder, found.digest, made, card, parts, opened)
    return found.digest, (*files, sign_files(files, sign)) if sign is not None else files
