"""What a person does to a node by a command: join, enter a guest holdout, recall an update, retire a holdout.

Each is a signed entry first, and takes effect after it. What an entry needs on the disk is there before it:
a crash in between leaves files that nothing names, and never an entry without them.
"""

from __future__ import annotations

__all__ = [
    "GuestWishes",
    "NodeWishes",
    "Recalled",
    "Retired",
    "enter",
    "join",
    "recall",
    "retire",
    "show_opened",
]

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryoflux.data.columns import Wishes
from cryoflux.data.examples import Example
from cryoflux.data.fold import fold
from cryoflux.data.formats import read_arrived
from cryoflux.data.near import find_near
from cryoflux.data.prepared import PreparedData, example_line, open_prepared
from cryoflux.digests import sha256_hex
from cryoflux.errors import DataError, StateError, UsageError
from cryoflux.files import storage_errors, sync_folder, write_atomic
from cryoflux.network.folder import EXAMPLES, NetworkFolder
from cryoflux.network.guest import GuestFolder, enter_guest, open_guest
from cryoflux.network_state import GuestTally, NodeState
from cryoflux.receipts.contract_parts import OpenedContractLook, look_name
from cryoflux.receipts.network_parts import OpenedRound, SealedSums
from cryoflux.receipts.network_statement import (
    GuestHoldout,
    GuestHoldoutStatement,
    Node,
    NodeStatement,
    Opening,
    OpeningStatement,
    Recall,
    RecallStatement,
    WhyOpened,
)
from cryoflux.receipts.profiles import PROFILE
from cryoflux.receipts.statement import Base, Sha256Digest, Subject
from cryoflux.registry.adapters import read_adapter
from cryoflux.registry.compose import compose
from cryoflux.registry.composition import Composition
from cryoflux.registry.cuts import tokens_of
from cryoflux.registry.made import list_of, lists_on_the_way
from cryoflux.registry.parent_lists import adapter_place, keep_lists, parent_lists
from cryoflux.registry.shards import TensorFolder
from cryoflux.registry.versions import Version
from cryoflux.runs.by_hand import VersionsByHand
from cryoflux.runs.inputs import stored_origins
from cryoflux.state import HEAD
from cryoflux.task_state import TaskState
from cryoflux.witness.cosigned import log_key_of

LEAST_GUESTS = 100
"""examples; fewer show nothing of the size that updates have"""
MOST_GUESTS = 20_000


@dataclass(frozen=True, slots=True)
class NodeWishes:
    """Who a node says that it is."""

    name: str
    urls: Sequence[str] = ()
    task: str = "lora_delta"


@dataclass(frozen=True, slots=True)
class GuestWishes:
    """A guest holdout that is to be entered."""

    file: Path
    alpha_ppm: int = 10_000
    """error over its life, parts per million"""
    max_looks: int = 40
    days: int = 90
    """after which it is opened, whatever it was used for"""
    wishes: Wishes = field(default_factory=Wishes)
    """how its file is to be read"""


@dataclass(frozen=True, slots=True)
class Entered:
    """A guest holdout that is in the log."""

    root: str
    count: int
    known: int
    """rows that are like a text that the state trains on or judges by, and were left out"""
    strange: int
    """rows of a class that the model has not"""


@dataclass(frozen=True, slots=True)
class Recalled:
    """An update that was taken out of a head."""

    capsule: str
    head: Base
    updates: int
    """that the head is the sum of now"""
    same_as_before: bool
    """whether the head is the one from before the update was adopted, byte for byte"""


@dataclass(frozen=True, slots=True)
class Retired:
    """A guest holdout that was opened."""

    root: str
    looks: int
    kept: int
    examples: Path


