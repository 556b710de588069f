"""What is odd about classes is said, and what is not odd is not."""

import pytest

from cryoflux.data.remarks import remarks_on

PLAIN = {"pos": 300, "neg": 280, "neutral": 240}


@pytest.mark.parametrize(
    ("counts", "code", "classes"),
    [
        ({"Positive": 90, "positive": 60, "neg": 80}, "alike", ("Positive", "positive")),
        ({"1": 90, "1.0": 60, "0": 80}, "alike", ("1", "1.0")),
        ({"not spam": 90, "not_spam": 60, "spam": 80}, "alike", ("not spam", "not_spam")),
        ({"ＰＯＳ": 90, "pos": 60, "neg": 80}, "alike", ("pos", "ＰＯＳ")),
        ({**PLAIN, "nan": 60}, "nothing", ("nan",)),
        ({**PLAIN, "None": 60, "N/A": 40}, "nothing", ("N/A", "None")),
        ({**PLAIN, "neg|pos": 40}, "several", ("neg|pos",)),
        ({**PLAIN, "neg, pos": 40}, "several", ("neg, pos",)),
        ({"often": 990, "seldom": 10}, "skewed", ("often", "seldom")),
        ({f"{at / 100}": 1 for at in range(60)}, "numbers", ("0.0", "0.01", "0.02", "0.03", "0.04")),
    ],
)
def test_it_is_said(counts: dict[str, int], code: str, classes: tuple[str, ...]) -> None:
    (remark,) = remarks_on(counts)
    assert (remark.code, remark.classes) == (code, classes)


@pytest.mark.parametrize(
    "counts",
    [PLAIN, {"1": 90, "0": 80, "10": 70}, {"a|b": 90, "c": 80}, {"often": 990, "seldom": 60}, {"one": 9}, {}],
)
def test_nothing_is_said_of_what_is_usual(counts: dict[str, int]) -> None:
    assert remarks_on(counts) == []


def test_99_to_1_is_said_with_what_saying_always_the_same_is_worth() -> None:
    (remark,) = remarks_on({"often": 990, "seldom": 10})
    assert "is right 99.0 % of the time" in remark.said
