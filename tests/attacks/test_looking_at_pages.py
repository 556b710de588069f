"""What a state, a web page of another site, or a stranger could do to whoever looks at the pages."""

from __future__ import annotations

import html
import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from browser import Dashboard, dashboard, look, open_browser
from cryoflux.decision.reason import Reason
from cryoflux.receipts.statement import Metric
from synthetic_parts import figure
from synthetic_state import SyntheticState, make_state, open_state

HOSTILE = (
    "<hostile-tag onhostile=1>",
    "\"'><hostile-tag onhostile=1>",
    "</script><script>window.hacked=1</script>",
    "{{ 7*7 }}{% for x in y %}",
    "javascript:window.hacked=1",
    "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\u2066",
    "&lt;hostile-tag&gt;&#60;hostile-tag&#62;",
    "x" * 400,
)
PATHS = ("/", "/attempts", "/attempts/1", "/attempts/2", "/models", "/receipts", "/energy")


class Tags(HTMLParser):
    """Elements and attributes of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.scripts: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names.update(name for name, _ in attrs)
        said = dict(attrs)
        if tag == "script":
            self.scripts.append(said.get("src") or "inline")
        self.links += [value for name in ("href", "src", "action", "formaction") if (value := said.get(name))]


def hostile_state(path: Path, text: str) -> SyntheticState:
    """A state whose every free text is the same hostile one."""
    state = open_state(path)
    state.metric = Metric(name=text, unit=text[:100])
    state.recipe = {**state.recipe, text: text}
    state.policy = "uniform/v1"
    reason = Reason(code="strange", numbers={"why": text})
    state.conclude_attempt(
        state.announce(arm=text),
        0.05,
        reason=reason,
        software={text: text},
        energy=figure(sources=[text], flags=[text], curve=text),
    )
    state.abort(state.announce(arm=text), reason=reason)
    state.session(id=f"session/{text}")
    state.write_origin()
    state.finish()
    return state


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    state = make_state(tmp_path_factory.mktemp("pages") / "state").path
    with dashboard(state) as running:
        yield running


def entry_paths(running: Dashboard) -> tuple[str, ...]:
    return tuple(f"/receipts/{index}" for index in range(5) if running.get(f"/receipts/{index}").is_success)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_a_state_says_stays_text_on_every_page(tmp_path: Path, text: str) -> None:
    state = hostile_state(tmp_path / "<hostile-tag onhostile=1>", text)
    with dashboard(state.path) as running:
        for path in (*PATHS, *entry_paths(running)):
            answer = running.get(path)
            assert answer.status_code == 200, path
            found = Tags(answer.text)
            assert "hostile-tag" not in found.tags, path
            assert "onhostile" not in found.names, path
            assert not any(name.startswith("on") or name == "style" for name in found.names), path
            assert all(one.startswith("/static/") for one in found.scripts), path
            assert all(link.startswith(("/", "#", "?")) for link in found.links), path
            assert not {"\x1b", "\x07", "\u202e", "\u2066"} & set(answer.text), path
        shown = html.unescape(running.get("/attempts").text)
        assert text in shown or not text.isprintable()


def test_nothing_that_a_state_says_runs_in_a_browser(tmp_path: Path) -> None:
    with open_browser() as browser:
        for number, text in enumerate(HOSTILE[:5]):
            state = hostile_state(tmp_path / str(number), text)
            with dashboard(state.path) as running, look(browser) as seen:
                for path in PATHS:
                    seen.page.goto(running.url + path)
                    assert seen.page.evaluate("window.hacked === undefined")
                    assert seen.page.locator("hostile-tag").count() == 0
                    assert seen.complaints == []
                    wide = seen.page.evaluate("document.documentElement.scrollWidth")
                    assert wide <= 1440


def test_every_answer_says_what_a_browser_may_do_with_it(served: Dashboard) -> None:
    for path in (*PATHS, "/nothing", "/attempts/999999999999", "/static/pages.css", "/static/nothing"):
        said = served.get(path).headers
        assert said["content-security-policy"].startswith("default-src 'self'"), path
        assert "unsafe" not in said["content-security-policy"]
        assert "frame-ancestors 'none'" in said["content-security-policy"]
        assert said["x-content-type-options"] == "nosniff"
        assert said["referrer-policy"] == "same-origin"


def test_a_name_of_somebody_else_for_this_address_is_not_answered(served: Dashboard) -> None:
    answer = served.get("/", headers={"Host": f"rebound.example:{served.port}"})
    assert answer.status_code == 403
    assert "CryoFlux" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/attempts/../../etc/passwd",
        "/attempts/-1",
        "/attempts/1e3",
        "/attempts/٣",
        "/attempts/" + "9" * 4000,
        "/receipts/" + "9" * 4000,
        "/models/..%2f..%2fkeys",
        "/s/state/",
    ],
)
def test_a_path_leads_nowhere_else(served: Dashboard, path: str) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    status = int(answer.split(b" ", 2)[1])
    assert status in {400, 404}, answer[:200]
    assert b"root:" not in answer


def test_pages_are_only_read_unless_a_form_of_theirs_asks(served: Dashboard) -> None:
    for path in PATHS:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            answer = served.post(path, headers={"X-HTTP-Method-Override": method})
            assert answer.status_code in {403, 405}, (path, method)


def test_beyond_loopback_nothing_is_shown_without_the_token(tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    with dashboard(state, options=("--token", "the-secret")) as running:
        for path in (*PATHS, "/static/pages.css", "/events"):
            answer = running.get(path)
            assert answer.status_code == 401, path
            assert "the-secret" not in answer.text
        for wrong in ("?token=", "?token=the-secre", "?token=the-secretx"):
            assert running.get(f"/{wrong}").status_code == 401
        assert running.get("/", headers={"Cookie": "cryoflux=the-secret"}).status_code == 401
        assert running.get("/", headers={"Authorization": "Bearer the-secret"}).status_code == 200
        there = running.get("/attempts?token=the-secret&sort=eta")
        assert (there.status_code, there.headers["location"]) == (303, "/attempts?sort=eta")
        outside = running.get("//elsewhere.example/?token=the-secret")
        assert outside.headers.get("location", "/").startswith("/")
        assert not outside.headers.get("location", "/").startswith("//")
