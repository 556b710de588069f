"""``cryoflux report``: the picture of a state's attempts, and their table."""

from __future__ import annotations

__all__ = ["report"]

from pathlib import Path
from typing import Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout

_MARKS = {"accepted": "✓", "undecided": "?"}
_FIELDS = ("number", "kept", "outcome", "joules", "joules_lo", "joules_hi", "tier", "delta")


def report(
    plot: Annotated[Path | None, typer.Option(help="Draw energy against Δ.", metavar="FILE.svg")] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Energy, Δ and η of every judged attempt, as a table or a picture."""
    from cryoflux.config import load_settings
    from cryoflux.decision.evidence import Z95
    from cryoflux.log_view import open_log
    from cryoflux.quantities import MICRO, format_efficiency
    from cryoflux.report.picture import draw_attempts, points_of

    log = open_log(load_settings({"state": state}).settings.run.state)
    points = points_of(log)
    if plot is not None:
        draw_attempts(points, plot, title=f"{len(points)} attempts, {sum(p.kept for p, _, _ in points)} kept")
    if as_json:
        emit_json(
            [{name: getattr(p, name) for name in _FIELDS} | {"delta_se": half / Z95} for p, _, half in points]
        )
        return
    for p, delta, half in points:
        mark = _MARKS.get(p.outcome, "✗")
        span = f"[{p.joules_lo:.0f}, {p.joules_hi:.0f}] J, {p.tier.value}"
        unit = p.unit or ""
        eta = format_efficiency(delta, round(p.joules * MICRO), unit)
        line = f"#{p.number:<3} {mark} Δ {delta:+.4f} ± {half:.4f} {unit}  {p.joules:.1f} {span}  {eta}"
        stdout.print(line, markup=False)
    if others := [attempt.joules for attempt in log if attempt.delta is None]:
        besides = f"besides  {len(others)} attempts without Δ on the holdout: {sum(others):.1f} J"
        stdout.print(besides, markup=False)
    if plot is not None:
        stdout.print(f"drawn    {plot}", markup=False)
