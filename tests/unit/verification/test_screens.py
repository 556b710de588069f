"""A screen that does not follow from what was announced, or from its own numbers, is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.decision.reason import Reason
from cryoflux.receipts.statement import Outcome
from cryoflux.verification.result import Check, Status
from synthetic_parts import OLD_RULE, RECIPE, RULE, decision, screen, training
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

RECEIPT = "entry 1 (receipt a0001_0)"


def bad(made: SyntheticState) -> list[tuple[int, str, str]]:
    checks: tuple[Check, ...] = verify_target(made.finish()).checks
    return [(c.number, c.subject, c.detail) for c in checks if c.status is Status.FAIL]


def only(made: SyntheticState, number: int, words: str) -> None:
    found = bad(made)
    assert [(n, subject) for n, subject, _ in found] == [(number, RECEIPT)], found
    assert words in found[0][2]


def trained(made: SyntheticState, recipe: dict[str, str | int], **changes: object) -> None:
    said = training(**changes)
    made.conclude_attempt(made.announce(recipe=recipe), 0.05, training=said)


def test_an_attempt_that_its_screen_stopped_is_fine_without_its_adapter(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    stopped = made.screen_out()
    made.attempt(0.02)
    capsule = made.path / "capsules" / stopped.statement.subject[0].digest.sha256
    for path in capsule.iterdir():
        path.unlink()
    capsule.rmdir()
    report = verify_target(made.finish())
    assert report.ok
    assert [c.number for c in report.checks if c.status is Status.UNKNOWN] == [9]
    assert report.evaluated == 2


@pytest.mark.parametrize(
    ("recipe", "changes", "words"),
    [
        (RECIPE, {"screen": screen(0.05, count=17)}, "17 screening examples, more than"),
        (RECIPE, {"scale": "0.7"}, "which its recipe does not list"),
        ({**RECIPE, "screen_size": 0}, {}, "sets no screening examples aside"),
        ({**RECIPE, "screen_size": "16"}, {}, "has no whole number screen_size"),
        (RECIPE, {"fresh_count": 49}, "49 fresh examples, more than the recipe's fresh_size 48"),
        (RECIPE, {"slice_count": 40, "fresh_count": 41}, "41 fresh examples of 40 in all"),
    ],
)
def test_what_was_not_announced_is_named(
    tmp_path: Path, recipe: dict[str, str | int], changes: dict[str, object], words: str
) -> None:
    made = open_state(tmp_path / "state")
    trained(made, recipe, **changes)
    only(made, 5, words)


def test_a_screen_that_was_announced_and_left_out_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.rule = RULE.but(screen="")
    trained(made, RECIPE, screen=None)
    only(made, 5, "has no screen")


def test_an_aborted_attempt_need_not_have_come_to_its_screen(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.abort(made.announce(), training=training(screen=None))
    assert bad(made) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"delta_squared_sum": "0"}, "its screen: Σδ² is too small"),
        ({"delta_squared_sum": "9" * 70}, "its screen: Σδ² cannot come from"),
        ({"new": 17}, "counts more examples than the screen's 16"),
        ({"gained": 3}, "its screen: gained − lost"),
    ],
)
def test_impossible_sums_of_a_screen_are_named(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    made = open_state(tmp_path / "state")
    made.rule = RULE.but(screen="")
    made.attempt(0.05, training=training(screen=screen(0.05, **changes)))
    found = bad(made)
    assert any(words in detail for number, _, detail in found if number == 6), found
    assert {(number, subject) for number, subject, _ in found} == {(6, RECEIPT)}


def test_an_update_that_failed_its_screen_and_was_shown_to_the_holdout_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, training=training(screen=screen(0.0)))
    only(made, 7, "was shown to the holdout, but screen/v1 gives")


def test_an_update_that_passed_its_screen_and_was_hidden_from_the_holdout_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.screen_out(training=training(screen=screen(0.05)))
    only(made, 7, "passed its screen, but was not shown")


def test_a_rejection_by_no_screen_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.rule = RULE.but(screen="")
    made.screen_out()
    only(made, 7, "is rejected without training, evaluation and decision")


def test_an_update_without_the_screen_that_its_rule_asks_for_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    recipe = {**RECIPE, "screen_size": 0}
    trained(made, recipe, screen=None)
    found = bad(made)
    assert [(number, subject) for number, subject, _ in found] == [(5, RECEIPT), (7, RECEIPT)]
    assert "was not screened, as screen/v1 asks for" in found[1][2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": Reason(code="screen.unloved")}, "not the one of screen/v1"),
        ({"outcome": Outcome.UNDECIDED}, "is undecided, but screen/v1 gives"),
        ({"decision": None}, "is rejected without training, evaluation and decision"),
        ({"decision": decision(accepted=True)}, "disagree"),
        ({"training": None}, "is rejected without training, evaluation and decision"),
    ],
)
def test_a_rejection_that_does_not_follow_from_its_screen_is_named(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    made = open_state(tmp_path / "state")
    made.screen_out(**changes)
    found = bad(made)
    assert any(number == 7 and words in detail for number, _, detail in found), found


def test_a_screen_may_go_with_an_older_rule(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.rule = OLD_RULE.but(screen="screen/v1")
    made.attempt(0.05)
    made.screen_out()
    assert bad(made) == []
