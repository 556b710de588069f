"""A state of a node with files behind what its log names, and a witness that cosigns it when told to.

The files hold the words whose digests the log has (`node_log`), so they are what it names, and no models.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.network.folder import EXAMPLES, NetworkFolder
from cryoflux.network.publishing import Publication, Publisher
from cryoflux.network.revealing import RevealRule
from cryoflux.receipts.checkpoint import KeyType, cosign, parse_note, verifier_key, with_signatures
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import OfferStatement, UpdateOffer
from cryoflux.registry.composition import Term, list_digest
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.witness.cosigned import keep_cosigned
from cryoflux.witness.policy import Policy, parse_policy
from node_log import AT, GUEST_KEY, GUESTS, TASK, NodeLog, guest_root
from plain_log import StoredLog
from synthetic_parts import digest_of

WITNESS = "witness.example/1"
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(b"witness of a test".ljust(32, b"."))
WITNESS_VKEY = verifier_key(WITNESS, WITNESS_KEY.public_key(), KeyType.WITNESS)
POLICY = f"witness w {WITNESS_VKEY}\nquorum w\n"
NOBODY = "quorum none\n"


def rule(
    text: str = POLICY, *, no_witnesses: bool = False, now: Callable[[], float] = time.time
) -> RevealRule:
    return RevealRule(policy(text), no_witnesses=no_witnesses, now=now)


def policy(text: str = POLICY) -> Policy:
    return parse_policy(text.encode())


def capsule_json(adapter: str) -> bytes:
    """Stands for what proves an offer."""
    return b'{"capsule":"%s"}' % adapter.encode()


@dataclass
class PublicNode:
    """A node's state at a path."""

    path: Path
    time_s: int = 1_764_000_000
    node: NodeLog = field(init=False)
    publisher: Publisher = field(init=False)

    def __post_init__(self) -> None:
        self.node = NodeLog(StoredLog(self.path))
        self.publisher = Publisher(self.path, capsule_json)

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.path)

    @property
    def folder(self) -> NetworkFolder:
        return NetworkFolder.of(self.path)

    @property
    def public(self) -> Path:
        return self.folder.public

    def trained(self) -> tuple[Entry, str]:
        """An update of the node's own, with its files; the receipt, and the adapter's digest."""
        receipt = self.node.train()
        word = f"adapter {receipt.index - 1}"
        self.keep(self.state.capsule(digest_of(word)), word)
        return receipt, digest_of(word)

    def keep(self, folder: Path, word: str, config: str = "config") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ADAPTER).write_bytes(word.encode())
        (folder / ADAPTER_CONFIG).write_bytes(config.encode())

    def offered(self, receipt: Entry, parent: Iterable[Term] = ()) -> str:
        """An offer of what a receipt made; the adapter's digest."""
        adapter, config = (one.digest.sha256 for one in receipt.statement.subject)
        genesis = self.node.log.state.tasks[TASK].start.digest
        self.node.say(
            OfferStatement,
            UpdateOffer,
            adapter,
            task=TASK,
            update=OfferedUpdate(adapter=adapter, genesis=genesis, parent=tuple(parent)),
            receipt=receipt.leaf_hash,
            receipt_at=receipt.index,
            config=config,
            adapter_bytes=len(f"adapter {receipt.index}"),
            offered_at=AT,
        )
        return adapter

    def opened(self) -> str:
        """The guest holdout retires; its root."""
        root = guest_root(GUESTS, GUEST_KEY)
        folder = self.folder.openings / root
        folder.mkdir(parents=True)
        (folder / EXAMPLES).write_bytes(b"examples")
        self.node.open()
        return root

    def cosign(self) -> int:
        """The witness has seen the newest head; how many entries that covers."""
        self.time_s += 60
        note = parse_note(self.state.checkpoint.read_bytes())
        line = cosign(note.checkpoint, WITNESS, WITNESS_KEY, self.time_s)
        keep_cosigned(self.state.log, with_signatures(note.content, [line]))
        return note.checkpoint.size

    def publish(self, said: RevealRule | None = None, **given: object) -> Publication:
        return self.publisher.publish(said or rule(), **given)

    def shown(self) -> dict[str, bytes]:
        """All that others can see, by path."""
        return shown(self.public)


def shown(public: Path) -> dict[str, bytes]:
    files = (path for path in sorted(public.rglob("*")) if not path.is_dir())
    return {path.relative_to(public).as_posix(): path.read_bytes() for path in files}


def parent_of(*adapters: str) -> tuple[Term, ...]:
    """A list of updates, each of which was trained on those before it."""
    terms: tuple[Term, ...] = ()
    for adapter in adapters:
        terms = (*terms, Term(weight="1", adapter=adapter, parent=list_digest(terms)))
    return terms
