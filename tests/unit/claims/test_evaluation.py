from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.claims.evaluation import Figures, add_up, judge
from cryoflux.claims.wording import in_words, sentence, shown, spelt
from cryoflux.errors import VerificationError
from cryoflux.expression import Quantity, parse_expression
from cryoflux.quantities import Energy, Tier
from cryoflux.receipts.statement import Receipt
from synthetic_parts import COUNT
from synthetic_state import SyntheticState, open_state


def figures(**changes: object) -> Figures:
    said = {
        "attempts": 3,
        "kept": 1,
        "aborted": 1,
        "delta": Fraction(50_000_000),
        "accuracy_gain": Fraction(1, 32),
        "lo_uj": 900_000_000,
        "estimate_uj": 1_000_000_000,
        "hi_uj": 1_250_000_000,
        "all_in": Energy(1_200_000_000, 1_000_000_000, 1_600_000_000, Tier.MODELLED),
        "tier": Tier.MODELLED,
        "loss_first": Fraction(900_000_000),
        "loss_last": Fraction(850_000_000),
    }
    return Figures(**{**said, **changes})


def holds(text: str, found: Figures) -> bool:
    return all(judged.holds for judged in judge(found, parse_expression(text)))


def receipts(made: SyntheticState) -> Iterator[Receipt]:
    return (receipt for entry in made.entries if (receipt := entry.receipt) is not None)


def test_joules_count_every_attempt_and_delta_only_what_was_kept(pristine: SyntheticState) -> None:
    found, said = add_up(receipts(pristine)), list(receipts(pristine))
    assert (found.attempts, found.kept, found.aborted) == (4, 2, 1)
    assert (found.lo_uj, found.estimate_uj, found.hi_uj) == (360_000_000, 400_000_000, 440_000_000)
    sums = [r.evaluation.delta_sum for r in (said[0], said[3]) if r.evaluation]
    assert found.delta == Fraction(sum(sums), COUNT)
    assert said[1].evaluation is not None
    assert said[1].evaluation.delta_sum != 0
    first, last = said[0].evaluation, said[3].evaluation
    assert first is not None
    assert last is not None
    assert found.loss_first == Fraction(first.base_loss_sum, COUNT)
    assert found.loss_last == Fraction(last.new_loss_sum, COUNT)
    assert found.tier is Tier.MODELLED


def test_the_loss_after_a_rejected_attempt_is_that_of_its_base(pristine: SyntheticState) -> None:
    said = list(receipts(pristine))[:2]
    found = add_up(said)
    assert said[1].evaluation is not None
    assert found.loss_last == Fraction(said[1].evaluation.base_loss_sum, COUNT)


def test_the_end_of_the_interval_is_the_one_that_is_worse_for_the_claim() -> None:
    found = figures()
    assert not holds("joules <= 1100", found)
    assert holds("joules <= 1250", found)
    assert not holds("joules >= 950", found)
    assert holds("joules >= 900", found)
    assert holds("joules_estimate <= 1100 and joules_lo <= 900 and joules_hi <= 1250", found)
    # 0.05 nats over 1.25 kJ, not over 0.9 or 1.
    assert holds("eta >= 0.04", found)
    assert not holds("eta > 0.04", found)
    assert not holds("eta <= 0.05", found)
    assert holds("eta <= 0.056", found)


def test_all_in_counts_what_sessions_cost_beside_their_attempts() -> None:
    found = figures()
    assert holds("all_in_joules <= 1600 and all_in_joules >= 1000", found)
    assert not holds("all_in_joules < 1600", found)
    assert holds("all_in_eta >= 0.03125", found)
    assert not holds("all_in_eta > 0.03125", found)


def test_an_estimate_is_the_printed_figure_and_its_tier_belongs_to_the_sentence() -> None:
    found = figures(tier=Tier.COUNTER)
    assert holds("joules_estimate == 1 kJ and eta_estimate == 0.05 and all_in_joules_estimate <= 1200", found)
    assert not holds("joules <= 1000", found)
    assert holds("all_in_eta_estimate < 0.042 and all_in_eta_estimate > 0.041", found)
    judged = judge(found, parse_expression("delta >= 0.05 and joules_estimate <= 1 kJ"))
    assert sentence("it", judged) == "it; joules: counter, as estimated"
    assert [one.tier for one in judged] == [None, Tier.COUNTER]
    # What sessions cost besides was only modelled, and so is the sum.
    both = judge(found, parse_expression("joules <= 2 kJ and all_in_joules_estimate <= 2 kJ"))
    end = "by the end of the interval that is worse for the claim"
    assert sentence("it", both) == f"it; joules: modelled, {end} and, as estimated"
    assert sentence("it", judge(found, parse_expression("kept >= 1"))) == "it"


