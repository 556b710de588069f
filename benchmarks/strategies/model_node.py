"""Layer S3, *models*: a node that judges, as a run opens it, but for its meter.

Log, account, versions, task and rounds are the real ones (`cryoflux.network.rounds.run_round`). Its meter
reads a machine of the tests, which draws nothing: what a round costs is no subject here, and a search that
ends when joules do would make the figures depend on the machine. Offers come without the logs and proofs
around them, which other layers are about: admission is given a capsule whose entries hold.
"""

from __future__ import annotations

__all__ = ["ALPHA_PPM", "JudgingNode", "Offered", "begin_node"]

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from cryoflux.attempt.context import Context, Opened, RunTerms
from cryoflux.attempt.orchestrator import run_attempt
from cryoflux.attempt.watch import Observer
from cryoflux.config import load_settings
from cryoflux.data.prepared import open_prepared, render_sets
from cryoflux.decision.rules import BUDGETED
from cryoflux.digests import sha256_hex
from cryoflux.evaluation.cache import LossCache
from cryoflux.files import write_atomic
from cryoflux.network.admission import AdmissionGround, RefusedUpdate, admit
from cryoflux.network.capsule import CheckedCapsule
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.guest import enter_guest
from cryoflux.network.node_place import NodePlace
from cryoflux.network.norms import NormBounds
from cryoflux.network.prices import RoundBounds, UnpaidRound
from cryoflux.network.recording import RoundRecord
from cryoflux.network.round_parts import ChosenOffers, OfferHere
from cryoflux.network.rounds import Walls, run_round
from cryoflux.network.screening import Whose
from cryoflux.network_state import GuestTally, NodeState
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.receipts.network_statement import GuestHoldout, GuestHoldoutStatement, UpdateOffer
from cryoflux.receipts.statement import Rule, Sha256Digest, Subject
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.registry.versions import Versions
from cryoflux.runs.by_hand import versions_by_hand
from cryoflux.runs.inputs import begin, stored_origins
from cryoflux.runs.node_by_hand import recall
from cryoflux.runs.recovery import read_log
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, FIRST_TASK, StateFolder
from cryoflux.tasks.interface import Beginning, Workplace
from cryoflux.tasks.lora.task import LoraTask
from small_context import Machine
from strategies.model_texts import CLASSES, CUT, Labelled, lines_of

ALPHA_PPM = 10_000
MOST_LOOKS = 40
_LABELS = sha256_hex("\n".join(CLASSES).encode())
_RULE = Rule(
    name=BUDGETED, min_delta=2_000_000, min_accuracy_gain_ppm=10_000, z_milli=3090, alpha_ppm=ALPHA_PPM
)
_BUCKET_UJ, _RESERVE_UJ = 10**13, 10**9
_SETTINGS = {"recipes": "prefix-1", "max_steps": "1", "learning_rate": "0.000001"}
_ZERO = "00" * 32


@dataclass(frozen=True)
class Offered:
    """What somebody offers."""

    update: OfferedUpdate
    kind: str
    origin: str
    """of the proposer's log"""
    committed_s: int
    copy_of: str = ""
    """adapter of its original"""
    absent: str = ""
    """why its bytes, or its parent's, cannot be had"""

    @property
    def adapter(self) -> str:
        """SHA-256 of its file."""
        return self.update.adapter

    @property
    def here(self) -> OfferHere:
        """As a round takes it."""
        return OfferHere(
            self.update, self.origin, sha256_hex(self.adapter.encode()), self.committed_s, self.absent
        )


def begin_node(path: Path, rows: Mapping[str, Sequence[Labelled]], save: Any) -> str:
    """Begin a state whose log has one attempt, which learned nothing; the digest of its first version.

    Args:
        path: of the state.
        rows: the sets of its data set.
        save: writes its first version into a folder.
    """
    labels = ('["' + '", "'.join(CLASSES) + '"]\n').encode()
    files, digest = render_sets(
        {part: lines_of(some) for part, some in rows.items()}, {"labels.json": labels}
    )
    begun = begin(StateFolder(path), FIRST_TASK, Beginning("made up", digest, files, save, cut=CUT), {})
    node = JudgingNode(path)
    with closing(node):
        run_attempt(node.context)
        if node.opened.task.head.digest != begun.version:
            raise RuntimeError("the first attempt has learned something")
    return begun.version


