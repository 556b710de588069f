"""A node whose log lies in a state, and the tree of files that it publishes, served over HTTP."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.digests import sha256_hex
from cryoflux.network.capsule import CapsuleDocument, CapsuleFile, ProvenEntry
from cryoflux.receipts.checkpoint import (
    KeyType,
    VerifierKey,
    cosign,
    parse_note,
    verifier_key,
    with_signatures,
)
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import OfferStatement, UpdateOffer
from cryoflux.registry.composition import Term, list_digest
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.keys import KEYS_FOLDER, load_first_public, raw_public_key
from cryoflux.witness.cosigned import log_key_of
from node_log import AT, TASK, NodeLog
from plain_log import StoredLog

Odd = Callable[[BaseHTTPRequestHandler], bool]


@dataclass(eq=False)
class CosigningWitness:
    """A witness that signs what it is shown."""

    name: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def vkey(self) -> VerifierKey:
        return verifier_key(f"witness.example/{self.name}", self.key.public_key(), KeyType.WITNESS)

    def cosigned(self, note: bytes, time_s: int) -> bytes:
        line = cosign(parse_note(note).checkpoint, self.vkey.name, self.key, time_s)
        return with_signatures(note, [line])


def tree_key(name: str) -> VerifierKey:
    """A key of a log that a node may be named by, and that nobody has."""
    key = Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b".")[:32])
    return verifier_key(f"cryoflux.dev/{name[:16]}", key.public_key())


class TreeNode:
    """A node with a log of its own, and what it has published of it.

    Args:
        folder: holds its state and its tree.
        aborted: attempts before anything else, so that its adapters are other ones than those of other nodes.
    """

    def __init__(self, folder: Path, aborted: int = 0) -> None:
        self.state, self.tree = folder / "state", folder / "public"
        self.log = StoredLog(self.state)
        self.node = NodeLog(self.log)
        self.heads: list[bytes] = []
        for _ in range(aborted):
            self.log.abort(self.log.announce())

    @property
    def vkey(self) -> VerifierKey:
        return log_key_of(self.state)

    @property
    def origin(self) -> str:
        return self.vkey.name

    def hint(self, url: str) -> dict[str, str]:
        """How another node names it."""
        return {"log_key": str(self.vkey), "url": url}

    @property
    def receipt_key(self) -> str:
        first = load_first_public(self.state / KEYS_FOLDER, create=False)
        return base64.b64encode(raw_public_key(first)).decode()

    def put(self, path: str, content: bytes) -> None:
        place = self.tree / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def offer(self) -> Entry:
        """An update of its own that is trained, offered, and served."""
        parent = self.node.composed.terms if TASK in self.log.state.tasks else ()
        receipt = self.node.train()
        adapter, config = (one.digest.sha256 for one in receipt.statement.subject)
        genesis = self.log.state.tasks[TASK].start.digest
        offered = self.node.say(
            OfferStatement,
            UpdateOffer,
            adapter,
            task=TASK,
            update=OfferedUpdate(adapter=adapter, genesis=genesis, parent=parent),
            receipt=receipt.leaf_hash,
            receipt_at=receipt.index,
            config=config,
            adapter_bytes=1000,
            offered_at=AT,
        )
        bytes_ = f"adapter {receipt.index - 1}".encode()
        assert sha256_hex(bytes_) == adapter
        encoded = [base64.b64encode(one.envelope).decode() for one in (offered, receipt)]
        proven = [ProvenEntry(entry=one, proof="left out: the log is mirrored") for one in encoded]
        said = CapsuleDocument(
            v=1,
            origin=self.origin,
            log_vkey=str(self.vkey),
            receipt_key=self.receipt_key,
            offer=proven[0],
            receipt=proven[1],
            adapter=CapsuleFile(sha256=adapter, bytes=1000),
            config=CapsuleFile(sha256=config, bytes=6),
        )
        self.put(f"capsules/{adapter}/adapter_model.safetensors", bytes_)
        self.put(f"capsules/{adapter}/adapter_config.json", b"config")
        self.put(f"capsules/{adapter}/capsule.json", canonical_bytes(said))
        return offered

    def put_list(self, terms: Sequence[Term]) -> str:
        digest = list_digest(terms)
        self.put(f"lists/{digest}", "".join(term.line for term in terms).encode())
        return digest

    def publish(
        self, signed: Mapping[CosigningWitness, int] | None = None, peers: Sequence[object] = ()
    ) -> bytes:
        """Bring the tree up to date; the newest head as some witnesses cosigned it, at their times."""
        shutil.copytree(self.state / "log", self.tree / "log", dirs_exist_ok=True)
        note = (self.state / "log" / "checkpoint").read_bytes()
        for witness, time_s in (signed or {}).items():
            note = witness.cosigned(note, time_s)
        if signed:
            self.heads.append(note)
        self.put("log/checkpoint", note)
        self.put("log/heads", b"\n".join(self.heads))
        said = {"v": 1, "peers": list(peers), "receipt_key": self.receipt_key}
        self.put("node.json", json.dumps(said).encode())
        return note

    def close(self) -> None:
        self.log.close()


@contextmanager
def serving_tree(tree: Path, odd: Odd | None = None, asked: list[str] | None = None) -> Iterator[str]:
    """The files of a folder over HTTP, with entity tags; ``odd`` may answer in another way."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            if odd is not None and odd(self):
                return
            path = tree / self.path.lstrip("/")
            content = path.read_bytes() if path.is_file() else None
            tag = f'"{sha256_hex(content)[:16]}"' if content is not None else ""
            same = content is not None and self.headers.get("if-none-match") == tag
            self.send_response(404 if content is None else 304 if same else 200)
            body = b"" if same or content is None else content
            self.send_header("content-length", str(len(body)))
            self.send_header("etag", tag)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
