"""``cryoflux export``: attempts or versions as a table, for spreadsheets, notebooks and databases."""

from __future__ import annotations

__all__ = ["export"]

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from cryoflux.cli.console import as_json_line, stderr
from cryoflux.cli.outputs import require_output
from cryoflux.errors import UsageError
from cryoflux.files import replacing

_ATTEMPTS_SCHEMA = "export.attempts/1"
_VERSIONS_SCHEMA = "export.versions/1"


class Format(StrEnum):
    """What the table is written as."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class What(StrEnum):
    """What a row is about."""

    ATTEMPTS = "attempts"
    VERSIONS = "versions"


def export(
    form: Annotated[Format, typer.Option("--format", help="What the table is written as.")] = Format.CSV,
    what: Annotated[What, typer.Option(help="What a row is about.")] = What.ATTEMPTS,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there, and not to stdout.")
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", metavar="DIR", help="State directory; may be repeated.", show_default="./state"
        ),
    ] = None,
) -> None:
    """Every attempt, or version, as a row; units are in docs/reference/export.md.

    In CSV, a text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    from cryoflux.config import load_settings

    if output is not None:
        require_output(output)
    asked: list[str | None] = [*state] if state else [None]
    named = [load_settings({"state": one}).settings.run.state for one in asked]
    places = [Path(one) for one in named]
    if output is not None:
        with replacing(output) as stream:
            count = _write(stream, form, what, places)
        stderr.print(f"written: {output}, {count} rows")
        return
    if form is Format.PARQUET and sys.stdout.isatty():
        raise UsageError(
            "Parquet is no text.",
            why="A terminal shows text.",
            hint="Write it into a file: -o attempts.parquet",
        )
    _write(sys.stdout.buffer, form, what, places)
    sys.stdout.buffer.flush()


def _write(stream: BinaryIO, form: Format, what: What, states: list[Path]) -> int:
    """Write the table, and say how many rows it has."""
    from cryoflux.queries.rows import ATTEMPT_COLUMNS, VERSION_COLUMNS, attempt_rows, version_rows
    from cryoflux.report.exporting import write_csv, write_jsonl, write_parquet

    attempts = what is What.ATTEMPTS
    schema = _ATTEMPTS_SCHEMA if attempts else _VERSIONS_SCHEMA
    columns = ATTEMPT_COLUMNS if attempts else VERSION_COLUMNS
    count = 0

    def counted() -> Any:
        nonlocal count
        for row in attempt_rows(states) if attempts else version_rows(states):
            count += 1
            yield row

    def as_line(row: Mapping[str, Any]) -> str:
        return as_json_line(schema, row)

    if form is Format.CSV:
        write_csv(stream, columns, counted())
    elif form is Format.JSONL:
        write_jsonl(stream, as_line, counted())
    else:
        write_parquet(stream, schema, columns, counted())
    return count
