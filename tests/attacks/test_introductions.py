"""Nodes introduce themselves: what a server takes of them, what of it readers follow, and what it costs."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.errors import UsageError
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.introducing import Introduced, Introductions, introduced_here, introduction_of
from cryoflux.network.lottery import Lottery
from cryoflux.network.node_file import hints_in, introduced_in
from cryoflux.network.peers import parse_peers
from cryoflux.network.publishing import Publisher, publish
from cryoflux.network.reaching import Reach
from cryoflux.receipts.checkpoint import (
    Checkpoint,
    KeyType,
    VerifierKey,
    cosign,
    origin_of,
    parse_note,
    sign_checkpoint,
    verifier_key,
    with_signatures,
)
from cryoflux.serving.fairness import Allowances
from cryoflux.serving.routing import NotServedError, Request
from cryoflux.witness.cosigned import keep_cosigned, log_key_of
from node_process import NodeProcess, serving_node
from offered import WITNESSES, OfferedState, offered_state
from running import Outcome, cryoflux

JSON = "application/json"
URL = "http://newcomer.example:9000"


class Newcomer:
    """A log that its witnesses have seen, and nobody names."""

    def __init__(self, number: int = 1) -> None:
        secret = number.to_bytes(4, "big") * 8
        self.receipt = Ed25519PrivateKey.from_private_bytes(secret)
        self.log = Ed25519PrivateKey.from_private_bytes(secret[::-1][:31] + b"\x01")
        self.origin = origin_of(self.receipt.public_key())
        self.key: VerifierKey = verifier_key(self.origin, self.log.public_key(), KeyType.LOG)

    def head(self, by: str = "ab") -> bytes:
        note = parse_note(sign_checkpoint(Checkpoint(self.origin, 3, bytes(32)), self.log))
        time_s = int(time.time())
        lines = [cosign(note.checkpoint, f"w.example/{one}", WITNESSES[one], time_s) for one in by]
        return with_signatures(note.content, lines)

    def says(self, to: str, url: str = URL, *, by: str = "ab", ago_s: int = 0) -> dict[str, Any]:
        now_s = int(time.time()) - ago_s
        said = introduction_of(self.key, url, to, self.head(by), self.receipt, now_s)
        return said.model_dump()


def told(made: OfferedState, word: str) -> None:
    folder = NetworkFolder.of(made.path)
    folder.path.mkdir(exist_ok=True)
    lines = [line for line in made.policy_text.splitlines() if not line.startswith("log")]
    folder.known_peers.write_text("\n".join([*lines, "strangers 1%", word, ""]), encoding="utf-8")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[OfferedState]:
    state, _ = offered_state(tmp_path / "north")
    told(state, "introductions public")
    keep_cosigned(state.state.log, state.heads[-1].content)
    yield state
    state.log.close()


@pytest.fixture
def node(made: OfferedState) -> Iterator[NodeProcess]:
    with serving_node(made.path) as running:
        yield running


def post(node: NodeProcess, said: dict[str, Any]) -> int:
    """The answer's status; a client that is told to wait does."""
    while True:
        found = node.ask("POST", "v1/introduction", json.dumps(said).encode(), content_type=JSON)
        if found.status_code != 429 or "stand here" in found.text:
            return int(found.status_code)
        time.sleep(float(found.headers["retry-after"]))


def standing(made: OfferedState) -> list[Introduced]:
    return introduced_here(NetworkFolder.of(made.path), time.time())


def shown(node: NodeProcess) -> bytes:
    return bytes(node.get("node.json").content)


def test_a_newcomer_that_introduces_itself_is_named_to_others_and_vouched_for_by_nobody(
    made: OfferedState, node: NodeProcess
) -> None:
    newcomer = Newcomer()
    assert post(node, newcomer.says(made.log_key.name)) == 202
    assert introduced_in(shown(node)) == [(newcomer.key, URL)]
    assert hints_in(shown(node)) == []


