"""``cryoflux data``: what a file of examples is, before a joule is spent on it."""

from __future__ import annotations

__all__ = ["app"]

import sys
from typing import Annotated

import typer

from cryoflux.cli.console import JsonOption, emit_json, stdout
from cryoflux.cli.data_options import (
    AuditOption,
    BalanceOption,
    EncodingOption,
    HoldoutOption,
    HoldoutSizeOption,
    LabelColumnOption,
    MostDroppedOption,
    SpareHoldoutsOption,
    TextColumnOption,
)
from cryoflux.cli.groups import SettingsCommand
from cryoflux.errors import ExitCode

app = typer.Typer(
    help="What a file of examples is, and what a run would make of it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    pass


@app.command("check", cls=SettingsCommand)
def check(
    train: Annotated[str, typer.Argument(help="File, folder of datasets, or imdb[train].", metavar="FILE")],
    holdout: HoldoutOption = None,
    audit: AuditOption = None,
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    encoding: EncodingOption = None,
    most_dropped: MostDroppedOption = None,
    balance: BalanceOption = None,
    holdout_size: HoldoutSizeOption = None,
    spare_holdouts: SpareHoldoutsOption = None,
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
