"""A node's log over a tiny model that exists: rounds compose real updates, and looks have real losses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tiny
from cryoflux.data.examples import Example
from cryoflux.data.prepared import example_line
from cryoflux.decision.evidence import pair_losses
from cryoflux.digests import sha256_hex, write_checksums
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.guest_tree import sealed_losses_root
from cryoflux.receipts.losses_tree import loss_leaves
from cryoflux.receipts.network_parts import (
    RoundCandidate,
    SealedSums,
)
from cryoflux.receipts.statement import Base
from cryoflux.registry.adapters import read_adapter
from cryoflux.registry.compose import compose
from cryoflux.registry.composition import Composition, Term
from cryoflux.registry.made import list_of
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind, after
from cryoflux.registry.parent_lists import adapter_place, parent_lists
from cryoflux.registry.shards import TensorFolder
from cryoflux.registry.versions import Versions
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.verification.loss_comparison import Found
from cryoflux.verification.weights import version_digest
from node_log import GUEST_KEY, TASK, NodeLog
from plain_log import StoredLog
from synthetic_parts import digest_of

CUT = 32
"""tokens of a text that the attempts of `plain_log` read"""
GUESTS = 240
LATER_AT = "2026-11-25T02:00:00Z"
_RANK = 4
_CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "SEQ_CLS",
    "r": _RANK,
    "lora_alpha": 8,
    "target_modules": ["query"],
    "modules_to_save": ["classifier"],
    "bias": "none",
}
_QUERY = "bert.encoder.layer.1.attention.self.query"


def tiny_genesis(state: StateFolder, made: Path) -> Base:
    """A tiny classifier as the first version of a state."""
    tiny.make_classifier(made)
    files = write_checksums(made)
    digest = version_digest(made)
    state.model(digest).parent.mkdir(parents=True)
    made.rename(state.model(digest))
    return Base(digest=digest, files=files)


def scores_of(folder: Path, rows: list[tuple[str, str]]) -> Any:
    """What the head of a model is given, for some texts."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokens = tokenizer([text for text, _ in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        return model.bert(**tokens).pooler_output


