"""Looking at a log from Python: its attempts, what they came to, and whether all of it holds.

Nothing here writes, and nothing here needs the training libraries, unless losses are to be computed again.
"""

from __future__ import annotations

__all__ = ["Log", "LogSummary", "TaskTotal", "open_log"]

import os
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from cryoflux import log_check
from cryoflux.errors import UsageError
from cryoflux.html_table import html_table
from cryoflux.log_state import LogState
from cryoflux.quantities import Energy, efficiency
from cryoflux.receipts.attempts import Attempt, attempt_of
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.judgement_total import JudgementTotal, with_judgement
from cryoflux.receipts.lines import Lines
from cryoflux.receipts.numbering import AttemptNumbers
from cryoflux.receipts.paid import Paid
from cryoflux.receipts.per_token import per_token_text
from cryoflux.receipts.reading import each_entry
from cryoflux.receipts.round_total import RoundTotal, with_round
from cryoflux.receipts.session import Session
from cryoflux.receipts.statement import Outcome
from cryoflux.state import StateFolder

if TYPE_CHECKING:
    from cryoflux.verification.result import Report

_Place: TypeAlias = str | os.PathLike[str]
_SHOWN = 25
"""attempts that a notebook shows of a log"""


@dataclass(frozen=True, slots=True)
class TaskTotal:
    """What a log has come to for one task."""

    name: str
    unit: str
    """of Δ"""
    delta: float
    """Σ Δ of the kept updates that the head rests on"""
    eta_per_kj: float | None
    """the same per kilojoule of all of the task's attempts; none where no joules were charged"""
    head: str
    """digest of the head"""
    looks: int
    """verdicts that the holdout in use has given"""
    tokens_per_example: float | None = None
    """target tokens of an example of the holdout, on average; none where examples have none"""
    taken_back: int = 0
    """kept updates that the head does not rest on, since it was moved: they count for joules alone"""
    of_others: bool = False
    """whether a round or a recall has moved the head: then Σ Δ is not all that it has gained"""

    @property
    def delta_per_token(self) -> str:
        """Σ Δ for each target token, in words; empty where examples are no documents."""
        return per_token_text(self.delta, self.unit, self.tokens_per_example)


@dataclass(frozen=True, slots=True)
class LogSummary:
    """What a log has come to."""

    attempts: int
    kept: int
    rejected: int
    undecided: int
    carried: int
    aborted: int
    open: int
    """announced, and without a receipt yet"""
    energy: Energy | None
    """charged to all attempts; none before the first"""
    beside: Energy | None
    """charged to sessions beside their attempts; none where no session has been recorded"""
    unrecorded: int
    """attempts whose session is not in the log: it goes on, or an older version ran it"""
    session_open: bool
    """whether a run goes on, or has died: what it spends beside its attempts is not in the log yet"""
    tasks: tuple[TaskTotal, ...]
    judged: JudgementTotal | None = None
    """what was judged that others made; none where nothing was"""
    rounds: RoundTotal | None = None
    """what rounds made of updates that others offer; none where there was no round"""
    rounds_open: int = 0
    """rounds that are announced and have no record: what they spend is not on the log yet"""

    @property
    def checking(self) -> Energy | None:
        """Charged to rounds; none before the first."""
        return self.rounds.energy if self.rounds is not None else None

    @property
    def all_in(self) -> Energy | None:
        """Attempts, rounds, and everything beside them; none where something is missing that nobody knows."""
        missing = self.unrecorded or self.session_open or self.rounds_open
        return None if missing or self.energy is None or self.beside is None else self.known

    @property
    def known(self) -> Energy | None:
        """All that is on the log: all-in, or at least so much."""
        parts = (self.energy, self.checking, self.beside)
        return Energy.total(part for part in parts if part is not None)

    @property
    def all_in_eta_per_kj(self) -> float | None:
        """Δ per kilojoule of all of that; none where it is not known, or several tasks share it."""
        if self.all_in is None or len(self.tasks) != 1:
            return None
        return efficiency(self.tasks[0].delta, self.all_in.uj)


