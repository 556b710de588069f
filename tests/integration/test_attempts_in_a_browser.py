"""The pages of attempts in the hands of somebody: ticking, comparing, copying, going from one to the next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from browser import dashboard, look, open_browser
from synthetic_state import make_state, open_state
from waiting import until


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


def test_what_is_ticked_is_compared_and_stays_ticked_when_a_receipt_comes(
    browser: Browser, tmp_path: Path
) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    state.attempt(0.02)
    with dashboard(state.path) as running, look(browser) as seen:
        seen.page.goto(running.url + "/attempts")
        compare = seen.page.get_by_role("button", name="Compare")
        assert compare.is_disabled()
        seen.page.get_by_label("compare #1").check()
        assert compare.is_disabled(), "one is not enough"
        seen.page.get_by_label("compare #2").check()
        assert compare.is_enabled()
        seen.page.locator("h1").click()  # a list is not renewed under the hand that ticks in it
        state.attempt(0.01)
        seen.page.locator("table a", has_text="#3").wait_for()
        until(lambda: seen.page.get_by_label("compare #1").is_checked(), "what was ticked is ticked again")
        assert not seen.page.get_by_label("compare #3").is_checked()
        compare.click()
        assert seen.page.locator("h1").inner_text() == "#1 and #2"
        assert seen.complaints == []
    state.finish()


@pytest.mark.parametrize("width", [1440, 768, 360])
def test_the_words_of_an_axis_stand_at_its_lines(browser: Browser, tmp_path: Path, width: int) -> None:
    state = make_state(tmp_path / "state").path
    with dashboard(state) as running, look(browser, width=width) as seen:
        seen.page.goto(running.url + "/attempts?compare=1,2,4")
        panels = seen.page.locator(".forests")
        assert panels.count() == 3
        for panel in panels.all():
            ticks = panel.locator(".ticks").bounding_box()
            assert ticks is not None
            for drawn in panel.locator(".forest").all():
                box = drawn.bounding_box()
                assert box is not None
                assert (box["x"], box["width"]) == pytest.approx((ticks["x"], ticks["width"]), abs=0.5)


def test_without_a_script_the_same_form_compares(browser: Browser, tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    with dashboard(state) as running, look(browser, script=False) as seen:
        seen.page.goto(running.url + "/attempts")
        for number in (1, 4):
            seen.page.get_by_label(f"compare #{number}").check()
        seen.page.get_by_role("button", name="Compare").click()
        assert seen.page.locator("h1").inner_text() == "#1 and #4"


def test_a_command_is_copied_and_the_next_attempt_is_a_step_away(browser: Browser, tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    allowed = ["clipboard-read", "clipboard-write"]
    with dashboard(state) as running, look(browser, permissions=allowed) as seen:
        seen.page.goto(running.url + "/attempts/1")
        seen.page.get_by_role("button", name="Copy").last.click()
        seen.page.get_by_role("button", name="Copied").wait_for()
        copied = seen.page.evaluate("navigator.clipboard.readText()")
        assert copied == f"cryoflux receipts show '#1' --state {state}"
        seen.page.get_by_role("link", name="#2", exact=False).first.click()
        assert urlsplit(seen.page.url).path == "/attempts/2"


def test_a_mark_of_the_picture_leads_to_its_attempt_by_the_keyboard(browser: Browser, tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    with dashboard(state) as running, look(browser) as seen:
        seen.page.goto(running.url + "/attempts")
        mark = seen.page.get_by_role("link", name="#4 kept")
        mark.focus()
        seen.page.keyboard.press("Enter")
        seen.page.wait_for_url("**/attempts/4")
