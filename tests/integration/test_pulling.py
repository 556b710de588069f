"""A mirror of a peer's log grows by what continues it, and by nothing else, whatever the peer serves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cryoflux.network.fetching import Fetcher, Ration
from cryoflux.network.mirror import MirrorFolder
from cryoflux.network.pulling import Pulled, PullOutcome, pull
from cryoflux.receipts.checkpoint import Checkpoint, KeyType, VerifierKey, sign_checkpoint
from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.receipts.tiles import Tile, TileTree
from cryoflux.signing.keys import raw_public_key
from cryoflux.witness.evidence import check_equivocation, parse_equivocation
from signed_log import LOG_KEY

ORIGIN = "log.example/1"
KEY = VerifierKey(ORIGIN, KeyType.LOG, raw_public_key(LOG_KEY.public_key()))
Files = dict[str, bytes]


def entries(size: int, story: str = "a", forked_at: int = 0) -> list[bytes]:
    return [f"{'a' if at < forked_at else story} {at}".encode() for at in range(size)]


def published(told: list[bytes]) -> Files:
    """A log as static files."""
    tree = TileTree(told)
    files = {f"/{tile.path}": content for tile, content in tree.contents()}
    root = root_hash(map(leaf_hash, told))
    return {**files, "/checkpoint": sign_checkpoint(Checkpoint(ORIGIN, len(told), root), LOG_KEY)}


@contextmanager
def served(files: Files, odd: Callable[[BaseHTTPRequestHandler], bool] | None = None) -> Iterator[str]:
    """The files over HTTP, with entity tags; ``odd`` may answer in another way, and says whether it did."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if odd is not None and odd(self):
                return
            content = files.get(self.path)
            tag = f'"{leaf_hash(content).hex()[:16]}"' if content is not None else ""
            if content is not None and self.headers.get("if-none-match") == tag:
                self.send_response(304)
                self.end_headers()
                return
            self.send_response(404 if content is None else 200)
            self.send_header("content-length", str(len(content or b"")))
            self.send_header("etag", tag)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def pulled(mirror: MirrorFolder, files: Files) -> Pulled:
    with served(files) as url, Fetcher() as fetcher:
        return pull(mirror, url, fetcher)


@pytest.fixture
def mirror(tmp_path: Path) -> MirrorFolder:
    return MirrorFolder.of(tmp_path / "network", KEY)


