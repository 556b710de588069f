"""What a person does to the versions of a state: promote one, go back to one, free some.

Each is a signed entry of the log first, and takes effect after it: the head's link and the files follow the
log. What a crash left in between is repaired before anything else is done. Nothing else may be at work in the
state, and no attempt may be open: its receipt would name a head that had moved.

Where somebody chose a version, the entry is a ``promotion``, whichever way the head goes: a ``rollback`` says
that a version was found to be worse, and carries the test that found it.
"""

from __future__ import annotations

__all__ = ["VersionsByHand", "refuse_open", "versions_by_hand", "witnesses_of"]

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.attempt.context import Context, RunTerms
from cryoflux.attempt.moving import write_move
from cryoflux.config import Settings
from cryoflux.decision.reason import Reason
from cryoflux.energy.interface import JouleAgent
from cryoflux.errors import StateError, UsageError
from cryoflux.evaluation.cache import LossCache
from cryoflux.files import lock_exclusively
from cryoflux.log_state import LogState
from cryoflux.receipts.entry import AnyStatement, Entry
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Base, Move
from cryoflux.registry.aliases import set_alias
from cryoflux.registry.versions import Versions
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion, catalogue_of
from cryoflux.runs.pruning import PrunePlan, prune_entries
from cryoflux.runs.watch import RunObserver
from cryoflux.state import StateFolder
from cryoflux.task_tallies import MadeBy

if TYPE_CHECKING:
    from cryoflux.witness.client import Collected
    from cryoflux.witness.witnessing import Witnessing


@dataclass(slots=True)
class VersionsByHand:
    """A state that is locked and repaired, to change its versions."""

    state: StateFolder
    catalogue: Catalogue
    versions: Versions
    _log: ReceiptLog
    _witnessing: Witnessing | None
    _now: Callable[[], datetime]
    witnessed: Collected | None = None
    """what witnesses made of the head that is left behind, once all is done; none where there are none"""

    def move(self, to: CataloguedVersion, code: str, why: str) -> Entry:
        """Make a kept version the head of its task.

        Args:
            to: the version.
            code: of the reason: ``promoted``, ``taken-back``.
            why: in words.

        Raises:
            UsageError: it is the head, is not here, or no entry of this log made it.
            StateError: an attempt is open, or a quorum of witnesses is required and was not reached.
            StateTamperedError: its files are not what was signed.
            StorageError: the disk is full, read-only, or refuses.
        """
        self.movable(to)
        self.versions.open(to.digest)  # every byte of it is checked
        assert to.made_at is not None  # noqa: S101 - asked for by `movable`
        made = MadeBy(Base(digest=to.digest, files=to.files), to.made_at, to.made_by)
        reason = Reason(code=code, numbers={"why": why})
        return write_move(self, to.task, Move.PROMOTION, made, reason)

    def movable(self, to: CataloguedVersion) -> Base:
        """The head that a version would follow.

        Raises:
            UsageError, StateError: it cannot become the head, as for `move`.
        """
        known = self.catalogue.memory.tasks.get(to.task)
        self.refuse_open()
        listing = f"cryoflux models list{self.state.flag()}"
        if known is None or to.made_at is None:
            raise UsageError(
                f"No entry of this log made {to.digest[:16]}….",
                why="A move names the entry that made the version, so that anybody can follow it.",
                hint=f"Versions that can become the head are listed by: {listing}.",
            )
        if to.digest == known.head.digest:
            raise UsageError(
                f"{to.digest[:16]}… is the head of {to.task} already.",
                why="Nothing was changed.",
                hint=f"What is what is listed by: {listing}.",
            )
        if to.digest not in self.catalogue.present:
            raise _absent(to, self.state)
        return known.head

    def refuse_open(self) -> None:
        """Refuse while an attempt is open: the next run closes what a dead run left.

        Raises:
            StateError: one is.
        """
        refuse_open(self.catalogue.memory, self.state)

    def prune(self, plan: PrunePlan) -> list[Entry]:
        """Free the files of some versions: the entries first.

        Raises:
            StateError: an attempt is open, or a quorum of witnesses is required and was not reached.
            StorageError: the disk is full, read-only, or refuses.
        """
        self.refuse_open()
        written = [self.append(build) for build in prune_entries(self.catalogue, plan, self.timestamp)]
        if written:
            self.published(binding=True)
        for one in plan.going:
            self.versions.free(one.digest)
        return written

    def alias(self, name: str, to: CataloguedVersion) -> None:
        """Let a name of one's own lead to a version.

        Raises:
            UsageError: the name is none, or the version is not here.
            StateError, StorageError: it cannot be written.
        """
        if to.digest not in self.catalogue.present:
            raise _absent(to, self.state)
        self.versions.fill(to.digest)  # other programs load it by that name
        set_alias(self.state, name, to.digest)

    @property
    def memory(self) -> LogState:
        """What the log has come to."""
        return self.catalogue.memory

    @property
    def origin(self) -> str:
        """Of the log."""
        return self._log.origin

    def entries(self) -> Iterator[Entry]:
        """All that the log says, in order."""
        return self._log.entries()

    def append(self, build: Callable[[int, str], AnyStatement], /) -> Entry:
        """Write an entry, and remember it."""
        entry = self._log.append(build)
        self.memory.take(entry)
        return entry

    def context(self, agent: JouleAgent, terms: RunTerms) -> Context:
        """What a session works with that makes no attempt.

        Args:
            agent: that meters.
            terms: of the session.
        """
        return Context(
            state=self.state,
            agent=agent,
            log=self._log,
            memory=self.memory,
            versions=self.versions,
            losses=LossCache(self.state.cache / "losses"),
            tasks={},
            terms=terms,
            observer=RunObserver(),
            stop=lambda: False,
            now=self._now,
            witnessing=self._witnessing,
        )

    def published(self, *, binding: bool) -> None:
        """The log has a new head: offer it to the witnesses, if there are any.

        Raises:
            StateError: a quorum is required for that, and was not reached.
        """
        if self._witnessing is not None:
            self._witnessing.published(binding=binding)

    def now(self) -> datetime:
        """Wall time, UTC; a label."""
        return self._now()

    def timestamp(self) -> str:
        """Wall time as an entry writes it."""
        return self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _absent(version: CataloguedVersion, state: StateFolder) -> UsageError:
    gone = version.pruned
    how = f"was pruned on {gone.at[:10]}, by entry {gone.entry}" if gone is not None else "is not here"
    return UsageError(
        f"{version.digest[:16]}… {how}.",
        why="Its files would be needed.",
        hint=f"Make it again first: cryoflux models rebuild {version.digest[:16]}{state.flag()}.",
    )


