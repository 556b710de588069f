from __future__ import annotations

import re
from dataclasses import asdict
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.errors import UsageError
from cryoflux.quantities import (
    MICRO,
    Energy,
    Tier,
    format_energy,
    format_nats,
    format_watt_hours,
    named_ranges,
    parse_duration,
    parse_energy,
    worst_tier,
)

LARGEST_UJ = 2**53 - 1
UJ_PER_UNIT = {
    "uJ": 1,
    "µJ": 1,
    "mJ": 10**3,
    "J": 10**6,
    "kJ": 10**9,
    "MJ": 10**12,
    "Wh": 3600 * 10**6,
    "kWh": 3600 * 10**9,
}
SECONDS_PER_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
NO_NUMBER = [
    "",
    " ",
    "nan",
    "inf",
    "-inf",
    "0x10",
    ".5",
    "5.",
    "1e",
    "1,5",
    "1 000",
    "1_",
    "_1",
    "1__0",
    "²",
    "½",
]
ODD_DIGITS = ["٣", "３", "१", "1٣", "1.３", "1e٣"]
SIGNED = ["-1", "+1", "−1", "--1", "-0"]
BEYOND_RECKONING = ["1e999999", "9e999999", "1e9999999", "1e99999999999999999999999", "9" * 5000]
VANISHING = ["0", "0.0", "0e9", "1e-400", "1e-999999", "1e-9999999", "1e-99999999999999999999999"]

numbers = st.builds(
    lambda whole, fraction, exponent: f"{whole}{fraction}{exponent}",
    st.integers(0, 10**15).map(str),
    st.integers(0, 10**8).map(lambda n: f".{n:09}") | st.just(""),
    st.integers(-20, 5).map(lambda n: f"e{n}") | st.just(""),
)
tiers = st.sampled_from(Tier)
energies = st.builds(
    lambda uj, below, above, tier, flags: Energy(uj, uj - below, uj + above, tier, tuple(sorted(flags))),
    st.integers(-(2**60), 2**60),
    st.integers(0, 2**60),
    st.integers(0, 2**60),
    tiers,
    st.sets(st.sampled_from(["gap", "wrap", "restart", "guess"])),
)


@given(numbers, st.sampled_from(list(UJ_PER_UNIT)), st.sampled_from(["", " ", "\t"]))
def test_energy_is_the_exact_number_of_whole_microjoules(number: str, unit: str, space: str) -> None:
    exact = Fraction(number) * UJ_PER_UNIT[unit]
    text = f"{number}{space}{unit}"
    if 1 <= exact < LARGEST_UJ + 1:
        assert parse_energy(text) == int(exact)
    else:
        with pytest.raises(UsageError, match="outside what can be budgeted"):
            parse_energy(text)


@pytest.mark.parametrize(
    ("text", "uj"),
    [
        ("2kJ", 2_000_000_000),
        ("0.002kWh", 7_200_000_000),
        ("1Wh", 3_600_000_000),
        ("  500 J ", 500_000_000),
        ("1_000J", 1_000_000_000),
        ("1.5e3mJ", 1_500_000),
        ("1.9uJ", 1),
        (f"{LARGEST_UJ}uJ", LARGEST_UJ),
        (f"{LARGEST_UJ}.5µJ", LARGEST_UJ),
    ],
)
def test_energy_by_example(text: str, uj: int) -> None:
    assert parse_energy(text) == uj


