"""``cryoflux models push``: a version to the Hugging Face Hub, after it was said what would go."""

from __future__ import annotations

__all__ = ["push"]

from pathlib import Path
from typing import Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.cli.model_moves import TaskOption


def push(
    version: Annotated[
        str,
        typer.Argument(help="First digits of a digest, '#3', head, champion, an alias, head~1."),
    ],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Of the Hub; made where needed.")],
    adapter_only: Annotated[
        bool, typer.Option("--adapter-only", help="The adapter, card and receipts, and not the version.")
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="If the repository is made, only you can read it.")
    ] = False,
    licence: Annotated[
        str, typer.Option("--license", metavar="ID", help="As the Hub calls it: apache-2.0.")
    ] = "",
    location: Annotated[str, typer.Option(metavar="TEXT", help="Where it was trained, for CO₂e.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Upload; without it, only say what would go.")] = False,
    state: StateOption = None,
    task: TaskOption = None,
    as_json: JsonOption = False,
) -> None:
    """A version, its adapter, its card and its receipts, to the Hub: first say what goes, then --yes."""
    from cryoflux.config import load_settings
    from cryoflux.energy.derived import rates_of
    from cryoflux.integrations.hub import files_to_push, push_files
    from cryoflux.log_view import open_log
    from cryoflux.queries.card import card_facts
    from cryoflux.report.card import CardNames, write_card
    from cryoflux.runs.catalogue import read_catalogue
    from cryoflux.runs.version_names import find_version
    from cryoflux.state import StateFolder

    settings = load_settings({"state": state}).settings
    folder = StateFolder(Path(settings.run.state))
    log, catalogue = open_log(folder.path), read_catalogue(folder)
    found = find_version(catalogue, version, task)
    names = CardNames(name=repository.rpartition("/")[2], licence=licence, location=location)
    card = write_card(card_facts(log, catalogue, found, rates_of(settings.energy)), names)
    files = files_to_push(folder, found, card, adapter_only=adapter_only)
    size, url = sum(one.size for one in files), None
    if yes:
        message = f"Version {found.digest[:12]} of CryoFlux"
        url = push_files(repository, files, private=private, message=message)
    if as_json:
        told = [{"name": one.name, "bytes": one.size} for one in files]
        said = {"digest": found.digest, "repository": repository, "bytes": size, "listed": told, "url": url}
        emit_json("models.push/1", said)
        return
    for one in files:
        stdout.print(f"{one.size:>12,} B  {one.name}", markup=False)
    if url is not None:
        stdout.print(f"uploaded: {len(files)} files, {size:,} B; {url}", markup=False)
    else:
        stdout.print(f"Nothing was uploaded. {len(files)} files, {size:,} B, would go to {repository}: --yes")
