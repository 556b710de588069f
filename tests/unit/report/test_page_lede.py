"""The sentence under a state's headline compares accuracies on one holdout alone."""

from __future__ import annotations

from pathlib import Path

from cryoflux.queries.followed import Followed
from cryoflux.report.headline import lede
from synthetic_state import open_state


def said(path: Path) -> tuple[str, Followed]:
    followed = Followed(path)
    followed.refresh()
    summary = followed.summary()
    scores = {total.name: followed.head_scores(total.name) for total in summary.tasks}
    return lede(summary, followed.attempts, scores), followed


def test_accuracy_moves_from_the_first_version_to_the_head(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.finish()
    text, followed = said(made.path)
    (attempt,) = followed.attempts
    ends = f"from {100 * attempt.accuracy_before:.1f} to {100 * attempt.accuracy_after:.1f} %"
    assert f"Accuracy on the holdout went {ends}." in text


def test_accuracies_on_two_holdouts_are_not_compared(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state", spares=1)
    made.attempt(0.05)
    made.rotate()
    made.attempt(0.05)
    made.finish()
    text, followed = said(made.path)
    first, second = followed.attempts
    assert (first.kept, second.kept) == (True, True)
    assert first.accuracy_before is not None
    assert "2 attempts: 2 kept." in text
    assert "Accuracy" not in text, "the first version was never measured on the holdout in use"
