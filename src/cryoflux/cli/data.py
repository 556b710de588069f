"""``cryoflux data``: what a file of examples is, before a joule is spent on it."""

from __future__ import annotations

__all__ = ["app"]

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from cryoflux.config import Sourced

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
    from cryoflux.runs.document_check import is_of_documents

    sourced = load_settings(flags)
    of_documents = not (text_column or label_column) and is_of_documents(Path(train))
    check_it = _documents if of_documents else _examples
    begins = check_it(sourced, _command(flags, of_documents=of_documents), as_json=as_json)
    if not begins:
        sys.exit(int(ExitCode.NEGATIVE_VERDICT))


def _command(flags: Mapping[str, object], *, of_documents: bool) -> str:
    """The run that a check is about, as it is typed."""
    said = {f"--{key.replace('_', '-')}": value for key, value in flags.items() if value is not None}
    task = " --task causal-lm" if of_documents else ""
    options = " ".join(f"{name} {shlex.quote(str(value))}" for name, value in said.items())
    return f"cryoflux run{task} {options} --budget 2kJ --state NEW"


def _examples(sourced: Sourced, command: str, *, as_json: bool) -> bool:
    """Show the check of labelled texts; whether a run would begin."""
    from cryoflux.report.data_words import check_document, check_lines
    from cryoflux.runs.data_check import check_data

    found = check_data(sourced.settings)
    if as_json:
        emit_json("data.check/1", check_document(found, command))
    else:
        _print(check_lines(found, command))
    return found.refusal is None


def _documents(sourced: Sourced, command: str, *, as_json: bool) -> bool:
    """Show the check of documents; whether a run would begin."""
    from cryoflux.report.document_words import documents_document, documents_lines
    from cryoflux.runs.document_check import check_documents

    found = check_documents(sourced)
    if as_json:
        emit_json("data.documents/1", documents_document(found, command))
    else:
        _print(documents_lines(found, command))
    return found.refusal is None


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        stdout.print(line, indent=11)
