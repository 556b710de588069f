"""``cryoflux report``: the picture of a state's attempts, and their table."""

from __future__ import annotations

__all__ = ["report"]

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout

_MARKS = {"accepted": "✓", "undecided": "?"}


def report(
    plot: Annotated[Path | None, typer.Option(help="Draw energy against Δ.", metavar="FILE.svg")] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Energy, Δ and η of every judged attempt, as a table or a picture."""
    from cryoflux.config import load_settings
    from cryoflux.decision.evidence import Z95
    from cryoflux.quantities import MICRO, format_efficiency
    from cryoflux.receipts.reading import read_entries
    from cryoflux.report.attempts import attempt_points, without_delta

    folder = Path(load_settings({"state": state}).settings.run.state)
    entries = read_entries(folder)
    points, (count, joules) = attempt_points(entries), without_delta(entries)
    if plot is not None:
        from cryoflux.report.picture import draw_attempts

        draw_attempts(points, plot, title=f"{len(points)} attempts, {sum(p.kept for p in points)} kept")
    if as_json:
        emit_json([asdict(point) for point in points])
        return
    for p in points:
        mark = _MARKS.get(p.outcome, "✗")
        span = f"[{p.joules_lo:.0f}, {p.joules_hi:.0f}] J, {p.tier.value}"
        delta = f"Δ {p.delta:+.4f} ± {Z95 * p.delta_se:.4f} nats"
        eta = format_efficiency(p.delta, round(p.joules * MICRO))
        stdout.print(f"#{p.number:<3} {mark} {delta}  {p.joules:.1f} {span}  {eta}", markup=False)
    if count:
        stdout.print(f"besides  {count} attempts without Δ on the holdout: {joules:.1f} J", markup=False)
    if plot is not None:
        stdout.print(f"drawn    {plot}", markup=False)
