"""``cryoflux report``: every attempt of a state, as lines, a document or a picture."""

from __future__ import annotations

__all__ = ["report"]

from pathlib import Path
from typing import Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.cli.outputs import require_output

_MODELLED = (
    "Modelled joules: the range is what is plausible, no 95 % interval; the same work costs more alone than "
    "beside a neighbour, so compare runs only at the same load by others."
)


def report(
    plot: Annotated[
        Path | None, typer.Option(help="Draw energy against Δ: .svg, .pdf or .png.", metavar="FILE")
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Energy, Δ and η of every attempt, as lines or a picture."""
    from cryoflux.config import load_settings
    from cryoflux.energy.derived import derived_line, rates_of
    from cryoflux.log_view import open_log
    from cryoflux.quantities import RangeKind
    from cryoflux.report.attempt_words import attempt_text
    from cryoflux.report.log_words import attempts_document, by_class_lines, log_lines
    from cryoflux.report.picture import draw_attempts

    if plot is not None:
        require_output(plot)
    settings = load_settings({"state": state}).settings
    log, rates = open_log(settings.run.state), rates_of(settings.energy)
    total = log_lines(log)
    if plot is not None:
        plot = draw_attempts(log, plot, caption=total)
    if as_json:
        drawn = str(plot) if plot is not None else None
        emit_json("report/1", {**attempts_document(log, rates), "drawn": drawn})
        return
    receipts = (receipt for entry in log.entries() if (receipt := entry.receipt) is not None)
    several = len({attempt.task for attempt in log}) > 1
    for attempt, receipt in zip(log, receipts, strict=True):
        stdout.print(attempt_text(attempt.number, receipt, attempt.paid, several=several), indent=5)
    charged = log.summary().energy
    more = [derived_line(charged, rates)] if charged is not None else []
    if any(attempt.range_kind is RangeKind.PLAUSIBLE for attempt in log):
        more.append(_MODELLED)
    for line in [
        "",
        *total,
        *by_class_lines(log),
        *filter(None, more),
        *([f"drawn: {plot}"] if plot is not None else []),
    ]:
        stdout.print(line)
