"""Every page in a real browser: how it fits, what it asks for and says, who can use it, how heavy it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from acting_run import ActingRun
from browser import SCHEMES, SIZES, Dashboard, dashboard, look, open_browser
from cryoflux.energy.derived import Rates
from cryoflux.log_view import open_log
from cryoflux.pages.document import results_html
from cryoflux.queries.results import results_of
from synthetic_state import make_state, open_state
from waiting import until

PATHS = (
    *("/", "/attempts", "/attempts?sort=eta&outcome=kept", "/attempts?compare=1,2,4"),
    *("/attempts/1", "/attempts/2", "/attempts/3"),
    *("/models", "/receipts", "/receipts/1", "/energy"),
)
MOST_HTML = 30_000
MOST_ASSETS = 120_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    state = make_state(tmp_path_factory.mktemp("pages") / "state").path
    with dashboard(state) as running:
        yield running


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    state = tmp_path_factory.mktemp("empty")
    with dashboard(state) as running:
        yield running


def serious(page: object) -> list[str]:
    found = Axe().run(page).response["violations"]  # type: ignore[arg-type]
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("path", [*PATHS, "/attempts/99"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_page_fits_says_no_error_and_can_be_used_by_all(
    browser: Browser, served: Dashboard, path: str, scheme: str
) -> None:
    with look(browser, scheme=scheme) as seen:
        for width in SIZES:
            seen.page.set_viewport_size({"width": width, "height": 900})
            seen.page.goto(served.url + path)
            wide = seen.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} px wide in a window of {width}"
            if width == SIZES[0] or (width, scheme) == (SIZES[-1], SCHEMES[0]):
                assert serious(seen.page) == []  # the widest has nothing more in the dark but colours
    expected = ["404"] if path.endswith("99") else []
    assert [one for one in seen.complaints if not any(code in one for code in expected)] == []
    assert seen.foreign(served.url) == []
    assert seen.sizes[served.url + path] <= MOST_HTML
    assets = sum(size for url, size in seen.sizes.items() if urlsplit(url).path.startswith("/static/"))
    assert 0 < assets <= MOST_ASSETS


@pytest.mark.parametrize("path", ["/", "/attempts", "/models", "/receipts", "/energy"])
def test_a_state_where_nothing_was_tried_has_pages_too(browser: Browser, empty: Dashboard, path: str) -> None:
    with look(browser, width=360) as seen:
        answer = seen.page.goto(empty.url + path)
        assert answer is not None
        assert answer.status == 200
        assert seen.complaints == []
        assert serious(seen.page) == []


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_whole_without_a_script(browser: Browser, served: Dashboard, path: str) -> None:
    with look(browser) as live, look(browser, script=False) as still:
        live.page.goto(served.url + path)
        still.page.goto(served.url + path)
        assert still.page.locator("h1").inner_text() == live.page.locator("h1").inner_text()
        assert still.page.locator("main section").count() == live.page.locator("main section").count()


def test_every_page_is_reached_by_the_keyboard_alone(browser: Browser, served: Dashboard) -> None:
    with look(browser) as seen:
        seen.page.goto(served.url + "/")
        reached = set()
        for _ in range(12):
            seen.page.keyboard.press("Tab")
            reached.add(seen.page.evaluate("document.activeElement.textContent.trim()"))
            outlined = seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outlined != "none"
        assert {"Live", "Attempts", "Models", "Receipts", "Energy"} <= reached


def test_a_reader_who_wants_no_motion_gets_none(browser: Browser, served: Dashboard) -> None:
    moving = (
        "[...document.querySelectorAll('*')]"
        ".filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0"
        " || getComputedStyle(e).animationName !== 'none').map(e => e.tagName)"
    )
    with look(browser, reduced_motion="reduce") as seen:
        for path in PATHS:
            seen.page.goto(served.url + path)
            assert seen.page.evaluate(moving) == []


def test_a_receipt_shows_by_itself_and_after_the_server_was_away(browser: Browser, tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    with look(browser) as seen:
        with dashboard(state.path) as first:
            seen.page.goto(first.url + "/attempts")
            state.attempt(0.02)
            seen.page.locator("table a", has_text="#2").wait_for()
        until(lambda: seen.page.locator("#offline").is_visible(), "the page says that nobody answers")
        state.attempt(0.01)
        with dashboard(state.path, port=first.port):
            seen.page.locator("table a", has_text="#3").wait_for()
            until(lambda: not seen.page.locator("#offline").is_visible(), "the banner goes away")
    state.finish()


def test_several_states_stand_side_by_side(browser: Browser, tmp_path: Path) -> None:
    one, two = make_state(tmp_path / "one").path, make_state(tmp_path / "two").path
    with dashboard(one, two) as running, look(browser, width=360) as seen:
        seen.page.goto(running.url + "/")
        assert serious(seen.page) == []
        seen.page.locator("nav a", has_text="two").click()
        seen.page.locator("nav a", has_text="Attempts").click()
        assert urlsplit(seen.page.url).path == "/s/two/attempts"
        assert running.get("/s/three/").status_code == 404
        assert seen.complaints == []


def test_a_figure_of_a_report_is_as_wide_as_its_text(browser: Browser, tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    report = tmp_path / "report.html"
    report.write_text(results_html(results_of(open_log(state), Rates()), Rates()), "utf-8")
    widths = "[...document.querySelectorAll('figure')].map(f => [f, f.parentElement].map(e => e.clientWidth))"
    with look(browser) as seen:
        seen.page.goto(report.as_uri())
        found = seen.page.evaluate(widths)
        frames = seen.page.evaluate(widths.replace("'figure'", "'figure .frame'"))
    assert len(found) >= 2
    assert all(inner == outer for inner, outer in [*found, *frames])


def test_what_the_meter_did_not_see_is_hatched(browser: Browser, tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    run, now = ActingRun(state, time.time() - 60), time.time()
    for n in (*range(10), *range(30, 40)):
        run.sample(now - 39 + n, 8.0, first=n == 0)
    with dashboard(state) as running, look(browser, script=False) as seen:
        seen.page.goto(running.url + "/")
        filled = seen.page.locator(".watts .gap").evaluate_all(
            "all => all.map(e => getComputedStyle(e).fill)"
        )
    assert filled == ['url("#p-gap")']


def test_beyond_loopback_a_token_lets_in_and_is_kept_in_a_cookie(browser: Browser, tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    with dashboard(state, options=("--token", "s3cret;=/+%")) as running, look(browser) as seen:
        refused = seen.page.goto(running.url + "/attempts")
        assert refused is not None
        assert refused.status == 401
        seen.page.goto(running.open)
        assert "token" not in seen.page.url
        assert seen.page.goto(running.url + "/attempts").status == 200  # type: ignore[union-attr]
        (cookie,) = seen.page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert "token" not in cookie["value"]
