"""``cryoflux data``: what a file of examples is, before a joule is spent on it."""

from __future__ import annotations

__all__ = ["app"]

import sys
from typing import Annotated

import typer

from cryoflux.cli.console import JsonOption, emit_json, stdout
from cryoflux.cli.groups import SettingsCommand
from cryoflux.errors import ExitCode

app = typer.Typer(
    help="What a file of examples is, and what a run would make of it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _option(help_text: str, flag: str, metavar: str | None = None) -> object:
    return typer.Option(flag, help=help_text, metavar=metavar, show_default=False)


@app.callback()
def _group() -> None:
    pass


@app.command("check", cls=SettingsCommand)
def check(
    train: Annotated[str, typer.Argument(help="File, folder of datasets, or imdb[train].", metavar="FILE")],
    holdout: Annotated[str | None, _option("Examples that Δ is measured on.", "--holdout", "FILE")] = None,
    audit: Annotated[str | None, _option("Sealed examples, only reported.", "--audit", "FILE")] = None,
    text_column: Annotated[
        str | None, _option("Column of the texts; NAME,NAME for pairs.", "--text-column", "NAME")
    ] = None,
    label_column: Annotated[str | None, _option("Column of the classes.", "--label-column", "NAME")] = None,
    encoding: Annotated[str | None, _option("Of text files; else it is found.", "--encoding")] = None,
    most_dropped: Annotated[
        float | None, _option("Most rows that may lack text or label, as a share.", "--most-dropped")
    ] = None,
    balance: Annotated[
        int | None, _option("Cut classes to so many times the smallest; 0 for none.", "--balance")
    ] = None,
    holdout_size: Annotated[int | None, _option("Most holdout examples split off.", "--holdout-size")] = None,
    spare_holdouts: Annotated[int | None, _option("Further holdouts split off.", "--spare-holdouts")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a file holds, what is odd about it, and what a run would make of it.

    Nothing is written, and no model is loaded. Exit 1 where a run would refuse.
    """
    flags = {key: value for key, value in locals().items() if key != "as_json"}
    from cryoflux.config import load_settings
    from cryoflux.report.data_words import check_document, check_lines
    from cryoflux.runs.data_check import check_data

    found = check_data(load_settings(flags).settings)
    if as_json:
        emit_json("data.check/1", check_document(found))
    else:
        for line in check_lines(found):
            stdout.print(line, indent=11)
    if found.refusal is not None:
        sys.exit(int(ExitCode.NEGATIVE_VERDICT))
