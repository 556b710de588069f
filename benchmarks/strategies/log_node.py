"""A node of layer S2: a state with keys, a signed log and files, its real public tree, and real witnesses.

What its log says is made up, as models are what layers S1 and S3 are about; that it is signed, laid out in
tiles, cosigned and published is not.
"""

from __future__ import annotations

__all__ = ["LogNode", "Offered", "Seer", "file_of", "policy_of", "undurable"]

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux import database
from cryoflux.digests import sha256_hex
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.publishing import Publisher
from cryoflux.network.revealing import RevealRule
from cryoflux.receipts.checkpoint import Note, NoteSignature, parse_note, with_signatures
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import OfferStatement, UpdateOffer
from cryoflux.receipts.statement import Section, Sha256Digest, Subject
from cryoflux.receipts.tile_reader import TileReader
from cryoflux.registry.composition import Term, list_digest
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.signing.keys import KEYS_FOLDER, load_key
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.witness.cosigned import keep_cosigned, log_key_of
from cryoflux.witness.policy import Policy, parse_policy
from cryoflux.witness.service import WITNESS_KEY, Witness, open_witness
from cryoflux.witness.submission import Submission
from node_log import AT, TASK, NodeLog
from plain_log import StoredLog, training
from synthetic_parts import figure

CONFIG = b"config"
_UJ = 10**8


@contextmanager
def undurable() -> Iterator[None]:
    """Let nothing wait for the disk: these folders are thrown away, and a power cut is not what is tried."""
    prepare = database._prepare  # noqa: SLF001 - what no user may set

    def prepared(connection: sqlite3.Connection, *said: Any, **given: Any) -> None:
        prepare(connection, *said, **given)
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute("PRAGMA synchronous=OFF")

    def replaced(path: Path, target: Path) -> None:
        target.unlink(missing_ok=True)  # a file system may flush what takes another one's place
        path.rename(target)

    with ExitStack() as patched:
        patched.enter_context(mock.patch.object(os, "fsync", return_value=None))
        patched.enter_context(mock.patch.object(database, "_prepare", prepared))
        patched.enter_context(mock.patch.object(Path, "replace", replaced))
        yield


class Seer:
    """A witness: the real one over a memory of its own, and a clock that may be wrong.

    Args:
        folder: of its memory.
        name: in policies.
        now: the true time, Unix seconds.
        ahead_s: by how much its clock is ahead, s.
    """

    def __init__(self, folder: Path, name: str, now: Callable[[], int], ahead_s: int = 0) -> None:
        self.name, self.ahead_s, self._folder = name, ahead_s, folder
        self.url = f"http://{name}.example"
        self.dates_ahead: dict[str, int] = {}
        """origin of a log → by how much more it dates that one's heads ahead, s: where it lies"""
        self._more_s = 0
        self._sizes: dict[str, int] = {}
        self._open: tuple[Witness, object] = open_witness(
            folder,
            name=f"witness.example/{name}",
            accept_new=True,
            now=lambda: float(now() + self.ahead_s + self._more_s),
        )

    @property
    def witness(self) -> Witness:
        """What answers."""
        return self._open[0]

    @property
    def key(self) -> Ed25519PrivateKey:
        """Its own, for one that signs beside its memory."""
        return load_key(self._folder / KEYS_FOLDER, WITNESS_KEY, create=False)

    @property
    def line(self) -> str:
        """Of a policy."""
        return f"witness {self.name} {self.witness.key} {self.url}"

    def cosign(self, note: Note, log: Path, vkey: str) -> NoteSignature | None:
        """What it adds to a head; none where it refuses, as it does where its memory says something else.

        Args:
            note: the head.
            log: folder with the tiles that it covers.
            vkey: of the log.
        """
        origin, size = note.checkpoint.origin, note.checkpoint.size
        self._more_s = self.dates_ahead.get(origin, 0)
        before = self._sizes.get(origin)
        if before is None:
            self.witness.add_log(vkey.encode())
            before = 0
        if size < before:
            return None
        proof = TileReader(log, size).consistency(before) if 0 < before < size else ()
        answer = self.witness.add_checkpoint(Submission(before, tuple(proof), note).body)
        if answer.status != 200:
            return None
        self._sizes[origin] = size
        return parse_note(note.content + answer.body).signatures[-1]

    def close(self) -> None:
        """Let its memory go."""
        self._open[1].close()  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Offered:
    """What a node has offered."""

    adapter: str
    content: bytes
    made: Entry
    offer: Entry


