from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cryoflux.energy.derived import Rates
from cryoflux.errors import UsageError
from cryoflux.log_view import Log, open_log
from cryoflux.quantities import Tier
from cryoflux.queries.marks import DrawnAs, drawn_as, mark_of
from cryoflux.queries.results import results_of
from cryoflux.receipts.statement import Outcome
from cryoflux.report.figures import ONE_COLUMN, TWO_COLUMNS, drawing, saved
from cryoflux.report.log_words import attempts_document, log_lines
from cryoflux.report.made import Reported
from cryoflux.report.marks import AttemptsPanel, bar_words, colour_of, limits_of, marker_of
from cryoflux.report.picture import draw_attempts
from cryoflux.report.progress_picture import ProgressLine, draw_progress
from cryoflux.report.scales import (
    Ends,
    crossing_lines,
    crossing_powers,
    number_text,
    round_below,
    round_ticks,
)
from synthetic_state import SyntheticState, open_state

pytest.importorskip("matplotlib")
SVG = "{http://www.w3.org/2000/svg}"


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


def svg_of(log: Log, figure: str = "attempts", columns: int = 2) -> ET.Element:
    return ET.fromstring(Reported([log], Rates()).svg(figure, columns))


def test_every_attempt_has_a_mark_and_no_two_outcomes_have_one_shape(varied: Log) -> None:
    kinds = [drawn_as(attempt) for attempt in varied]
    assert kinds == [DrawnAs.KEPT, DrawnAs.SCREENED, DrawnAs.REJECTED, DrawnAs.UNDECIDED]
    for told_apart in (marker_of, colour_of):
        assert len({told_apart(kind) for kind in DrawnAs}) == len(DrawnAs)
    marks = [mark_of(attempt) for attempt in varied]
    assert (marks[0].joules, marks[0].joules_lo, marks[0].joules_hi) == (100.0, 90.0, 110.0)
    assert (marks[0].delta, marks[0].delta_lo, marks[0].delta_hi) == (
        varied[0].delta,
        varied[0].delta_lo_anytime,
        varied[0].delta_hi_anytime,
    )
    # what its screen stopped is drawn by what the screen measured, which is one look
    assert marks[1].delta == varied[1].screen_delta is not None
    assert (marks[1].delta_lo, marks[1].delta_hi) == (varied[1].screen_delta_lo, varied[1].screen_delta_hi)
    assert bar_words(marks) == (
        "the interval of Δ that decided (anytime); of hollow squares 95 % for one look, at the screen’s own "
        "examples"
    )


def test_a_picture_says_in_words_what_it_shows(varied: Log) -> None:
    picture = svg_of(varied)
    assert (picture.get("role"), picture.get("aria-labelledby")) == ("img", "title desc")
    title, said = (picture.findtext(f"{SVG}{name}") for name in ("title", "desc"))
    assert title == "CryoFlux: energy against improvement, lora_delta"
    assert said is not None
    assert said.split("\n")[:2] == log_lines(varied)
    assert "1 kept, 1 undecided, 1 rejected, 1 stopped by the screen" in said
    assert "The best deal is #1: Δ +0.0549 nats for 100.0 J" in said
    assert picture.find(f"{SVG}title") is picture[0]


def test_widths_are_those_of_a_paper(varied: Log) -> None:
    for columns, inches in ((1, ONE_COLUMN), (2, TWO_COLUMNS)):
        for figure in ("attempts", "progress"):
            width = svg_of(varied, figure, columns).get("width")
            assert width == f"{72 * inches:g}pt"


def test_the_same_state_gives_the_same_picture(varied: Log) -> None:
    first, again = (Reported([varied], Rates()).svg("attempts", 2) for _ in range(2))
    assert first == again
    assert re.search(rb"<dc:date>", first) is None


def test_progress_is_told_by_its_ends(varied: Log) -> None:
    said = svg_of(varied, "progress").findtext(f"{SVG}desc")
    assert said is not None
    assert said.startswith("Loss on the holdout goes from 0.9295 to 0.8746 nats, accuracy from 0.0 to 85.9 %")
    assert said.endswith("in one kept update over 400.0 J of attempts.")


