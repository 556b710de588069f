"""``cryoflux report``: the picture of a state's attempts, and their table."""

from __future__ import annotations

__all__ = ["report"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout

if TYPE_CHECKING:
    from cryoflux.energy.derived import Rates
    from cryoflux.quantities import Energy
    from cryoflux.receipts.attempts import Attempt
    from cryoflux.report.picture import Point

_MARKS = {"kept": "✓", "undecided": "?"}
_FIELDS = ("number", "kept", "outcome", "joules", "joules_lo", "joules_hi", "tier", "range_kind", "delta")


def report(
    plot: Annotated[Path | None, typer.Option(help="Draw energy against Δ.", metavar="FILE.svg")] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Energy, Δ and η of every attempt, as a table or a picture."""
    from cryoflux.config import load_settings
    from cryoflux.energy.derived import derived_line, rates_of
    from cryoflux.log_view import open_log
    from cryoflux.quantities import MICRO, Energy, RangeKind, format_efficiency
    from cryoflux.report.picture import draw_attempts, points_of

    settings = load_settings({"state": state}).settings
    attempts, rates = list(open_log(settings.run.state)), rates_of(settings.energy)
    points = {point[0].number: point for point in points_of(attempts)}
    if plot is not None:
        title = f"{len(points)} attempts, {sum(p.kept for p, _, _ in points.values())} kept"
        plot = draw_attempts(list(points.values()), plot, title=title)
    if as_json:
        emit_json([_document(attempt, points.get(attempt.number), rates) for attempt in attempts])
        return
    for attempt in attempts:
        energy = (
            f"{attempt.joules:.1f} [{attempt.joules_lo:.0f}, {attempt.joules_hi:.0f}] J, {attempt.tier.value}"
        )
        begun = f"#{attempt.number:<3} {_MARKS.get(attempt.outcome, '✗')}"
        if attempt.number not in points:
            stdout.print(f"{begun} no Δ on the holdout  {energy}: {attempt.reason}", markup=False)
            continue
        _, delta, half = points[attempt.number]
        unit = attempt.unit or ""
        eta = format_efficiency(delta, round(attempt.joules * MICRO), unit)
        stdout.print(f"{begun} Δ {delta:+.4f} ± {half:.4f} {unit}  {energy}  {eta}", markup=False)
    charged = Energy.total(map(_charged, attempts))
    if charged is not None and (derived := derived_line(charged, rates)):
        stdout.print(derived, markup=False)
    if any(attempt.range_kind is RangeKind.PLAUSIBLE for attempt in attempts):
        stdout.print(
            "Modelled joules: the range is what is plausible, no 95 % interval; the same work costs more"
        )
        stdout.print("alone than beside a neighbour, so compare runs only at the same load by others.")
    if plot is not None:
        stdout.print(f"drawn    {plot}", markup=False)


def _charged(attempt: Attempt) -> Energy:
    from cryoflux.quantities import MICRO, Energy

    said = (attempt.joules, attempt.joules_lo, attempt.joules_hi)
    uj, lo_uj, hi_uj = (round(joules * MICRO) for joules in said)
    return Energy(uj, lo_uj, hi_uj, attempt.tier)


def _document(attempt: Attempt, point: Point | None, rates: Rates) -> dict[str, Any]:
    from cryoflux.decision.evidence import Z95
    from cryoflux.energy.derived import derived_fields

    said = {name: getattr(attempt, name) for name in _FIELDS}
    said |= {"delta_se": point[2] / Z95 if point is not None else None, "reason": attempt.reason}
    derived = derived_fields(_charged(attempt), rates)
    return said | {"derived": derived} if derived else said
