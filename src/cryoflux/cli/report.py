"""``cryoflux report``: every attempt of a state, as lines, a document or a picture."""

from __future__ import annotations

__all__ = ["report"]

from pathlib import Path
from typing import Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.cli.outputs import require_output


def report(
    plot: Annotated[
        Path | None, typer.Option(help="Draw energy against Δ: .svg, .pdf or .png.", metavar="FILE")
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Energy, Δ and η of every attempt, as lines or a picture."""
    from cryoflux.config import load_settings
    from cryoflux.log_view import open_log
    from cryoflux.report.attempt_words import attempt_text
    from cryoflux.report.log_words import attempts_document, log_lines
    from cryoflux.report.picture import draw_attempts

    if plot is not None:
        require_output(plot)
    log = open_log(load_settings({"state": state}).settings.run.state)
    total = log_lines(log)
    if plot is not None:
        plot = draw_attempts(log, plot, caption=total)
    if as_json:
        drawn = str(plot) if plot is not None else None
        emit_json("report/1", {**attempts_document(log), "drawn": drawn})
        return
    receipts = (receipt for entry in log.entries() if (receipt := entry.receipt) is not None)
    several = len({attempt.task for attempt in log}) > 1
    for attempt, receipt in zip(log, receipts, strict=True):
        stdout.print(attempt_text(attempt.number, receipt, several=several), indent=5)
    for line in ["", *total, *([f"drawn: {plot}"] if plot is not None else [])]:
        stdout.print(line)
