"""All versions that a log knows, task by task: what made each, gained it and cost, and whether it is here.

Folded from the entries of the log in their order, as they are; whether they are to be believed says
`cryoflux verify`. What no log says (versions on the disk that no entry names) is listed as unknown.
"""

from __future__ import annotations

__all__ = [
    "Catalogue",
    "CataloguedVersion",
    "Pruned",
    "TaskVersions",
    "VersionFold",
    "catalogue_from",
    "catalogue_of",
    "default_task",
    "read_catalogue",
]

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from cryoflux.errors import CryoFluxError
from cryoflux.log_state import LogState
from cryoflux.quantities import NANO, Energy
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.network_statement import Recall, RoundResult
from cryoflux.receipts.numbering import AttemptNumbers
from cryoflux.receipts.reading import each_entry
from cryoflux.receipts.round_total import round_words
from cryoflux.receipts.statement import Base, Fork, HeadMove, Intent, Move, Outcome, Receipt
from cryoflux.registry.aliases import read_aliases
from cryoflux.registry.composition import Composition
from cryoflux.registry.made import lists_on_the_way
from cryoflux.registry.parent_lists import names_update
from cryoflux.registry.versions import Versions
from cryoflux.runs.inputs import stored_origins
from cryoflux.state import FIRST_TASK, StateFolder


@dataclass(frozen=True, slots=True)
class Pruned:
    """The entry by which the files of a version were freed."""

    entry: int
    """its place in the log"""
    leaf_hash: str
    at: str
    """when, as the entry says it"""


@dataclass(frozen=True, slots=True)
class CataloguedVersion:
    """A version as the log knows it."""

    digest: str
    files: str
    """SHA-256 of its ``SHA256SUMS``; empty where no entry says it"""
    task: str
    """empty where no entry says it"""
    origin: str
    """``version 0``, ``receipt``, ``round``, ``recall``, ``parent`` (of a fork) or ``unknown``"""
    parent: str = ""
    """digest of the head that it followed; empty where the log begins with it"""
    made_at: int | None = None
    """place of the entry that a move to it has to name; none where no move of this log can lead to it"""
    made_by: str = ""
    """leaf hash of that entry"""
    said_at: str = ""
    """when that was, as the entry says it"""
    attempt: int | None = None
    """number of the attempt that made it"""
    round_number: int | None = None
    """number of the round that made it"""
    task_id: str = ""
    arm: str = ""
    unit: str = ""
    holdout_loss: float | None = None
    delta: float | None = None
    """of its receipt, in its unit"""
    total_delta: float = 0.0
    """Σ Δ of updates of its own along the line that leads to it from where the log began"""
    made_from: str = ""
    """of what others offered a round or a recall made it, in words; empty where its own attempt did"""
    certified: float | None = None
    """Δ that the look of its round certifies at least, in its unit; none where no round made it"""
    energy: Energy | None = None
    """charged to attempts and rounds of its task from the beginning of the log to what made it"""
    composed: Composition | None = None
    """what it is the sum of; none where its list begins at it"""
    pruned: Pruned | None = None
    worse: bool = False
    """whether a rollback or a recall left it behind: it was found to be worse, or rests on what was"""

    @property
    def can_be_made(self) -> bool:
        """Whether entries of this log say what it is the sum of, so that it is not lost with its files."""
        return self.origin == "receipt" or (self.origin in _BY_OTHERS and self.composed is not None)


_BY_OTHERS = frozenset({"round", "recall"})


@dataclass(slots=True)
class TaskVersions:
    """The versions of one task."""

    versions: dict[str, CataloguedVersion] = field(default_factory=dict)
    """by digest, in the order in which they were made"""
    head: str = ""
    spent: Energy | None = None

    def line(self, digest: str) -> list[CataloguedVersion]:
        """The versions from where the log began to one of them, that one last."""
        found: dict[str, CataloguedVersion] = {}
        at = self.versions.get(digest)
        while at is not None and at.digest not in found:
            found[at.digest] = at
            at = self.versions.get(at.parent)
        return [*found.values()][::-1]