def here(mirror: MirrorFolder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(mirror.path.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("sizes", [(1, 2, 3), (255, 256, 257), (100, 700, 701), (3, 3, 600)])
def test_a_mirror_has_what_the_peer_has_each_time_it_has_grown(mirror: MirrorFolder, sizes: tuple) -> None:
    before = 0
    for size in sizes:
        found = pulled(mirror, published(entries(size)))
        assert found.outcome is (PullOutcome.NEW if size > before else PullOutcome.SAME)
        assert (found.size, found.came) == (size, size - before)
        assert list(mirror.entries()) == entries(size)
        assert list(mirror.entries(size // 2)) == entries(size)[size // 2 :]
        before = size


def test_nothing_new_costs_no_bytes(mirror: MirrorFolder) -> None:
    files = published(entries(300))
    with served(files) as url, Fetcher() as fetcher:
        first, second = pull(mirror, url, fetcher), pull(mirror, url, fetcher)
    assert first.received > 1_000
    assert (second.outcome, second.received) == (PullOutcome.SAME, 0)


def test_a_partial_bundle_gives_way_to_a_wider_one(mirror: MirrorFolder) -> None:
    pulled(mirror, published(entries(10)))
    pulled(mirror, published(entries(20)))
    assert [path.name for path in (mirror.path / "tile/entries").rglob("*") if path.is_file()] == ["20"]


def test_lost_peaks_are_computed_again(mirror: MirrorFolder) -> None:
    pulled(mirror, published(entries(300)))
    (mirror.path / "peaks").write_bytes(b"\0" * 96)
    assert pulled(mirror, published(entries(301))).outcome is PullOutcome.NEW
    (mirror.path / "peaks").unlink()
    assert pulled(mirror, published(entries(302))).outcome is PullOutcome.NEW


@pytest.mark.parametrize(
    ("old", "new", "forked_at"), [(10, 10, 4), (10, 40, 4), (300, 700, 299), (300, 301, 0), (300, 280, 270)]
)
def test_two_histories_are_proven_to_anybody_and_nothing_here_changes(
    mirror: MirrorFolder, old: int, new: int, forked_at: int
) -> None:
    pulled(mirror, published(entries(old)))
    before = here(mirror)
    found = pulled(mirror, published(entries(new, "b", forked_at)))
    assert found.outcome is PullOutcome.DIFFERS
    proof = parse_equivocation(mirror.evidence)
    assert proof.log == KEY
    assert "signed" in check_equivocation(proof)
    after = here(mirror)
    after.pop(str(mirror.path / "equivocation"))
    assert after == before


def test_a_head_that_goes_back_changes_nothing(mirror: MirrorFolder) -> None:
    pulled(mirror, published(entries(300)))
    before = here(mirror)
    found = pulled(mirror, published(entries(200)))
    assert (found.outcome, found.size) == (PullOutcome.GOES_BACK, 300)
    assert here(mirror) == before


def test_a_log_that_is_larger_than_what_one_pull_may_bring_comes_in_several(mirror: MirrorFolder) -> None:
    told = entries(1500)
    asked: list[str] = []

    def note(handler: BaseHTTPRequestHandler) -> bool:
        asked.append(handler.path)
        return False

    with served(published(told), note) as url, Fetcher() as fetcher:
        for _ in range(3):
            found = pull(mirror, url, Ration(fetcher, 5_000, 60.0))
            if found.outcome is PullOutcome.NEW:
                break
            assert (found.outcome, mirror.size) == (PullOutcome.UNREACHABLE, 0)
    assert (found.outcome, found.size) == (PullOutcome.NEW, 1500)
    assert list(mirror.entries()) == told
    bundles = [path for path in asked if "entries" in path and ".p/" not in path]
    assert len(bundles) <= len(set(bundles)) + 2  # only what was cut off is asked for again
    assert not list((mirror.path / "arriving").rglob("*"))


def test_what_waited_and_does_not_continue_the_log_is_thrown_away(mirror: MirrorFolder) -> None:
    cut = published(entries(700, "b"))
    del cut["/tile/entries/002.p/188"]
    assert pulled(mirror, cut).outcome is PullOutcome.UNREACHABLE
    assert mirror.arriving(Tile(None, 0, 256))
    assert pulled(mirror, published(entries(700))).outcome is PullOutcome.NOT_SIGNED
    assert pulled(mirror, published(entries(700))).outcome is PullOutcome.NEW
    assert list(mirror.entries()) == entries(700)


BUNDLE = "/tile/entries/001.p/144"


def replaced(path: str, old: bytes, new: bytes) -> Callable[[Files], Files]:
    return lambda files: {**files, path: files[path].replace(old, new)}


def ending(path: str, end: bytes, cut: int = 0) -> Callable[[Files], Files]:
    return lambda files: {**files, path: files[path][: len(files[path]) - cut] + end}


def missing(word: str) -> Callable[[Files], Files]:
    return lambda files: {path: content for path, content in files.items() if word not in path}


LIES: dict[str, Callable[[Files], Files]] = {
    "an entry is another": replaced(BUNDLE, b"a 399", b"z 399"),
    "an old entry is another": replaced(BUNDLE, b"a 257", b"z 257"),
    "a bundle is too short": ending(BUNDLE, b"", cut=3),
    "a bundle has more": ending(BUNDLE, b"\0\1x"),
    "the head is of another key": replaced("/checkpoint", b"log.example/1", b"log.example/2"),
    "the head is no note": lambda files: {**files, "/checkpoint": b"hello\n"},
    "the head is nothing": lambda files: {**files, "/checkpoint": b""},
    "a bundle is missing": missing("entries/001"),
    "the head is missing": missing("checkpoint"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
def test_what_was_not_signed_changes_nothing_and_accuses_nobody(mirror: MirrorFolder, lie: Callable) -> None:
    pulled(mirror, published(entries(300)))
    before = here(mirror)
    found = pulled(mirror, lie(published(entries(400))))
    assert found.outcome in {PullOutcome.NOT_SIGNED, PullOutcome.UNREACHABLE}
    assert found.why
    assert here(mirror) == before
    assert pulled(mirror, published(entries(400))).outcome is PullOutcome.NEW


def test_a_pull_that_is_killed_leaves_a_mirror_that_goes_on(mirror: MirrorFolder) -> None:
    pulled(mirror, published(entries(300)))
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from cryoflux.network.fetching import Fetcher\n"
        "from cryoflux.network.mirror import MirrorFolder\n"
        "from cryoflux.network.pulling import pull\n"
        "from cryoflux.receipts.checkpoint import parse_verifier_key\n"
        "mirror = MirrorFolder(Path(sys.argv[1]), parse_verifier_key(sys.argv[2]))\n"
        "with Fetcher() as fetcher:\n    print(pull(mirror, sys.argv[3], fetcher).outcome.value)\n"
    )
    asked = threading.Event()

    def late(handler: BaseHTTPRequestHandler) -> bool:
        if "entries/002" in handler.path:
            asked.set()
            time.sleep(5)
        return False

    with served(published(entries(600)), late) as url:
        command = [sys.executable, "-c", script, str(mirror.path), str(KEY), url]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            assert asked.wait(60)
            os.kill(process.pid, signal.SIGKILL)
    assert list(mirror.entries()) == entries(300)
    found = pulled(mirror, published(entries(600)))
    assert (found.outcome, list(mirror.entries())) == (PullOutcome.NEW, entries(600))