def test_who_is_drawn_for_having_introduced_itself_is_looked_for_on_the_internet_alone(
    made: OfferedState,
) -> None:
    folder, newcomer = NetworkFolder.of(made.path), Newcomer()
    now_s = int(time.time())
    folder.introduced.write_text(
        json.dumps([{"key": str(newcomer.key), "url": URL, "signed_s": now_s, "taken_s": now_s}])
    )
    for word, reach in (("public", Reach.PUBLIC), ("anywhere", Reach.HERE)):
        told(made, f"introductions {word}")
        lottery = Lottery(folder.path, parse_peers(folder.known_peers.read_bytes()), now_s)
        lottery.hold()
        (drawn,) = lottery.nodes
        assert drawn.by_lottery
        assert lottery.reach(drawn) is reach
        folder.strangers.unlink()


FALSE: dict[str, dict[str, Any]] = {
    "another address": {"url": "http://elsewhere.example"},
    "another time": {"signed_at": int(time.time()) + 1},
    "another key of the log": {"log_key": str(Newcomer(2).key)},
    "another receipt key": {"receipt_key": Newcomer(2).says("x")["receipt_key"]},
    "no signature": {"signature": "A" * 88},
    "signed by nobody's letters": {"signature": "é" * 88},
    "the head of another log": {"head": Newcomer(2).head().decode()},
    "no head": {"head": "nothing"},
    "an address of this machine": {"url": "http://127.0.0.1:22"},
    "an address with a query": {"url": "http://newcomer.example/?a=b"},
    "a field more": {"more": 1},
    "a number for a name": {"to": 1},
}


@pytest.mark.parametrize("name", list(FALSE))
def test_what_is_not_signed_for_this_node_by_the_owner_of_the_log_is_refused(
    name: str, made: OfferedState, node: NodeProcess
) -> None:
    said = {**Newcomer().says(made.log_key.name), **FALSE[name]}
    assert post(node, said) == 422
    assert standing(made) == []


def test_nobody_takes_the_name_of_another_log_by_a_key_of_his_own(
    made: OfferedState, node: NodeProcess
) -> None:
    """What witnesses said of the victim's log is public, so it shows nothing of who brings it."""
    victim, thief = Newcomer(1), Newcomer(2)
    key = verifier_key(victim.origin, thief.log.public_key(), KeyType.LOG)
    note = parse_note(victim.head())
    own = parse_note(sign_checkpoint(note.checkpoint, thief.log)).signatures
    head = with_signatures(note.content, own)
    to = made.log_key.name
    said = introduction_of(key, URL, to, head, thief.receipt, int(time.time())).model_dump()
    assert post(node, said) == 422
    assert standing(made) == []


@pytest.mark.parametrize("url", ["http://10.0.0.7", "http://192.168.1.1/admin", "http://localhost:8080"])
def test_an_address_in_a_private_network_is_refused_from_whoever_signs_it(
    url: str, made: OfferedState, node: NodeProcess
) -> None:
    assert post(node, Newcomer().says(made.log_key.name, url)) == 422
    assert standing(made) == []


def test_only_logs_that_a_quorum_of_ones_own_witnesses_has_seen_are_taken(
    made: OfferedState, node: NodeProcess
) -> None:
    assert post(node, Newcomer().says(made.log_key.name, by="a")) == 422
    assert post(node, Newcomer().says(made.log_key.name, by="bc")) == 202


def test_what_was_said_to_another_node_or_long_ago_is_said_in_vain(
    made: OfferedState, node: NodeProcess
) -> None:
    newcomer = Newcomer()
    assert post(node, newcomer.says(Newcomer(9).origin)) == 422
    assert post(node, newcomer.says(made.log_key.name, ago_s=7200)) == 422
    assert standing(made) == []


