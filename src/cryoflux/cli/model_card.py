"""``cryoflux models card``: a version's model card, as the Hugging Face Hub reads it."""

from __future__ import annotations

__all__ = ["card"]

import sys
from pathlib import Path
from typing import Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json
from cryoflux.cli.model_moves import TaskOption
from cryoflux.cli.outputs import require_output, say_what_goes, write_report


def card(
    version: Annotated[
        str,
        typer.Argument(
            help="First digits of a digest, what made it ('#3', round '#r2'), head, champion, an alias; "
            "head~1 for the one before."
        ),
    ] = "head",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there: README.md.")
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the model, on the card.")] = "",
    licence: Annotated[
        str, typer.Option("--license", metavar="ID", help="As the Hub calls it: apache-2.0.")
    ] = "",
    location: Annotated[str, typer.Option(metavar="TEXT", help="Where it was trained, for CO₂e.")] = "",
    state: StateOption = None,
    task: TaskOption = None,
    as_json: JsonOption = False,
) -> None:
    """A model card: README.md with what the Hub reads, energy, Δ, receipts and how to check them."""
    from cryoflux.config import load_settings
    from cryoflux.energy.derived import rates_of
    from cryoflux.log_view import open_log
    from cryoflux.queries.card import card_facts
    from cryoflux.report.card import CardNames, card_front_matter, write_card
    from cryoflux.runs.catalogue import read_catalogue
    from cryoflux.runs.version_names import find_version
    from cryoflux.state import StateFolder

    if output is not None:
        require_output(output)
        say_what_goes(output, named=True)
    settings = load_settings({"state": state}).settings
    folder = StateFolder(Path(settings.run.state))
    log, catalogue = open_log(folder.path), read_catalogue(folder)
    facts = card_facts(log, catalogue, find_version(catalogue, version, task), rates_of(settings.energy))
    names = CardNames(name=name, licence=licence, location=location)
    text = write_card(facts, names)
    if output is not None:
        write_report(output, text.encode())
    if as_json:
        said = {"digest": facts.version.digest, "front_matter": card_front_matter(facts, names)}
        emit_json("models.card/1", {**said, "text": text, "file": str(output) if output else None})
    elif output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
