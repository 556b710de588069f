from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.errors import UsageError
from cryoflux.log_view import open_log
from cryoflux.receipts.statement import Outcome
from cryoflux.report.picture import draw_attempts, points_of
from synthetic_state import SyntheticState, open_state


def test_a_point_for_every_attempt_that_the_holdout_judged(pristine: SyntheticState) -> None:
    points = points_of(open_log(pristine.path))
    assert [attempt.number for attempt, _, _ in points] == [1, 2, 4]
    assert [attempt.kept for attempt, _, _ in points] == [True, False, True]
    attempt, delta, half = points[0]
    assert (attempt.joules, delta) == (100.0, attempt.delta)
    assert (attempt.delta_lo, attempt.delta_hi) == pytest.approx((delta - half, delta + half))


def test_what_its_screen_stopped_is_no_point_and_a_partial_mean_is_over_what_was_read(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.screen_out()
    made.conclude_attempt(made.announce(), -0.01, read=32)
    made.finish()
    points = points_of(open_log(made.path))
    assert [attempt.number for attempt, _, _ in points] == [1, 3]
    assert points[1][1] == pytest.approx(-0.011, abs=0.0005)


def test_the_picture_tells_kept_undecided_and_rejected_apart(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.attempt(0.0005)
    made.attempt(0.001, outcome=Outcome.UNDECIDED)
    made.finish()
    points = points_of(open_log(made.path))
    assert [attempt.outcome for attempt, _, _ in points] == ["kept", "rejected", "undecided"]
    draw_attempts(points, tmp_path / "all.svg", title="three")
    draw_attempts(points[:2], tmp_path / "two.svg", title="three")
    both = [(tmp_path / name).read_text() for name in ("all.svg", "two.svg")]
    # Okabe and Ito's orange is the colour of what is undecided.
    assert ["#e69f00" in text.lower() for text in both] == [True, False]
    with pytest.raises(UsageError):
        draw_attempts([], tmp_path / "none.svg", title="none")


def test_a_suffix_that_no_picture_has_is_refused_and_none_is_svg(
    pristine: SyntheticState, tmp_path: Path
) -> None:
    points = points_of(open_log(pristine.path))
    with pytest.raises(UsageError, match=r"cannot be a \.xyz file"):
        draw_attempts(points, tmp_path / "a.xyz", title="three")
    assert draw_attempts(points, tmp_path / "plot", title="three") == tmp_path / "plot.svg"
    assert [path.name for path in tmp_path.iterdir()] == ["plot.svg"]