def test_all_in_is_of_whole_sessions(tmp_path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.session(30_000_000)
    made.attempt(0.01)
    made.attempt(0.01)
    made.session(20_000_000)
    told = [said for entry in made.entries if (said := entry.receipt or entry.session) is not None]
    attempts_uj = sum(said.energy.hi_microjoules for said in told if isinstance(said, Receipt))
    whole = add_up(told)
    assert whole.all_in is not None
    assert whole.all_in.hi_uj == attempts_uj + 50_000_000
    assert add_up(told[:2]).all_in is not None
    assert [add_up(part).all_in for part in (told[1:], told[3:], told[:1], told[:4], [])] == [None] * 5
    with pytest.raises(VerificationError, match="all_in_joules has no value"):
        judge(add_up(told[:1]), parse_expression("all_in_joules <= 1 MJ"))
    made.finish()


def test_a_negative_delta_is_worst_over_few_joules() -> None:
    found = figures(delta=Fraction(-50_000_000))
    assert not holds("eta >= -0.05", found)
    assert holds("eta >= -0.056", found)
    assert holds("eta <= -0.04", found)
    assert not holds("eta <= -0.05", found)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("eta >= 0", {"hi_uj": 0, "lo_uj": 0}),
        ("eta <= 9", {"lo_uj": 0}),
        ("loss_last <= 1", {"loss_last": None}),
        ("tier == modelled", {"attempts": 0}),
    ],
)
def test_what_has_no_value_is_neither_true_nor_false(text: str, changes: dict[str, object]) -> None:
    with pytest.raises(VerificationError, match="has no value"):
        holds(text, figures(**changes))


def test_the_tier_is_the_worst_one() -> None:
    assert holds("tier == modelled", figures())
    assert not holds("tier == counter", figures())


def test_a_bound_that_no_float_can_tell_apart_is_decided_exactly() -> None:
    third = figures(delta=Fraction(10**9, 3))
    assert not holds("delta >= 0.333333333334", third)
    assert holds("delta > 0.333333333333", third)
    just = figures(hi_uj=2**53 - 1, estimate_uj=2**53 - 1)
    assert holds("joules <= 9007199254.740991", just)
    assert not holds("joules < 9007199254.740991", just)
    assert nextafter(9007199254.740991, 0) < 9007199254.740991


@given(
    st.fractions(-(10**12), 10**12, max_denominator=5000), st.decimals(-1000, 1000, allow_nan=False, places=9)
)
def test_comparisons_agree_with_fractions(delta: Fraction, bound: object) -> None:
    found, threshold = figures(delta=delta), Fraction(str(bound)) * 10**9
    for operator, expected in (
        (">=", delta >= threshold),
        (">", delta > threshold),
        ("<=", delta <= threshold),
        ("<", delta < threshold),
        ("==", delta == threshold),
    ):
        assert holds(f"delta {operator} {bound:f}", found) is expected


def test_values_are_spelt_in_one_way_and_shown_with_what_they_are() -> None:
    assert [spelt(v) for v in (Fraction(6, 4), Fraction(-4, 2), Tier.COUNTER)] == ["3/2", "-2", "counter"]
    assert shown(Quantity.DELTA, Fraction(10**9, 3)) == "≈ 0.333333333 nats"
    assert shown(Quantity.JOULES_HI, Fraction(1_457_863_205)) == "1457.863205 J"
    assert shown(Quantity.ACCURACY_GAIN, Fraction(1, 32)) == "3.125 points"
    upper, lower = judge(figures(), parse_expression("joules <= 9 kJ and joules >= 1"))
    assert in_words(upper) == "joules is at most 1250 J, modelled (plausible, not 95 %)"
    assert in_words(lower) == "joules is at least 900 J, modelled (plausible, not 95 %)"
    (counted,) = judge(figures(tier=Tier.COUNTER), parse_expression("joules <= 9 kJ"))
    assert in_words(counted) == "joules is at most 1250 J, counter"