def join(opened: VersionsByHand, wishes: NodeWishes) -> bool:
    """Say in the log who the node is; whether that was new.

    Args:
        opened: the state, locked.
        wishes: who it is.

    Raises:
        UsageError: the state has no such task.
        StorageError: the disk is full, read-only, or refuses.
    """
    known, node = _known(opened, wishes.task), _node(opened, wishes.task)
    data = _data(opened, known, wishes.task)
    origin = stored_origins(opened.state)[wishes.task]
    genesis = opened.versions.open(known.composition.genesis)
    said: dict[str, Any] = {
        "name": wishes.name,
        "log_key": str(log_key_of(opened.state.path)),
        "task": wishes.task,
        "metric": known.metric,
        "genesis": Base(digest=genesis.digest, files=genesis.files),
        "labels": sha256_hex("\n".join(data.labels).encode()),
        "profile": next((profile for _, profile, _ in known.losses), PROFILE),
        "max_tokens": tokens_of(origin.cut),
        "urls": list(wishes.urls),
    }
    if node.node is not None and all(getattr(node.node, key) == value for key, value in said.items()):
        return False
    subject = [Subject(name=HEAD, digest=Sha256Digest(sha256=genesis.files))]

    def build(sequence: int, prev: str) -> NodeStatement:
        at: dict[str, Any] = {"sequence": sequence, "prev": prev, "stated_at": opened.timestamp()}
        return NodeStatement(subject=subject, predicate=Node(**said, **at, supersedes=node.node_leaf))

    opened.append(build)
    opened.published(binding=False)
    return True


def enter(opened: VersionsByHand, task: str, wishes: GuestWishes) -> Entered:
    """Enter a guest holdout: its examples stay here, its root goes into the log.

    Args:
        opened: the state, locked.
        task: whose offers it judges.
        wishes: what it is to be.

    Raises:
        DataError: the file cannot be read, or too few of its rows can judge.
        StorageError: the disk is full, read-only, or refuses.
    """
    known = _known(opened, task)
    data = _data(opened, known, task)
    lines, copies, strange = _guests(data, wishes)
    guest = enter_guest(NetworkFolder.of(opened.state.path), lines)
    until = (opened.now() + timedelta(days=wishes.days)).date().isoformat()

    def build(sequence: int, prev: str) -> GuestHoldoutStatement:
        said = GuestHoldout(
            sequence=sequence,
            prev=prev,
            task=task,
            root=guest.root,
            count=len(lines),
            alpha_ppm=wishes.alpha_ppm,
            max_looks=wishes.max_looks,
            source=f"{wishes.file.name}: {len(lines)} examples that were not trained on",
            open_by=until,
            entered_at=opened.timestamp(),
        )
        subject = Subject(name="guest-holdout", digest=Sha256Digest(sha256=guest.root))
        return GuestHoldoutStatement(subject=[subject], predicate=said)

    opened.append(build)
    opened.published(binding=False)
    return Entered(guest.root, len(lines), copies, strange)


def _guests(data: PreparedData, wishes: GuestWishes) -> tuple[list[bytes], int, int]:
    """The lines of a guest holdout; how many rows were like known texts, and how many of strange classes."""
    rows = [example for _, example in read_arrived(wishes.file, wishes.wishes).numbered]
    classes = set(data.labels)
    own = [example.text for name in data.sets for example in data.examples(name)]
    taken, fresh = {fold(text) for text in own}, list[Example]()
    strange = sum(row.label not in classes for row in rows)
    for row in rows:
        if row.label in classes and (folded := fold(row.text)) not in taken:
            taken.add(folded)
            fresh.append(Example(row.text, row.label))
    near = find_near([one.text for one in fresh], own).near
    lines = [example_line(one) for at, one in enumerate(fresh) if at not in near][:MOST_GUESTS]
    if len(lines) < LEAST_GUESTS:
        raise DataError(
            f"{wishes.file} has {len(lines)} examples that could judge, and {LEAST_GUESTS} are needed.",
            why=f"Of its {len(rows)} rows {strange} are of no class of the model, and "
            f"{len(rows) - strange - len(lines)} are like texts that this state trains on or judges by.",
            hint="Name a file of fresh labelled texts: cryoflux node init --guest FILE.",
        )
    return lines, len(rows) - strange - len(lines), strange