@dataclass
class RealRounds:
    """A state whose log begins with an attempt that was stopped; updates of others lie in it."""

    path: Path
    lines: list[bytes] = field(init=False)
    log: StoredLog = field(init=False)
    node: NodeLog = field(init=False)
    genesis: Base = field(init=False)

    def __post_init__(self) -> None:
        self.path.mkdir()
        self.genesis = tiny_genesis(self.state, self.path / "draft")
        rows = tiny.sentences(GUESTS, 3)
        self.lines = [example_line(Example(text, label)) for text, label in rows]
        self.log = StoredLog(self.path)
        self.log.heads[TASK] = self.genesis
        self.node = NodeLog(self.log, lines=list(self.lines), open_by="2126-01-01")
        self.log.abort(self.log.announce())
        self.node.introduce()
        self.node.enter()

    @property
    def head(self) -> Base:
        return self.log.state.tasks[TASK].head

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.path)

    def update(self, seed: int, *, helps: bool = True) -> str:
        """An update of a fitted head, and of a product that moves a weight a little.

        Args:
            seed: draws the texts that it is fitted to.
            helps: else it takes each class for the next one.
        """
        import torch
        from safetensors.torch import save

        torch.manual_seed(seed)
        rows, labels = tiny.sentences(300, seed), sorted(tiny.TOPICS)
        given = scores_of(self.state.model(self.genesis.digest), rows)
        due = torch.tensor([(labels.index(label) + (not helps)) % len(labels) for _, label in rows])
        mean, spread = given.mean(0), given.std(0)
        head = torch.nn.Linear(given.shape[1], len(labels))
        steps = torch.optim.Adam(head.parameters(), lr=0.05)
        for _ in range(80):
            steps.zero_grad()
            torch.nn.functional.cross_entropy(head((given - mean) / spread), due).backward()
            steps.step()
        weight = head.weight.detach() / spread
        tensors = {
            f"{_QUERY}.lora_A.weight": 0.001 * torch.randn(_RANK, 32),
            f"{_QUERY}.lora_B.weight": 0.001 * torch.randn(32, _RANK),
            "classifier.weight": weight,
            "classifier.bias": head.bias.detach() - weight @ mean,
        }
        content = save({f"base_model.model.{name}": value.contiguous() for name, value in tensors.items()})
        folder = self.path / "network" / "incoming" / sha256_hex(content)
        folder.mkdir(parents=True)
        (folder / ADAPTER).write_bytes(content)
        (folder / ADAPTER_CONFIG).write_text(json.dumps(_CONFIG))
        return folder.name

    def version(self, composed: Composition) -> Base:
        """What a list adds up to, kept in the state."""
        import torch

        if not composed.terms:
            return self.genesis
        versions, place = Versions(self.path), adapter_place(self.state)
        genesis = versions.open(self.genesis.digest)
        sums = compose(
            composed,
            TensorFolder(genesis.folder),
            lambda adapter: read_adapter(place(adapter), adapter),
            parent_lists(self.path),
        )
        changed = {name: torch.from_numpy(value) for name, value in sums.rounded().items()}
        made = versions.derive(genesis, changed)
        kept = versions.keep(made)
        return Base(digest=kept.digest, files=kept.files)

    def losses(self, version: Base) -> Found:
        """Losses of a version on the guest holdout."""
        from cryoflux.tasks.lora.again import TorchRecomputer

        examples = self.path / "guests.jsonl"
        examples.write_bytes(b"".join(line + b"\n" for line in self.lines))
        return TorchRecomputer(max_tokens=CUT).evaluate(self.state.model(version.digest), examples)

    def announce(self, adapter: str) -> Entry:
        offer = digest_of(f"offer of {adapter}")
        return self.node.announce([RoundCandidate(capsule=adapter, origin="log.example/2", offer=offer)])

    def round(
        self,
        adapter: str,
        *,
        weight: str = "1",
        kind: StepKind = StepKind.ADD,
        parent: tuple[Term, ...] = (),
        swapped: Base | None = None,
        invents: Callable[[SealedSums], SealedSums] = lambda said: said,
        root_over: Callable[[Found, Found], tuple[Found, Found]] = lambda base, new: (base, new),
    ) -> Entry:
        """Announce and record a round that takes one update; a lie may be put in its place.

        Args:
            adapter: the update.
            weight: how much of it.
            kind: of the step.
            parent: the list that it was trained on.
            swapped: the version that it says it composed.
            invents: what is sealed in place of its sums.
            root_over: losses that its root is over.
        """
        known = self.log.state.tasks[TASK]
        update = OfferedUpdate(adapter=adapter, genesis=known.composition.genesis, parent=parent)
        steps = [ListStep(kind=kind, update=update, amount=weight)]
        head, composed, announced = known.head, after(known.composition, steps), self.announce(adapter)
        intent = announced.round_intent
        assert intent is not None
        candidate = swapped or self.version(composed)
        base, new = self.losses(head), self.losses(candidate)
        found, told = pair_losses(base[0], new[0]), root_over(base, new)
        sums = invents(
            SealedSums(
                base=head,
                candidate=candidate,
                profile="f64-nanonat/v1",
                base_loss_sum=found.base_loss,
                new_loss_sum=found.new_loss,
                delta_squared_sum=str(found.delta_squared),
            )
        )
        leaves = loss_leaves(range(GUESTS), told[0][0], told[1][0], told[0][1], told[1][1])
        root = sealed_losses_root(leaves, GUEST_KEY, announced.leaf_hash)
        return self.node.conclude(announced, steps, sums, root)

    def recall(self, adapter: str, result: Base | None = None) -> Entry:
        """Take an update out; ``result`` is a version that is said to be left."""
        known = self.log.state.tasks[TASK]
        due = list_of(known.made, known.head.digest, never=adapter)
        assert due is not None
        return self.node.recall(adapter, result or self.version(due), LATER_AT)

    def point_head(self) -> Path:
        """The link to the head follows the log; the state."""
        link = self.state.head()
        link.unlink(missing_ok=True)
        link.symlink_to(Path("models") / self.head.digest)
        return self.path

    def open(self) -> Path:
        """Retire the guest holdout; the file of its examples, whatever they are by now."""
        (root,) = self.log.state.nodes[TASK].guests
        content = b"".join(line + b"\n" for line in self.lines)
        self.node.open(sha256_hex(content), LATER_AT)
        folder = self.path / "network" / "openings" / root
        folder.mkdir(parents=True)
        (folder / "examples.jsonl").write_bytes(content)
        return folder / "examples.jsonl"
