"""The holdout stands in the training set, with something in one of the two that is not in the other.

Near duplicates are counted and asked about; they are no lie of themselves.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cryoflux.data import near
from cryoflux.data.examples import normalise
from cryoflux.data.lowest_hash import by_hash
from cryoflux.data.near import find_near
from cryoflux.digests import file_digest, write_checksums
from cryoflux.receipts.statement import Section
from cryoflux.verification.result import Check, Status
from synthetic_parts import COUNT, training
from synthetic_state import SyntheticState, open_state
from verifying import verify_target
from written_texts import of_sets, searched, written

TRAIN, HOLDOUT, AUDIT = (written(COUNT, seed) for seed in (1, 2, 3))
SHORT = {length: [written(COUNT, seed, length) for seed in (4, 5, 6)] for length in (3, 5, 6, 8)}
GREEK = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "mu"]


def preamble(text: str, words: int = 20, seed: int = 0) -> str:
    return " ".join(random.Random(f"{text}{seed}").choices(GREEK, k=words))


def before(text: str) -> str:
    return f"{preamble(text)} {text}"


def around(text: str) -> str:
    return f"{preamble(text, 45)} {text} {preamble(text, 9, 1)}"


def otherwise(text: str) -> str:
    return f"{preamble(text, 25, 2)} {text}"


def asked(made: SyntheticState, words: str) -> list[Check]:
    return [c for c in searched(made) if c.status is Status.UNKNOWN and words in c.detail]


@pytest.mark.parametrize(
    ("judges", "trains"),
    [(before, str), (around, str), (before, otherwise), (str, before)],
    ids=["before the holdout", "around the holdout", "before both", "before what is trained on"],
)
def test_a_preamble_hides_no_copy_on_either_side(
    judges: Callable[[str], str], trains: Callable[[str], str], tmp_path: Path
) -> None:
    made = of_sets(tmp_path, [[trains(text) for text in HOLDOUT], [judges(text) for text in HOLDOUT], AUDIT])
    (question,) = asked(made, "near to training examples")
    assert question.subject.endswith("/holdout.jsonl")
    assert question.detail.startswith("64 of the 64 texts of holdout.jsonl")
    assert any("near to training examples" in said for said in verify_target(made.path).exceptions)


def test_one_preamble_of_all_texts_accuses_nobody(tmp_path: Path) -> None:
    """Texts that begin alike, as instructions do: counted and asked about, and no lie."""
    begins = "Read what follows and say in one word which of the two classes it belongs to:"
    made = of_sets(tmp_path, [[f"{begins} {text}" for text in texts] for texts in (TRAIN, HOLDOUT, AUDIT)])
    assert verify_target(made.path).ok


@pytest.mark.parametrize("length", SHORT)
def test_short_texts_with_a_word_led_in_are_looked_for(length: int, tmp_path: Path) -> None:
    _, holdout, audit = SHORT[length]
    made = of_sets(tmp_path, [[f"So {text}" for text in holdout], holdout, audit])
    assert asked(made, "short texts of holdout.jsonl are near to training examples")


@pytest.mark.parametrize("length", SHORT)
def test_honest_short_texts_are_told_and_not_asked_about(length: int, tmp_path: Path) -> None:
    keys = {normalise(text): text for texts in SHORT[length] for text in texts}
    drawn = [keys[key] for key in by_hash(keys)]
    made = of_sets(tmp_path, [drawn[2 * COUNT :], drawn[:COUNT], drawn[COUNT : 2 * COUNT]])
    (said,) = [check.detail for check in searched(made)]
    assert "short texts of holdout.jsonl" in said


def test_a_text_that_is_too_short_to_be_looked_for_is_no_silent_pass(tmp_path: Path) -> None:
    few = [f"{one} {other}" for one in GREEK for other in GREEK]
    made = of_sets(tmp_path, [TRAIN, [*few[:17], *HOLDOUT[17:]], [*few[17:33], *AUDIT[16:]]])
    (question,) = asked(made, "fewer than three words")
    assert question.subject.endswith("/holdout.jsonl")
    assert question.detail.startswith("17 of its 64 texts")
    assert verify_target(made.path).ok


def test_a_short_turn_of_speech_in_a_long_text_is_no_copy() -> None:
    assert find_near(["in the house"], [f"{TRAIN[0]} in the house"]).near == {}
    assert find_near(["in the old house"], ["we sat in the old house"]).near == {0: 0}


def test_the_exchanged_search_has_the_same_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{before(text)}" for text in HOLDOUT]
    assert find_near(texts, HOLDOUT).whole
    monkeypatch.setattr(near, "_MOST_COMPARED", 5)
    assert not find_near(texts, HOLDOUT).whole
    monkeypatch.undo()
    monkeypatch.setattr(near, "_MOST_CHARACTERS", 5000)
    assert not find_near(texts, ["one text"]).whole


def rows_of(folder: Path, row: Callable[[str], object], **changes: object) -> SyntheticState:
    """A state with a judged attempt, whose data sets have such lines."""
    made = open_state(folder / "state", [*TRAIN, *HOLDOUT, *AUDIT])
    data = made.path / "data" / made.data.digest
    for name, texts in (("train", TRAIN), ("holdout", HOLDOUT), ("audit", AUDIT)):
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row(text)) + "\n" for text in texts))
    digest = write_checksums(data)
    shutil.move(data, data.with_name(digest))
    sets = {name: file_digest(data.with_name(digest) / f"{name}.jsonl") for name in ("train", "audit")}
    holdout = made.data.holdout.but(sha256=file_digest(data.with_name(digest) / "holdout.jsonl"))
    made.data = made.data.but(digest=digest, holdout=holdout, **sets)
    made.attempt(0.05, **changes)
    made.finish()
    return made


@pytest.mark.parametrize(
    "row",
    [
        lambda text: {"input": text, "label": "a"},
        lambda text: {"text": [text], "label": "a"},
        lambda text: {"text": text},
        lambda text: [text, "a"],
    ],
    ids=["another key", "a list", "no class", "no object"],
)
def test_what_no_training_can_read_is_no_example(row: Callable[[str], object], tmp_path: Path) -> None:
    made = rows_of(tmp_path, row)
    bad = [c for c in verify_target(made.path).checks if c.status is Status.FAIL]
    assert {Path(c.subject).name for c in bad} == {"train.jsonl", "holdout.jsonl", "audit.jsonl"}
    assert {c.detail for c in bad} == {"holds a line that is no example"}


def test_a_task_of_another_kind_has_the_lines_that_it_likes(tmp_path: Path) -> None:
    strange = training(section=Section(kind="tree/v1", fields={"depth": 3}))
    made = rows_of(tmp_path, lambda text: {"input": text, "output": "a"}, training=strange)
    assert verify_target(made.path).ok
    assert asked(made, "have no text")