class VersionFold:
    """The versions of a log, entry after entry."""

    def __init__(self) -> None:
        self.memory = LogState()
        self.tasks: dict[str, TaskVersions] = {}
        self.parent = ""
        self._numbers = AttemptNumbers()

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        number = self._numbers.take(entry)
        self.memory.take(entry)
        if (intent := entry.intent) is not None:
            self._begin(entry, intent)
        elif (receipt := entry.receipt) is not None:
            self._receipt(entry, receipt, number)
        elif (move := entry.move) is not None:
            self._move(entry, move)
        elif (fork := entry.fork) is not None:
            self._take_up(entry, fork)
        elif (record := entry.round) is not None:
            self._round(entry, record)
        elif (recall := entry.recall) is not None:
            self._recall(entry, recall)

    def _of(self, task: str) -> TaskVersions:
        return self.tasks.setdefault(task, TaskVersions())

    def _begin(self, entry: Entry, intent: Intent) -> None:
        if (name := intent.task.name) not in self.tasks:
            said = (intent.announced_at, intent.metric.unit)
            self._first(name, intent.base, "version 0", entry, said)
            self._of(name).head = intent.base.digest

    def _first(self, task: str, base: Base, origin: str, entry: Entry, said: tuple[str, str]) -> None:
        self._of(task).versions[base.digest] = CataloguedVersion(
            digest=base.digest,
            files=base.files,
            task=task,
            origin=origin,
            made_at=entry.index,
            made_by=entry.leaf_hash,
            said_at=said[0],
            unit=said[1],
        )

    def _take_up(self, entry: Entry, fork: Fork) -> None:
        self.parent = fork.parent.checkpoint.partition("\n")[0]
        for said in fork.tasks:
            when = (fork.forked_at, said.metric.unit)
            self._first(said.task, said.first, "version 0", entry, when)
            if said.head != said.first:
                known = self._of(said.task).versions
                known[said.first.digest] = replace(known[said.first.digest], made_at=None, made_by="")
                self._first(said.task, said.head, "parent", entry, when)
            self._of(said.task).head = said.head.digest

    def _receipt(self, entry: Entry, receipt: Receipt, number: int | None) -> None:
        of = self._of(receipt.task.name)
        charged = receipt.energy.energy
        of.spent = of.spent + charged if of.spent is not None else charged
        if receipt.outcome is not Outcome.ACCEPTED or receipt.evaluation is None:
            return
        said, before = receipt.evaluation, of.versions.get(receipt.base.digest)
        scale = said.read * NANO
        made = self._made(entry, receipt.task.name, (receipt.base, receipt.result), receipt.finished_at)
        self._put_head(
            replace(
                made,
                origin="receipt",
                attempt=number,
                task_id=receipt.task.id,
                arm=receipt.task.arm,
                unit=said.metric.unit,
                holdout_loss=said.new_loss_sum / scale,
                delta=said.delta_sum / scale,
                total_delta=(before.total_delta if before is not None else 0.0) + said.delta_sum / scale,
            )
        )

    def _made(self, entry: Entry, name: str, ends: tuple[Base, Base], at: str) -> CataloguedVersion:
        """A version that an entry made of another one."""
        (base, result), of, task = ends, self._of(name), self.memory.tasks.get(name)
        before = of.versions.get(base.digest)
        composed = task.composition if task is not None else None
        return CataloguedVersion(
            digest=result.digest,
            files=result.files,
            task=name,
            origin="",
            parent=base.digest,
            made_at=entry.index,
            made_by=entry.leaf_hash,
            said_at=at,
            unit=task.metric.unit if task is not None else "",
            total_delta=before.total_delta if before is not None else 0.0,
            energy=of.spent,
            composed=composed if composed is not None and composed.terms else None,
        )

    def _put_head(self, made: CataloguedVersion) -> None:
        of = self._of(made.task)
        of.head = made.digest
        # One that was made before, by another way or the same, is that one, and its files are here again.
        known = of.versions.get(made.digest)
        of.versions[made.digest] = replace(known, pruned=None) if known is not None else made

    def _round(self, entry: Entry, record: RoundResult) -> None:
        of, charged = self._of(record.task), record.energy.energy
        of.spent = of.spent + charged if of.spent is not None else charged
        if record.outcome is RoundOutcome.ACCEPTED:
            made = self._made(entry, record.task, (record.base, record.result), record.finished_at)
            level = record.look.level / NANO if record.look is not None else None
            number = self.memory.rounds
            words = round_words(record, number)
            composed = replace(made, origin="round", round_number=number, made_from=words, certified=level)
            self._put_head(composed)

    def _recall(self, entry: Entry, said: Recall) -> None:
        of, task = self._of(said.task), self.memory.tasks.get(said.task)
        lists = lists_on_the_way(task.made, said.base.digest) if task is not None else {}
        for one in of.line(said.base.digest):
            if one.composed is not None and names_update(one.composed.terms, said.capsule, lists):
                of.versions[one.digest] = replace(one, worse=True)
        made = self._made(entry, said.task, (said.base, said.result), said.recalled_at)
        self._put_head(replace(made, origin="recall", made_from=round_words(said, self.memory.rounds)))

    def _move(self, entry: Entry, move: HeadMove) -> None:
        of = self._of(move.task)
        if move.move is Move.PRUNE:
            freed = Pruned(entry.index, entry.leaf_hash, move.moved_at)
            for base in move.pruned:
                if (known := of.versions.get(base.digest)) is not None:
                    of.versions[base.digest] = replace(known, pruned=freed)
            return
        if move.move is Move.ROLLBACK:
            stays = {one.digest for one in of.line(move.result.digest)}
            for one in of.line(move.base.digest):
                if one.digest not in stays:
                    of.versions[one.digest] = replace(one, worse=True)
        of.head = move.result.digest
        if (known := of.versions.get(of.head)) is not None:
            of.versions[of.head] = replace(known, pruned=None)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The versions of a state."""

    state: StateFolder
    memory: LogState
    """what the log has come to"""
    tasks: dict[str, TaskVersions]
    """by name, in the order in which they began"""
    strange: tuple[CataloguedVersion, ...]
    """versions on the disk that no entry names"""
    aliases: dict[str, str]
    """own alias → digest"""
    present: frozenset[str]
    """digests of the versions whose files are here"""
    parent: str = ""
    """name of the log that this one was forked from; empty where it was not"""

    def champion(self, task: str) -> str:
        """Digest of the best version of a task whose files are here.

        The one with the highest Σ Δ on the holdout, by the log; one that a rollback left behind only where
        there is no other, for the monitor found it worse. Of equals the newest.
        """
        here = [one for one in self.tasks[task].versions.values() if one.digest in self.present]
        # The head of a fork begins at 0 like version 0: what came between is in its parent's log.
        best = max(here[::-1], key=lambda v: (not v.worse, v.total_delta), default=None)
        return best.digest if best is not None else ""

    def names(self, digest: str) -> list[str]:
        """The aliases of a version: ``head``, ``champion``, and those of one's own."""
        found = []
        for task, of in self.tasks.items():
            mine = digest in of.versions
            found += ["head"] if mine and of.head == digest else []
            found += ["champion"] if mine and self.champion(task) == digest else []
        own = [name for name, target in self.aliases.items() if target == digest]
        return [*dict.fromkeys(found), *own]

    def versions(self) -> list[CataloguedVersion]:
        """All of them, task by task, oldest first; those that no entry names last."""
        return [*(one for of in self.tasks.values() for one in of.versions.values()), *self.strange]