def test_no_two_numbers_or_values_stand_on_one_another(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    for number in range(12):
        made.attempt(0.004 + 0.001 * (number % 3))
    made.finish()
    with drawing():
        panel = AttemptsPanel("", "nats", open_log(made.path))
        figure = draw_attempts([panel], width=ONE_COLUMN, title="t", caption=()).figure
        figure.canvas.draw()
        boxes = [
            text.get_window_extent()
            for axes in figure.axes
            for text in axes.texts
            if text.get_rotation() == 0 and text.get_text()
        ]
    assert len(boxes) > 3
    assert not [(a, b) for n, a in enumerate(boxes) for b in boxes[:n] if a.shrunk(0.8, 0.8).overlaps(b)]


def test_three_hundred_attempts_are_drawn_in_full(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.screen_out()
    made.finish()
    two = list(open_log(made.path))
    many = [replace(two[n % 2], number=n + 1, joules=1.0 + n, chain_joules=1.0 + n) for n in range(300)]
    with drawing():
        picture = draw_attempts([AttemptsPanel("", "nats", many)], width=TWO_COLUMNS, title="t", caption=())
        content = saved([picture], "svg", "t")
    assert "150 kept, 150 stopped by the screen" in picture.description
    assert len(content) < 600_000


def test_what_did_not_help_lies_in_a_band_and_what_hardly_did_too(varied: Log) -> None:
    marks = [mark_of(attempt) for attempt in varied]
    limits = limits_of(marks)
    assert limits.delta is not None
    best = max(mark.delta for mark in marks if mark.delta is not None)
    assert limits.delta.low <= 0.001 * best * 1000
    tiny = replace(marks[2], delta=best / 10_000)
    with_tiny = limits_of([marks[0], tiny])
    assert not tiny.above(with_tiny.floor)
    assert marks[0].above(with_tiny.floor)
    assert limits_of([replace(marks[1], delta=-0.1)]).delta is None


def test_a_log_without_a_verdict_has_a_picture_too(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.screen_out()
    made.finish()
    said = svg_of(open_log(made.path)).findtext(f"{SVG}desc")
    assert said is not None
    assert "1 stopped by the screen" in said
    with pytest.raises(UsageError, match="nothing to draw"):
        svg_of(open_log(made.path), "progress")


def test_of_an_aborted_attempt_only_the_joules_are_drawn(pristine: SyntheticState) -> None:
    log = open_log(pristine.path)
    assert [drawn_as(attempt) for attempt in log] == [
        DrawnAs.KEPT,
        DrawnAs.REJECTED,
        DrawnAs.ABORTED,
        DrawnAs.KEPT,
    ]
    aborted = mark_of(log[2])
    assert (aborted.delta, aborted.joules) == (None, log[2].joules)


def test_a_carried_attempt_is_drawn_as_one_whether_the_holdout_saw_it_or_not(varied: Log) -> None:
    for attempt in varied:
        carried = replace(attempt, outcome="carried")
        assert drawn_as(carried) is DrawnAs.CARRIED


def test_the_document_has_every_attempt_with_recipe_and_efficiency(varied: Log) -> None:
    found = attempts_document(varied, Rates())
    assert [one["number"] for one in found["attempts"]] == [1, 2, 3, 4]
    assert [one["screened_out"] for one in found["attempts"]] == [False, True, False, False]
    first, screened = found["attempts"][:2]
    assert first["arm"] == "r8"
    assert first["eta_nats_per_kj"] == pytest.approx(1000 * first["delta"] / 100)
    assert (screened["delta"], screened["eta_nats_per_kj"]) == (None, None)
    assert "screen" in screened["reason"]
    assert found["total"]["energy"]["joules"] == sum(one["joules"] for one in found["attempts"])


def test_lines_of_equal_efficiency_are_at_round_values_that_cross_the_panel() -> None:
    joules, delta = Ends(1.0, 1000.0), Ends(0.001, 1.0)
    lines = crossing_lines(joules, delta, 400, 200)
    assert 3 <= len(lines) <= 6
    for eta, right in lines:
        assert f"{eta:.0e}"[0] in "1235"
        at_right = eta / 1000 * joules.high
        assert (at_right <= delta.high) is right
        assert at_right > delta.low


def test_a_power_of_ten_is_drawn_even_where_its_line_ends_in_the_corner() -> None:
    joules = Ends(4.0, 140.0)
    for high in (1.38, 1.4, 1.42):  # 10 per kJ leaves at 1.4: on the right, in the corner, on top
        delta = Ends(0.03, high)
        drawn = [eta for eta, _ in crossing_lines(joules, delta, 400, 200)]
        assert crossing_powers(joules, delta) == [1.0, 10.0, 100.0]
        assert {1.0, 10.0, 100.0} <= set(drawn)


def test_ticks_are_few_round_and_inside() -> None:
    for ends in (Ends(0.9, 4.0), Ends(1e-5, 1.0), Ends(3.0, 3e6)):
        ticks = round_ticks(ends, 6)
        assert 2 <= len(ticks) <= 6
        assert all(ends.low <= tick <= ends.high for tick in ticks)
    spelt = {0.05: "0.05", 20: "20", 5000: "5k", 1e-5: "10⁻⁵", 2e-4: "2·10⁻⁴"}
    assert {value: number_text(value) for value in spelt} == spelt
    assert [round_below(value) for value in (0.03, 1.0, 7.0)] == pytest.approx([0.02, 1.0, 5.0])


def test_an_axis_over_modelled_and_measured_joules_says_modelled(varied: Log) -> None:
    results = results_of(varied, Rates())
    (task,) = results.tasks
    counted = replace(results.attempts[-1], tier=Tier.COUNTER)
    mixed = replace(results, attempts=(*results.attempts[:-1], counted))
    with drawing():
        (axes, *_) = draw_progress([ProgressLine("", mixed, task)], width=TWO_COLUMNS, title="t").figure.axes
    assert axes.get_xlabel() == "energy of attempts so far (J, modelled)"
