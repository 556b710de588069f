"""The holdout stands in the training set, written so that it does not look like it to a program.

The owner of the log makes the data set; its files, receipts and signatures are all in order.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from cryoflux.data import near
from cryoflux.data.examples import normalise
from cryoflux.data.fold import fold
from cryoflux.data.lowest_hash import by_hash
from cryoflux.verification.result import Check, Status
from synthetic_parts import COUNT
from verifying import verify_target
from written_texts import DRAWN, WORDS, of_sets, searched, written

TRAIN, HOLDOUT, AUDIT = (written(COUNT, seed) for seed in (1, 2, 3))
CYRILLIC = str.maketrans("aceopxyi", "асеорхуі")
GREEK = str.maketrans("oνTNHB", "οvΤΝΗΒ")


def after_each_letter(mark: str) -> Callable[[str], str]:
    return lambda text: "".join(letter + mark for letter in text)


DISGUISES: dict[str, Callable[[str], str]] = {
    "zero width space at the end": lambda text: f"{text}\u200b",
    "zero width joiners": after_each_letter("\u200d"),
    "soft hyphens": after_each_letter("\u00ad"),
    "variation selectors": after_each_letter("\ufe0e"),
    "tags": after_each_letter("\U000e0041"),
    "control characters": lambda text: f"\x08{text}\x7f",
    "direction marks": lambda text: f"\u202a{text}\u202c",
    "accents": lambda text: text.replace("e", "é").replace("o", "ö"),
    "strokes through letters": after_each_letter("\u0336"),
    "joiner of graphemes": lambda text: text.replace("a", "a\u034f"),
    "cyrillic letters": lambda text: text.translate(CYRILLIC),
    "greek letters": lambda text: text.translate(GREEK),
    "wide letters": lambda text: "".join(chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in text),
    "mathematical letters": lambda text: "".join(
        chr(ord(c) - 97 + 0x1D41A) if "a" <= c <= "z" else c for c in text
    ),
    "capitals": str.upper,
    "no full stop": lambda text: text.removesuffix("."),
    "quotes": lambda text: f"“{text}”",
    "an exclamation": lambda text: f"{text[:-1]}!!",
    "other white space": lambda text: text.replace(" ", "\u2003\n"),
    "no white space": lambda text: text.replace(" ", ""),
    "blank that is no white space": lambda text: text.replace(" ", " \u2800"),
    "all at once": lambda text: f"“{text.upper().replace('A', 'А')}\u200b”",
}


def of_status(checks: list[Check], status: Status) -> list[Check]:
    return [check for check in checks if check.status is status]


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "older"])
@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_holdout_in_the_training_set_is_found_under_every_disguise(
    disguise: str, recorded: bool, tmp_path: Path
) -> None:
    train = [DISGUISES[disguise](text) for text in HOLDOUT]
    made = of_sets(tmp_path, [train, HOLDOUT, AUDIT], DRAWN if recorded else None)
    bad = [check for check in of_status(searched(made), Status.FAIL) if "holdout.jsonl" in check.subject]
    assert any("64" in check.detail and "train.jsonl" in check.detail for check in bad)


@pytest.mark.parametrize("copied", [1, 3, 32])
def test_a_few_copies_are_a_lie_where_the_log_says_that_there_are_none(copied: int, tmp_path: Path) -> None:
    """Without that word, a few are a question, and half of the holdout is not."""
    train = [f"{text}\u200b" for text in HOLDOUT[:copied]] + TRAIN[copied:]
    for recorded in (True, False):
        made = of_sets(tmp_path / str(recorded), [train, HOLDOUT, AUDIT], DRAWN if recorded else None)
        about = [check for check in searched(made) if f"{copied} of its 64 texts are copies" in check.detail]
        expected = Status.FAIL if recorded or copied == 32 else Status.UNKNOWN
        assert [check.status for check in about] == [expected]
        assert "such as line 1 of line 1 there" in about[0].detail


def test_a_copy_in_another_judging_set_is_found_too(tmp_path: Path) -> None:
    spare = [f"{text[:-1]}?" for text in HOLDOUT]
    made = of_sets(tmp_path, [TRAIN, HOLDOUT, AUDIT, spare], DRAWN)
    assert any("holdout-2.jsonl" in check.subject for check in of_status(searched(made), Status.FAIL))


def changed(text: str, words: int, seed: int) -> str:
    draw, parts = random.Random(seed), text.split()
    for place in draw.sample(range(len(parts)), words):
        parts[place] = draw.choice(WORDS)
    return " ".join(parts)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: changed(text, 1, 7),
        lambda text: f"{text} And then they all went home, which took them until the next day.",
        lambda text: f"As was said before: {text}",
        lambda text: " ".join(text.split()[:13]),
    ],
    ids=["one word", "longer", "led in", "cut"],
)
def test_a_holdout_that_was_edited_into_the_training_set_is_a_question(edit, tmp_path: Path) -> None:
    made = of_sets(tmp_path, [[edit(text) for text in HOLDOUT], HOLDOUT, AUDIT])
    (question,) = [check for check in of_status(searched(made), Status.UNKNOWN) if "near/v1" in check.detail]
    assert question.subject.endswith("/holdout.jsonl")
    assert "of the 64 texts" in question.detail


def test_that_sets_share_nothing_is_never_said_to_be_proven(tmp_path: Path) -> None:
    made = of_sets(tmp_path, [TRAIN, HOLDOUT, AUDIT])
    for check in verify_target(made.path).checks:
        if check.knowledge.value == "proven":
            assert not any(word in check.detail for word in ("disjoint", "copy", "copies", "near"))
    said = of_status(searched(made), Status.OK)[0].detail
    assert "no text of one set is one of another one, nor a copy of it by fold/v1" in said
    assert "none of the 64 texts of holdout.jsonl that are long enough" in said


def test_texts_that_were_made_to_be_alike_cost_no_more_than_the_limit(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(near, "_MOST_COMPARED", 10)
    few = [" ".join(random.Random(seed).choices(WORDS[:6], k=30)) for seed in range(3 * COUNT)]
    made = of_sets(tmp_path, [few[:COUNT], few[COUNT : 2 * COUNT], few[2 * COUNT :]])
    assert any("searched wholly" in check.detail for check in of_status(searched(made), Status.UNKNOWN))
    monkeypatch.undo()
    monkeypatch.setattr(near, "_MOST_CHARACTERS", 500)
    made = of_sets(tmp_path / "large", [TRAIN, HOLDOUT, AUDIT])
    trained, judging = [c for c in of_status(searched(made), Status.UNKNOWN) if "wholly" in c.detail]
    assert "of 64 texts were read" in trained.detail
    assert judging.detail.startswith("the sets that judge are too large")


INNOCENT: dict[str, list[str]] = {
    "log lines that differ in a number": [
        f"Connection {i} from the host in the cellar was closed by its peer" for i in range(3 * COUNT)
    ],
    "log lines in Arabic that differ in a number": [
        f"أغلق المضيف الاتصال رقم {i} قبل قليل" for i in range(3 * COUNT)
    ],
    "short answers": [f"{word}{end}" for word in WORDS[:48] for end in (".", "!", "?", "")],
    "expressions": [f"Same as a {sign} b{i}." for sign in ("<", "<=", ">", ">=") for i in range(48)],
    "several languages": [
        f"{text} {i}"
        for i in range(24)
        for text in (
            "Мама мыла раму на кухне",
            "Мама мила раму на кухні",
            "Η γάτα κοιμάται στο σπίτι",
            "猫在厨房里睡觉而且打呼噜",
            "猫は台所で眠っています",
            "القطة نائمة في المطبخ الآن",
            "बिल्ली रसोई में सो रही है",
            "แมวนอนหลับอยู่ในห้องครัว",
        )
    ],
    "vowel signs": [
        f"{text} {i}"
        for i in range(96)
        for text in ("वह घर जाती है और खाना खाती है", "वह घर जाता है और खाना खाता है")
    ],
}


@pytest.mark.parametrize("innocent", INNOCENT)
def test_texts_that_are_like_each_other_are_not_accused(innocent: str, tmp_path: Path) -> None:
    keys = {normalise(text): text for text in INNOCENT[innocent]}
    drawn = [keys[key] for key in by_hash(keys)]
    assert len(set(map(fold, drawn))) == len(drawn) == 3 * COUNT
    made = of_sets(tmp_path, [drawn[2 * COUNT :], drawn[:COUNT], drawn[COUNT : 2 * COUNT]], DRAWN)
    assert of_status(verify_target(made.path).checks, Status.FAIL) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ok?", "ok!"),
        ("ma", "má"),
        ("сор", "cop"),
        ("C#", "C"),
        (":)", ":("),
        ("How do I learn C# at home", "How do I learn C at home"),
        ("see item 1 of the long list", "see item l of the long list"),
        ("see item 0 of the long list", "see item O of the long list"),
    ],
)
def test_texts_that_may_well_be_two_are_no_copies(one: str, other: str) -> None:
    assert fold(one) != fold(other)
