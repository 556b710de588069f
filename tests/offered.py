"""A state that has trained a small update and offers it, its witnesses, and the capsule of the offer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from safetensors.numpy import save

from cryoflux.digests import sha256_hex
from cryoflux.files import write_atomic
from cryoflux.network.capsule import CheckedCapsule, check_capsule
from cryoflux.network.offering import capsule_content, kept_files, update_of
from cryoflux.receipts.checkpoint import (
    KeyType,
    Note,
    VerifierKey,
    cosign,
    parse_note,
    verifier_key,
    with_signatures,
)
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import OfferStatement, UpdateOffer
from cryoflux.receipts.statement import Section, Sha256Digest, Subject
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.witness.cosigned import log_key_of
from cryoflux.witness.policy import Policy, parse_policy
from node_log import AT, TASK, NodeLog
from plain_log import StoredLog, training

SHAPES = {"layer.query.weight": (6, 8), "classifier.weight": (3, 6), "classifier.bias": (3,)}
RANK = 4
CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "SEQ_CLS",
    "r": RANK,
    "lora_alpha": 8,
    "target_modules": ["layer.query"],
    "modules_to_save": ["classifier"],
    "bias": "none",
}
COMMITTED_S = 1_764_400_000
WITNESSES = {
    name: Ed25519PrivateKey.from_private_bytes(bytes([20 + at]) * 32) for at, name in enumerate("abc")
}


def tensors(seed: int = 0, rank: int = RANK) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    shapes = {
        "layer.query.lora_A.weight": (rank, 8),
        "layer.query.lora_B.weight": (6, rank),
        "classifier.weight": (3, 6),
        "classifier.bias": (3,),
    }
    return {f"base_model.model.{name}": rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}


def settings(**changes: object) -> bytes:
    return json.dumps({**CONFIG, **changes}).encode()


def write_adapter(state: StateFolder, content: bytes, config: bytes) -> Path:
    folder = state.capsule(sha256_hex(content))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(content)
    (folder / "adapter_config.json").write_bytes(config)
    return folder


def write_capsule(state: StateFolder, offer: UpdateOffer, content: bytes, into: Path) -> None:
    """A capsule in a folder: both files of the adapter, where they are what was signed, and the document."""
    adapter = offer.update.adapter
    for name, kept in zip((ADAPTER, ADAPTER_CONFIG), kept_files(state, adapter, offer.config), strict=True):
        write_atomic(into / name, kept)
    write_atomic(into / "capsule.json", content)


@dataclass
class OfferedState:
    """A node that trains, offers, and has its heads cosigned."""

    path: Path
    log: StoredLog = field(init=False)
    node: NodeLog = field(init=False)
    heads: list[Note] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = StoredLog(self.path)
        self.node = NodeLog(self.log)

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.path)

    def train(
        self,
        content: bytes | None = None,
        config: bytes | None = None,
        *,
        kept: bool = True,
        **changes: object,
    ) -> Entry:
        """An update whose receipt names its files, and the list of what it made."""
        content, config = content or save(tensors()), config or settings()
        write_adapter(self.state, content, config)
        intent = self.log.announce()
        made = self.node.composed.adopting(sha256_hex(content))
        fields = {"merge": "compose/v1", "genesis": made.genesis, "list": made.digest, **changes}
        named = {"adapter_model.safetensors": content, "adapter_config.json": config}
        subject = [
            Subject(name=name, digest=Sha256Digest(sha256=sha256_hex(one))) for name, one in named.items()
        ]
        section = Section(kind="plain/v1", fields=fields)
        return self.log.conclude(intent, kept=kept, training=training(section=section), subject=subject)

    def offer(self, made: Entry, /, **changes: object) -> Entry:
        adapter, config = made.statement.subject
        size = (self.state.capsule(adapter.digest.sha256) / adapter.name).stat().st_size
        said = {
            "task": TASK,
            "update": update_of(self.log.entries, made),
            "receipt": made.leaf_hash,
            "receipt_at": made.index,
            "config": config.digest.sha256,
            "adapter_bytes": size,
            "offered_at": AT,
            **changes,
        }
        return self.node.say(OfferStatement, UpdateOffer, adapter.digest.sha256, **said)

    def cosigned(self, by: str = "ab", time_s: int = COMMITTED_S) -> Note:
        """The newest head, cosigned by some witnesses at some time, and remembered."""
        note = parse_note(self.state.checkpoint.read_bytes())
        lines = [cosign(note.checkpoint, f"w.example/{one}", WITNESSES[one], time_s) for one in by]
        self.heads.append(parse_note(with_signatures(note.content, lines)))
        return self.heads[-1]

    @property
    def log_key(self) -> VerifierKey:
        return log_key_of(self.path)

    @property
    def policy_text(self) -> str:
        """Two of three witnesses."""
        keys = {
            one: verifier_key(f"w.example/{one}", key.public_key(), KeyType.WITNESS)
            for one, key in WITNESSES.items()
        }
        lines = [f"witness {one} {key}" for one, key in keys.items()]
        return "\n".join([f"log {self.log_key}", *lines, "group g 2 a b c", "quorum g", ""])

    @property
    def policy(self) -> Policy:
        return parse_policy(self.policy_text.encode())

    def content(self, offer: Entry) -> bytes:
        found = capsule_content(self.state, self.log.entries, offer, self.heads, self.policy)
        assert found is not None
        return found

    def write(self, offer: Entry, into: Path) -> Path:
        said = offer.statement.predicate
        assert isinstance(said, UpdateOffer)
        write_capsule(self.state, said, self.content(offer), into)
        return into

    def checked(self, offer: Entry) -> CheckedCapsule:
        return check_capsule(self.content(offer), self.policy)


def offered_state(
    path: Path, content: bytes | None = None, config: bytes | None = None
) -> tuple[OfferedState, Entry]:
    """A node whose one update is offered and witnessed; with the offer."""
    made = OfferedState(path)
    receipt = made.train(content, config)
    made.node.introduce()
    offer = made.offer(receipt)
    made.cosigned()
    return made, offer
