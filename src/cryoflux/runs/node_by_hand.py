"""What a person does to a node by a command: join, and recall an update.

Each is a signed entry first, and takes effect after it. What an entry needs on the disk is there before it:
a crash in between leaves files that nothing names, and never an entry without them.
"""

from __future__ import annotations

__all__ = [
    "Ground",
    "NodeWishes",
    "Recalled",
    "adopted_named",
    "composed_draft",
    "data_of",
    "ground_of",
    "join",
    "known_of",
    "node_of",
    "recall",
    "state_no_witnesses",
]

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cryoflux.data.prepared import PreparedData, open_prepared
from cryoflux.digests import sha256_hex
from cryoflux.errors import ModelError, StateError, UsageError
from cryoflux.files import storage_errors, write_atomic
from cryoflux.network.folder import NetworkFolder
from cryoflux.network_state import NodeState
from cryoflux.receipts.network_statement import (
    Node,
    NodeStatement,
    Recall,
    RecallStatement,
)
from cryoflux.receipts.profiles import PROFILE
from cryoflux.receipts.statement import Base, Sha256Digest, Subject
from cryoflux.registry.adapters import read_adapter
from cryoflux.registry.compose import compose
from cryoflux.registry.composition import Composition
from cryoflux.registry.cuts import Cut, tokens_of
from cryoflux.registry.made import list_of, lists_on_the_way
from cryoflux.registry.parent_lists import adapter_place, keep_lists, parent_lists, updates_of
from cryoflux.registry.shards import TensorFolder
from cryoflux.registry.versions import Version
from cryoflux.runs.by_hand import VersionsByHand
from cryoflux.runs.inputs import stored_origins
from cryoflux.state import HEAD, StateFolder
from cryoflux.task_state import TaskState
from cryoflux.tasks.interface import Metric, Origin, Task, Workplace
from cryoflux.witness.cosigned import log_key_of


@dataclass(frozen=True, slots=True)
class NodeWishes:
    """Who a node says that it is."""

    name: str
    urls: Sequence[str] = ()
    task: str = "lora_delta"


@dataclass(frozen=True, slots=True)
class Ground:
    """What a node stands on: by its attempts, or by what its state was begun with where it has made none."""

    data: PreparedData
    metric: Metric
    genesis: str
    """digest of the version that its lists begin at"""
    profile: str
    """the arithmetic of its losses"""
    cut: Cut


@dataclass(frozen=True, slots=True)
class Recalled:
    """An update that was taken out of a head."""

    capsule: str
    head: Base
    updates: int
    """that the head is the sum of now"""
    same_as_before: bool
    """whether the head is the one from before the update was adopted, byte for byte"""


