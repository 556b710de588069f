"""The page ``/energy``: whether the joules are real, and where they went."""

from __future__ import annotations

__all__ = ["page"]

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from cryoflux.energy.baseline import Baseline, Idle
from cryoflux.energy.derived import Rates, carbon_g, carbon_text, cost, price_text
from cryoflux.pages.charts.bars import BarRow, bar_rows, stack
from cryoflux.pages.scene import Page, Scene
from cryoflux.quantities import Energy, Tier, format_energy, format_watt_hours, worst_tier
from cryoflux.queries.joules import JoulesOfLog
from cryoflux.report.flag_words import flag_words
from cryoflux.report.now_words import duration_words, end_words

_MOST_SESSIONS = 20
_HEADLINE = {
    Tier.COUNTER: "was read off hardware counters.",
    Tier.POWER_INTEGRATED: "was measured as power over time.",
    Tier.MODELLED: "was modelled, not measured.",
}
_LEDE = {
    Tier.COUNTER: "The ends of a range hold the truth with 95 %. An idle baseline is taken off, so that what "
    "the machine would have drawn anyway is nobody's.",
    Tier.POWER_INTEGRATED: "Some of it by adding up power readings, which miss what happens between them; "
    "the ends of a range hold the truth with 95 %.",
    Tier.MODELLED: "No counter of this machine could be read for all of it. Joules follow from CPU time by a "
    "power curve; a range says what is plausible, and how often the truth lies outside was never counted.",
}


def page(scene: Scene) -> Page:
    """The page of a state as it is."""
    found = scene.followed.joules() if scene.followed.size else None
    if found is None or found.told is None:
        return Page("energy.html", "Energy", section="energy", values={"found": None})
    summary = scene.followed.summary()
    values: dict[str, Any] = {
        "found": found,
        "whole": summary is not None and summary.all_in is not None,
        "headline": f"{format_energy(found.told.uj)} {_HEADLINE[found.tier]}",
        "lede": _LEDE[found.tier],
        "shares": _shares(found),
        "split": _split(found),
        "outcomes": bar_rows([(word, "", word, energy) for word, energy in found.outcomes]),
        "phases": bar_rows([(name.replace("-", " "), "", "kept", energy) for name, energy in found.phases]),
        "flags": [(flag, flag_words(flag), count) for flag, count in found.flags],
        "idles": [(idle, _age(idle, scene.now)) for idle in _idles(found.baseline)],
        "sessions": [(row, end_words(row.why)) for row in found.sessions[:_MOST_SESSIONS]],
        "derived": _derived(found.told, scene.rates),
        "workers": scene.followed.workers() if found.workers is not None else [],
    }
    return Page("energy.html", "Energy", section="energy", values=values)


def _parts(found: JoulesOfLog) -> list[tuple[str, str, str, Energy]]:
    parts = []
    if found.attempts is not None:
        parts.append(("learning", "charged to attempts, kept or not", "kept", found.attempts))
    if found.rounds is not None:
        words = "charged to rounds, which check and compose what others offer"
        parts.append(("checking", words, "carried", found.rounds))
    if found.beside is not None:
        words = "charged to runs beside their attempts: starting up, base losses, the audit set"
        parts.append(("overhead", words, "undecided", found.beside))
    if found.others is not None and found.others.uj > 0:
        words = "what else this machine did meanwhile; charged to nobody here"
        parts.append(("others", words, "rejected", found.others))
    return parts


def _shares(found: JoulesOfLog) -> list[BarRow]:
    rows = _parts(found)
    if found.idle_uj is not None and found.baseline is not None:
        error_uw = sum(idle.error_uw for idle in found.baseline.idles)
        spread = round(error_uw * found.window_s)
        tier = worst_tier(idle.tier for idle in found.baseline.idles)
        idle = Energy(found.idle_uj, found.idle_uj - spread, found.idle_uj + spread, tier)
        words = f"what it draws at rest, over {duration_words(found.window_s)} of runs; taken off beforehand"
        rows.append(("idle", words, "idle", idle))
    return bar_rows(rows)


def _split(found: JoulesOfLog) -> Markup:
    parts = [
        (f"{name} {format_energy(energy.uj)}", tone, energy.uj) for name, _, tone, energy in _parts(found)
    ]
    if found.idle_uj:
        parts.append((f"idle {format_energy(found.idle_uj)}", "idle", found.idle_uj))
    return stack(parts)


def _idles(baseline: Baseline | None) -> tuple[Idle, ...]:
    return baseline.idles if baseline is not None else ()


def _age(idle: Idle, now: float) -> str:
    """How long ago a baseline was learned."""
    try:
        learned = datetime.fromisoformat(idle.learned_at)
    except ValueError:
        return "at an unknown time"
    since_s = now - learned.replace(tzinfo=learned.tzinfo or UTC).timestamp()
    return "in the future, by this clock" if since_s < -60 else f"{duration_words(max(0.0, since_s))} ago"


def _derived(energy: Energy, rates: Rates) -> list[tuple[str, str, str]]:
    """Name, figure with its range, and by which factor."""
    hours = [format_watt_hours(uj) for uj in (energy.uj, energy.lo_uj, energy.hi_uj)]
    rows = [("electricity", f"{hours[0]} [{hours[1]}, {hours[2]}]", "3.6 kJ are one Wh")]
    if (price := rates.price_per_kwh) is not None:
        money = [cost(uj, price) for uj in (energy.uj, energy.lo_uj, energy.hi_uj)]
        currency = rates.currency or "(currency not named)"
        figure = price_text(money[0], (money[1], money[2]), currency)
        rows.append(("price", figure, f"{price:g} {currency} a kWh, as set"))
    if (grams := rates.carbon_g_per_kwh) is not None:
        emitted = [carbon_g(uj, grams) for uj in (energy.uj, energy.lo_uj, energy.hi_uj)]
        source = rates.carbon_source or "source not named"
        figure = carbon_text(emitted[0], (emitted[1], emitted[2]))
        rows.append(("emissions", figure, f"{grams:g} g a kWh: {source}"))
    return rows
