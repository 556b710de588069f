"""A state that is looked at again and again: its log is read once and followed from there.

A page of ten thousand attempts must not read the log each time that somebody opens it. Nothing here writes;
a run may go on meanwhile.
"""

from __future__ import annotations

__all__ = ["EntryRow", "Followed"]

import os
import shlex
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from threading import RLock

from cryoflux.collector import uncollected
from cryoflux.errors import CryoFluxError, StateTamperedError, UsageError
from cryoflux.fleet.by_meter import MeterFold
from cryoflux.log_view import Log, LogSummary
from cryoflux.queries.joules import JoulesFold, JoulesOfLog
from cryoflux.queries.progress import ProgressFold
from cryoflux.queries.workers import WorkerRow, worker_rows
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.entry import Entry, Kind, parse_entry
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.receipts.numbering import AttemptNumbers, RoundNumbers
from cryoflux.receipts.reading import each_entry
from cryoflux.receipts.session import Session
from cryoflux.receipts.statement import HeadMove, Intent, Receipt
from cryoflux.receipts.store import StoredRows, is_blank
from cryoflux.runs.catalogue import Catalogue, VersionFold, catalogue_from
from cryoflux.runs.inputs import stored_origins
from cryoflux.runs.scores import Change
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Origin


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry of the log in one line."""

    index: int
    """place in the log, from 0"""
    kind: Kind
    number: int | None
    """of the attempt that it is about"""
    leaf_hash: str
    at: str
    """when, as the entry says it"""
    round_number: int | None = None
    """of the round that it is about"""


class Followed:
    """A state's log with all that follows from it, as it was when `refresh` was last called.

    Several threads may ask: each holds `lock` from the refresh to its last question.

    Args:
        state: the state directory; it may not hold a log yet.
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        self.lock = RLock()
        self.begun = 0
        """how often a log was begun to be read: another number says that another one lies here"""
        self._begin()

    def _begin(self) -> None:
        self.begun += 1
        self._log: Log | None = None
        self._versions = VersionFold()
        self._numbers, self._round_numbers = AttemptNumbers(), RoundNumbers()
        self.rows: list[EntryRow] = []
        self.sessions: list[Session] = []
        self.rounds: list[RoundResult] = []
        """records of rounds, in their order"""
        self.moves: dict[int, HeadMove] = {}
        """place in the log → move of a head, in their order"""
        self._joules, self._progress = JoulesFold(), ProgressFold()
        self._by_meter = MeterFold()
        self._receipts: dict[int, int] = {}
        self._intents: dict[int, int] = {}
        self._places: dict[int, int] = {}

    def refresh(self) -> bool:
        """Read what was written since the last time, and return whether there was anything.

        Raises:
            StateTamperedError: an entry is not well formed; or the log is gone, but for a signed head.
            StateError: a newer version wrote one.
        """
        with self.lock:
            folder, was = StateFolder(self.state), self._log is not None
            if not folder.receipts.is_file():
                _require_never_begun(folder)
            if not folder.receipts.is_file() or (not was and _is_being_made(folder)):
                if was:
                    self._begin()
                return was
            self._start_over_if_replaced()
            before = self.size
            with uncollected():
                if self._log is None:
                    self._log = Log(self.state, read=False)
                for entry in self._log.follow():
                    self._take(entry, self._log)
            return self.size != before

    def trouble(self) -> CryoFluxError | None:
        """Refresh, and return why the log cannot be read, or not to its end; none where it can."""
        try:
            self.refresh()
        except CryoFluxError as error:
            return error
        return None

    def _start_over_if_replaced(self) -> None:
        """Begin anew where another log lies here now: it is shorter, or one of its ends is another."""
        if not self.rows:
            return
        ends = (self.rows[0], self.rows[-1])
        with closing(StoredRows(StateFolder(self.state).receipts)) as rows:
            same = len(rows) >= self.size and all(rows[one.index].leaf == one.leaf_hash for one in ends)
        if not same:
            self._begin()

    def _take(self, entry: Entry, log: Log) -> None:
        log.take(entry)
        self._versions.take(entry)
        number = self._numbers.take(entry)
        self._progress.take(entry, number)
        if entry.session is not None:
            self.sessions.append(entry.session)
        if entry.round is not None:
            self.rounds.append(entry.round)
        if entry.move is not None:
            self.moves[entry.index] = entry.move
        if number is not None and entry.intent is not None:
            self._intents[number] = entry.index
        elif number is not None:
            self._receipts[number] = entry.index
            self._places[number] = len(log) - 1
        of_round = self._round_numbers.take(entry)
        self.rows.append(EntryRow(entry.index, entry.kind, number, entry.leaf_hash, entry.at, of_round))

    @property
    def size(self) -> int:
        """Entries of the log."""
        return len(self.rows)

    @property
    def head(self) -> str:
        """Leaf hash of the last entry; empty before the first."""
        return self.rows[-1].leaf_hash if self.rows else ""

    @property
    def attempts(self) -> list[Attempt]:
        """The finished attempts, oldest first."""
        return self._log[:] if self._log is not None else []

    @property
    def log(self) -> Log:
        """The log as Python sees it.

        Raises:
            UsageError: there is none yet.
        """
        if self._log is None:
            raise UsageError(
                f"{self.state} holds no receipts yet.",
                why="No run has announced an attempt in it.",
                hint=f"Make some: cryoflux run --budget 2kJ --state {shlex.quote(str(self.state))}.",
            )
        return self._log

    def summary(self) -> LogSummary | None:
        """What the log has come to; none before its first entry."""
        return self._log.summary() if self._log is not None and self.rows else None

    def catalogue(self) -> Catalogue:
        """All versions of the state; what the folder itself says is read now."""
        found = catalogue_from(StateFolder(self.state), self._versions)
        # A page is written after the lock is let go, when the fold may have gone on.
        tasks = {name: replace(of, versions=dict(of.versions)) for name, of in found.tasks.items()}
        return replace(found, tasks=tasks)

    def head_scores(self, task: str) -> Change:
        """What a task's first version and its head score on the holdout in use; none where unknown."""
        known = self._log.memory.tasks.get(task) if self._log is not None else None
        return self._progress.of_head(task, known) if known is not None else (None, None)

    def origins(self) -> dict[str, Origin]:
        """What each task of the state was begun with; nothing where the state does not say."""
        with suppress(CryoFluxError):  # a log can be read without the file that a run would need
            return stored_origins(StateFolder(self.state))
        return {}

    def workers(self) -> list[WorkerRow]:
        """What each worker came to; folded when it is asked for."""
        entries = each_entry(self.state, self._by_meter.size) if self.size else iter(())
        for entry in islice(entries, self.size - self._by_meter.size):
            self._by_meter.take(entry)
        return worker_rows(self._by_meter)

    def joules(self) -> JoulesOfLog:
        """Where the joules went; folded when it is asked for, since most pages do not ask."""
        if self._joules.size < self.size:
            entries = each_entry(self.state, self._joules.size)
            self._joules.take(islice(entries, self.size - self._joules.size))
        return self._joules.joules(self.state)

    def attempt(self, number: int) -> Attempt | None:
        """The finished attempt of a number, where there is one."""
        place = self._places.get(number)
        return self.log[place] if place is not None else None

    def announced(self, number: int) -> bool:
        """Whether an attempt of that number was announced."""
        return number in self._intents

    @property
    def open_attempts(self) -> list[int]:
        """Numbers of the attempts that were announced and have no receipt yet."""
        return [number for number in self._intents if number not in self._receipts]

    def entry(self, index: int) -> Entry:
        """An entry with its exact signed bytes, read again.

        Raises:
            StateTamperedError: it is not there any more, or not well formed.
        """
        with closing(StoredRows(StateFolder(self.state).receipts)) as rows:
            try:
                found = parse_entry(index, rows[index].envelope)
            except IndexError as error:
                raise StateTamperedError(f"Entry {index} of {self.state} is gone.") from error
        if found.leaf_hash != self.rows[index].leaf_hash:  # another log has been put here since the refresh
            raise StateTamperedError(
                f"Entry {index} of {self.state} is not the one that was read before.",
                why="Somebody or something put another log in its place.",
                hint="Open the page again: it shows the log that lies here now.",
            )
        return found

    def intent_of(self, number: int) -> Intent | None:
        """What announced an attempt."""
        place = self._intents.get(number)
        return self.entry(place).intent if place is not None else None

    def receipt_of(self, number: int) -> tuple[Entry, Receipt] | None:
        """The entry that finished an attempt, and its receipt; none while it goes on."""
        place = self._receipts.get(number)
        if place is None:
            return None
        entry = self.entry(place)
        return (entry, entry.receipt) if entry.receipt is not None else None


def _is_being_made(folder: StateFolder) -> bool:
    """Whether a run is about to make the log: its database has no table, and nobody has signed a head."""
    return not os.path.lexists(folder.checkpoint) and is_blank(folder.receipts)


def _require_never_begun(folder: StateFolder) -> None:
    """Refuse to take for a new state what has lost its log."""
    in_the_way = os.path.lexists(folder.receipts)
    if in_the_way or os.path.lexists(folder.checkpoint):
        raise StateTamperedError(
            f"{folder.receipts} is no file." if in_the_way else f"{folder.receipts} is gone.",
            why="It held the entries of the log: what this state has come to is not known without it.",
            hint="Restore it from a backup; these pages go on by themselves then.",
        )
