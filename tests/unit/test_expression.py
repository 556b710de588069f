from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.errors import UsageError
from cryoflux.expression import Operator, Quantity, parse_expression, parse_promise
from cryoflux.quantities import Tier


def bound(text: str) -> Fraction | Tier:
    (clause,) = parse_expression(text).clauses
    return clause.bound


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("delta >= 0.05", 50_000_000),
        ("delta >= 0.05 nats", 50_000_000),
        ("delta >= -1nat", -1_000_000_000),
        ("joules <= 2000", 2_000_000_000),
        ("joules <= 2 kJ", 2_000_000_000),
        ("joules_hi < 1Wh", 3_600_000_000),
        ("eta >= 0.25 nats/kJ", Fraction(1, 4)),
        ("eta >= 0.25 nats/J", 250),
        ("accuracy_gain >= 2.5 points", Fraction(1, 40)),
        ("attempts == 12", 12),
        ("loss_last < 0.000000000001", Fraction(1, 1000)),
        ("tier == power-integrated", Tier.POWER_INTEGRATED),
    ],
)
def test_numbers_become_exact_fractions_of_the_units_that_receipts_carry(text: str, expected: object) -> None:
    assert bound(text) == expected


def test_an_expression_has_one_spelling_which_reads_as_itself() -> None:
    found = parse_expression("  delta>=0.05   and joules<= 2kJ and tier  ==counter ")
    assert found.text == "delta >= 0.05 and joules <= 2 kJ and tier == counter"
    assert parse_expression(found.text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "and",
        "delta >= 0.05 and",
        "delta >= 0.05 or joules <= 2",
        "delta => 1",
        "delta = 1",
        "delta ≥ 1",
        "0.05 <= delta",
        "speed >= 1",
        "delta >= joules",
        "delta >= 1 + 1",
        "delta >= (1)",
        "delta >= 0x10",
        "delta >= ١",
        "delta >= 1e3",
        "delta >= NaN",
        "delta >= nan nats",
        "joules <= inf",
        "joules <= Infinity J",
        "joules <= -",
        "joules <= 1,5",
        "joules <= 1_000",
        "tier >= counter",
        "tier == gold",
        "tier == 1",
        "delta >= counter",
        "joules == 5",
        "eta == 1",
        "__import__('os').system('true') >= 1",
        "delta.__class__ >= 1",
        "delta >= 1\n",
        "delta\n>= 1",
    ],
)
def test_whatever_is_no_comparison_is_refused_in_words(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_expression(text)
    assert refused.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "delta >= 5 J",
        "delta >= 5 kJ",
        "joules <= 5 nats",
        "joules <= 5 W",
        "joules <= 5 KJ",
        "eta >= 5 J",
        "eta >= 5 nats",
        "attempts >= 5 J",
        "accuracy_gain >= 5",
        "accuracy_gain >= 0.05 nats",
    ],
)
def test_a_number_in_the_unit_of_another_quantity_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot be compared"):
        parse_expression(text)


@pytest.mark.parametrize("number", ["1" * 16, "0." + "1" * 13, "9" * 400, "1" * 15 + "." + "1" * 13])
def test_numbers_beyond_the_range_are_refused_and_never_rounded(number: str) -> None:
    with pytest.raises(UsageError, match="is not a number"):
        parse_expression(f"joules <= {number}")


def test_too_long_and_too_many_are_refused() -> None:
    with pytest.raises(UsageError, match="characters"):
        parse_expression("delta >= 1" + " " * 500)
    with pytest.raises(UsageError, match="comparisons"):
        parse_expression(" and ".join(["kept >= 1"] * 17))


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_expression(text)
    except UsageError:
        return
    assert parse_expression(found.text) == found


@given(
    st.sampled_from([q for q in Quantity if q not in {Quantity.TIER, Quantity.ACCURACY_GAIN}]),
    st.sampled_from([o for o in Operator if o is not Operator.EQUAL]),
    st.integers(-(10**15) + 1, 10**15 - 1),
)
def test_every_quantity_is_compared_with_whole_numbers(quantity: str, operator: str, number: int) -> None:
    (clause,) = parse_expression(f"{quantity} {operator} {number}").clauses
    assert (clause.quantity, clause.operator) == (quantity, operator)
    assert (clause.bound > 0, clause.bound < 0) == (number > 0, number < 0)


# What a contract promises


@pytest.mark.parametrize(
    ("text", "quantity", "bound"),
    [
        ("delta >= 0.05 nats", Quantity.DELTA, Fraction(50_000_000)),
        ("delta >= 0 nats", Quantity.DELTA, Fraction(0)),
        ("eta >= 0.0002 nats/J", Quantity.ETA, Fraction(1, 5)),
        ("eta >= 0.2 nats/kJ", Quantity.ETA, Fraction(1, 5)),
    ],
)
def test_a_clause_of_a_contract_is_read_in_its_unit(text: str, quantity: str, bound: Fraction) -> None:
    found = parse_promise(text)
    assert found is not None
    assert (found.quantity, found.bound, found.text) == (quantity, bound, text)


def test_that_something_can_be_had_is_a_word_of_its_own() -> None:
    assert parse_promise("available") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("delta >= 0.05", "no unit"),
        ("eta >= 0.2", "no unit"),
        ("delta > 0.05 nats", "no clause of a contract"),
        ("joules <= 5 J", "no clause of a contract"),
        ("tier == counter", "no clause of a contract"),
        ("delta >= -1 nats", "less than nothing"),
        ("delta>=0.05 nats", "one spelling"),
        ("delta >= 0.05 nats ", "one spelling"),
        ("available ", "is not a comparison"),
        ("delta >= 0.05 nats and available", "is not a number"),
        ("d" * 501, "no clause of a contract"),
    ],
)
def test_what_is_no_clause_of_a_contract_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        parse_promise(text)
    quoted = re.findall(r'"([^"]+)"', refused.value.hint)
    assert quoted
    for shown in quoted:  # what is recommended in its place is one
        assert parse_promise(shown)


@given(st.text(max_size=60))
def test_any_text_is_a_clause_in_its_one_spelling_or_refused(text: str) -> None:
    try:
        found = parse_promise(text)
    except UsageError:
        return
    assert found is None or found.text == text
