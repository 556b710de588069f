"""The page of now: what a run says of itself is shown, with its units and how sure it is."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from html import unescape
from pathlib import Path

import pytest
from msgspec.structs import replace

from acting_run import ActingRun
from browser import dashboard
from cryoflux.attempt.watch import Step
from cryoflux.energy.derived import Rates
from cryoflux.pages import live
from cryoflux.pages.charts.trace import trace
from cryoflux.pages.render import render
from cryoflux.pages.scene import Scene
from cryoflux.quantities import MICRO, Energy, Tier
from cryoflux.queries.followed import Followed
from cryoflux.queries.power import power_of_attempt
from cryoflux.runs.activity_form import ROWS, SaidCount, SaidEnd, SaidTraining, SampleRow, pack_row
from cryoflux.state import StateFolder
from synthetic_state import make_state, open_state

NOW = 1_795_953_000.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = open_state(tmp_path_factory.mktemp("live") / "state")
    state.attempt(0.05)
    state.attempt(0.0005)
    state.abort(state.announce())
    state.attempt(0.02)
    state.session()
    state.finish()
    return state.path


@pytest.fixture
def state(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "state", symlinks=True)


def shown(state: Path, *, now: float = NOW, root: str = "") -> str:
    """The text of the page, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html(state, now=now, root=root)))


def html(state: Path, *, now: float = NOW, root: str = "") -> str:
    followed = Followed(state)
    followed.refresh()
    look = Scene(followed, "state", root, ("state",), Rates(), {}, "", now)
    return render(live.page(look), look)


def test_a_state_without_a_run_says_so_and_how_the_last_one_ended(state: Path) -> None:
    text = shown(state)
    assert "No run goes on. The last one ended at" in text
    assert "What was left did not pay for another attempt." in text
    assert "Watts now" not in text  # no meter has left anything


def test_a_log_that_does_not_say_how_its_run_ended_has_none_that_goes_on(tmp_path: Path) -> None:
    assert "No run goes on." in shown(make_state(tmp_path / "state").path)


def test_nothing_yet_is_said_as_nothing(tmp_path: Path) -> None:
    assert "Nothing has been tried yet." in shown(tmp_path)
    (odd := tmp_path / "it's here; yes").mkdir()
    assert f"--state {shlex.quote(str(odd))}" in unescape(shown(odd))


def test_the_run_that_goes_on_is_shown_with_its_steps(state: Path) -> None:
    run = ActingRun(state, NOW - 60)
    run.budget(500, 12, 40)
    training = SaidTraining(12, 40, 0.625, 9 * MICRO, 60 * MICRO)
    run.attempt(5, Step.TRAIN, NOW - 10, arm="lean", why="It paid before.", training=training, spent_uj=MICRO)
    page, text = html(state), shown(state)
    assert "attempting #5" in text
    assert "It paid before." in text
    assert "step 12 of about 40, loss 0.625" in text
    assert '<progress value="12" max="40"' in page
    assert page.count('<li class="done">') == 4
    assert page.count('<li class="now" aria-current="step">') == 1
    assert page.count('<li class="to-come">') == 5
    assert re.search(r"1\.0 J of 60\.0 J reserved", text)
    assert re.search(r"53\.0 J of 500\.0 J spent, 447\.0 J left", text)


def test_a_step_that_is_passed_by_is_told_from_one_that_is_done(state: Path) -> None:
    run = ActingRun(state, NOW - 60)
    run.attempt(5, Step.RECORD, NOW - 20, arm="lean")
    steps = [one for one in run.now.attempt.steps if one.step is not Step.MERGE]  # type: ignore[union-attr]
    run.say(attempt=replace(run.now.attempt, steps=steps, finished=True, outcome="rejected"))
    page = html(state)
    assert page.count('<li class="skipped">') == 1
    assert page.count('<li class="done">') == 9
    assert "Attempt #5, rejected" in page


def test_watts_come_with_tier_range_and_what_the_machine_draws_at_rest(state: Path) -> None:
    run = ActingRun(state, NOW - 60)
    for n in range(30):
        run.sample(NOW - 29 + n, 8.0, first=n == 0)
    text = shown(state)
    assert re.search(r"8\.0 W net", text)
    assert "6.4 to 10.0 W is plausible; modelled from CPU time" in text
    assert "Of the whole machine, whoever uses it: it draws 18.00 W, 10.00 W of that at rest." in text