@contextmanager
def versions_by_hand(
    path: Path,
    settings: Settings,
    holder: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    begin: Callable[[StateFolder], None] | None = None,
) -> Iterator[VersionsByHand]:
    """Lock a state, repair what a crash left, and let its versions be changed.

    Args:
        path: the state.
        settings: which witnesses its log has.
        holder: the command, for whoever comes while it is at work.
        now: wall time, UTC; a label.
        begin: begins the state, where it is new; without it, one that holds no receipts is refused.

    Raises:
        UsageError: the state holds no receipts.
        StateLockedError: something is at work in it.
        StateTamperedError: its log is not what was signed.
        StateError: a quorum of witnesses is required and was not reached.
    """
    state = StateFolder(path)
    if begin is None and not state.receipts.is_file():
        raise UsageError(
            f"{path} holds no receipts.",
            why="Versions are made by a run, and an entry of its log says which one is the head.",
            hint="Name another state with --state DIR, or make one with cryoflux run.",
        )
    with ExitStack() as held:
        held.enter_context(lock_exclusively(state.lock, holder=holder))
        if begin is not None:
            begin(state)
        log = held.enter_context(closing(ReceiptLog.open(path)))
        witnessing = held.enter_context(witnesses_of(settings, path))
        versions = Versions(path)
        _repair(catalogue_of(state, log.entries()), versions)
        opened = VersionsByHand(state, catalogue_of(state, log.entries()), versions, log, witnessing, now)
        yield opened
        if witnessing is not None:
            opened.witnessed = witnessing.finish()


def refuse_open(memory: LogState, state: StateFolder) -> None:
    """Refuse while an attempt is open: the next run closes what a dead run left.

    Args:
        memory: what the log of the state has come to.
        state: it, unlocked for nobody else.

    Raises:
        StateError: one is.
    """
    if memory.open or any(node.open for node in memory.nodes.values()):
        raise StateError(
            "An attempt or a round of this state has no receipt yet: the run that announced it has died.",
            why="Its receipt has to come before anything else is written.",
            hint=f"The next run writes it: type cryoflux run{state.flag()} once, then this again.",
        )


@contextmanager
def witnesses_of(settings: Settings, path: Path) -> Iterator[Witnessing | None]:
    """The witnesses of a state's log, by the settings; none where nobody is trusted with that.

    Args:
        settings: which ones, and whether their word is required.
        path: the state.

    Raises:
        StateError: a quorum is required for what the log says by now, and was not reached.
    """
    chosen = settings.witness
    if not chosen.trust:
        yield None
        return
    from cryoflux.witness.policy import read_policy
    from cryoflux.witness.witnessing import open_witnessing

    policy = read_policy(Path(chosen.trust))
    opened = open_witnessing(path, policy, chosen.witnessing, timeout_s=chosen.witness_timeout)
    with closing(opened) as witnessing:
        if chosen.witnessing == "required":
            witnessing.require()  # what the log says by now takes effect only then
        yield witnessing


def _repair(catalogue: Catalogue, versions: Versions) -> None:
    """Let links follow the log, as the next run would.

    What an entry freed and is here stays: a dead prune left it, or somebody made it again to use it.
    """
    versions.discard_drafts()
    for task, known in catalogue.memory.tasks.items():
        if known.head.digest in catalogue.present:
            versions.point_head(known.head.digest, task, catalogue.memory.list_of)
