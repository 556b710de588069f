"""The pages of models: what is run and how it came about, and moving a head by a form, or not."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser

from browser import Dashboard, dashboard, look, open_browser
from cryoflux.files import lock_exclusively
from cryoflux.pages.charts.curve import curve
from cryoflux.pages.charts.lineage import lineage
from cryoflux.queries.followed import Followed
from cryoflux.queries.lineage import TaskLine, task_lines
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.statement import Base, Move
from cryoflux.state import StateFolder
from rolled_back import WORSE, Rollback, three_heads
from synthetic_parts import TASK
from synthetic_state import open_state

NANO = 10**9


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def rolled(tmp_path: Path) -> Path:
    """Kept, kept, rolled back from the second to the first, kept."""
    made = three_heads(tmp_path / "rolled")
    to: Base = made.memory.tasks[made.task].before_head()[1].version
    Rollback(made, WORSE, [loss - NANO for loss in WORSE], to).write()
    made.attempt(0.03)
    made.session()
    return made.finish()


def line_of(state: Path) -> TaskLine:
    followed = Followed(state)
    followed.refresh()
    return task_lines(followed, followed.catalogue())[TASK]


def moves_of(state: Path) -> list[tuple[Move, str, str]]:
    moves = [entry.move for entry in read_entries(state) if entry.move is not None]
    return [(move.move, move.result.digest, str(move.reason.numbers.get("why"))) for move in moves]


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None
    return html.unescape(found[1])


def filled(page: httpx2.Response, **changes: str) -> dict[str, str]:
    """What the form of a page sends."""
    said = {name: field(page.text, name) for name in ("token", "task", "head")}
    return {**said, "why": "it is slower", **changes}


def way_back(running: Dashboard, state: Path) -> str:
    """The path of the page that goes back by one version."""
    line = line_of(state)
    return f"/models/{line.head.parent}/move"


def test_what_a_rollback_left_is_off_the_line_and_says_by_which_entry(rolled: Path) -> None:
    line = line_of(rolled)
    versions = list(line.of.versions)
    assert line.of.head == versions[3]
    assert line.on_line == {versions[0], versions[1], versions[3]}
    assert set(line.left) == {versions[2]}
    assert line.left[versions[2]].move is Move.ROLLBACK
    rows, count = lineage(line)
    assert count == len(rows)
    assert [row.strip for row in lineage(line, 2, 4)[0]] == [row.strip for row in rows[2:4]]
    assert [row.version.digest if row.version else "moved" for row in rows] == [
        *(versions[3], "moved"),
        *versions[2::-1],
    ]
    columns = [re.findall(r'class="node[^"]*"[^>]*cx="(\d+)"', row.strip) for row in rows]
    assert columns == [["11"], [], [], ["11"], ["11"]]
    assert 'class="node worse"' in rows[2].strip
    assert 'class="thread off"' in rows[3].strip


def test_the_curve_falls_with_the_head_and_its_joules_stay_spent(rolled: Path) -> None:
    line = line_of(rolled)
    assert [step.attempt for step in line.steps] == [None, 1, 2, None, 3]
    totals = [round(step.total_delta, 6) for step in line.steps]
    assert totals[3] == totals[1] < totals[2]
    assert [step.joules for step in line.steps] == sorted(step.joules for step in line.steps)
    assert line.steps[3].joules == line.steps[2].joules
    drawn = curve(line, lambda number: f"/attempts/{number}")
    assert drawn is not None
    assert re.findall(r'href="/attempts/(\d+)"', drawn.plot) == ["1", "2", "3"]
    assert drawn.plot.count('class="turn"') == 1


def test_the_pages_say_what_is_run_and_what_each_version_is(rolled: Path) -> None:
    line = line_of(rolled)
    with dashboard(rolled) as running:
        page = running.get("/models").text
        assert line.head.digest[:12] in page
        assert f"model=&#34;{rolled}/base_model&#34;)" in page
        assert page.count("off the line: found worse") == 1
        assert len(page.encode()) <= 30_000
        for one in line.of.versions.values():
            shown = running.get(f"/models/{one.digest}?task={TASK}")
            assert shown.status_code == 200
            assert one.digest in shown.text
        for named in ("zz", "0" * 64, "a" * 65, "%00", "..%2f..%2fkeys", "١٢٣٤٥٦٧٨"):
            assert running.get(f"/models/{named}").status_code == 404


def test_a_form_moves_the_head_by_a_signed_entry_once(rolled: Path) -> None:
    before = line_of(rolled)
    with dashboard(rolled) as running:
        path = way_back(running, rolled)
        page = running.get(path, headers=running.knowing)
        assert "You would lose 0.033" in page.text
        form = filled(page)
        first = running.post(path, data=form, headers=running.knowing)
        assert (first.status_code, first.headers["location"]) == (303, "/models?moved=8")
        again = running.post(path, data=form, headers=running.knowing)
        assert (again.status_code, again.headers["location"]) == (303, "/models")
        assert "entry 8" in running.get("/models?moved=8").text
        for wrong in ("0", "999", "-1", "x", "<b>"):
            assert "The head was moved, by" not in running.get(f"/models?moved={wrong}").text
    assert moves_of(rolled)[1:] == [(Move.PROMOTION, before.head.parent, "it is slower")]
    assert StateFolder(rolled).head().resolve().name == before.head.parent
    after = line_of(rolled)
    assert after.left[before.head.digest].entry == 8


@pytest.mark.parametrize(
    ("changes", "headers", "status"),
    [
        ({"token": ""}, {}, 403),
        ({"token": "x" * 32}, {}, 403),
        ({}, {"Origin": "http://evil.example"}, 403),
        ({}, {"Origin": "null"}, 403),
        ({}, {"Sec-Fetch-Site": "cross-site"}, 403),
        ({}, {"Sec-Fetch-Site": "same-site"}, 403),
        ({}, {"Content-Type": "application/json"}, 415),
        ({}, {"Content-Type": "text/plain"}, 415),
        ({}, {"Host": "evil.example"}, 403),
        ({"why": "y" * 401}, {}, 404),
        ({"head": "0" * 64}, {}, 409),
    ],
)
def test_any_other_form_changes_nothing(
    rolled: Path, changes: dict[str, str], headers: dict[str, str], status: int
) -> None:
    before = moves_of(rolled)
    with dashboard(rolled) as running:
        path = way_back(running, rolled)
        form = filled(running.get(path, headers=running.knowing), **changes)
        assert running.post(path, data=form, headers={**running.knowing, **headers}).status_code == status
        many = "&".join(f"f{n}=1" for n in range(100))
        kind = {**running.knowing, "Content-Type": "application/x-www-form-urlencoded"}
        assert running.post(path, content=many, headers=kind).status_code == 400
        assert running.post(path, content=b"\xff" * 50, headers=kind).status_code in {400, 403}
        assert running.post(path, content=b"a" * 70_000, headers=kind).status_code == 413
        assert running.get("/models?moved=8&" + "x" * 100).status_code == 200
    assert moves_of(rolled) == before


def test_a_page_that_is_older_than_the_head_moves_nothing(rolled: Path) -> None:
    line = line_of(rolled)
    zero = next(iter(line.of.versions))
    with dashboard(rolled) as running:
        stale = filled(running.get(f"/models/{zero}/move", headers=running.knowing))
        back = way_back(running, rolled)
        form = filled(running.get(back, headers=running.knowing))
        assert running.post(back, data=form, headers=running.knowing).status_code == 303
        refused = running.post(f"/models/{zero}/move", data=stale, headers=running.knowing)
        assert refused.status_code == 409
        assert "has moved since that page was made" in refused.text
    assert len(moves_of(rolled)) == 2


def test_what_cannot_be_done_is_said_and_has_no_form(rolled: Path) -> None:
    line = line_of(rolled)
    versions = list(line.of.versions)
    with dashboard(rolled) as running:
        worse = running.get(f"/models/{versions[2]}/move")
        assert "A rollback left it behind" in worse.text
        assert "<form" not in worse.text
        known = running.knowing
        forged = filled(running.get(f"/models/{versions[1]}/move", headers=known))
        assert running.post(f"/models/{versions[2]}/move", data=forged, headers=known).status_code == 409
        assert "It is the head already" in running.get(f"/models/{versions[3]}/move").text
        with lock_exclusively(StateFolder(rolled).lock, holder="cryoflux run"):
            busy = running.get(f"/models/{versions[1]}/move", headers=known)
            assert "is in use by cryoflux run (process" in busy.text
            assert "<form" not in busy.text
            assert running.post(f"/models/{versions[1]}/move", data=forged, headers=known).status_code == 409
        assert "<form" in running.get(f"/models/{versions[1]}/move", headers=known).text
    assert len(moves_of(rolled)) == 1


def test_where_writing_is_switched_off_there_is_no_form_and_none_is_taken(rolled: Path) -> None:
    with dashboard(rolled) as writing:
        path = way_back(writing, rolled)
        form = filled(writing.get(path, headers=writing.knowing))
    with dashboard(rolled, options=("--read-only",)) as running:
        assert "<form" not in running.get(path).text
        assert "/move" not in running.get("/models").text
        for token in (form["token"], ""):
            for known in ({}, writing.knowing):
                sent = running.post(path, data={**form, "token": token}, headers=known)
                assert sent.status_code == 403
    assert len(moves_of(rolled)) == 1


@pytest.mark.parametrize("several", [False, True])
def test_on_loopback_everybody_looks_and_who_knows_the_address_moves(
    browser: Browser, rolled: Path, tmp_path: Path, several: bool
) -> None:
    """Another user of this machine has all that pages say, but what was printed in a terminal of ours."""
    others = (open_state(tmp_path / "other").finish(),) if several else ()
    with dashboard(rolled, *others) as running, look(browser) as seen:
        path = ("/s/rolled" if several else "") + way_back(running, rolled)
        form = filled(running.get(path, headers=running.knowing))
        assert "You would lose 0.033" in (looked := running.get(path)).text
        assert "<form" not in looked.text
        assert form["token"] not in looked.text
        assert "the address that" in looked.text
        guesses = (
            {},
            {"Authorization": "Bearer x"},
            {"Cookie": "cryoflux=1"},
            {"X-CryoFlux-May-Change": "yes"},
        )
        for known in guesses:
            refused = running.post(path, data=form, headers=known)
            assert refused.status_code == 403
            assert "has printed" in refused.text
            assert "<form" not in running.get(path, headers=known).text
        assert running.get(f"/?token={form['token']}").status_code == 200, "a form's word is no key"
        let_in = running.get(f"/?token={running.token}")
        assert (let_in.status_code, let_in.headers["location"]) == (303, "/")
        said = let_in.headers["set-cookie"]
        assert "HttpOnly" in said
        assert "SameSite=Strict" in said
        assert running.token not in said
        cookie = {"Cookie": said.partition(";")[0]}
        for wrong in (
            {"Host": "evil.example"},
            {"Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            assert running.post(path, data=form, headers={**cookie, **wrong}).status_code == 403
        assert len(moves_of(rolled)) == 1
        seen.page.goto(running.url + path)
        assert seen.page.locator("main form").count() == 0
        seen.page.goto(running.open)
        assert "token" not in seen.page.url
        seen.page.goto(running.url + path)
        seen.page.click("main form button")
        seen.page.wait_for_url("**/models?moved=8")
        assert seen.complaints == []
    assert len(moves_of(rolled)) == 2


def test_beyond_loopback_the_token_of_the_door_is_asked_for_as_well(rolled: Path) -> None:
    with dashboard(rolled, options=("--token", "s3cret")) as running:
        path = way_back(running, rolled)
        known = {"Authorization": "Bearer s3cret"}
        form = filled(running.get(path, headers=known))
        assert running.post(path, data=form).status_code == 401
        crossed = {**known, "Sec-Fetch-Site": "cross-site"}
        assert running.post(path, data=form, headers=crossed).status_code == 403
        assert len(moves_of(rolled)) == 1
        assert running.post(path, data=form, headers=known).status_code == 303
    assert len(moves_of(rolled)) == 2


@pytest.mark.parametrize("script", [True, False])
def test_a_head_is_moved_by_the_keyboard_alone(browser: Browser, rolled: Path, script: bool) -> None:
    why = 'slower <img src=x onerror="document.title=1">'
    before = line_of(rolled)
    with dashboard(rolled) as running, look(browser, script=script) as seen:
        page = seen.page
        page.goto(running.open)
        page.goto(running.url + "/models")
        page.locator(".act a").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/move*")
        page.locator("#why").focus()
        page.keyboard.type(why)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/models?moved=8")
        assert page.locator(".banner.done").is_visible()
        assert before.head.parent[:12] in page.locator("h1").inner_text()
        assert why in page.locator(".turned").first.inner_text()
        assert seen.complaints == []
    assert moves_of(rolled)[-1] == (Move.PROMOTION, before.head.parent, why)


def test_many_versions_fit_and_go_on(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.policy = "uniform/v1"
    for _ in range(30):
        made.attempt(0.01)
    state = made.finish()
    line = line_of(state)
    with dashboard(state) as running:
        first = running.get("/models").text
        assert len(first.encode()) <= 30_000
        more = re.search(r'href="(/models\?[^"]*from=20)"', first)
        assert more is not None
        second = running.get(html.unescape(more[1])).text
        listed = [re.findall(r'class="digest" href="/models/(\w+)', page) for page in (first, second)]
        assert [len(some) for some in listed] == [20, 11]
        assert [*listed[0], *listed[1]] == [digest[:16] for digest in line.of.versions][::-1]
        for query in ("?from=1", "?from=" + "9" * 40, "?from=-1", f"?task={TASK}&from=999", "?task=<b>"):
            assert running.get("/models" + query).status_code == 200