@pytest.mark.parametrize("parse", [parse_energy, parse_duration])
@pytest.mark.parametrize("number", [*NO_NUMBER, *ODD_DIGITS, *SIGNED, *BEYOND_RECKONING, *VANISHING])
def test_what_is_no_positive_number_is_refused(parse: type[int], number: str) -> None:
    for unit in SECONDS_PER_UNIT if parse is parse_duration else UJ_PER_UNIT:
        with pytest.raises(UsageError, match=r"is not|is outside") as refused:
            parse(f"{number}{unit}")
        assert repr(f"{number}{unit}") in refused.value.what
        assert "Write it as in " in refused.value.hint


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *(
            (parse_energy, t)
            for t in ["5", "5 ", "J", "5kj", "5j", "5W", "5GJ", "5 k J", "5J5", "5JJ", "5J\x00"]
        ),
        *(
            (parse_energy, t)
            for t in ["5\N{LATIN SMALL LETTER J WITH CARON}", "5Ｊ", "5s", "5e3", "5K", "1e3E"]
        ),
        *((parse_duration, t) for t in ["5", "s", "5min", "5S", "5ms", "5J", "1h30m", "5 s s", "1e3", "5ｓ"]),
    ],
)
def test_a_missing_or_unknown_unit_is_refused_and_the_units_are_named(parse: type[int], text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text)
    units = SECONDS_PER_UNIT if parse is parse_duration else UJ_PER_UNIT
    assert refused.value.why.endswith(f"the units are {', '.join(units)}.")


def test_the_largest_energy_is_what_a_receipt_can_carry() -> None:
    for text in (f"{LARGEST_UJ + 1}uJ", "9.1e3MJ", "2502kWh"):
        with pytest.raises(UsageError, match="outside what can be budgeted"):
            parse_energy(text)
    with pytest.raises(UsageError, match="outside what can be budgeted"):
        parse_energy("0.9uJ")


@given(
    st.text() | st.from_regex(r"[0-9_]{0,9}\.?[0-9]{0,9}(e[+-]?[0-9]{0,9})? ?[A-Za-zµ]{0,3}", fullmatch=True)
)
def test_any_text_is_a_usable_amount_or_a_usage_error(text: str) -> None:
    for parse, largest in ((parse_energy, LARGEST_UJ), (parse_duration, 1e9)):
        try:
            amount = parse(text)
        except UsageError as error:
            assert error.hint  # noqa: PT017 - either way is right
        else:
            assert 0 < amount <= largest


