"""The page of now in a real browser while a run goes on: what a script draws, and what keeps still."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from acting_run import ActingRun
from browser import SCHEMES, SIZES, dashboard, look, open_browser
from cryoflux.attempt.watch import Step
from cryoflux.quantities import MICRO
from cryoflux.runs.activity_form import SaidEnd, SaidTraining
from synthetic_state import make_state, open_state
from waiting import until

MOST_HTML = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@contextmanager
def acting(state: Path) -> Iterator[ActingRun]:
    """A run that trains for ever, and notes its meter ten times as often as one does."""
    began = time.time()
    run, over = ActingRun(state, began - 400), threading.Event()
    run.budget(500, 12, 40)
    for n in range(-320, 0):
        run.sample(began + n, 6.0 + n % 5, first=n == -320)

    def go_on() -> None:
        step = 0
        while not over.wait(0.1):
            step += 1
            training = SaidTraining(step, 10**6, 0.5, step, 60 * MICRO)
            run.attempt(5, Step.TRAIN, began, arm="lean", training=training)
            run.sample(time.time(), 8.0)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield run
    finally:
        over.set()
        thread.join()


def serious(page: Any) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_of_a_run_that_goes_on_fits_and_draws_its_watts(
    browser: Browser, tmp_path: Path, scheme: str
) -> None:
    state = make_state(tmp_path / "state").path
    with acting(state), dashboard(state) as running:
        for width in SIZES:
            with look(browser, width=width, scheme=scheme) as seen:
                seen.page.goto(running.url + "/")
                assert seen.sizes[running.url + "/"] <= MOST_HTML
                seen.page.locator("#watts canvas").wait_for()
                assert seen.complaints == []
                assert seen.foreign(running.url) == []
                assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
                assert serious(seen.page) == []


def test_without_a_script_the_same_series_is_drawn_by_the_server(browser: Browser, tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    with acting(state), dashboard(state) as running, look(browser, script=False) as seen:
        seen.page.goto(running.url + "/")
        assert seen.page.locator("#watts .net-line").count() == 2  # with the legend's
        assert seen.page.locator("#watts canvas").count() == 0


def test_steps_go_on_by_themselves_and_the_keyboard_stays_where_it_was(
    browser: Browser, tmp_path: Path
) -> None:
    state = make_state(tmp_path / "state").path
    with acting(state), dashboard(state) as running, look(browser) as seen:
        seen.page.goto(running.url + "/")
        link = seen.page.locator("table.attempts a").first
        link.focus()
        detail = seen.page.locator(".ten-steps li.now .step-detail")
        before = detail.inner_text()
        until(lambda: detail.inner_text() != before, "another step is shown")
        assert seen.page.evaluate("document.activeElement.getAttribute('href')") == link.get_attribute("href")


def test_what_somebody_has_opened_stays_open_when_its_part_is_new(browser: Browser, tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    with dashboard(state.path) as running, look(browser) as seen:
        seen.page.goto(running.url + "/")

        def with_details(route: Any) -> None:
            answer = route.fetch()
            more = '<details data-key="more"><summary>more</summary><p>of it</p></details></section>'
            body = answer.text().replace("</section>", more, 1)
            route.fulfill(response=answer, body=body, headers={**answer.headers, "etag": ""})

        seen.page.route(running.url + "/", with_details)
        seen.page.reload()
        seen.page.locator("summary").click()
        state.attempt(0.02)
        seen.page.locator("table.attempts a", has_text="#2").wait_for()
        assert seen.page.locator("details[open]").count() == 1
    state.finish()


def test_the_first_attempt_fills_an_empty_page(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with dashboard(tmp_path / "state") as running, look(browser) as seen:
        seen.page.goto(running.url + "/")
        assert "Nothing has been tried yet." in seen.page.inner_text("main")
        run = ActingRun(tmp_path / "state", time.time())
        seen.page.locator(".state-chip.preparing").wait_for()
        run.say(phase="ended", end=SaidEnd(time.time(), "failed", "It could not begin."))
        seen.page.locator(".state-chip.ended").wait_for()
        assert "It could not begin." in seen.page.inner_text("main")


def test_a_server_that_wants_its_token_again_is_told_from_one_that_is_away(
    browser: Browser, tmp_path: Path
) -> None:
    state = make_state(tmp_path / "state").path
    with look(browser) as seen:
        with dashboard(state, options=("--token", "first")) as first:
            seen.page.goto(first.open)
        until(lambda: seen.page.locator("#offline").is_visible(), "the page says that nobody answers")
        with dashboard(state, options=("--token", "second"), port=first.port) as second:
            said = seen.page.locator("#said")
            until(lambda: "asks for its token" in said.inner_text(), "the page says what is wanted")
            seen.page.goto(second.open)
            assert not said.is_visible()
