"""What a state cost, in words and as a table, and what rounds made of what others offered."""

from __future__ import annotations

__all__ = ["cost_lines", "cost_table", "energy_row", "offered_lines"]

from collections.abc import Iterator

from cryoflux.energy.derived import Rates, derived_line
from cryoflux.quantities import Energy, RangeKind, counted, format_energy, format_watt_hours
from cryoflux.queries.results import Results
from cryoflux.report.layout import Cells
from cryoflux.report.network_words import rounds_text
from cryoflux.report.parts import ReportTable

_NO_FACTOR = (
    "No CO₂e and no cost are said: no factor is set (cryoflux config show lists carbon_g_per_kwh and "
    "price_per_kwh)."
)


def cost_lines(results: Results, rates: Rates) -> Iterator[str]:
    """What the joules are and are not, and what follows from them.

    Args:
        results: what a state has come to.
        rates: what a kilowatt-hour emits and costs, as it is set.
    """
    spent = results.spent
    if spent.known is None:
        yield "Nothing was charged yet."
        return
    kind = spent.known.range_kind
    what = (
        "the range is what is plausible, no 95 % interval"
        if kind is RangeKind.PLAUSIBLE
        else "the range is a 95 % interval"
    )
    tier = spent.known.tier.value
    yield f"Joules are net of what the machine draws at rest, their tier is {tier}, and {what}."
    if spent.beside is not None:
        yield "Beside attempts there are start-up, data and the audit set."
    if spent.checking is not None:
        yield "Rounds check and compose what others offer; that is charged like an attempt."
    if spent.rounds_open:
        yield "A round goes on, or has died: what it spends is not on the log yet."
    if spent.session_open:
        yield "A run goes on, or has died: what it spends beside its attempts is not on the log yet."
    elif spent.unrecorded:
        yield f"Of {counted(spent.unrecorded, 'attempt')} the log does not say what was spent beside."
    yield derived_line(spent.known, rates) or _NO_FACTOR


def cost_table(results: Results) -> ReportTable:
    """Where the joules went: attempts, rounds, what was beside them, and all of it."""
    spent = results.spent
    rows = [("attempts", spent.attempts), ("beside them", spent.beside), ("all-in", spent.all_in)]
    if spent.checking is not None:
        rows.insert(1, ("rounds", spent.checking))
    return ReportTable(
        ("what", "energy", "range", "electricity", "tier"),
        tuple(energy_row(name, energy) for name, energy in rows if results.attempts or energy is not None),
        (False, True, True, True, False),
    )


def energy_row(name: str, energy: Energy | None) -> Cells:
    """An energy as a row: what it is of, the figure, its range, kilowatt-hours, tier."""
    if energy is None:
        return (name, "not on the log", "", "", "")
    low, high = (format_energy(end) for end in (energy.lo_uj, energy.hi_uj))
    return (
        name,
        format_energy(energy.uj),
        f"{low} to {high}",
        format_watt_hours(energy.uj),
        energy.tier.value,
    )


def offered_lines(results: Results) -> Iterator[str]:
    """What rounds made of what others offered; nothing where there was no round."""
    total = results.summary.rounds
    if total is None:
        return
    yield f"{rounds_text(total)}."
    yield (
        "Σ Δ counts kept updates of its own. What a round brought is sealed until its guest holdout is "
        "opened, but for the level that an acceptance certifies; the audit set, where it was measured, shows "
        "all of it."
    )
