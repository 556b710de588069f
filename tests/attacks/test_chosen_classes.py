"""The owner chooses how many examples of each class judge, and says that a rule did."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.data.by_class import BY_CLASS, DrawnText, draw
from cryoflux.data.examples import normalise
from cryoflux.data.fold import FOLD, fold
from cryoflux.data.lowest_hash import GIVEN, by_hash
from cryoflux.receipts.statement import SetRules
from cryoflux.verification.result import Check, Status
from synthetic_parts import COUNT, label_of
from verifying import verify_target
from written_texts import of_sets, searched, written

POOL = written(5 * COUNT)
KEYS = {normalise(text): text for text in POOL}
DRAWN = SetRules(holdout=BY_CLASS, audit=BY_CLASS, copies=FOLD)


def by_rule(count: int) -> list[list[str]]:
    left = [DrawnText.of(key, label_of(text), fold(text)) for key, text in KEYS.items()]
    sets = []
    for _ in range(count):
        keys, left = draw(left, COUNT)
        sets.append([KEYS[key] for key in keys])
    return [[KEYS[text.key] for text in left], *sets]


HONEST = by_rule(2)


def searched_of(checks: tuple[Check, ...]) -> list[Check]:
    return [check for check in checks if check.knowledge.value == "searched"]


def failures(checks: tuple[Check, ...]) -> list[str]:
    return [check.detail for check in checks if check.status is Status.FAIL]


def test_sets_that_were_drawn_by_their_classes_are_drawn_again(tmp_path: Path) -> None:
    made = of_sets(tmp_path, HONEST, DRAWN)
    (check,) = searched(made)
    assert check.status is Status.OK
    assert "lowest-hash/v2, applied again to these 320 examples" in check.detail
    assert verify_target(made.path).ok


def test_a_holdout_with_more_of_the_easy_class_is_not_what_the_rule_draws(tmp_path: Path) -> None:
    """Of each class those with the lowest hashes, but not as many as its share."""
    train, holdout, *others = HONEST
    easy = [KEYS[key] for key in by_hash(map(normalise, train)) if label_of(KEYS[key]) == "a"][:8]
    hard = [text for text in holdout if label_of(text) == "b"][-8:]
    mine = {normalise(text) for text in [*holdout, *easy]} - {normalise(text) for text in hard}
    sets = [[*(t for t in train if t not in easy), *hard], [KEYS[key] for key in by_hash(mine)], *others]
    (detail,) = failures(verify_target(of_sets(tmp_path, sets, DRAWN).path).checks)
    assert "are not what lowest-hash/v2 draws from these 320 examples, though the log says so" in detail


@pytest.mark.parametrize("place", [0, COUNT - 1])
def test_an_easy_example_in_the_place_of_a_hard_one_of_its_class_is_found(place: int, tmp_path: Path) -> None:
    sets = [list(texts) for texts in HONEST]
    same = next(i for i, text in enumerate(sets[0]) if label_of(text) == label_of(sets[1][place]))
    sets[0][same], sets[1][place] = sets[1][place], sets[0][same]
    sets[1] = [KEYS[key] for key in by_hash(map(normalise, sets[1]))]
    assert failures(verify_target(of_sets(tmp_path, sets, DRAWN).path).checks)


def test_sets_of_the_older_rule_are_no_sets_of_the_newer_one(tmp_path: Path) -> None:
    order = [KEYS[key] for key in by_hash(KEYS)]
    older = [order[2 * COUNT :], *(order[n * COUNT : (n + 1) * COUNT] for n in range(2))]
    assert failures(verify_target(of_sets(tmp_path, older, DRAWN).path).checks)


def test_another_python_that_normalises_otherwise_is_no_liar(tmp_path: Path) -> None:
    """A small letter that Unicode 16 has and 14 lacks may be another text there."""
    sets = [list(texts) for texts in HONEST]
    rare = label_of(sets[1][-1])
    newer = (f"{text} {i} \U00010d50" for text in written(COUNT, 7) for i in range(9))
    low = sets[1][0]
    sets[0].append(
        next(t for t in newer if label_of(t) == rare and by_hash(map(normalise, [t, low]))[0] != low)
    )
    report = verify_target(of_sets(tmp_path, sets, DRAWN).path)
    assert report.ok
    (check,) = [check for check in searched_of(report.checks) if check.status is Status.UNKNOWN]
    assert "another version of Python" in check.detail


def test_one_such_letter_does_not_excuse_a_holdout_that_was_picked(tmp_path: Path) -> None:
    easy = sorted(POOL, key=len)
    sets = [[*easy[2 * COUNT :], "another \U00010d50"], easy[:COUNT], easy[COUNT : 2 * COUNT]]
    assert not verify_target(of_sets(tmp_path, sets, DRAWN).path).ok


def test_an_audit_set_of_ones_own_does_not_spoil_the_draw_of_the_holdout(tmp_path: Path) -> None:
    own, given = SetRules(holdout=BY_CLASS, audit=GIVEN, copies=FOLD), written(COUNT, 9)
    (check,) = searched(of_sets(tmp_path, [*by_rule(1), given], own))
    assert check.status is Status.OK


def test_a_pool_of_which_some_is_withheld_does_not_draw_the_same(tmp_path: Path) -> None:
    train, holdout = by_rule(1)
    own = SetRules(holdout=BY_CLASS, audit=GIVEN, copies=FOLD)
    easy = [text for text in train if label_of(text) == "a"]
    assert failures(verify_target(of_sets(tmp_path, [easy, holdout, written(COUNT, 9)], own).path).checks)
