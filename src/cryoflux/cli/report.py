"""``cryoflux report``: a state, or two side by side, as lines, a document or a picture."""

from __future__ import annotations

__all__ = ["report"]

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, as_json_line, stdout
from cryoflux.cli.outputs import require_output, say_what_goes, write_report
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryoflux.energy.derived import Rates
    from cryoflux.log_view import Log
    from cryoflux.report.made import Reported

_ONE_SCHEMA = "report/2"
_TWO_SCHEMA = "report.compare/1"


class ReportFigure(StrEnum):
    """Which picture an SVG is."""

    ATTEMPTS = "attempts"
    PROGRESS = "progress"


class PaperColumns(StrEnum):
    """How wide a picture is."""

    ONE = "1"
    TWO = "2"


def report(
    states: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR] [DIR]", help="A state, or two to compare.", show_default="./state"),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="One HTML file, complete without a network.")] = False,
    md: Annotated[bool, typer.Option("--md", help="Markdown on stdout.")] = False,
    as_json: JsonOption = False,
    svg: Annotated[bool, typer.Option("--svg", help="A picture.")] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="Text and pictures on pages.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there.")
    ] = None,
    figure: Annotated[
        ReportFigure, typer.Option(help="Of --svg: energy against Δ, or loss and accuracy over joules.")
    ] = ReportFigure.ATTEMPTS,
    columns: Annotated[
        PaperColumns,
        typer.Option(help="Of --svg: one column of a paper (3.5 in), or two (7.2 in)."),
    ] = PaperColumns.TWO,
    state: StateOption = None,
) -> None:
    """What a state cost and gained, how sure that is, and what next; two states side by side.

    Without a format: every attempt in a line, and what they came to. Formats but JSON and Markdown go into a
    file: report.svg and so on, or what -o names.
    """
    from cryoflux.config import load_settings
    from cryoflux.energy.derived import rates_of
    from cryoflux.log_view import open_log

    kinds = {"html": html, "md": md, "json": as_json, "svg": svg, "pdf": pdf}
    kind = _only(kinds, states or [], output)
    _once(states, state)
    named = output is not None
    if output is None and kind in {"html", "svg", "pdf"}:
        output = Path(f"report.{kind}")
    if output is not None:
        require_output(output)
        say_what_goes(output, named=named)
    settings = load_settings({"state": state}).settings
    rates = rates_of(settings.energy)
    logs = [open_log(place) for place in states or [Path(settings.run.state)]]
    if not kind:
        _print_lines(logs, rates)
        return
    content = _made(logs, rates, kind, figure, columns)
    if output is None:
        sys.stdout.write(content.decode("utf-8"))
        sys.stdout.flush()
    else:
        write_report(output, content)


def _once(states: list[Path] | None, state: str | None) -> None:
    """Refuse a state that is named in both ways."""
    if states and state is not None:
        raise UsageError(
            f"A state was named twice: {states[0]} and --state {state}.",
            why="A report is about what is named, and one name is enough.",
            hint=f"Leave one out: cryoflux report {shlex.quote(str(states[0]))}",
        )


def _only(kinds: dict[str, bool], states: list[Path], output: Path | None) -> str:
    """The format that is asked for; empty for lines."""
    asked = [kind for kind, wanted in kinds.items() if wanted]
    if len(asked) > 1:
        raise UsageError(
            f"Two formats were asked for: {', '.join(f'--{kind}' for kind in asked)}.",
            why="One document is one file.",
            hint="Ask once for each.",
        )
    if len(states) > 2:
        raise UsageError(
            f"{len(states)} states were named.",
            why="A report is about one, or holds two side by side.",
            hint="See all of them in one table: cryoflux export --format csv --state DIR --state DIR.",
        )
    if output is not None and not asked:
        raise UsageError(
            f"{output} was named, and no format.",
            why="Lines for a terminal go to the terminal.",
            hint="Say which it is: --html, --md, --json, --svg or --pdf.",
        )
    return asked[0] if asked else ""


def _made(logs: list[Log], rates: Rates, kind: str, figure: ReportFigure, columns: PaperColumns) -> bytes:
    """A document or a picture of one state, or of two, in one format."""
    from cryoflux.report.made import Reported

    made = Reported(logs, rates)
    if kind == "json":
        return as_json_line(_TWO_SCHEMA if len(logs) > 1 else _ONE_SCHEMA, made.document()).encode()
    if kind == "svg":
        return made.svg(figure.value, int(columns))
    if kind == "html":
        return _html(made, rates, two=len(logs) > 1).encode()
    return made.pdf() if kind == "pdf" else made.markdown()


def _html(made: Reported, rates: Rates, *, two: bool) -> str:
    from cryoflux.pages.document import comparison_html, results_html

    return comparison_html(made.comparison(), rates) if two else results_html(made.results(), rates)


def _print_lines(logs: list[Log], rates: Rates) -> None:
    from cryoflux.report.made import Reported
    from cryoflux.report.report_lines import comparison_lines, report_lines

    if len(logs) > 1:
        for row in comparison_lines(Reported(logs, rates).comparison(), rates):
            if isinstance(row, str):
                stdout.print(row)
            else:
                stdout.table([row.heading, *row.rows], row.right)
        return
    for indent, line in report_lines(logs[0], rates):
        stdout.print(line, indent=indent)
