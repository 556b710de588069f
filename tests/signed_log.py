"""A log of a few made-up leaves that can tell two stories, and witnesses in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.receipts.checkpoint import (
    Checkpoint,
    KeyType,
    Note,
    VerifierKey,
    parse_note,
    sign_checkpoint,
)
from cryoflux.receipts.merkle import consistency_proof, leaf_hash, root_hash
from cryoflux.signing.keys import raw_public_key
from cryoflux.witness.service import Witness, WitnessReply, open_witness
from cryoflux.witness.submission import Submission

Answer = Callable[[str, bytes], WitnessReply]
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"log of a test".ljust(32, b"."))


@dataclass(frozen=True)
class SignedLog:
    """Leaves 0, 1, 2, … of a story; another story has other leaves from ``forked_at`` on."""

    story: str = "a"
    forked_at: int = 0
    origin: str = "log.example/1"
    key: Ed25519PrivateKey = LOG_KEY

    @property
    def vkey(self) -> VerifierKey:
        return VerifierKey(self.origin, KeyType.LOG, raw_public_key(self.key.public_key()))

    def leaves(self, size: int) -> list[bytes]:
        told = ["a" if i < self.forked_at else self.story for i in range(size)]
        return [leaf_hash(f"{story}{i}".encode()) for i, story in enumerate(told)]

    def note(self, size: int) -> bytes:
        return sign_checkpoint(Checkpoint(self.origin, size, root_hash(self.leaves(size))), self.key)

    def head(self, size: int) -> Note:
        return parse_note(self.note(size))

    def proof(self, old_size: int, size: int) -> tuple[bytes, ...]:
        return tuple(consistency_proof(old_size, self.leaves(size))) if old_size <= size else ()

    def submission(self, old_size: int, size: int, proof: Sequence[bytes] | None = None) -> bytes:
        given = self.proof(old_size, size) if proof is None else tuple(proof)
        return Submission(old_size, given, self.head(size)).body


@dataclass
class Clock:
    """POSIX seconds that a test sets."""

    now_s: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class OpenWitness:
    """A witness on a folder, which can be closed and opened again."""

    folder: Path
    logs: list[VerifierKey] = field(default_factory=lambda: [SignedLog().vkey])
    accept_new: bool = False
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.reopen()

    def reopen(self) -> None:
        self.witness: Witness
        if hasattr(self, "heads"):
            self.heads.close()
        self.witness, self.heads = open_witness(
            self.folder, logs=self.logs, accept_new=self.accept_new, now=self.clock
        )

    def add(self, body: bytes) -> WitnessReply:
        return self.witness.add_checkpoint(body)

    @property
    def vkey(self) -> VerifierKey:
        return self.witness.key


@contextmanager
def serving(answer: Answer, *, drip_s: float = 0.0) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            reply = answer(self.path, self.rfile.read(int(self.headers.get("content-length", 0))))
            self.send_response(reply.status)
            self.send_header("content-type", reply.kind)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            for byte in reply.body:
                self.wfile.write(bytes([byte]))
                if drip_s:
                    self.wfile.flush()
                    time.sleep(drip_s)

        def log_message(self, *_: object) -> None: ...

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # the client had enough
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer_of(watched: OpenWitness) -> Answer:
    def answer(path: str, body: bytes) -> WitnessReply:
        known = {"/add-checkpoint": watched.witness.add_checkpoint, "/add-log": watched.witness.add_log}
        if path in known:
            return known[path](body)
        return watched.witness.checkpoint(path.removeprefix("/").removesuffix("/checkpoint"))

    return answer


def policy_text(needed: str, *members: tuple[str, VerifierKey, str]) -> bytes:
    lines = [f"witness {name} {key} {url}" for name, key, url in members]
    names = " ".join(name for name, _, _ in members)
    return "\n".join([*lines, f"group g {needed} {names}", "quorum g"]).encode()