class Log(Sequence[Attempt]):
    """The log of a state as it was when it was last read: its finished attempts, oldest first.

    Nothing about it has been verified; `verify` does that.

    Args:
        state: the state directory.
        read: whether to read it now; else whoever follows it hands it the entries, `follow` and `take`.
    """

    def __init__(self, state: Path, *, read: bool = True) -> None:
        self.state = state
        self._memory = LogState()
        self._attempts: list[Attempt] = []
        self._places: list[int] = []
        self._numbers, self._lines = AttemptNumbers(), Lines()
        self._spent: dict[str, Energy] = {}
        self._sessions: list[Session] = []
        self._session_open = False
        self._judged: JudgementTotal | None = None
        self._rounds: RoundTotal | None = None
        for entry in self.follow() if read else ():
            self.take(entry)

    @property
    def size(self) -> int:
        """Entries that were read."""
        return self._memory.size

    @property
    def last(self) -> str:
        """Leaf hash of the last of them; 64 zeros where there is none."""
        return self._memory.last

    def follow(self) -> Iterator[Entry]:
        """Entries that were written since it was last read; each is to be handed to `take`.

        Raises:
            UsageError, StateTamperedError, StateError: as for `open_log`.
        """
        self._session_open = StateFolder(self.state).session.exists()
        yield from each_entry(self.state, self._memory.size)

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        paid = self._memory.paid(entry)
        self._memory.take(entry)
        self._note(entry, paid)

    def _note(self, entry: Entry, paid: Paid | None) -> None:
        if entry.session is not None:
            self._sessions.append(entry.session)
        if (said := entry.receipt or entry.move or entry.round or entry.recall) is not None:
            self._lines.take(said)
        self._judged = with_judgement(self._judged, entry)
        self._rounds = with_round(self._rounds, entry)
        number = self._numbers.take(entry) or 0
        if (receipt := entry.receipt) is None:
            return
        known = self._memory.tasks.get(receipt.task.name)
        attempt = attempt_of(entry, number, paid, known.metric.unit if known is not None else None)
        if attempt is None:
            return
        self._attempts.append(attempt)
        self._places.append(receipt.sequence)
        charged, before = receipt.energy.energy, self._spent.get(attempt.task)
        self._spent[attempt.task] = before + charged if before is not None else charged

    def __len__(self) -> int:
        return len(self._attempts)

    @overload
    def __getitem__(self, index: int) -> Attempt: ...
    @overload
    def __getitem__(self, index: slice) -> list[Attempt]: ...
    def __getitem__(self, index: int | slice) -> Attempt | list[Attempt]:
        return self._attempts[index]

    def __repr__(self) -> str:
        return f"<Log {self.state}: {len(self)} attempts>"

    def _repr_html_(self) -> str:
        """Its newest attempts as a table, for a notebook."""
        newest = self._attempts[-_SHOWN:]
        rows = [
            (str(one.number), one.outcome, one.delta_text, one.energy.text, one.arm, one.brief)
            for one in newest
        ]
        said = f"{self.state}: {len(self)} attempts"
        if len(newest) < len(self):
            said += f", the newest {len(newest)} of them"
        heading = ("attempt", "outcome", "Δ, 95 % interval", "joules", "arm", "why")
        return html_table(f"{said}; not verified", rows, heading=heading)

    def entries(self) -> Iterator[Entry]:
        """Every entry with its exact signed bytes, read again: intents and moves of heads too."""
        return islice(each_entry(self.state), self._memory.size)

    @property
    def memory(self) -> LogState:
        """What its entries have come to: heads, data and looks, task by task."""
        return self._memory

    def summary(self) -> LogSummary:
        """What it has come to."""
        outcomes = Counter(attempt.outcome for attempt in self._attempts)
        return LogSummary(
            attempts=len(self),
            kept=outcomes[Outcome.ACCEPTED.word],
            rejected=outcomes[Outcome.REJECTED.word],
            undecided=outcomes[Outcome.UNDECIDED.word],
            carried=outcomes[Outcome.CARRIED.word],
            aborted=outcomes[Outcome.ABORTED.word],
            open=len(self._memory.open),
            energy=Energy.total(self._spent.values()),
            beside=Energy.total(session.energy.energy for session in self._sessions),
            session_open=self._session_open,
            unrecorded=self._memory.attempts - sum(session.attempts for session in self._sessions),
            tasks=self._totals(),
            judged=self._judged,
            rounds=self._rounds,
            rounds_open=sum(len(node.open) for node in self._memory.nodes.values()),
        )

    def _totals(self) -> tuple[TaskTotal, ...]:
        standing = self._lines.standing()
        return tuple(self._total(name, standing) for name in self._memory.tasks)

    def _total(self, name: str, standing: Container[int]) -> TaskTotal:
        known, spent = self._memory.tasks[name], self._spent.get(name)
        placed = zip(self._places, self._attempts, strict=True)
        kept = [(at, attempt) for at, attempt in placed if attempt.kept and attempt.task == name]
        stands = [attempt for at, attempt in kept if at in standing]
        delta = sum(attempt.delta or 0.0 for attempt in stands)
        return TaskTotal(
            name=name,
            unit=known.metric.unit,
            delta=delta,
            eta_per_kj=efficiency(delta, spent.uj) if spent is not None else None,
            head=known.head.digest,
            looks=known.tally(known.holdout).looks,
            tokens_per_example=stands[-1].tokens_per_example if stands else None,
            taken_back=len(kept) - len(stands),
            of_others=known.of_others,
        )

    def to_pandas(self) -> Any:
        """A pandas DataFrame, one row an attempt, with the columns of `Attempt.row`.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UsageError(
                "pandas is not installed.",
                why="CryoFlux itself does not need it.",
                hint="Install it: pip install pandas; or use [attempt.row() for attempt in log].",
            ) from error
        return pd.DataFrame([attempt.row() for attempt in self._attempts])

    def verify(self, **asked: Any) -> Report:
        """The report on the state as it is now; takes what `cryoflux.verify` takes."""
        return log_check.verify(self.state, **asked)


def open_log(state: _Place) -> Log:
    """The log of a state, to read; works beside a run that goes on.

    Args:
        state: the state directory.

    Raises:
        UsageError: it holds no log.
        StateTamperedError: an entry is not well formed.
        StateError: a newer version wrote an entry.
    """
    return Log(Path(state))