class Taking:
    """What a server takes, without one, by a clock that is set and an order of each day that is known."""

    def __init__(self, made: OfferedState) -> None:
        self.now_s, self.refusals = int(time.time()), list[NotServedError]()
        self.to, salts = made.log_key.name, iter(range(256))
        self.folder = NetworkFolder.of(made.path)
        self.server = Introductions(
            self.folder,
            self.to,
            Allowances(1e9, 1),
            now_s=lambda: self.now_s,
            salt=lambda: bytes([next(salts)]) * 32,
        )

    def take(self, newcomer: Newcomer, url: str = URL, *, ago_s: int = 0) -> int:
        """The answer's status."""
        said = newcomer.says(self.to, url, ago_s=int(time.time()) - self.now_s + ago_s)
        try:
            asked = Request(json.dumps(said).encode(), {}, "", {}, "192.0.2.1")
            return asyncio.run(self.server.take(asked)).status
        except NotServedError as refused:
            self.refusals.append(refused)
            return refused.status

    @property
    def standing(self) -> list[Introduced]:
        return introduced_here(self.folder, self.now_s)


def test_a_word_that_is_said_again_changes_nothing_and_a_newer_one_the_address_now_and_then(
    made: OfferedState,
) -> None:
    """Each change makes the server publish anew, and a client may say something every five seconds."""
    taking, newcomer, seen = Taking(made), Newcomer(), set[bytes]()
    assert taking.take(newcomer) == 202
    for turn in range(360):
        taking.now_s += 5
        url = URL if turn < 120 else f"http://moved-{turn}.example"
        assert taking.take(newcomer, url) in {202, 429}
        seen.add(taking.folder.introduced.read_bytes())
    assert len(seen) == 4
    assert [one.headers for one in taking.refusals][-1] == ((b"retry-after", b"5"),)
    assert taking.take(newcomer, ago_s=3600) == 202, "an older word is heard, and changes nothing"
    (one,) = taking.standing
    assert one.url != URL


NOWHERE = (
    *("http://127.1", "http://0x7f000001", "http://2130706433", "http://0177.0.0.1", "http://300.1.1.1"),
    *("http://localhost.", "http://newcomer.example.", "http://newcomer..example", "http://-.example"),
    *("http://newcomer.example:99999", "http://newcomer.example:0", "http://me:word@newcomer.example"),
    *("http://NEWCOMER.example", "http://newcomer.example:80", "http://newcomer.example:08790"),
    *("http://newcomer.example/a/../b", "http://newcomer.example/."),
    *("http://printer", "http://printer.local", "http://a.localhost", "http://router.home.arpa"),
)


def test_an_address_that_nobody_out_there_can_use_takes_no_place(made: OfferedState) -> None:
    taking, newcomer = Taking(made), Newcomer()
    assert [taking.take(newcomer, url) for url in NOWHERE] == [422] * len(NOWHERE)
    assert taking.standing == []
    assert taking.take(newcomer, "http://198.51.100.7.example:65535/a/b/") == 202


def test_an_introduction_ends_after_a_week_by_the_time_that_was_signed(made: OfferedState) -> None:
    folder, now_s, newcomer = NetworkFolder.of(made.path), int(time.time()), Newcomer()
    row = {"key": str(newcomer.key), "url": URL, "signed_s": now_s - 7 * 86_400 + 60, "taken_s": now_s}
    folder.introduced.write_text(json.dumps([row]))
    assert len(introduced_here(folder, now_s)) == 1
    assert introduced_here(folder, now_s + 120) == []
    folder.introduced.write_text("[{}]")
    assert introduced_here(folder, now_s) == [], "what is damaged is nobody"


def test_a_flood_of_logs_has_a_share_by_their_number_and_shuts_nobody_out(made: OfferedState) -> None:
    """It comes first each day, and again after each newcomer."""
    taking, honest, flood = Taking(made), Newcomer(5000), [Newcomer(n) for n in range(32)]
    days = 12
    came = 0
    for _ in range(days):
        taking.now_s += 86_400
        for one in flood:
            taking.take(one)
        came += taking.take(honest) == 202
        before = taking.standing
        for one in flood[:4]:
            taking.take(one)
        assert {one.origin for one in taking.standing} == {one.origin for one in before}
        assert len(taking.standing) == 16
    assert 3 <= came <= 9, "16 of 33, a day"
    assert {one.status for one in taking.refusals} == {429}
    assert ((b"retry-after", b"86400"),) in [one.headers for one in taking.refusals]
    assert taking.folder.introduced.stat().st_size < 16 * 400
    folder = taking.folder
    lottery = Lottery(folder.path, parse_peers(folder.known_peers.read_bytes()), taking.now_s)
    lottery.hold()
    assert lottery.draw.heard == 16
    assert len(lottery.nodes) == 8