def join(opened: VersionsByHand, wishes: NodeWishes, ground: Ground) -> bool:
    """Say in the log who the node is; whether that was new.

    Args:
        opened: the state, locked.
        wishes: who it is.
        ground: what it stands on.

    Raises:
        StateTamperedError: its first version is not what was signed.
        StorageError: the disk is full, read-only, or refuses.
    """
    node, genesis = node_of(opened, wishes.task), opened.versions.open(ground.genesis)
    said: dict[str, Any] = {
        "name": wishes.name,
        "log_key": str(log_key_of(opened.state.path)),
        "task": wishes.task,
        "metric": ground.metric,
        "genesis": Base(digest=genesis.digest, files=genesis.files),
        "labels": sha256_hex("\n".join(ground.data.labels).encode()),
        "profile": ground.profile,
        "max_tokens": tokens_of(ground.cut),
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


def state_no_witnesses(opened: VersionsByHand) -> None:
    """Say that the node has no witnesses, so that its own head is enough to reveal what it offers.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    network = NetworkFolder.of(opened.state.path)
    with storage_errors(network.path):
        network.path.mkdir(exist_ok=True)
        write_atomic(network.no_witnesses, b"")


def adopted_named(opened: VersionsByHand, text: str, task: str) -> str:
    """The adopted update that somebody means by its first digits.

    Raises:
        UsageError: none or several begin so.
    """
    adopted = node_of(opened, task).adopted
    found = [capsule for capsule in adopted if text and capsule.startswith(text.lower())]
    if len(found) == 1:
        return found[0]
    if not found and text and (lists := _lists_with(opened.state, adopted, text.lower())):
        raise UsageError(
            f"An update that begins with {text[:64]!r} came in with the whole list {lists[0][:16]}….",
            why="What a list of another node was folded from can only go together.",
            hint=f"Recall the list: cryoflux capsule recall {lists[0][:16]} --reason …{opened.state.flag()}.",
        )
    if not adopted:
        raise UsageError(
            f"No update of others is adopted that begins with {text[:64]!r}.",
            why=f"The head of {task} holds nothing that was adopted.",
            hint=f"See what came of each offer: cryoflux capsule list{opened.state.flag()}.",
        )
    said = ", ".join(f"{capsule[:16]}…" for capsule in list(adopted)[:4])
    if not found:
        raise UsageError(
            f"No adopted update begins with {text[:64]!r}.",
            why=f"The head of {task} has adopted {said}.",
            hint="Name one of these by its first digits.",
        )
    raise UsageError(
        f"{len(found)} adopted updates begin with {text[:64]!r}.",
        why=f"The head of {task} has adopted {said}.",
        hint="Name one of them by its first digits.",
    )


def _lists_with(state: StateFolder, digests: Iterable[str], text: str) -> list[str]:
    """Folded lists of which an update begins with some digits, or has them all."""
    list_of = parent_lists(state.path)
    found = []
    for digest in digests:
        with suppress(ModelError):  # most name an adapter, and no list
            if any(one.adapter.startswith(text) for one in updates_of(list_of(digest), list_of)):
                found.append(digest)
    return found


def recall(opened: VersionsByHand, capsule: str, task: str, reason: str, evidence: str = "") -> Recalled:
    """Take an update out of a head: it becomes the one that never adopted it, byte for byte.

    Args:
        opened: the state, locked.
        capsule: SHA-256 of the adapter's file.
        task: whose head it is.
        reason: in words.
        evidence: SHA-256 of a file that shows why; empty where there is none.

    Raises:
        UsageError: the head has not adopted it, or has it with a list of another node too.
        StateError: an attempt or a round is open.
        ModelError: what is left makes no list.
        StorageError: the disk is full, read-only, or refuses.
    """
    opened.refuse_open()
    known, node, state = known_of(opened, task), node_of(opened, task), opened.state
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
    _keep_lists_without(state, known, due, capsule)
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
    updates = len(updates_of(due.terms, parent_lists(state.path)))
    return Recalled(capsule, head, updates, made.digest in before)


def _keep_lists_without(state: StateFolder, known: TaskState, due: Composition, capsule: str) -> None:
    """Keep the lists that a head hangs on without an update, which may not be in one of them still."""
    for never in ("", capsule):
        lists = lists_on_the_way(known.made, known.head.digest, never=never)
        keep_lists(state.path, lists.values())
    if still := _lists_with(state, (term.adapter for term in due.terms if term.is_list), capsule):
        raise UsageError(
            f"The update {capsule[:16]}… also came in with the list {still[0][:16]}…, folded into one term.",
            why="Without that list too it would stay in the head.",
            hint=f"Recall the list: cryoflux capsule recall {still[0][:16]} --reason …{state.flag()}.",
        )


def _version_of(opened: VersionsByHand, composed: Composition) -> Version:
    """The version that a list makes, kept under its name."""
    if not composed.terms:
        return opened.versions.open(composed.genesis)
    return opened.versions.keep(composed_draft(opened, composed))


def composed_draft(opened: VersionsByHand, composed: Composition) -> Version:
    """The version that a list makes, as a draft.

    Args:
        opened: the state, locked.
        composed: the list, of one update or more.

    Raises:
        ModelError: an update of it, or a list that one was trained on, is not here.
        StorageError: the disk is full, read-only, or refuses.
    """
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
    return opened.versions.derive(genesis, changed)


def known_of(opened: VersionsByHand, task: str) -> TaskState:
    """What the log has come to for a task.

    Raises:
        UsageError: nothing yet.
    """
    if (known := opened.memory.tasks.get(task)) is None:
        raise UsageError(
            f"The log of {opened.state.path} has no attempt of {task} yet.",
            why="A node offers and adopts over the version that its first attempt began with.",
            hint=f"Make one: cryoflux run --budget 500J{opened.state.flag()}.",
        )
    return known


def node_of(opened: VersionsByHand, task: str) -> NodeState:
    """What the log has come to as a node's."""
    return opened.memory.nodes.get(task) or NodeState()


def data_of(opened: VersionsByHand, task: str) -> PreparedData:
    """The data set that a task of a state works with.

    Raises:
        UsageError: the state was not begun with the task.
        StateTamperedError: the data set is damaged.
    """
    known, origin = opened.memory.tasks.get(task), _origin_of(opened, task)
    digest = known.latest.digest if known is not None else origin.data_digest
    return open_prepared(opened.state.data(digest), origin.data_name, origin.rules)


def _origin_of(opened: VersionsByHand, task: str) -> Origin:
    if (origin := stored_origins(opened.state).get(task)) is None:
        raise UsageError(
            f"{opened.state.path} was not begun with the task {task}.",
            why="A node offers and adopts over the version that its state begins with.",
            hint=f"Begin it: cryoflux node init --train FILE --task {task}{opened.state.flag()}.",
        )
    return origin


def ground_of(opened: VersionsByHand, task: Task) -> Ground:
    """What a node stands on for a task that its state was begun with.

    Args:
        opened: the state, locked.
        task: opened for its first version where no attempt says yet in which arithmetic losses are computed.

    Raises:
        UsageError: the state was not begun with the task.
        StateTamperedError: what it was begun with is damaged.
    """
    known, origin = opened.memory.tasks.get(task.name), _origin_of(opened, task.name)
    data = data_of(opened, task.name)
    genesis = known.composition.genesis if known is not None else origin.version
    said = node_of(opened, task.name).node
    profile = said.profile if said is not None else ""
    if known is not None:
        profile = next((profile for _, profile, _ in known.losses), PROFILE)
    elif not profile:
        place = Workplace(opened.state, opened.versions, data, pool_seed=0)
        task.open(place, opened.versions.open(origin.version))
        profile = task.profile("holdout")
    return Ground(data, known.metric if known is not None else task.metric, genesis, profile, origin.cut)
