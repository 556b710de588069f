"""The report as one HTML file: complete by itself, small whatever the log holds, with the pages' charts."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cryoflux.energy.derived import Rates
from cryoflux.log_view import open_log
from cryoflux.pages.charts.steps import StepLine, steps
from cryoflux.pages.document import comparison_html, results_html
from cryoflux.queries.comparison import compare
from cryoflux.queries.results import Results, results_of
from synthetic_state import SyntheticState, open_state

RATES = Rates()


@pytest.fixture
def results(tmp_path: Path) -> Results:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.screen_out()
    made.attempt(0.02)
    made.session()
    return results_of(open_log(made.finish()), RATES)


class Outline(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_it_may_fetch_and_run_nothing_and_asks_for_nothing(results: Results) -> None:
    page = results_html(results, RATES)
    found = Outline(page)
    (policy,) = [meta for meta in found.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert not found.of("script") + found.of("link") + found.of("img") + found.of("iframe")
    assert re.findall(r"url\(|@import", page) == []
    assert {str(a.get("href"))[:1] for a in found.of("a")} <= {"#"}


def test_every_mark_leads_to_its_row(results: Results) -> None:
    found = Outline(results_html(results, RATES))
    targets = {attributes["id"] for _, attributes in found.tags if attributes.get("id")}
    links = {str(a["href"]).removeprefix("#") for a in found.of("a")}
    assert links == {"a-1", "a-2", "a-3"}
    assert links <= targets


def test_each_question_has_its_heading(results: Results) -> None:
    text = Outline(results_html(results, RATES)).text
    for heading in ("What it cost", "What was gained", "How sure that is", "What next", "How to check it"):
        assert heading in text
    assert "loss on the holdout, nats" in text
    assert "accuracy on the holdout, %" in text


def test_ten_thousand_attempts_are_two_hundred_kilobytes_at_most(results: Results) -> None:
    some = results.attempts
    many = tuple(
        replace(some[n % 3], number=n + 1, joules=90.0 + n % 20, chain_joules=1.0 + n % 977)
        for n in range(10_000)
    )
    page = results_html(replace(results, attempts=many), RATES)
    assert len(page.encode()) <= 200_000
    assert "The newest 60 of 10000 attempts" in page


def test_two_states_share_one_picture_of_progress(tmp_path: Path) -> None:
    made: SyntheticState = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.session()
    made.finish()
    other = made.fork(tmp_path / "other")
    other.attempt(0.03)
    other.finish()
    comparison = compare(open_log(made.path), open_log(other.path), RATES)
    page = comparison_html(comparison, RATES)
    assert 'class="step step-1"' in page
    assert "A goes from 0.9295 to 0.8746" in page


def test_steps_hold_what_they_are_given() -> None:
    line = StepLine("", [(0.0, 2.0, "a"), (10.0, 1.0, "a"), (20.0, 5.0, "b")], 40.0)
    drawn = steps([line], "loss")
    # two levels and a fall on one holdout, one level on the other, and nothing that joins them
    assert len(re.findall(r'class="step step-0"', drawn.plot)) == 4
    assert len(re.findall(r"<circle", drawn.plot)) == 3
    alone = steps([StepLine("", [(0.0, 1.0, "a")], 0.0)], "loss")
    assert alone.rows
    assert "nan" not in alone.plot
