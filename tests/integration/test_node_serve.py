"""``cryoflux node serve`` as a process, over HTTP: what it shows, what it refuses, and that it keeps up."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryoflux.network.capsule import check_capsule, check_capsule_files
from cryoflux.network.fetching import Fetcher
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.mirror import MirrorFolder
from cryoflux.network.pulling import PullOutcome, pull
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.witness.cosigned import keep_cosigned, log_key_of, parse_heads
from json_rule import complaints
from node_process import NodeProcess, serving_node
from offered import OfferedState, offered_state
from running import cryoflux, python
from waiting import CEILING_S, until

IMMUTABLE = "public, max-age=31536000, immutable"


def cosign(made: OfferedState) -> None:
    keep_cosigned(made.state.log, made.cosigned().content)


def told(made: OfferedState) -> OfferedState:
    """Its peers and witnesses are in its file."""
    folder = NetworkFolder.of(made.path)
    folder.path.mkdir(exist_ok=True)
    lines = made.policy_text.splitlines(keepends=True)
    folder.known_peers.write_text("".join(line for line in lines if not line.startswith("log")))
    return made


@pytest.fixture
def made(tmp_path: Path) -> Iterator[OfferedState]:
    state, _ = offered_state(tmp_path / "state")
    yield told(state)
    state.log.close()


@pytest.fixture
def adapter(made: OfferedState) -> str:
    return str(made.log.entries[-1].statement.subject[0].digest.sha256)


@pytest.fixture
def node(made: OfferedState) -> Iterator[NodeProcess]:
    with serving_node(made.path) as running:
        yield running


def test_a_stranger_gets_log_and_capsule_and_can_check_both(
    tmp_path: Path, made: OfferedState, adapter: str
) -> None:
    cosign(made)
    with serving_node(made.path) as node, Fetcher() as fetcher:
        assert (node.hello["capsules"], node.hello["waiting"], node.hello["problems"]) == (1, 0, [])
        assert complaints(node.hello) == []
        mirror = MirrorFolder.of(tmp_path / "stranger", log_key_of(made.path))
        assert pull(mirror, f"{node.url}/log", fetcher).outcome is PullOutcome.NEW
        assert list(mirror.entries()) == [entry.envelope for entry in made.log.entries]
        assert pull(mirror, f"{node.url}/log", fetcher).outcome is PullOutcome.SAME
        folder = tmp_path / "capsule"
        folder.mkdir()
        for name in ("capsule.json", ADAPTER, ADAPTER_CONFIG):
            (folder / name).write_bytes(node.get(f"capsules/{adapter}/{name}").content)
        checked = check_capsule((folder / "capsule.json").read_bytes(), made.policy)
        check_capsule_files(folder, checked)
        assert checked.update.adapter == adapter
        assert len(parse_heads(node.get("log/heads").content)) == 1
        assert json.loads(node.get("node.json").content)["v"] == 1


def test_what_is_not_revealed_is_answered_as_what_is_not_here(
    made: OfferedState, node: NodeProcess, adapter: str
) -> None:
    def answers(name: str) -> list[tuple[object, ...]]:
        replies = [node.get(f"capsules/{one}/{name}") for one in (adapter, "0" * 64)]
        return [(reply.status_code, reply.content, dict(reply.headers)) for reply in replies]

    for name in (ADAPTER, ADAPTER_CONFIG, "capsule.json"):
        hidden, missing = answers(name)
        assert hidden == missing
        assert hidden[0] == 404
    cosign(made)  # beside the server, as a run would
    assert node.get(f"capsules/{adapter}/capsule.json").status_code == 200
    assert node.get(f"capsules/{adapter}/{ADAPTER}").status_code == 200


def test_a_run_beside_it_shows_up_as_soon_as_witnesses_have_seen_it(
    tmp_path: Path, made: OfferedState, node: NodeProcess
) -> None:
    mirror = MirrorFolder.of(tmp_path / "stranger", log_key_of(made.path))
    cosign(made)
    with Fetcher() as fetcher:
        for _ in range(3):
            pull(mirror, f"{node.url}/log", fetcher)
            made.log.abort(made.log.announce())
            assert pull(mirror, f"{node.url}/log", fetcher).outcome is PullOutcome.SAME
            cosign(made)
            found = pull(mirror, f"{node.url}/log", fetcher)
            assert (found.outcome, found.came, found.size) == (PullOutcome.NEW, 2, len(made.log.entries))


def test_a_log_that_grows_while_it_is_pulled_is_never_taken_for_a_lie(
    tmp_path: Path, made: OfferedState, node: NodeProcess
) -> None:
    mirror, ended = MirrorFolder.of(tmp_path / "stranger", log_key_of(made.path)), threading.Event()

    def grow() -> None:
        for _ in range(30):
            made.log.abort(made.log.announce())
            cosign(made)
        ended.set()

    thread = threading.Thread(target=grow)
    thread.start()
    outcomes = set()
    with Fetcher() as fetcher:
        while not ended.is_set():
            outcomes.add(pull(mirror, f"{node.url}/log", fetcher).outcome)
        thread.join()
        pull(mirror, f"{node.url}/log", fetcher)
    # What it has asked for may be gone by the time it asks for it: then it is had the next time.
    assert outcomes <= {PullOutcome.NEW, PullOutcome.SAME, PullOutcome.UNREACHABLE}
    assert list(mirror.entries()) == [entry.envelope for entry in made.log.entries]


def test_files_say_how_long_they_may_be_kept_and_are_not_sent_twice(made: OfferedState, adapter: str) -> None:
    cosign(made)
    size = len(made.log.entries)
    with serving_node(made.path) as node:
        for path, keep in {
            "node.json": "no-cache",
            "log/checkpoint": "no-cache",
            "log/heads": "no-cache",
            f"log/tile/entries/000.p/{size}": IMMUTABLE,
            f"log/tile/0/000.p/{size}": IMMUTABLE,
            f"capsules/{adapter}/capsule.json": "no-cache",
            f"capsules/{adapter}/{ADAPTER}": IMMUTABLE,
        }.items():
            got = node.get(path, accept_encoding="gzip, br")
            assert got.status_code == 200, path
            assert got.headers["cache-control"] == keep
            assert got.headers["x-content-type-options"] == "nosniff"
            assert int(got.headers["content-length"]) == len(got.content)
            assert "content-encoding" not in got.headers
            again = node.get(path, if_none_match=got.headers["etag"])
            assert (again.status_code, again.content) == (304, b"")
            head = node.ask("HEAD", path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == got.headers["content-length"]


def test_a_part_of_a_capsule_can_be_had(made: OfferedState, adapter: str) -> None:
    cosign(made)
    with serving_node(made.path) as node:
        path = f"capsules/{adapter}/{ADAPTER}"
        whole = node.get(path).content
        part = node.get(path, range="bytes=100-199")
        assert (part.status_code, part.content) == (206, whole[100:200])
        assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
        beyond = node.get(path, range=f"bytes={len(whole)}-")
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")


ELSEWHERE = (
    *("", "log", "log/", "log/tile", "log/tile/", "log/witnessed", "receipts.db", "keys/log.pem"),
    *("../keys/log.pem", "log/../../../keys/log.pem", "log/tile/../../../../keys/log.pem"),
    *("%2e%2e/%2e%2e/keys/log.pem", "log/tile/%2e%2e%2f%2e%2e%2fcheckpoint", "lists/..", "lists/%2e%2e"),
    *("capsules", "capsules/x/capsule.json", "capsules/../capsule.json", "capsules//capsule.json"),
    *("contracts/.hidden", "openings/x/examples.jsonl", "log/tile/entries/000.p/999", "v1/events/"),
)


def test_nothing_outside_the_table_is_served(node: NodeProcess) -> None:
    for path in ELSEWHERE:
        request = f"GET /{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
        status, _, rest = node.raw(request).partition(b"\r\n")
        assert status == b"HTTP/1.1 404 Not Found", path
        said = json.loads(rest.partition(b"\r\n\r\n")[2])
        assert said == {"error": {"what": "Not Found.", "why": "", "hint": ""}}, path


def test_links_and_hidden_files_in_the_tree_are_not_served(made: OfferedState, node: NodeProcess) -> None:
    public, digest = NetworkFolder.of(made.path).public, "a" * 64
    (public / "lists").mkdir(exist_ok=True)
    (public / f"lists/{digest}").symlink_to(made.state.keys / "log.pem")
    assert node.get(f"lists/{digest}").status_code == 404
    (public / f"lists/{digest}").unlink()
    (public / f"lists/{digest}").write_text("no link")
    assert node.get(f"lists/{digest}").text == "no link"
    shutil.rmtree(public / "lists")
    (public / "lists").symlink_to(made.state.keys)
    assert node.get(f"lists/{digest}").status_code == 404


def test_other_methods_and_bodies_are_refused(node: NodeProcess) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        refused = node.ask(method, "log/checkpoint")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert node.get("v1/hint").status_code == 405
    assert node.ask("POST", "v1/hint", b"x" * 8193).status_code == 413
    assert node.get("node.json", host="evil.example").status_code == 403
    assert b"400 Bad Request" in node.raw(b"nonsense\r\n\r\n")


def test_a_hint_about_a_known_log_is_kept_and_of_others_nothing(tmp_path: Path, made: OfferedState) -> None:
    other, _ = offered_state(tmp_path / "other")
    key = log_key_of(other.path)
    other.log.close()
    folder = NetworkFolder.of(made.path)
    with folder.known_peers.open("a") as file:
        file.write(f"node other {key} http://127.0.0.1:1\n")

    def hint(node: NodeProcess, origin: str, size: object = 7) -> int:
        return node.ask("POST", "v1/hint", json.dumps({"origin": origin, "size": size}).encode()).status_code

    with serving_node(made.path) as node:
        assert hint(node, key.name) == 202
        assert [hint(node, key.name) for _ in range(2)] == [429, 429]
    (kept,) = folder.hints.iterdir()
    assert json.loads(kept.read_bytes()) == {"origin": key.name, "size": 7}
    with serving_node(made.path) as node:
        assert hint(node, "log.example/unknown") == 202  # it is not said who is known
        wrong = json.dumps({"origin": key.name, "size": -1}).encode()
        until(lambda: node.ask("POST", "v1/hint", wrong).status_code == 422, "a second")
    assert [path.read_bytes() for path in folder.hints.iterdir()] == [
        b'{"origin":"%s","size":7}' % key.name.encode()
    ]


def test_new_heads_are_told_to_whoever_stays(made: OfferedState, node: NodeProcess) -> None:
    with node._http.stream("GET", f"{node.url}/v1/events", timeout=CEILING_S) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        lines = stream.iter_lines()
        for _ in range(2):
            cosign(made)
            size = len(made.log.entries)
            sizes = (json.loads(line[6:])["size"] for line in lines if line.startswith("data: "))
            assert next(found for found in sizes if found >= size) == size
            made.log.abort(made.log.announce())


def test_what_goes_back_is_not_shown_and_the_server_goes_on(made: OfferedState, node: NodeProcess) -> None:
    cosign(made)
    before = node.get("log/checkpoint").content
    older = made.state.checkpoint.read_bytes()
    made.log.abort(made.log.announce())
    cosign(made)
    newest = node.get("log/checkpoint").content
    assert newest != before == older
    made.log.close()
    made.state.checkpoint.write_bytes(older)  # as a backup would
    assert node.get("log/checkpoint").content == newest


def test_nobody_is_believed_where_no_witness_is_named(made: OfferedState, adapter: str) -> None:
    cosign(made)
    folder = NetworkFolder.of(made.path)
    folder.known_peers.unlink()
    with serving_node(made.path) as node:
        assert (node.hello["entries"], node.hello["waiting"]) == (0, len(made.log.entries))
        folder.no_witnesses.touch()
        assert node.get(f"capsules/{adapter}/capsule.json").status_code == 200


def test_it_ends_cleanly_and_at_once(made: OfferedState) -> None:
    node = NodeProcess(made.path)
    node.get("log/checkpoint")
    assert node.end(signal.SIGTERM) == 0


def test_a_state_without_a_log_is_refused(tmp_path: Path) -> None:
    outcome = cryoflux("node", "serve", "--port", "0", "--state", tmp_path / "none")
    assert outcome.code == 2
    assert "There is no state at" in outcome.stderr
    assert not (tmp_path / "none").exists()


def test_who_names_no_witnesses_is_told_that_nothing_is_shown(made: OfferedState) -> None:
    NetworkFolder.of(made.path).known_peers.write_text("quorum none\n")
    serve = ("-m", "cryoflux", "node", "serve", "--port", "0", "--state", made.path)
    process = python(*serve, light=True)
    said = [process.stdout.readline().rstrip("\n") for _ in range(5)]
    process.terminate()
    process.communicate()
    assert said[2:] == [
        f"{len(made.log.entries)} entries wait for a quorum of witnesses, and nobody sees them before",
        f"note: {made.path}/network/peers.txt names no witnesses whose quorum that could be.",
        "Name them there, or say that there are none: cryoflux node init --no-witnesses",
    ]