@dataclass(eq=False)
class LogNode:
    """A node.

    Args:
        folder: its state's.
        name: among peers.
        policy: whose quorum it waits for.
        seers: that it asks.
        lines: of its guest holdout.
    """

    folder: Path
    name: str
    policy: Policy
    seers: Sequence[Seer]
    lines: list[bytes] = field(default_factory=list)
    offered: list[Offered] = field(default_factory=list)
    told: float = 1.0
    """of its joules, that it tells"""
    address: str = ""
    """of its public tree, where it is served"""

    def __post_init__(self) -> None:
        new = not self.folder.exists()
        self.log = StoredLog(self.folder)
        self.says = NodeLog(self.log, lines=self.lines)
        self._publisher = Publisher(self.folder)
        if new:
            self.log.abort(self.log.announce())
            self.says.introduce()
        self.vkey = log_key_of(self.folder)

    @property
    def origin(self) -> str:
        """Of its log."""
        return self.vkey.name

    @property
    def url(self) -> str:
        """Of its public tree."""
        return self.address or f"http://{self.name}.example"

    @property
    def line(self) -> str:
        """Of a file of peers."""
        return f"node {self.name} {self.vkey} {self.url}"

    @property
    def public(self) -> Path:
        """Its public tree."""
        return NetworkFolder.of(self.folder).public

    @property
    def genesis(self) -> str:
        """That its updates are over: all nodes have the same."""
        return self.log.state.tasks[TASK].start.digest

    def train(self, content: bytes, parent: tuple[Term, ...] = (), announced: Entry | None = None) -> Entry:
        """An attempt whose receipt commits to an adapter; it may have been announced before."""
        adapter = sha256_hex(content)
        self.keep_files(adapter, content)
        return self.commit_to(adapter, parent, announced)

    def commit_to(self, adapter: str, parent: tuple[Term, ...] = (), announced: Entry | None = None) -> Entry:
        """The same by the digest of the adapter alone: its bytes need not be known."""
        update = OfferedUpdate(adapter=adapter, genesis=self.genesis, parent=parent)
        made = list_digest((*parent, update.term))
        fields = {"merge": "compose/v1", "genesis": self.genesis, "list": made}
        named = {ADAPTER: adapter, ADAPTER_CONFIG: sha256_hex(CONFIG)}
        return self.log.conclude(
            announced or self.log.announce(),
            kept=False,
            training=training(section=Section(kind="plain/v1", fields={**fields})),
            subject=[Subject(name=name, digest=Sha256Digest(sha256=one)) for name, one in named.items()],
            energy=figure(
                microjoules=round(self.told * _UJ),
                lo_microjoules=round(self.told * 0.9 * _UJ),
                hi_microjoules=round(self.told * 1.1 * _UJ),
            ),
        )

    def keep_files(self, adapter: str, content: bytes) -> None:
        """Have the files of an adapter of one's own."""
        place = StateFolder(self.folder).capsule(adapter)
        place.mkdir(parents=True, exist_ok=True)
        (place / ADAPTER).write_bytes(content)
        (place / ADAPTER_CONFIG).write_bytes(CONFIG)

    def offer(self, content: bytes, parent: tuple[Term, ...] = (), at: str = AT) -> Offered:
        """Train an update, and offer it.

        Args:
            content: of the adapter's file.
            parent: the list that it was trained on.
            at: the time that the offer's label says.
        """
        return self.offer_made(self.train(content, parent), content, parent, at)

    def offer_made(self, made: Entry, content: bytes, parent: tuple[Term, ...] = (), at: str = AT) -> Offered:
        """Offer what a receipt has committed to."""
        adapter, config = (one.digest.sha256 for one in made.statement.subject)
        entry = self.says.say(
            OfferStatement,
            UpdateOffer,
            adapter,
            task=TASK,
            update=OfferedUpdate(adapter=adapter, genesis=self.genesis, parent=parent),
            receipt=made.leaf_hash,
            receipt_at=made.index,
            config=config,
            adapter_bytes=len(content),
            offered_at=at,
        )
        self.offered.append(Offered(adapter, content, made, entry))
        return self.offered[-1]

    @property
    def head(self) -> Note:
        """The newest head of its log, with its own signature."""
        note = parse_note(StateFolder(self.folder).checkpoint.read_bytes())
        return Note(note.checkpoint, note.signatures[:1])

    def commit(self, seers: Sequence[Seer] | None = None) -> bool:
        """Let witnesses see the newest head; whether a quorum has cosigned it.

        Args:
            seers: those that answer; all without them.
        """
        note, log = self.head, StateFolder(self.folder).log
        found = [one.cosign(note, log, str(self.vkey)) for one in (self.seers if seers is None else seers)]
        lines = [line for line in found if line is not None]
        names = {one.name for one in self.policy.witnesses for line in lines if line.name == one.key.name}
        if reached := self.policy.reached(names):
            keep_cosigned(log, with_signatures(note.content, lines))
        return reached

    def publish(self) -> None:
        """Bring the public tree up to date, with what a quorum has cosigned."""
        self._publisher.publish(RevealRule(self.policy))

    def close(self) -> None:
        """Let its database go."""
        with suppress(Exception):
            self.log.close()


def file_of(name: str, number: int) -> bytes:
    """Bytes that stand for an adapter of nobody else."""
    return f"adapter {name} {number}".encode()


def policy_of(lines: Sequence[str]) -> Policy:
    """The policy that some lines are."""
    return parse_policy("\n".join([*lines, ""]).encode())