def test_who_is_named_gives_way_to_nobody_that_introduces_itself(made: OfferedState) -> None:
    told(made, "introductions anywhere")
    folder = NetworkFolder.of(made.path)
    named = [f"node n{n} {Newcomer(n).key} {URL}" for n in range(100, 355)]
    with folder.known_peers.open("a", encoding="utf-8") as peers:
        peers.write("\n".join([*named, ""]))
    taking = Taking(made)
    for n in (1, 2):
        assert taking.take(Newcomer(n)) == 202
    publish(Publisher(made.path))
    shown = {key.name for key, _ in hints_in((folder.public / "node.json").read_bytes())}
    assert shown == {Newcomer(n).origin for n in (1, *range(100, 355))}


def test_who_asks_too_often_has_no_file_of_peers_read(made: OfferedState) -> None:
    """It may have thousands of keys, and a node without introductions reads none for whoever asks."""
    folder = NetworkFolder.of(made.path)
    server = Introductions(folder, made.log_key.name, Allowances(1, 1e-6))

    def status() -> int:
        with pytest.raises(NotServedError) as refused:
            asyncio.run(server.take(Request(b"{}", {}, "", {}, "192.0.2.1")))
        return refused.value.status

    assert status() == 422
    folder.known_peers.write_bytes(b"what nobody understands\n")
    assert status() == 429


def test_a_body_that_is_too_large_is_not_read(node: NodeProcess, made: OfferedState) -> None:
    said = {**Newcomer().says(made.log_key.name), "head": "x" * 9000}
    found = node.ask("POST", "v1/introduction", json.dumps(said).encode(), content_type=JSON)
    assert found.status_code == 413
    assert standing(made) == []


def test_a_node_that_does_not_say_so_takes_none_and_shows_none(made: OfferedState) -> None:
    newcomer = Newcomer()
    with serving_node(made.path) as node:
        assert post(node, newcomer.says(made.log_key.name)) == 202
        told(made, "")
        assert introduced_in(shown(node)) == []
        assert post(node, newcomer.says(made.log_key.name)) == 403


def test_a_file_that_takes_introductions_needs_a_quorum() -> None:
    with pytest.raises(UsageError, match="needs no witness"):
        parse_peers(b"quorum none\nintroductions public\n")
    with pytest.raises(UsageError, match="'public' or 'anywhere'"):
        parse_peers(b"quorum none\nintroductions nowhere\n")


def test_the_command_introduces_a_node_by_what_its_log_says(made: OfferedState, tmp_path: Path) -> None:
    told(made, "introductions anywhere")
    south, _ = offered_state(tmp_path / "south")
    with serving_node(made.path) as node:
        lost = cryoflux("node", "introduce", node.url, "--url", URL, "--state", south.path)
        assert lost.code == 2
        assert "No quorum of witnesses has seen this log yet" in lost.stderr
        keep_cosigned(south.state.log, south.heads[-1].content)
        (south.state.log / "witnessed").write_bytes(south.heads[-1].content)
        nowhere = cryoflux("node", "introduce", node.url, "--state", south.path)
        assert nowhere.code == 2
        assert "--url http://HOST:PORT" in nowhere.stderr
        done = cryoflux("node", "introduce", node.url, "--url", "http://127.0.0.1:9", "--state", south.path)
        assert done.code == 0, done.stderr
        assert f"introduced to {made.log_key.name}" in done.stdout
        assert hints_in(shown(node)) == [(log_key_of(south.path), "http://127.0.0.1:9")]
        listed = cryoflux("node", "peers", "--state", made.path).stdout
        assert "introductions: anywhere; 1 node stands" in listed
        told(made, "introductions public")
        refused = cryoflux(
            "node", "introduce", node.url, "--url", "http://127.0.0.1:9", "--state", south.path
        )
        assert refused.code == 2
        assert "private network" in refused.stderr
        assert f"cryoflux witness key --state {south.path}" in " ".join(refused.stderr.split())
    gone = cryoflux("node", "introduce", node.url, "--url", URL, "--state", south.path)
    assert gone.code == 2
    assert "is no node that answers" in gone.stderr
    assert "nothing listens there" in gone.stderr
    assert "Errno" not in gone.stderr
    bare = cryoflux("node", "introduce", "north.example:8790", "--url", URL, "--state", south.path)
    assert bare.code == 2
    assert "'north.example:8790' is no http address" in bare.stderr
    south.log.close()


