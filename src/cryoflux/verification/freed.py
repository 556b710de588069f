"""Which older versions are not here, and which of these an entry of the log says were freed.

A version whose files were freed is no damage: the signed entry that says so came first. Who lacks a version
without one has lost it, or withholds it. What such an entry may name is a version that the log has made, and
never a head.
"""

from __future__ import annotations

__all__ = ["AbsentVersions", "KnownVersions", "prune_complaints", "prune_questions"]

from collections.abc import Collection, Iterator

from msgspec import Struct, field

from cryoflux.digests import sha256_hex
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Base, HeadMove, Move, Outcome
from cryoflux.task_state import TaskState
from cryoflux.verification.result import Finding, failed, unknown

_MOST_MISSING = 4096
_MOST_TOLD = 64
_MOST_ENTRIES = 4
"""entries that freed something, named one by one"""


class KnownVersions(Struct):
    """The versions that a log has made, or goes on from, task by task."""

    by_task: dict[str, set[int]] = field(default_factory=dict)
    """each as a short digest: a log may have made very many"""

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        if (intent := entry.intent) is not None:
            if intent.task.name not in self.by_task:
                self._remember(intent.task.name, intent.base)
        elif (receipt := entry.receipt) is not None:
            if receipt.outcome is Outcome.ACCEPTED:
                self._remember(receipt.task.name, receipt.result)
        elif (record := entry.round or entry.recall) is not None:
            self._remember(record.task, record.result)
        elif (fork := entry.fork) is not None:
            for said in fork.tasks:
                self._remember(said.task, said.head)

    def _remember(self, task: str, version: Base) -> None:
        self.by_task.setdefault(task, set()).add(_short(version))

    def has(self, task: str, version: Base) -> bool:
        """Whether a version is one of a task."""
        return _short(version) in self.by_task.get(task, ())


def _short(version: Base) -> int:
    return int(sha256_hex(f"{version.digest} {version.files}".encode())[:15], 16)


def prune_complaints(move: HeadMove, known: KnownVersions) -> Iterator[str]:
    """What is wrong with the versions that an entry frees.

    Args:
        move: what it says.
        known: the versions that the log had made by then.
    """
    if move.move is Move.PRUNE:
        yield from _beside(move)
        yield from _named(move, known)
    elif move.pruned:
        yield "moves a head and frees versions in one"


def _beside(move: HeadMove) -> Iterator[str]:
    if move.result != move.base:
        yield "frees versions, and moves the head by the way"
    if move.evidence or move.test is not None:
        yield "frees versions, and shows losses as if it had judged them"
    if move.quarantined:
        yield "frees versions, and quarantines training examples by the way"
    if not move.pruned:
        yield "frees versions, and names none"


def prune_questions(move: HeadMove, known: TaskState | None) -> Iterator[str]:
    """What stays open about the versions that an entry frees: what others begin at is never freed.

    Args:
        move: what it says.
        known: what the log had come to for its task by then.
    """
    if known is None:
        return
    begins = {known.first.digest, known.start.digest, known.composition.genesis}
    for chain in known.chains.values():
        begins |= {chain.start.digest, chain.composed.genesis}
    for version in move.pruned:
        if version.digest in begins and version.digest != known.head.digest:
            yield f"frees {version.digest[:16]}…, which others begin at: without it they cannot be made again"


def _named(move: HeadMove, known: KnownVersions) -> Iterator[str]:
    if len({version.digest for version in move.pruned}) < len(move.pruned):
        yield "frees a version twice"
    for version in move.pruned:
        if version.digest in {move.base.digest, move.result.digest}:
            yield "frees the version that is the head"
        elif not known.has(move.task, version):
            yield f"frees the version {version.digest[:16]}…, which this log has not made"


class AbsentVersions(Struct):
    """Versions that were heads and are not here, as a log is gone through."""

    missing: dict[str, None] = field(default_factory=dict)
    """digests"""
    pruned: dict[str, int] = field(default_factory=dict)
    """digest of a version that was freed, and was not made or named again since → the entry that says so"""
    entries: dict[int, str] = field(default_factory=dict)
    """entry that freed some → when, as it says"""

    def lack(self, digest: str) -> None:
        """A version that was a head is not here."""
        if len(self.missing) < _MOST_MISSING:
            self.missing[digest] = None

    def move(self, index: int, move: HeadMove) -> None:
        """The next entry that moves a head, or frees versions."""
        for version in move.pruned:
            self.pruned[version.digest] = index
            self.missing.pop(version.digest, None)
            self.entries[index] = move.moved_at
        self.pruned.pop(move.result.digest, None)

    def made(self, digest: str) -> None:
        """A version was kept, for the first time or again."""
        self.pruned.pop(digest, None)

    def findings(self, heads: Collection[str], here: Collection[str]) -> Iterator[Finding]:
        """What is to be said of versions that are not here and that no entry freed.

        Args:
            heads: digests of the heads.
            here: digests of the versions whose folders are here.
        """
        for digest in heads:
            if digest not in here:
                yield failed(f"models/{digest}", "the head model is missing")
        older = [digest for digest in self.missing if digest not in heads and digest not in self.pruned]
        for digest in older[:_MOST_TOLD]:
            yield unknown(f"models/{digest}", "this older model version is not kept here")

    def words(self, here: Collection[str]) -> str:
        """How many were freed, when and by which entries; empty where none was."""
        gone = {index for digest, index in self.pruned.items() if digest not in here}
        count = sum(digest not in here for digest in self.pruned)
        if not count:
            return ""
        told = [f"{self.entries[index][:10]}, by entry {index}" for index in sorted(gone)[-_MOST_ENTRIES:]]
        more = f", and {len(gone) - len(told)} entries before" if len(gone) > len(told) else ""
        versions = "one older version" if count == 1 else f"{count} older versions"
        return f"; {versions} pruned on {' and on '.join(told)}{more}"