def read_catalogue(state: StateFolder) -> Catalogue:
    """The versions of a state, read without changing it.

    Raises:
        StateTamperedError: an entry is not well formed.
        StateError: a newer version wrote one.
    """
    # A state can lose its log; then its models are still there, and nothing says where they came from.
    return catalogue_of(state, each_entry(state.path) if state.receipts.is_file() else ())


def catalogue_of(state: StateFolder, entries: Iterable[Entry]) -> Catalogue:
    """The same of entries that are at hand."""
    fold = VersionFold()
    for entry in entries:
        fold.take(entry)
    return catalogue_from(state, fold)


def catalogue_from(state: StateFolder, fold: VersionFold) -> Catalogue:
    """The same of entries that were folded; what the folder itself says is read now."""
    kept, tasks = Versions(state.path).kept(), {**fold.tasks, **_begun(state, fold)}
    named = {digest for of in tasks.values() for digest in of.versions}
    strange = tuple(CataloguedVersion(one, "", "", "unknown") for one in kept if one not in named)
    own, here = read_aliases(state), frozenset(kept)
    return Catalogue(state, fold.memory, tasks, strange, own, here, fold.parent)


def _begun(state: StateFolder, fold: VersionFold) -> dict[str, TaskVersions]:
    """Tasks that were begun and have no entry yet: version 0 is there, and is the head."""
    found: dict[str, TaskVersions] = {}
    with suppress(CryoFluxError):  # without that file, versions are unknown
        for task, origin in stored_origins(state).items():
            if task not in fold.tasks and state.head(task).is_symlink():
                first = CataloguedVersion(origin.version, "", task, "version 0")
                found[task] = TaskVersions({origin.version: first}, origin.version)
    return found


def default_task(catalogue: Catalogue) -> str:
    """The task that a name is about where none is said: the only one, or the first of ours."""
    names = list(catalogue.tasks)
    return FIRST_TASK if FIRST_TASK in names or not names else names[0]
