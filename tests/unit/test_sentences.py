"""Every reason has a sentence, and no program reads one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cryoflux.decision.reason import Reason
from cryoflux.sentences import CODES, brief, deciding_interval, say, say_as_signed

SOURCE = Path(__file__).parents[2] / "src" / "cryoflux"
SUMS = {"count": 400, "delta": 9_400_000_000, "squared": "1220900000000000000"}
SUMS |= {"gain": 4, "gained": 6, "lost": 2}
LEAST = {"min_delta": 2_000_000}
BAR = {"needed_milli": 16_589}
NUMBERS: dict[str, dict[str, int | str]] = {
    "monitor-worse": {"count": 200, "worse": 40_000_000_000, "unit": "nats", "alpha_ppm": 10_000},
    "said": {"sentence": "Whatever was said."},
    "whitepaper.delta": SUMS | LEAST,
    "whitepaper.accuracy": SUMS | {"min_gain_ppm": 10_000},
    "whitepaper.neither": SUMS,
    "z.delta": SUMS | LEAST | {"z_milli": 3090},
    "z.accuracy": SUMS | {"z_milli": 3090},
    "z.noise": SUMS | {"z_milli": 3090},
    "evidence.delta": SUMS | LEAST | BAR,
    "evidence.accuracy": SUMS | BAR,
    "evidence.undecided": SUMS | LEAST | BAR,
    "no-worse.shown": SUMS | LEAST | {"z_milli": 3090},
    "no-worse.not-shown": SUMS | LEAST | {"z_milli": 3090},
    "screen.worse": SUMS | LEAST,
    "loss-went-up": SUMS,
    "below-smallest": SUMS | LEAST,
    "staked.delta": SUMS | LEAST | BAR,
    "staked.missed": SUMS | LEAST | BAR,
    "stake.not-yet": SUMS | {"stake_milli": 650, "least_milli": 800},
    "stake.too-little": SUMS | {"stake_milli": 0, "least_milli": 200},
    "judged-before": {},
    "hopeless": SUMS | {"total": 1500},
    "screen.below-smallest": SUMS | LEAST,
    "screen.not-worth-a-look": SUMS | {"z_milli": 1645},
    "interrupted.preparing": {},
    "interrupted.training": {"steps": 12},
    "interrupted.evaluating": {},
    "exhausted.preparing": {},
    "exhausted.training": {},
    "exhausted.evaluating": {},
    "failed": {"what": "The loss is not a number."},
    "crashed": {},
    "unreserved": {},
    "lost": {"worker": "w1"},
    "chosen": {"arm": "lean", "rivals": 3, "delta": 5_000_000, "cost_uj": 80_000_000},
    "drawn": {"arm": "lean", "rivals": 1},
    "plateau": {"spent": 2, "bucket_uj": 28_100_000},
    "rolled-back": {"why": "It was worse."},
    "promoted": {"why": "It was better."},
    "taken-back": {"why": "It smelt."},
    "pruned": {"count": 3, "keep": 20},
    "round.kept": {"count": 512, "level": 50_000_000, "unit": "nats"},
    "round.missed": {"count": 512},
    "round.unshown": {"candidates": 3, "tried": 18},
    "round.unsafe": {"candidates": 3, "tried": 18},
    "round.broken": {"candidates": 3, "tried": 18},
}


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_a_sentence(code: str) -> None:
    sentence = say(Reason(code=code, numbers=NUMBERS[code]))
    assert not sentence.startswith(code)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert brief(Reason(code=code, numbers=NUMBERS[code]))


def test_the_numbers_of_a_sentence_are_those_of_its_reason() -> None:
    kept = Reason(code="evidence.delta", numbers=NUMBERS["evidence.delta"])
    assert say(kept) == (
        "Kept: Δ +0.0235 nats, anytime [+0.0131, +0.0339], accuracy +1.0 points; "
        "shown to help: a useless one would pass at most 1 time in 4,000."
    )
    assert say_as_signed(kept) == (
        "Kept: Δ = +0.0235 ± 0.0049 nats, accuracy +1.0 points; Δ reaches 0.002, evidence 72.4 > 16.6."
    )
    assert say(Reason(code="exhausted.preparing")).startswith("Aborted: the reservation was used up before")
    assert "3 arms" in say(Reason(code="chosen", numbers=NUMBERS["chosen"]))
    dear = say(Reason(code="plateau", numbers=NUMBERS["plateau"] | {"dear_uj": 40_000_000}))
    assert dear == "No arm is expected to pay: 2 arms spent, another reserves 40.0 J."


def test_delta_is_shown_with_the_interval_that_decided() -> None:
    wide = SUMS | {"squared": "80000000000000000000"}
    undecided = Reason(code="evidence.undecided", numbers=wide | LEAST | BAR)
    assert deciding_interval(undecided) == "Δ +0.0235 nats, anytime [-0.0694, +0.1164]"
    assert brief(undecided) == "not proven yet, not ruled out: evidence 1.1, needed > 16.6"
    few = Reason(code="evidence.undecided", numbers=SUMS | {"count": 16} | LEAST | BAR)
    assert "so few examples cannot show anything" in deciding_interval(few)
    noise = Reason(code="z.noise", numbers=NUMBERS["z.noise"])
    assert "± 3.09 standard errors [" in deciding_interval(noise)
    assert "95 % [" in deciding_interval(Reason(code="below-smallest", numbers=SUMS | LEAST))
    assert deciding_interval(Reason(code="crashed")) == ""


def test_below_the_smallest_says_no_more_than_was_found() -> None:
    reaching = Reason(code="below-smallest", numbers=SUMS | {"delta": 400_000_000} | LEAST)
    assert brief(reaching) == "Δ is below 0.002"
    short = Reason(code="below-smallest", numbers=SUMS | {"delta": 400_000, "squared": "1000000000"} | LEAST)
    assert brief(short) == "too small: all of its 95 % interval lies below 0.002"


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_reason_that_lacks_a_number_shows_what_it_has(code: str) -> None:
    for name in NUMBERS[code]:
        fewer = {other: number for other, number in NUMBERS[code].items() if other != name}
        assert say(Reason(code=code, numbers=fewer))


def test_an_unknown_code_is_shown_with_its_numbers() -> None:
    assert say(Reason(code="moved.by-vote", numbers={"votes": 3, "arm": "lean"})) == (
        "moved.by-vote: arm lean, votes 3"
    )
    assert say(Reason(code="moved.by-vote")) == "moved.by-vote"


NAMES = sorted({name for numbers in NUMBERS.values() for name in numbers} | {"unit", "untried", "dear_uj"})


@given(
    st.sampled_from(sorted(CODES)),
    st.dictionaries(st.sampled_from(NAMES), st.integers(-(2**53), 2**53) | st.text(max_size=20)),
)
@example("evidence.delta", {**SUMS, **LEAST, **BAR, "squared": "9" * 2000})
@example("evidence.delta", {**SUMS, **LEAST, **BAR, "count": 0})
@example("evidence.delta", {**SUMS, **LEAST, **BAR, "count": -5, "squared": "-1"})
@example("z.noise", {**SUMS, "z_milli": 1, "squared": "0"})
@example("chosen", {**NUMBERS["chosen"], "cost_uj": 0})
def test_whatever_a_stranger_signs_is_shown(code: str, numbers: dict[str, int | str]) -> None:
    assert isinstance(say(Reason(code=code, numbers=numbers)), str)
    assert isinstance(brief(Reason(code=code, numbers=numbers)), str)


READERS = {"startswith", "endswith", "find", "index", "split", "partition", "removeprefix", "removesuffix"}
READS_THE_FIRST_FORM = {"receipts/lifting.py"}
"""what a v1 receipt says is only in its sentence"""


def is_sentence(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="say")) | ast.Attribute(attr="reason"):
            return True
        case ast.Subscript(slice=ast.Constant(value="reason")):
            return True
    return False


def reads_a_sentence(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr=attr)):
            return attr in READERS and is_sentence(value)
        case ast.Compare(left=left, comparators=comparators):
            sides = [left, *comparators]
            texts = [side for side in sides if isinstance(side, ast.Constant) and isinstance(side.value, str)]
            return any(text.value for text in texts) and any(map(is_sentence, sides))
    return False


def test_no_program_reads_a_sentence_back() -> None:
    found = {
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.expr) and reads_a_sentence(node)
    }
    assert {place for place in found if place.split(":")[0] not in READS_THE_FIRST_FORM} == set()
    assert found, "the one that is allowed is noticed"
