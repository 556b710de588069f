"""``cryoflux export``: attempts, versions or judgements as a table, for spreadsheets and databases."""

from __future__ import annotations

__all__ = ["export"]

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from cryoflux.cli.console import as_json_line, stderr
from cryoflux.cli.export_to import TrackerName, say_nothing_there, send
from cryoflux.cli.outputs import require_output
from cryoflux.errors import UsageError
from cryoflux.files import replacing

_ATTEMPTS_SCHEMA = "export.attempts/1"
_VERSIONS_SCHEMA = "export.versions/1"
_JUDGEMENTS_SCHEMA = "export.judgements/1"


class Format(StrEnum):
    """What the table is written as."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class What(StrEnum):
    """What a row is about."""

    ATTEMPTS = "attempts"
    VERSIONS = "versions"
    JUDGEMENTS = "judgements"


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
    to: Annotated[
        TrackerName | None, typer.Option(help="Hand the attempts to a tracker in place of a table.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="With --to: an address, a folder, a file or a project."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="With --to: go on until it is stopped.")] = False,
) -> None:
    """Every attempt, version or judgement as a row; units are in docs/reference/export.md.

    In CSV, a text that a spreadsheet would take for a formula begins with an apostrophe. With --to each
    attempt is a step of a run in a tracker: docs/how-to/send-it-to-your-tracker.md.
    """
    from cryoflux.config import load_settings

    if to is not None or at is not None or follow:
        _to_tracker(to, at, state, follow=follow, tables=output is not None or what is not What.ATTEMPTS)
        return
    if output is not None:
        require_output(output)
    asked: list[str | None] = [*state] if state else [None]
    named = [load_settings({"state": one}).settings.run.state for one in asked]
    places = [Path(one) for one in named]
    if output is not None:
        with replacing(output) as stream:
            count = _write(stream, form, what, places)
        _say_none(count, what, places)
        stderr.print(f"written: {output}, {count} rows")
        if what is What.ATTEMPTS:
            _say_judgements(places)
        return
    if form is Format.PARQUET and sys.stdout.isatty():
        raise UsageError(
            "Parquet is no text.",
            why="A terminal shows text.",
            hint="Write it into a file: -o attempts.parquet",
        )
    count = _write(sys.stdout.buffer, form, what, places)
    sys.stdout.buffer.flush()
    _say_none(count, what, places)


def _say_none(count: int, what: What, places: Sequence[Path]) -> None:
    if not count:
        say_nothing_there(what.value, places, "The table has no rows.")


def _say_judgements(places: list[Path]) -> None:
    """Say where the judgements of a log are, which are no attempts."""
    from cryoflux.log_view import open_log
    from cryoflux.report.judged_words import judgements_text
    from cryoflux.state import StateFolder

    for place in places:
        if (judged := open_log(place).summary().judged) is not None:
            listed = f"cryoflux receipts list --json{StateFolder(place).flag()}"
            stderr.print(f"{judgements_text(judged)}: no attempts, so in no row; {listed}")


def _to_tracker(
    to: TrackerName | None, at: str | None, state: list[str] | None, *, follow: bool, tables: bool
) -> None:
    from cryoflux.config import load_settings

    if to is None or tables or len(state or []) > 1:
        raise UsageError(
            "A tracker takes the attempts of one state, and no table.",
            why="--at and --follow belong to --to; -o, --what and several states to a table.",
            hint="For example: cryoflux export --to tensorboard --at runs --state state",
        )
    settings = load_settings({"state": state[0] if state else None}).settings
    send(to, at, Path(settings.run.state), settings.energy, follow=follow)


def _write(stream: BinaryIO, form: Format, what: What, states: list[Path]) -> int:
    """Write the table, and say how many rows it has."""
    from cryoflux.queries import rows
    from cryoflux.report.exporting import write_csv, write_jsonl, write_parquet

    tables = {
        What.ATTEMPTS: (_ATTEMPTS_SCHEMA, rows.ATTEMPT_COLUMNS, rows.attempt_rows),
        What.VERSIONS: (_VERSIONS_SCHEMA, rows.VERSION_COLUMNS, rows.version_rows),
        What.JUDGEMENTS: (_JUDGEMENTS_SCHEMA, rows.JUDGEMENT_COLUMNS, rows.judgement_rows),
    }
    schema, columns, rows_of = tables[what]
    count = 0

    def counted() -> Any:
        nonlocal count
        for row in rows_of(states):
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
