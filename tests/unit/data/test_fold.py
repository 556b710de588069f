"""What is folded away of a text, and what is not."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.data.by_class import BY_CLASS, DrawnText, is_drawn_by_class
from cryoflux.data.examples import Example, normalise
from cryoflux.data.fold import bare_words, fold
from cryoflux.data.lowest_hash import GIVEN, key_hash
from cryoflux.data.split import near_train, rules_of, split

LONG = "Return the name of the host"


@given(st.text())
def test_any_text_is_folded_and_nothing_is_left_that_shows_nothing(text: str) -> None:
    found = fold(text)
    assert not any(unicodedata.category(c) in {"Cc", "Co", "Cs"} and not c.isspace() for c in found)
    assert all(isinstance(word, str) and word for word in bare_words(text))


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_is_folded_alike_by_both_ways(text: str) -> None:
    """Text that is ASCII takes a shorter way."""
    assert fold(text + LONG) == fold(f"{text}{LONG}\u200b")


@pytest.mark.parametrize("code", [0xAD, 0x034F, 0x200B, 0x2060, 0x2066, 0xFE0F, 0xFEFF, 0xE0020, 0xE000])
def test_what_shows_nothing_is_gone_from_short_texts_too(code: int) -> None:
    assert fold(f"o{chr(code)}k") == fold("ok") == "ok"


def test_digits_stay_apart() -> None:
    for zero in (0x30, 0x0660, 0x06F0, 0x0966, 0xFF10):
        assert len({fold(f"{LONG} {chr(zero + i)}{i}") for i in range(10)}) == 10


def numbered(count: int, start: int = 0) -> list[Example]:
    return [Example(f"the text of number {i}", "xy"[i % 2]) for i in range(start, start + count)]


def texts(examples) -> list[DrawnText]:
    keys = [normalise(example.text) for example in examples]
    return [
        DrawnText(key, example.label, fold(example.text), key_hash(key))
        for key, example in zip(keys, examples, strict=True)
    ]


def test_a_split_that_is_drawn_can_be_drawn_again() -> None:
    made = split(numbered(900), None, None, holdout_size=50, spare_holdouts=2)
    assert len(made.spares) == 2
    drawn = [texts(made.holdout), texts(made.audit), *map(texts, made.spares)]
    assert is_drawn_by_class(drawn, texts(made.train))
    assert not is_drawn_by_class(drawn[::-1], texts(made.train))
    assert not is_drawn_by_class([texts(made.train)[:50]], [*texts(made.holdout), *texts(made.train)[50:]])
    for held, audit in ((numbered(40, 2000), None), (None, numbered(40, 2000))):
        made = split(numbered(900), held, audit, holdout_size=50)
        drawn = [texts(made.holdout if held is None else made.audit)]
        assert is_drawn_by_class(drawn, texts(made.train))


def test_the_rules_say_who_chose_which_set() -> None:
    said = rules_of(holdout_given=True, audit_given=False)
    assert said == {"holdout": GIVEN, "audit": BY_CLASS, "copies": "fold/v1"}


def test_copies_in_disguise_are_dropped_from_the_set_that_matters_less() -> None:
    held, audit = numbered(40, 1000), numbered(40, 2000)
    train = [*numbered(200), *(Example(f"{e.text}\u200b!", e.label) for e in (*held[:7], *audit[:5]))]
    audit += [Example(held[9].text.upper() + ".", "x")]
    made = split(train, held, audit, holdout_size=30)
    assert (made.dropped["train"], made.dropped["audit"], len(made.train)) == (12, 1, 200)
    older = split(train, held, audit, holdout_size=30, folded=False, by_class=False)
    assert (older.dropped["train"], len(older.train)) == (0, 212)


def test_a_drawn_set_stays_what_the_rule_draws_when_copies_are_dropped() -> None:
    train = numbered(600) + [Example(f"{e.text}.", e.label) for e in numbered(600)]
    made = split(train, None, None, holdout_size=40, spare_holdouts=1)
    drawn = [texts(made.holdout), texts(made.audit), *map(texts, made.spares)]
    assert is_drawn_by_class(drawn, texts(made.train))
    sets = [made.train, made.holdout, made.audit, *made.spares]
    folded = [{fold(e.text) for e in examples} for examples in sets]
    assert sum(map(len, folded)) == len(set.union(*folded))


def test_near_duplicates_are_counted_and_kept() -> None:
    line = "the quick brown fox number {} jumps over the lazy dog in the yard"
    train = [Example(line.format(i), "xy"[i % 2]) for i in range(200)]
    made = split(train, None, None, holdout_size=30)
    assert near_train(made) == len(made.holdout) == 30
    assert len(made.train) == 140