def recall(opened: VersionsByHand, capsule: str, task: str, reason: str, evidence: str = "") -> Recalled:
    """Take an update out of a head: it becomes the one that never adopted it, byte for byte.

    Args:
        opened: the state, locked.
        capsule: SHA-256 of the adapter's file.
        task: whose head it is.
        reason: in words.
        evidence: SHA-256 of a file that shows why; empty where there is none.

    Raises:
        UsageError: the head has not adopted it.
        StateError: an attempt or a round is open.
        ModelError: what is left makes no list.
        StorageError: the disk is full, read-only, or refuses.
    """
    opened.refuse_open()
    known, node, state = _known(opened, task), _node(opened, task), opened.state
    if capsule not in node.adopted:
        raise UsageError(
            f"The head of {task} has not adopted {capsule[:16]}….",
            why="Only what a round adopted can be recalled.",
            hint=f"What it has adopted is listed by: cryoflux capsule list{state.flag()}.",
        )
    due = list_of(known.made, known.head.digest, never=capsule)
    if due is None:
        raise StateError(
            "How the head was made is not remembered back to its genesis.",
            why="Without that nobody can say what it would be without the update.",
            hint="Go back to a version before it: cryoflux models rollback.",
        )
    keep_lists(state.path, lists_on_the_way(known.made, known.head.digest).values())
    made = _version_of(opened, due)
    base, before = known.head, set(known.makers)

    def build(sequence: int, prev: str) -> RecallStatement:
        said = Recall(
            sequence=sequence,
            prev=prev,
            task=task,
            capsule=capsule,
            base=base,
            result=Base(digest=made.digest, files=made.files),
            composed=due.digest,
            reason=reason,
            recalled_at=opened.timestamp(),
            evidence=evidence,
        )
        subject = Subject(name=HEAD, digest=Sha256Digest(sha256=made.files))
        return RecallStatement(subject=[subject], predicate=said)

    opened.append(build)
    opened.published(binding=True)
    opened.versions.point_head(made.digest, task, opened.memory.list_of)
    head = Base(digest=made.digest, files=made.files)
    return Recalled(capsule, head, len(due.terms), made.digest in before)


def _version_of(opened: VersionsByHand, composed: Composition) -> Version:
    """The version that a list makes, kept under its name."""
    if not composed.terms:
        return opened.versions.open(composed.genesis)
    import torch

    state = opened.state
    genesis = opened.versions.open(composed.genesis)
    place = adapter_place(state)
    sums = compose(
        composed,
        TensorFolder(genesis.folder),
        lambda adapter: read_adapter(place(adapter), adapter),
        parent_lists(state.path),
    )
    changed = {name: torch.from_numpy(value) for name, value in sums.rounded().items()}
    return opened.versions.keep(opened.versions.derive(genesis, changed))


