from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cryoflux.energy.derived import Rates
from cryoflux.errors import UsageError
from cryoflux.log_view import Log, open_log
from cryoflux.receipts.statement import Outcome
from cryoflux.report.log_words import attempts_document, log_lines
from cryoflux.report.picture import DrawnAs, draw_attempts, drawn_as
from running import exit_code_of as run
from synthetic_state import SyntheticState, open_state


@pytest.fixture
def varied(tmp_path: Path) -> Log:
    """Kept, stopped by the screen, rejected, undecided; the holdout judged three of the four."""
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.screen_out()
    made.attempt(0.0005)
    made.attempt(0.001, outcome=Outcome.UNDECIDED)
    made.finish()
    return open_log(made.path)


def drawn(log: Log, monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[tuple[str, str, list[float]]]:
    """What is drawn with error bars: axis, label, and where on the axis of joules."""
    from matplotlib.axes import Axes

    found = []
    real = Axes.errorbar

    def watched(axes, *arguments, **named):
        found.append((named["label"], named["x"], named["y"], named["xerr"]))
        return real(axes, *arguments, **named)

    monkeypatch.setattr(Axes, "errorbar", watched)
    draw_attempts(log, folder / "all.svg", caption=log_lines(log))
    return found


def test_every_attempt_is_drawn_with_the_interval_of_its_joules(
    varied: Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    found = {label: (x, y, err) for label, x, y, err in drawn(varied, monkeypatch, tmp_path)}
    assert list(found) == ["kept (1)", "undecided (1)", "rejected (1)", "stopped by the screen (1)"]
    assert sum(len(x) for x, _, _ in found.values()) == len(varied)
    assert found["kept (1)"] == ([100.0], [varied[0].delta], [[10.0], [10.0]])
    assert found["stopped by the screen (1)"][2] == [[10.0], [10.0]]


def test_the_caption_of_a_picture_says_what_the_report_says(
    varied: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "a.svg"
    assert run(monkeypatch, "report", "--state", varied.state, "--plot", picture) == 0
    said = capsys.readouterr().out
    first, second = log_lines(varied)
    assert first == "4 attempts: 1 kept, 1 undecided, 1 rejected, 1 stopped by the screen"
    assert second == ("Δ total +0.0549 nats for 400.0 J [360, 440], modelled, in attempts, η +0.137 nats/kJ")
    for text in (said, picture.read_text()):
        assert first in text
        assert second in text


def test_the_document_has_every_attempt_with_recipe_and_efficiency(
    varied: Log, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "report", "--state", varied.state, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["number"] for one in found["attempts"]] == [1, 2, 3, 4]
    assert [one["screened_out"] for one in found["attempts"]] == [False, True, False, False]
    first, screened = found["attempts"][:2]
    assert first["arm"] == "r8"
    assert first["eta_nats_per_kj"] == pytest.approx(1000 * first["delta"] / 100)
    assert (screened["delta"], screened["eta_nats_per_kj"]) == (None, None)
    assert "screen" in screened["reason"]
    assert found["total"] == attempts_document(varied, Rates())["total"]
    assert found["total"]["energy"]["joules"] == sum(one["joules"] for one in found["attempts"])


def test_of_an_aborted_attempt_only_the_joules_are_drawn(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    log = open_log(pristine.path)
    assert [drawn_as(attempt) for attempt in log] == [
        DrawnAs.KEPT,
        DrawnAs.REJECTED,
        DrawnAs.ABORTED,
        DrawnAs.KEPT,
    ]
    assert [label for label, *_ in drawn(log, monkeypatch, tmp_path)] == [
        "kept (2)",
        "rejected (1)",
        "aborted (1)",
    ]


def test_a_log_without_a_verdict_has_a_picture_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    made = open_state(tmp_path / "state")
    made.screen_out()
    made.finish()
    assert [x for _, x, _, _ in drawn(open_log(made.path), monkeypatch, tmp_path)] == [[100.0]]


def test_what_no_picture_can_be_is_refused(pristine: SyntheticState, tmp_path: Path) -> None:
    log = open_log(pristine.path)
    with pytest.raises(UsageError, match=r"cannot be a \.xyz file"):
        draw_attempts(log, tmp_path / "a.xyz", caption=[])
    with pytest.raises(UsageError, match="No attempt"):
        draw_attempts([], tmp_path / "none.svg", caption=[])
    assert draw_attempts(log, tmp_path / "plot", caption=["four"]) == tmp_path / "plot.svg"
    assert [path.name for path in tmp_path.iterdir()] == ["plot.svg"]


def test_a_carried_attempt_is_drawn_as_one_whether_the_holdout_saw_it_or_not(varied: Log) -> None:
    for attempt in varied:
        carried = replace(attempt, outcome="carried")
        assert drawn_as(carried) is DrawnAs.CARRIED