def test_a_silent_meter_is_said_and_its_last_figure_is_not_shown_as_of_now(state: Path) -> None:
    run = ActingRun(state, NOW - 60)
    for n in range(10):
        run.sample(NOW - 50 + n, 8.0, first=n == 0)
    text = shown(state)
    assert "The meter has been silent for 41 s." in text
    assert "8.0 W net" not in text
    assert "unknown" in text


def test_a_gap_in_the_series_is_a_gap_in_the_picture(state: Path) -> None:
    run = ActingRun(state, NOW - 60)
    for n in (*range(10), *range(30, 40)):
        run.sample(NOW - 39 + n, 8.0, first=n == 0)
    page = html(state)
    assert page.count('class="net-line" d="M') == 2 + 1  # two parts, and the legend's
    assert page.count('class="gap"') == 1


@pytest.mark.parametrize("step_us", [1, 1_000_000])
def test_a_series_that_claims_the_power_of_suns_is_a_gap_and_no_figure(state: Path, step_us: int) -> None:
    run = ActingRun(state, NOW - 60)
    run.sample(NOW - 10, 8.0, first=True)
    most = 2**63 - 1
    with (state / "activity" / ROWS).open("wb") as stream:
        for n in range(4):
            amount = most if n % 2 else -most
            energy = Energy(amount, amount, amount, Tier.MODELLED)
            at_us = round((NOW - 10) * MICRO) + n * step_us
            row = SampleRow(n + 1, at_us, energy, energy, 0, 1, Step.TRAIN, first=n == 0)
            stream.write(pack_row(row))
    assert "Watts now" in shown(state)
    series = power_of_attempt(StateFolder(state), 1)
    assert (len(series.points), len(series.gaps)) == (0, 3)
    assert trace(series, "power") is None


def test_a_run_that_died_is_said_to_have(state: Path) -> None:
    run = ActingRun(state, NOW - 60)
    run.attempt(5, Step.TRAIN, NOW - 10, arm="lean")
    run.say(process=replace(run.now.process, start_ticks=1))
    text = shown(state)
    assert f"The run has died (process {os.getpid()})." in text
    assert "cut off" in text
    assert "No run goes on" not in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"phase": "preparing", "doing": SaidCount("learning the idle baseline", 12, 30)},
            "baseline, 12 of 30",
        ),
        ({"phase": "waiting", "waiting_for": "budget"}, "for energy or data: the bucket pays for no attempt"),
        ({"phase": "ended", "end": SaidEnd(NOW - 5, "time", "Its time was over.")}, "Its time was over."),
    ],
)
def test_the_state_of_the_run_is_said(state: Path, changes: dict[str, object], said: str) -> None:
    ActingRun(state, NOW - 60).say(**changes)
    text = shown(state)
    assert said in text
    assert str(changes["phase"]) in text


def test_a_log_that_cannot_be_read_is_said_and_the_run_is_shown_all_the_same(state: Path) -> None:
    run = ActingRun(state, time.time() - 60)
    run.attempt(5, Step.TRAIN, time.time() - 10, arm="lean")
    (state / "receipts.db").write_bytes(b"no database at all" * 100)
    with dashboard(state) as running:
        answer = running.get("/")
    assert answer.status_code == 200
    assert "The log cannot be read:" in answer.text
    assert "attempting #5" in answer.text


def test_what_a_state_says_stays_text(state: Path) -> None:
    evil = "<script>alert(1)</script>\u202e\x1b[31m" + "x" * 150
    run = ActingRun(state, NOW - 60)
    run.attempt(5, Step.TRAIN, NOW - 10, arm=evil, why=evil, outcome=evil, finished=True)
    run.say(phase="waiting", waiting_for=evil)
    page = html(state)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_links_lead_to_pages_of_the_same_state(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    run = ActingRun(state.path, NOW - 60)
    run.budget(500, 2, 10)
    page = html(state.path, root="/s/one")
    state.finish()
    assert 'href="/s/one/attempts/1"' in page
    assert 'href="/attempts' not in page