def retire(opened: VersionsByHand, task: str, root: str = "", *, why: WhyOpened | None = None) -> Retired:
    """Open a guest holdout: from here on anybody can make each of its verdicts again, and it gives no more.

    Args:
        opened: the state, locked.
        task: whose offers it judged.
        root: of it; the one in use, or else the oldest that is not opened, where it is empty.
        why: it retires; found out where it is none.

    Raises:
        UsageError: there is none that could be opened.
        StateError: a round is open.
        StateTamperedError: it is not what the log names.
        StorageError: the disk is full, read-only, or refuses.
    """
    opened.refuse_open()
    node, network = _node(opened, task), NetworkFolder.of(opened.state.path)
    show_opened(opened, task)  # of one whose command died after its entry
    tally = _to_open(opened, node, root)
    guest = open_guest(network, tally.said.root)
    rounds = [
        OpenedRound(intent=look.intent, sums=_sums(guest, look.intent, f"round {look.intent[:16]}…"))
        for look in tally.looks
    ]
    for_contracts = [
        OpenedContractLook(
            contract=terms.digest,
            window=look.window,
            sums=_sums(guest, look_name(terms.digest, look.window), f"contract {terms.digest[:16]}…"),
        )
        for terms, look in node.contract_looks(guest.root)
    ]
    said = why or _why(tally, opened.now().date().isoformat())

    def build(sequence: int, prev: str) -> OpeningStatement:
        opening = Opening(
            sequence=sequence,
            prev=prev,
            task=task,
            root=guest.root,
            key=guest.key.hex(),
            examples=sha256_hex(guest.content),
            count=len(guest.examples),
            why=said,
            rounds=rounds,
            opened_at=opened.timestamp(),
            contract_looks=for_contracts,
        )
        subject = Subject(name=EXAMPLES, digest=Sha256Digest(sha256=sha256_hex(guest.content)))
        return OpeningStatement(subject=[subject], predicate=opening)

    opened.append(build)
    show_opened(opened, task)
    opened.published(binding=False)
    return Retired(guest.root, len(rounds), tally.kept, network.openings / guest.root / EXAMPLES)


def _sums(guest: GuestFolder, name: str, of: str) -> SealedSums:
    if (shown := guest.look(name)) is None:
        raise StateError(
            f"The look of {of} is not here.",
            why="An opening shows every look of its guest holdout, or none of them counts.",
            hint=f"Restore {guest.path} from a backup.",
        )
    return shown.sums


def _to_open(opened: VersionsByHand, node: NodeState, root: str) -> GuestTally:
    closed = [tally for tally in node.guests.values() if not tally.opened]
    found = [tally for tally in closed if not root or tally.said.root.startswith(root)]
    if not found:
        raise UsageError(
            "There is no guest holdout that could be opened.",
            why="Every one that this log entered is open." if node.guests else "This log has entered none.",
            hint=f"Enter one: cryoflux node init --guest FILE{opened.state.flag()}.",
        )
    return next((tally for tally in found if tally is node.guest), found[0])


def _why(tally: GuestTally, today: str) -> WhyOpened:
    if len(tally.looks) >= tally.said.max_looks:
        return WhyOpened.LOOKS
    if tally.budget.exhausted:
        return WhyOpened.WORN
    return WhyOpened.DATE if today >= tally.said.open_by else WhyOpened.ASKED


def show_opened(opened: VersionsByHand, task: str) -> None:
    """Put the examples of guest holdouts where others find them: of those that the log has opened alone.

    Args:
        opened: the state, locked.
        task: whose offers they judged.

    Raises:
        StateTamperedError: one is not what the log names.
        StorageError: the disk is full, read-only, or refuses.
    """
    network = NetworkFolder.of(opened.state.path)
    for root, tally in _node(opened, task).guests.items():
        place = network.openings / root / EXAMPLES
        if tally.opened and not place.is_file():
            content = open_guest(network, root).content
            with storage_errors(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(place, content)
                sync_folder(place.parent)


def _known(opened: VersionsByHand, task: str) -> TaskState:
    if (known := opened.memory.tasks.get(task)) is None:
        raise UsageError(
            f"The log of {opened.state.path} has no attempt of {task} yet.",
            why="A node offers and adopts over the version that its first attempt began with.",
            hint=f"Make one: cryoflux run --budget 500J{opened.state.flag()}.",
        )
    return known


def _node(opened: VersionsByHand, task: str) -> NodeState:
    return opened.memory.nodes.get(task) or NodeState()


def _data(opened: VersionsByHand, known: TaskState, task: str) -> PreparedData:
    origin = stored_origins(opened.state)[task]
    return open_prepared(opened.state.data(known.latest.digest), origin.data_name, origin.rules)
