"""The pages of receipts: what the server verifies, and each entry, to read and to take along."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from browser import Dashboard, dashboard
from cryoflux.digests import file_digest
from cryoflux.errors import UsageError
from cryoflux.log_check import verify
from cryoflux.pages.render import STATIC
from cryoflux.queries import checking
from cryoflux.queries.checking import Checking
from cryoflux.receipts.reading import read_entries
from rewriting import rewrite
from synthetic_state import make_state, open_state
from waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_state(tmp_path_factory.mktemp("receipts") / "state").path


def verified(running: Dashboard) -> str:
    """The page once the server has come to a verdict."""
    pages = []

    def there() -> bool:
        pages.append(running.get("/receipts").text)
        return 'data-running="no"' in pages[-1] and "This server checked it" in pages[-1]

    until(there, "the server verifies")
    return pages[-1]


def test_the_server_verifies_when_it_is_asked_and_says_each_step(state: Path) -> None:
    report = verify(state)
    with dashboard(state) as running:
        page = verified(running)
        assert f"✓ {report.receipts} receipts hold." in page
        for check in report.checks:
            assert check.name in page
        assert page.count('<li class="check ') == len(report.checks)
        assert f"cryoflux verify {state} --recompute 1" in page
        assert len(page.encode()) <= 30_000


def test_it_remembers_no_head_and_writes_nothing(state: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in state.rglob("*") if "receipts.db-" not in path.name}
    with dashboard(state) as running:
        verified(running)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list(tmp_path.rglob("heads"))


def test_what_does_not_hold_is_said_first(tmp_path: Path) -> None:
    place = make_state(tmp_path / "state").path
    (head,) = [path for path in (place / "log").iterdir() if path.name == "checkpoint"]
    head.write_bytes(head.read_bytes().replace(b"\n8\n", b"\n9\n"))
    with dashboard(place) as running:
        page = verified(running)
        assert "✗ This log does not hold." in page
        assert "check fail" in page


def test_a_log_that_cannot_be_read_on_has_a_page_too(tmp_path: Path) -> None:
    place = make_state(tmp_path / "state").path
    rewrite(place, 3, lambda envelope: envelope.replace(b"payloadType", b"payloadTypo"))
    with dashboard(place) as running:
        page = verified(running)
        assert "shown as far as the log could be read" in page
        assert "✗ This log does not hold." in page
        assert 'id="check-form"' in page
        assert running.get("/receipts/entries?from=0").headers["x-entries"] == "8"


def test_entries_are_paged_by_their_place(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.policy = "uniform/v1"
    for _ in range(25):
        made.attempt(0.0001)
    place = made.finish()
    with dashboard(place) as running:
        first = running.get("/receipts").text
        shown = [int(index) for index in re.findall(r'<a href="/receipts/(\d+)">\1</a>', first)]
        assert shown == list(range(49, 9, -1))
        assert 'href="/receipts?before=10"' in first
        second = running.get("/receipts?before=10").text
        assert re.findall(r'<a href="/receipts/(\d+)">\1</a>', second) == [str(n) for n in range(9, -1, -1)]
        assert "Older entries" not in second
        assert len(first.encode()) <= 30_000
        for query in ("?before=-1", "?before=" + "9" * 50, "?before=<b>", "?before=0"):
            assert running.get("/receipts" + query).status_code == 200


def test_each_entry_is_told_in_words_and_can_be_taken_along_to_the_byte(state: Path) -> None:
    with dashboard(state) as running:
        for entry in read_entries(state):
            page = running.get(f"/receipts/{entry.index}").text
            assert re.search(r'<p class="lede">\S', page)
            assert entry.leaf_hash in page
            taken = running.get(f"/receipts/{entry.index}.json")
            assert taken.content == entry.envelope
            assert hashlib.sha256(b"\0" + taken.content).hexdigest() == entry.leaf_hash
            assert "attachment" in taken.headers["content-disposition"]
        for named in ("8", "99", "-1", "1e3", "x", "9" * 30, "0x1", "1.json.json", "99.json", "x.json", "１"):
            assert running.get(f"/receipts/{named}").status_code == 404


def test_the_bytes_that_a_browser_checks_are_those_on_the_disk(state: Path, tmp_path: Path) -> None:
    envelopes = [entry.envelope for entry in read_entries(state)]
    with dashboard(state) as running:
        answer = running.get("/receipts/entries?from=0")
        assert answer.content == b"".join(envelope + b"\n" for envelope in envelopes)
        assert running.get("/receipts/entries?from=5").content.splitlines() == envelopes[5:]
        past = running.get("/receipts/entries?from=8")
        assert (past.content, past.headers["x-entries"]) == (b"", "0")
        for wrong in ("-1", "x", "", "9" * 40, "1 OR 1=1"):
            assert running.get("/receipts/entries", params={"from": wrong}).status_code == 404
        head = running.get("/receipts/head").json()
        assert head["entries"] == len(envelopes)
        assert set(head) == {"checkpoint", "keys", "entries"}
        exported = tmp_path / "entries.jsonl"
        exported.write_bytes(answer.content)
    assert verify(exported, key=state / "keys/receipt.pub").ok


def test_the_digest_of_the_script_is_the_one_that_the_documentation_names(state: Path) -> None:
    digest = file_digest(STATIC / "check.js")
    assert digest in (ROOT / "docs/how-to/check-in-a-browser.md").read_text("utf-8")
    with dashboard(state) as running:
        assert digest in running.get("/receipts").text
        assert hashlib.sha256(running.get("/static/check.js").content).hexdigest() == digest


class Verifications:
    """Stands in for verifying: each one lasts until it is let go."""

    def __init__(self) -> None:
        self.begun, self.at_once, self.most = 0, 0, 0
        self.go = threading.Semaphore(0)

    def __call__(self, state: Path, progress: Any) -> Any:
        self.begun += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        progress(1, 2)
        self.go.acquire()
        self.at_once -= 1
        if self.begun == 2:
            raise UsageError("cannot be verified")
        return f"report {self.begun}"


def test_one_verification_at_a_time_and_the_old_result_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Verifications()
    monkeypatch.setattr(checking, "verify", fake)
    monkeypatch.setattr(checking, "_REST_S", 0.0)
    log = tmp_path / "receipts.db"
    log.write_bytes(b"a")
    of = Checking(tmp_path)
    for _ in range(5):
        now = of.ask(0)
    assert (now.running, now.last, fake.begun) == (True, None, 1)
    until(lambda: (of.ask(0).done, of.ask(0).total) == (1, 2), "progress is told")
    fake.go.release()
    until(lambda: not of.ask(0).running, "it ends")
    assert of.ask(0).last.report == "report 1"  # type: ignore[union-attr]
    assert fake.begun == 1  # nothing has changed
    log.write_bytes(b"ab")
    now = of.ask(0)
    assert now.running
    assert now.last is not None
    assert now.last.report == "report 1"
    fake.go.release()
    until(lambda: not of.ask(0).running, "the second ends")
    last = of.ask(0).last
    assert last is not None
    assert (last.report, str(last.error)) == (None, "cannot be verified")
    assert fake.most == 1


def test_a_check_that_fails_by_itself_takes_the_place_of_the_verdict_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(checking, "_REST_S", 0.0)
    monkeypatch.setattr(checking, "verify", lambda *_, **__: "a report")
    of = Checking(tmp_path)
    of.ask(0)
    until(lambda: of.ask(0).last is not None, "the first ends")
    monkeypatch.setattr(checking, "verify", broken)
    (tmp_path / "receipts.db").write_bytes(b"changed")
    until(lambda: of.ask(0).last.report is None, "the second fails")  # type: ignore[union-attr]
    last = of.ask(0).last
    assert last is not None
    assert "The check itself failed (ZeroDivisionError)" in str(last.error)
    assert not of.ask(0).running


def test_between_two_verifications_there_is_a_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Verifications()
    monkeypatch.setattr(checking, "verify", fake)
    monkeypatch.setattr(checking, "_REST_S", 10_000.0)
    monkeypatch.setattr(checking, "_STALE_S", 20_000.0)
    of = Checking(tmp_path)
    fake.go.release(2)
    of.ask(0)
    until(lambda: of.ask(0).last is not None, "the first ends")
    (tmp_path / "receipts.db").write_bytes(b"changed")
    assert not of.ask(0).running
    assert fake.begun == 1


def test_a_document_is_json_for_whoever_asks_with_a_program(state: Path) -> None:
    with dashboard(state) as running:
        head = json.loads(running.get("/receipts/head").content)
        assert len(head["keys"]["receipt"]) == len(head["keys"]["log"]) == 44
