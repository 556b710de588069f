"""Requests that a page elsewhere, another server of the same host, or a crafted address sends to the pages.

The innocent twins are a link that is followed, a browser that lets itself in, and a cookie of somebody else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from browser import Dashboard, dashboard
from cryoflux.pages.receipts import verified_soon
from cryoflux.queries import checking
from cryoflux.queries.checking import Checking, CheckingNow
from synthetic_state import make_state
from waiting import CEILING_S

SECRET = "the-secret"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_state(tmp_path_factory.mktemp("pages") / "state").path


@pytest.fixture(scope="module")
def locked(state: Path) -> Iterator[Dashboard]:
    with dashboard(state, options=("--token", SECRET)) as running:
        yield running


def cookie_of(running: Dashboard) -> str:
    return running.get(f"/?token={SECRET}").headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("wanted_for", ["image", "iframe", "script", "empty"])
def test_no_part_of_a_page_elsewhere_is_answered(state: Path, site: str, wanted_for: str) -> None:
    asked = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": wanted_for}
    with dashboard(state) as running:
        for path in ("/", "/events", "/receipts"):
            assert running.get(path, headers=asked).status_code == 403
        asked["Sec-Fetch-Dest"] = "document"
        assert running.get("/attempts", headers=asked).status_code == 200
        asked |= {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
        assert running.get("/attempts", headers=asked).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "//elsewhere.example/",
        "/%5Celsewhere.example/",
        "/%5c/elsewhere.example",
        "/%2F%2Felsewhere.example",
        "/%09/elsewhere.example",
        "/%0d%0aSet-Cookie:%20cryoflux=mine",
        "/attempts",
        "/s/a%20b%C3%A4/attempts",
    ],
)
def test_the_door_leads_to_its_own_host_and_says_one_line(locked: Dashboard, path: str) -> None:
    answer = locked.get(f"{path}?token={SECRET}")
    where = answer.headers["location"]
    assert answer.status_code == 303
    assert "\\" not in where
    assert urlsplit(urljoin(locked.url + "/", where)).netloc == urlsplit(locked.url).netloc
    assert answer.headers.get_list("set-cookie") == [answer.headers["set-cookie"]]
    if path.startswith(("/attempts", "/s/")):
        assert where == path


def test_cookies_of_other_servers_of_this_host_lock_nobody_out(locked: Dashboard) -> None:
    kept = cookie_of(locked)
    for other in ('{"a": 1}', "bad name=1", 'quoted="no end', "cryoflux=theirs", "=", "a=b=c"):
        for sent in (f"{other}; {kept}", f"{kept}; {other}"):
            assert locked.get("/", headers={"Cookie": sent}).status_code == 200, sent
        assert locked.get("/", headers={"Cookie": other}).status_code == 401


def test_two_dashboards_of_a_host_do_not_take_each_others_cookie(state: Path, locked: Dashboard) -> None:
    with dashboard(state, options=("--token", "another")) as other:
        theirs = other.get("/?token=another").headers["set-cookie"].partition(";")[0]
        assert theirs.partition("=")[0] != cookie_of(locked).partition("=")[0]
        assert other.get("/", headers={"Cookie": cookie_of(locked)}).status_code == 401
        for running in (locked, other):
            both = {"Cookie": f"{cookie_of(locked)}; {theirs}"}
            assert running.get("/", headers=both).status_code == 200


def test_who_waits_for_a_verification_holds_up_nobody_else(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More wait than there are threads, for what ends only once somebody else was answered."""
    answered, verify = threading.Event(), checking.verify
    monkeypatch.setattr(checking, "verify", lambda *some, **named: answered.wait() and verify(*some, **named))
    asked = Checking(state)

    async def all_of_them() -> list[CheckingNow]:
        waiting = [asyncio.ensure_future(verified_soon(asked, CEILING_S)) for _ in range(100)]
        assert (await verified_soon(asked, 0)).running
        await asyncio.to_thread(answered.set)
        return await asyncio.gather(*waiting)

    for known in asyncio.run(all_of_them()):
        assert known.last is not None
        assert known.last.report is not None
