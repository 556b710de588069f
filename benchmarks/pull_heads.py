"""What it takes to know of 1,000 logs whether they have grown: from one witness, and from each peer.

    python benchmarks/pull_heads.py --logs 1000

serves as many small logs, and a witness that has cosigned the newest head of each, from a process of its own,
and pulls them: all for the first time, again when nothing has changed, and again when one in a hundred has
grown; each from the peers alone, and by the witness first. Bytes are those of requests and answers with their
headers, as they go over the wire without TLS. Then it says what a node-day of pulls comes to by that.
"""

from __future__ import annotations

import argparse
import base64
import json
import multiprocessing
import shutil
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import mkdtemp

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from books_scale import key_of, log_key_of, vkey_of
from cryoflux.digests import sha256_hex
from cryoflux.network.gathered import Gathered
from cryoflux.network.gathering import gather
from cryoflux.network.peers import Peers, parse_peers
from cryoflux.network.pulling import PullOutcome
from cryoflux.receipts.checkpoint import Checkpoint, parse_note, sign_checkpoint
from cryoflux.receipts.merkle import consistency_proof
from cryoflux.receipts.tiles import TileTree
from cryoflux.signing.keys import raw_public_key
from cryoflux.witness.service import open_witness
from cryoflux.witness.submission import Submission
from plain_log import PlainLog

_EACH_S = 60
"""between two pulls of a node"""
_DAY_S = 86_400


class Served:
    """Logs and their witness, in memory, over HTTP: what is served, and what went over the wire."""

    def __init__(self, folder: Path, logs: int) -> None:
        self.witness, self._heads = open_witness(folder, name="witness.example/1", accept_new=True)
        self.logs = {number: PlainLog(key=key_of(number)) for number in range(1, logs + 1)}
        self.sizes = dict.fromkeys(self.logs, 0)
        self.files: dict[str, bytes] = {}
        self.requests = self.wire = 0
        for number in self.logs:
            self.witness.add_log(str(vkey_of(number)).encode())
            self.grow(number)

    def grow(self, number: int) -> None:
        """An attempt more in a log, which the witness sees."""
        log, prefix = self.logs[number], f"/{number}"
        log.abort(log.announce())
        tree = TileTree([entry.envelope for entry in log.entries])
        point = Checkpoint(vkey_of(number).name, tree.size, tree.root())
        note = parse_note(sign_checkpoint(point, log_key_of(number)))
        proof = consistency(self.sizes[number], tree)
        answer = self.witness.add_checkpoint(Submission(self.sizes[number], proof, note).body)
        if answer.status != 200:
            raise SystemExit(f"the witness refused log {number}: {answer.body!r}")
        self.sizes[number] = tree.size
        cosigned = note.content + answer.body
        heads = self.files.get(f"{prefix}/log/heads", b"")
        self.files |= {f"{prefix}/log/{tile.path}": content for tile, content in tree.contents()}
        self.files[f"{prefix}/log/checkpoint"] = cosigned
        self.files[f"{prefix}/log/heads"] = heads + (b"\n" if heads else b"") + cosigned
        said = {"receipt_key": as_base64(raw_public_key(log.key.public_key()))}
        self.files[f"{prefix}/node.json"] = json.dumps(said).encode()


def consistency(old: int, tree: TileTree) -> tuple[bytes, ...]:
    """That a tree goes on from its first entries."""
    return tuple(consistency_proof(old, tree.leaves)) if old else ()


def as_base64(raw: bytes) -> str:
    """Bytes as JSON has them."""
    return base64.b64encode(raw).decode()


def handler_of(served: Served) -> type[BaseHTTPRequestHandler]:
    """What answers for all of them."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """The file, the heads of the witness, or that it is the same."""
            link = ""
            if self.path.startswith("/witness/heads"):
                reply = served.witness.heads(self.path.partition("after=")[2])
                content: bytes | None = reply.body
                link = dict(reply.headers)[b"link"].decode()
            else:
                content = served.files.get(self.path)
            tag = f'"{sha256_hex(content)[:16]}"' if content is not None else ""
            same = content is not None and self.headers.get("if-none-match") == tag
            body = b"" if same or content is None else content
            self.send_response(404 if content is None else 304 if same else 200)
            for name, value in (("content-length", str(len(body))), ("etag", tag), ("link", link)):
                if value:
                    self.send_header(name, value)
            before: list[bytes] = self._headers_buffer  # type: ignore[attr-defined]
            served.requests += 1
            served.wire += (
                len(b"".join(before)) + len(body) + len(self.requestline) + len(str(self.headers)) + 6
            )
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def serve(logs: int, folder: Path, answers: Connection) -> None:
    """Serve them, and do what is asked through a pipe."""
    served = Served(folder, logs)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(served))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answers.send((server.server_address[1], str(served.witness.key)))
    while (grown := answers.recv()) is not None:
        for number in grown:
            served.grow(number)
        answers.send((served.requests, served.wire))
        served.requests = served.wire = 0


def measured(what: str, act: Callable[[], Gathered], answers: Connection) -> dict[str, float]:
    """What a pull costs, and a line about it."""
    answers.send([])
    answers.recv()
    began, cpu_s = time.perf_counter(), time.process_time()
    found = act()
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    answers.send([])
    requests, wire = answers.recv()
    bad = [one for one in found.peers if one.outcome not in {PullOutcome.NEW, PullOutcome.SAME}]
    if bad:
        raise SystemExit(f"{bad[0].name}: {bad[0].outcome}: {bad[0].why}")
    came = sum(one.came for one in found.peers)
    print(
        f"{what:<34} {wall_s:7.2f} s wall {cpu_s:7.2f} s CPU {requests:6,} requests {wire:11,} bytes "
        f"{came:6,} new entries",
        flush=True,
    )
    return {"wall_s": wall_s, "cpu_s": cpu_s, "requests": requests, "bytes": wire, "came": came}


def peers_of(logs: int, port: int, witness: str) -> Peers:
    """All of them as peers."""
    root = f"http://127.0.0.1:{port}"
    lines = [f"witness w {witness} {root}/witness", "quorum w"]
    lines += [f"node n{number} {vkey_of(number)} {root}/{number}" for number in range(1, logs + 1)]
    return parse_peers("\n".join([*lines, ""]).encode())


def main() -> None:
    """Serve, pull, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    folder = Path(mkdtemp(prefix="heads"))
    context = multiprocessing.get_context("spawn")
    answers, theirs = context.Pipe()
    process = context.Process(target=serve, args=(given.logs, folder / "witness", theirs), daemon=True)
    process.start()
    try:
        peers = peers_of(given.logs, *answers.recv())
        found: dict[str, dict[str, float]] = {}
        for way, ask in (("each peer", False), ("by the witness", True)):
            network = folder / way
            pull = partial(gather, network, peers, ask_witnesses=ask)
            found[f"{way}, first"] = measured(f"{way}: for the first time", pull, answers)
            found[f"{way}, same"] = measured(f"{way}: nothing new", pull, answers)
            answers.send(list(range(1, given.logs + 1, 100)))
            answers.recv()
            found[f"{way}, grown"] = measured(f"{way}: one in a hundred has grown", pull, answers)
            idle = found[f"{way}, same"]["bytes"] * _DAY_S / _EACH_S
            print(f"  a day of pulls each {_EACH_S} s with nothing new: {idle / 1e6:,.2f} MB", flush=True)
        if given.json is not None:
            given.json.write_text(json.dumps(found))
    finally:
        answers.send(None)
        process.join()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
