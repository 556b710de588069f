"""What follows from joules by settings: CO₂e and cost. Neither is measured, and no receipt holds either.

They are of *net* energy: what the machine draws at rest, it would have drawn anyway.
"""

from __future__ import annotations

__all__ = [
    "Rates",
    "carbon_g",
    "carbon_text",
    "cost",
    "derived_fields",
    "derived_line",
    "kilowatt_hours",
    "price_text",
    "rates_of",
]

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cryoflux.quantities import MICRO, Energy
from cryoflux.settings import EnergySettings

_UJ_PER_KWH = 3_600_000 * MICRO


@dataclass(frozen=True, slots=True)
class Rates:
    """What a kilowatt-hour emits and costs, as somebody said."""

    carbon_g_per_kwh: float | None = None
    carbon_source: str = ""
    """where that figure is from"""
    price_per_kwh: float | None = None
    currency: str = ""


def rates_of(settings: EnergySettings) -> Rates:
    """The rates that are set."""
    return Rates(settings.carbon_g_per_kwh, settings.carbon_source, settings.price_per_kwh, settings.currency)


def kilowatt_hours(energy_uj: int) -> float:
    """So much energy in kilowatt-hours."""
    return energy_uj / _UJ_PER_KWH


def carbon_g(energy_uj: int, carbon_g_per_kwh: float) -> float:
    """CO₂e of so much energy, g."""
    return energy_uj * carbon_g_per_kwh / _UJ_PER_KWH


def cost(energy_uj: int, price_per_kwh: float) -> float:
    """Price of so much energy, in the currency of the price."""
    return energy_uj * price_per_kwh / _UJ_PER_KWH


def derived_fields(energy: Energy, rates: Rates) -> dict[str, Any]:
    """CO₂e and cost with their intervals and what they were derived from; nothing of what is not set."""
    said: dict[str, Any] = {}
    if (grams := rates.carbon_g_per_kwh) is not None:
        said |= {
            "carbon_g": carbon_g(energy.uj, grams),
            "carbon_lo_g": carbon_g(energy.lo_uj, grams),
            "carbon_hi_g": carbon_g(energy.hi_uj, grams),
            "carbon_g_per_kwh": grams,
            "carbon_source": rates.carbon_source or None,
        }
    if (price := rates.price_per_kwh) is not None:
        said |= {
            "cost": cost(energy.uj, price),
            "cost_lo": cost(energy.lo_uj, price),
            "cost_hi": cost(energy.hi_uj, price),
            "price_per_kwh": price,
            "currency": rates.currency or None,
        }
    return said


def derived_line(energy: Energy, rates: Rates) -> str:
    """The same in a sentence; empty where nothing is set."""
    said = derived_fields(energy, rates)
    parts = []
    if "carbon_g" in said:
        source = said["carbon_source"] or "source not named, see carbon_source"
        parts.append(
            f"{carbon_text(said['carbon_g'], (said['carbon_lo_g'], said['carbon_hi_g']))}"
            f" at {said['carbon_g_per_kwh']:g} g/kWh ({source})"
        )
    if "cost" in said:
        currency = said["currency"] or "(currency not named)"
        parts.append(
            f"{price_text(said['cost'], (said['cost_lo'], said['cost_hi']), currency)}"
            f" at {said['price_per_kwh']:g} {currency}/kWh"
        )
    return f"Derived from the net joules, not measured: {'; '.join(parts)}." if parts else ""


def carbon_text(grams: float, ends: tuple[float, float]) -> str:
    """An emission with its range, in the unit that keeps it readable: ``19.6 [7.8, 44.9] mg CO₂e``."""
    sizes = ((1000.0, "kg"), (1.0, "g"), (1e-3, "mg"))
    size, unit = next((one for one in sizes if abs(grams) >= one[0]), sizes[-1])
    return f"{_with_ends(grams / size, (ends[0] / size, ends[1] / size))} {unit} CO₂e"


def price_text(amount: float, ends: tuple[float, float], currency: str) -> str:
    """A price with its range: ``0.125 [-0.025, 0.25] EUR``."""
    return f"{_with_ends(amount, ends)} {currency}"


def _with_ends(best: float, ends: tuple[float, float]) -> str:
    """Three digits of each that count, never as a power of ten."""
    figure, low, high = (f"{Decimal(f'{value:.3g}'):f}" for value in (best, *ends))
    return f"{figure} [{low}, {high}]"