class Answers(BaseHTTPRequestHandler):
    """A node that answers an introduction as it likes."""

    checkpoint: ClassVar[bytes]
    status: ClassVar[int]
    answer: ClassVar[bytes]
    endless: ClassVar[str] = ""
    wait: ClassVar[str] = ""
    sent: ClassVar[int] = 0

    def do_GET(self) -> None:
        self.say("GET", 200, self.checkpoint)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.say("POST", self.status, self.answer)

    def say(self, method: str, status: int, content: bytes) -> None:
        self.send_response(status)
        if self.wait:
            self.send_header("retry-after", self.wait)
        self.end_headers()
        self.wfile.write(content)
        with suppress(OSError):
            while method == self.endless and self.sent < 2**28:
                type(self).sent += self.wfile.write(b" " * 2**16)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def introduced(made: OfferedState) -> Callable[..., Outcome]:
    """What the command does where such a node answers."""
    (made.state.log / "witnessed").write_bytes(made.heads[-1].content)

    def introduce(**said: object) -> Outcome:
        kind = type("OneAnswers", (Answers,), {"checkpoint": made.heads[-1].content, **said})
        server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            found = cryoflux("node", "introduce", url, "--url", URL, "--state", made.path)
        finally:
            server.shutdown()
            server.server_close()
        assert "Traceback" not in found.stderr
        assert kind.sent < 2**26, "no more is read than an answer has"
        return found

    return introduce


@pytest.mark.parametrize("until", [10**30, -(10**30), 10**15])
def test_a_time_that_no_calendar_has_ends_no_command(introduced: Callable[..., Outcome], until: int) -> None:
    found = introduced(status=202, answer=json.dumps({"until": until}).encode())
    assert found.code == 0, found.stderr
    assert "introduced to" in found.stdout


@pytest.mark.parametrize(
    "answer",
    [
        b"[" * 60_000,
        b'{"error": {"what": "\\ud800\\u001b[31m"}}',
        b'{"error": ["what"]}',
        b"\xff",
        b"x" * 100_000,
    ],
    ids=["nested", "orders to a terminal", "a list", "no text", "long"],
)
def test_a_refusal_in_any_form_is_a_refusal(introduced: Callable[..., Outcome], answer: bytes) -> None:
    found = introduced(status=422, answer=answer)
    assert found.code == 2
    assert "\x1b" not in found.stderr


TOO_OFTEN = b'{"error": {"what": "You ask too often."}}'


@pytest.mark.parametrize(
    ("wait", "words"),
    [("12", "in 12 s"), ("40000", "in 12 h"), ("", "later"), ("9" * 30, "later"), ("-1", "later")],
)
def test_who_asks_too_often_is_told_how_long_to_wait(
    introduced: Callable[..., Outcome], wait: str, words: str
) -> None:
    found = introduced(status=429, answer=TOO_OFTEN, wait=wait)
    assert found.code == 2
    assert "does not take an introduction now: You ask too often." in found.stderr
    assert f"Type the same again {words}." in found.stderr


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_without_end_is_left(introduced: Callable[..., Outcome], method: str) -> None:
    assert introduced(status=202, answer=b"{}", endless=method).code == 2