@given(numbers, st.sampled_from(list(SECONDS_PER_UNIT)))
def test_a_duration_is_its_seconds(number: str, unit: str) -> None:
    exact = Fraction(number) * SECONDS_PER_UNIT[unit]
    if 0 < float(exact) <= 1e9:
        assert parse_duration(f"{number}{unit}") == float(exact)
    else:
        with pytest.raises(UsageError, match="not a usable duration"):
            parse_duration(f"{number}{unit}")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("30m", 1800.0), ("2h", 7200.0), ("0.5d", 43_200.0)]
)
def test_durations_by_example(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@given(st.lists(energies, min_size=1, max_size=6))
def test_a_sum_adds_its_ends_and_trusts_the_least_tier(parts: list[Energy]) -> None:
    total = Energy.total(iter(parts))
    assert total is not None
    assert (total.lo_uj, total.uj, total.hi_uj) == tuple(
        sum(ends) for ends in zip(*((p.lo_uj, p.uj, p.hi_uj) for p in parts), strict=True)
    )
    assert total.lo_uj <= total.uj <= total.hi_uj
    assert total.tier == max((p.tier for p in parts), key=list(Tier).index)
    assert total.flags == tuple(sorted({flag for p in parts for flag in p.flags}))


@given(
    st.permutations(
        [
            Energy(5, 1, 9, Tier.COUNTER, ("a",)),
            Energy(-3, -4, 0, Tier.MODELLED),
            Energy(0, 0, 0, Tier.POWER_INTEGRATED, ("b",)),
        ]
    )
)
def test_the_order_of_a_sum_does_not_matter(parts: list[Energy]) -> None:
    assert Energy.total(parts) == Energy(2, -3, 9, Tier.MODELLED, ("a", "b"))


def test_the_sum_of_no_source_is_none_and_not_zero() -> None:
    assert Energy.total([]) is None


@pytest.mark.parametrize(("uj", "lo", "hi"), [(0, 1, 2), (3, 1, 2), (1, 2, 1)])
def test_a_figure_outside_its_interval_is_no_energy(uj: int, lo: int, hi: int) -> None:
    with pytest.raises(ValueError, match="outside its interval"):
        Energy(uj, lo, hi, Tier.COUNTER)


@given(st.lists(tiers))
def test_the_worst_tier_is_as_bad_as_any(some: list[Tier]) -> None:
    order = list(Tier)
    worst = worst_tier(iter(some))
    assert worst in (some or [Tier.MODELLED])
    assert all(order.index(worst) >= order.index(tier) for tier in some)


def test_tiers_from_best_to_worst() -> None:
    assert [str(tier) for tier in Tier] == ["counter", "power-integrated", "modelled"]


@pytest.mark.parametrize(
    ("uj", "text"),
    [
        (0, "0.0 J"),
        (118_400_000, "118.4 J"),
        (999_900_000, "999.9 J"),
        (1_000_000_000, "1.00 kJ"),
        (2_000_000_000, "2.00 kJ"),
        (-2_500_000_000, "-2.50 kJ"),
        (-118_400_000, "-118.4 J"),
        (999_990_000_000, "999.99 kJ"),
        (1_000_000_000_000, "1.00 MJ"),
        (LARGEST_UJ, "9007.20 MJ"),
    ],
)
def test_energies_are_shown_with_a_readable_unit(uj: int, text: str) -> None:
    assert format_energy(uj) == text


@given(st.integers(100_000, LARGEST_UJ - 10**10))
def test_what_is_shown_can_be_typed_again(uj: int) -> None:
    text = format_energy(uj)
    match = re.fullmatch(r"([0-9]+\.([0-9]+)) ([kM]?J)", text)
    assert match, text
    last_place_uj = UJ_PER_UNIT[match[3]] / 10 ** len(match[2])
    assert abs(parse_energy(text) - uj) <= last_place_uj / 2 + 1
    assert float(match[1]) <= 1000 or match[3] == "MJ"


@pytest.mark.parametrize(
    ("nats", "text"), [(0.0213, "+0.0213"), (-0.5, "-0.5000"), (0.0, "+0.0000"), (1.23456, "+1.2346")]
)
def test_nats_carry_their_sign(nats: float, text: str) -> None:
    assert format_nats(nats) == text


def test_joules_are_for_display() -> None:
    assert Energy(1_500_000, 0, 2 * MICRO, Tier.COUNTER).joules == 1.5


def test_only_what_was_measured_has_a_95_percent_interval_and_a_sum_is_as_good_as_its_worst_part() -> None:
    counted, modelled = Energy(2, 1, 3, Tier.COUNTER), Energy(5, 1, 9, Tier.MODELLED)
    assert counted.range_kind == Energy(2, 1, 3, Tier.POWER_INTEGRATED).range_kind == "interval-95"
    assert (counted + modelled).range_kind == "plausible"
    document = named_ranges(
        {"energy": asdict(counted), "sources": [{"tier": "modelled", "net": asdict(modelled)}]}
    )
    assert document["energy"]["range_kind"] == "interval-95"
    assert document["sources"][0]["net"]["range_kind"] == "plausible"
    assert "range_kind" not in document["sources"][0], "which has a tier and no ends"


@pytest.mark.parametrize(
    ("joules", "text"),
    [
        (0, "0 mWh"),
        (0.09, "0.025 mWh"),
        (185.8, "51.6 mWh"),
        (-185.8, "-51.6 mWh"),
        (3600, "1 Wh"),
        (4.9e6, "1.36 kWh"),
        (3.6e9, "1 MWh"),
    ],
)
def test_watt_hours_have_a_unit_that_needs_no_row_of_zeros(joules: float, text: str) -> None:
    assert format_watt_hours(round(joules * MICRO)) == text