class JudgingNode:
    """A node's state, opened.

    Args:
        path: of the state.
        bounds: how far an update may move a tensor.
    """

    def __init__(self, path: Path, bounds: NormBounds | None = None) -> None:
        self.state, self._bounds = StateFolder(path), bounds or NormBounds()
        self._machine = Machine(path.with_name(f"{path.name}-machine"))
        self._sourced = load_settings({**_SETTINGS, "state": str(path)}, environ={}, folder=path)
        self._closed = False
        self._guards: Mapping[str, Path] = {}
        self._seen: list[Offered] = []
        self.context, self.opened = self._open()
        self.context.agent.grant(_BUCKET_UJ, request_id="first", note="")

    def _open(self) -> tuple[Context, Opened]:
        state = self.state
        origin, log = stored_origins(state)[FIRST_TASK], ReceiptLog.open(state.path)
        memory, _ = read_log(log)
        versions, known = Versions(state.path), memory.tasks.get(FIRST_TASK)
        data = open_prepared(state.data(origin.data_digest), origin.data_name, origin.rules)
        task = LoraTask.from_settings(self._sourced)
        task.confirm(origin)
        task.open(
            Workplace(state, versions, data, 0), versions.open(known.head.digest if known else origin.version)
        )
        opened = Opened(task, data, _RULE, partial(memory.tasks.get, FIRST_TASK))
        context = Context(
            state=state,
            agent=self._machine.agent(state.path),
            log=log,
            memory=memory,
            versions=versions,
            losses=LossCache(state.cache / "losses"),
            tasks={FIRST_TASK: opened},
            terms=RunTerms(_RESERVE_UJ, "uniform/v1", 0, "embedded"),
            observer=Observer(),
            stop=lambda: False,
            now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        )
        return context, opened

    def close(self) -> None:
        """Let go of log and account."""
        if self._closed:
            return
        self._closed = True
        self.context.agent.close()  # type: ignore[attr-defined]
        self.context.log.close()

    def enter(self, search: Sequence[Labelled], guest: Sequence[Labelled]) -> None:
        """Set aside what offers are composed with, and enter what judges them."""
        network = NetworkFolder.of(self.state.path)
        network.path.mkdir(exist_ok=True)
        write_atomic(network.search, b"".join(line + b"\n" for line in lines_of(search)), mode=0o600)
        entered = enter_guest(network, lines_of(guest))

        def build(sequence: int, prev: str) -> GuestHoldoutStatement:
            said = GuestHoldout(
                sequence=sequence,
                prev=prev,
                task=FIRST_TASK,
                root=entered.root,
                count=len(guest),
                alpha_ppm=ALPHA_PPM,
                max_looks=MOST_LOOKS,
                source="made up",
                open_by="2126-01-01",
                entered_at=self.context.timestamp(),
            )
            subject = Subject(name="guest-holdout", digest=Sha256Digest(sha256=entered.root))
            return GuestHoldoutStatement(subject=[subject], predicate=said)

        self.context.append(build)

    def guard(self, sets: Mapping[str, Sequence[Labelled]]) -> None:
        """Let rounds be held to guard sets, by name."""
        self._guards = {name: self.state.path.with_name(f"{name}.jsonl") for name in sets}
        for name, rows in sets.items():
            write_atomic(self._guards[name], b"".join(line + b"\n" for line in lines_of(rows)))

    @property
    def tally(self) -> GuestTally | None:
        """The guest holdout in use; none where it has retired."""
        return self.said.guest

    @property
    def said(self) -> NodeState:
        """What its log has come to."""
        return self.context.memory.nodes[FIRST_TASK]

    @property
    def head(self) -> str:
        """Digest of its head."""
        return self.opened.task.head.digest

    @property
    def composed(self) -> Composition:
        """What the head is composed of."""
        return self.opened.composition

    @property
    def adopted(self) -> set[str]:
        """Adapters in the head."""
        return {term.adapter for term in self.composed.terms}

    def round(self, offers: Sequence[Offered]) -> RoundRecord:
        """Make a round of some offers; copies may be of those, and of what was offered before."""
        place = NodePlace.of(self.context, self.opened, self._guards)
        ordered = sorted(offers, key=lambda one: (one.committed_s, one.adapter))
        now = {one.adapter for one in ordered}
        known: list[Whose] = [one.here for one in self._seen if one.adapter not in now and not one.absent]
        self._seen += [one for one in ordered if all(one.adapter != seen.adapter for seen in self._seen)]
        chosen = ChosenOffers([one.here for one in ordered])
        record = run_round(self.context, self.opened, place, chosen, Walls(self._admit, known), RoundBounds())
        if record is None or isinstance(record, UnpaidRound):
            raise ValueError("nothing that is offered is here")
        return record

    def recalled(self, adapters: Sequence[str]) -> Composition:
        """Close the node, and take updates out of its head as a person does: what is left of it."""
        self.close()
        with versions_by_hand(self.state.path, self._sourced.settings, "a recall") as by_hand:
            for adapter in adapters:
                recall(by_hand, adapter, FIRST_TASK, "it obeys a word")
            return by_hand.memory.tasks[FIRST_TASK].composition

    def _admit(self, offer: OfferHere) -> tuple[MemberVerdict, str] | None:
        folder = NetworkFolder.of(self.state.path).capsule(offer.update.adapter)
        genesis = self.context.versions.open(self.composed.genesis)
        shapes = {entry.name: entry.shape for entry in genesis.entries}
        ground = AdmissionGround(self.composed.genesis, _LABELS, shapes, self._bounds)
        found = admit(folder, _checked(offer, folder), ground, _LABELS)
        return (found.verdict, found.why) if isinstance(found, RefusedUpdate) else None


def _checked(offer: OfferHere, folder: Path) -> CheckedCapsule:
    """A capsule whose entries and proofs hold: those are other layers' business."""
    config = (folder / ADAPTER_CONFIG).read_bytes()
    said = UpdateOffer(
        sequence=0,
        prev=_ZERO,
        task=FIRST_TASK,
        update=offer.update,
        receipt=_ZERO,
        receipt_at=0,
        config=sha256_hex(config),
        adapter_bytes=(folder / ADAPTER).stat().st_size,
        offered_at="2026-01-02T03:04:05Z",
    )
    beside: dict[str, Any] = {"log_key": None, "receipt": None}
    return CheckedCapsule(
        update=offer.update,
        committed_s=offer.committed_s,
        offer=said,
        offer_leaf=offer.offer,
        receipt_leaf=_ZERO,
        config_bytes=len(config),
        signer="",
        **beside,
    )
