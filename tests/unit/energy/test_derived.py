"""CO₂e and cost follow from net joules by what was set, and from nothing else."""

from __future__ import annotations

import pytest

from cryoflux.energy.derived import (
    Rates,
    carbon_g,
    carbon_text,
    cost,
    derived_fields,
    derived_line,
    price_text,
)
from cryoflux.quantities import Energy, Tier

KWH_UJ = 3_600_000_000_000
FIGURE = Energy(KWH_UJ // 2, -KWH_UJ // 10, KWH_UJ, Tier.COUNTER)


def test_a_kilowatt_hour_emits_and_costs_what_was_set():
    assert carbon_g(KWH_UJ, 380.0) == 380.0
    assert cost(KWH_UJ, 0.25) == 0.25
    assert (carbon_g(-KWH_UJ, 380.0), cost(0, 0.25)) == (-380.0, 0.0)


def test_what_is_set_is_shown_with_its_interval_and_with_what_it_is_from():
    said = derived_fields(FIGURE, Rates(380.0, "yearly mean of the grid, 2023", 0.25, "EUR"))
    assert said == {
        "carbon_g": 190.0,
        "carbon_lo_g": pytest.approx(-38.0),
        "carbon_hi_g": 380.0,
        "carbon_g_per_kwh": 380.0,
        "carbon_source": "yearly mean of the grid, 2023",
        "cost": 0.125,
        "cost_lo": pytest.approx(-0.025),
        "cost_hi": 0.25,
        "price_per_kwh": 0.25,
        "currency": "EUR",
    }
    line = derived_line(FIGURE, Rates(380.0, "yearly mean of the grid, 2023", 0.25, "EUR"))
    assert line == (
        "Derived from the net joules, not measured: 190 [-38, 380] g CO₂e at 380 g/kWh"
        " (yearly mean of the grid, 2023); 0.125 [-0.025, 0.25] EUR at 0.25 EUR/kWh."
    )


def test_a_source_that_is_not_named_is_said_to_be_missing_and_nothing_set_says_nothing():
    assert "source not named" in derived_line(FIGURE, Rates(carbon_g_per_kwh=0.0))
    assert derived_fields(FIGURE, Rates(carbon_g_per_kwh=0.0))["carbon_source"] is None
    assert "currency not named" in derived_line(FIGURE, Rates(price_per_kwh=0.1))
    for unset in (Rates(), Rates(carbon_source="a source", currency="EUR")):
        assert (derived_fields(FIGURE, unset), derived_line(FIGURE, unset)) == ({}, "")


def test_small_emissions_and_prices_are_no_powers_of_ten() -> None:
    assert carbon_text(0.0196, (0.00784, 0.0449)) == "19.6 [7.84, 44.9] mg CO₂e"
    assert carbon_text(1500.0, (1200.0, 1800.0)) == "1.5 [1.2, 1.8] kg CO₂e"
    assert price_text(1.55e-5, (6.2e-6, 3.5e-5), "EUR") == "0.0000155 [0.0000062, 0.000035] EUR"
