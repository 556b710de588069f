"""Looking at a log from Python: its attempts, what they came to, and whether all of it holds.

Nothing here writes, and nothing here needs the training libraries, unless losses are to be computed again.
"""

from __future__ import annotations

__all__ = ["Log", "LogSummary", "TaskTotal", "asked_again", "demand_of", "open_log", "sections_of", "verify"]

import os
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from cryoflux.errors import UsageError
from cryoflux.log_state import LogState
from cryoflux.quantities import Energy, efficiency, parse_duration
from cryoflux.receipts.attempts import Attempt, attempt_of
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.lines import Lines
from cryoflux.receipts.numbering import AttemptNumbers
from cryoflux.receipts.paid import Paid
from cryoflux.receipts.reading import each_entry
from cryoflux.receipts.session import Session
from cryoflux.receipts.statement import Outcome
from cryoflux.signing.keys import load_public_key
from cryoflux.state import StateFolder

if TYPE_CHECKING:
    from cryoflux.verification.again import Again
    from cryoflux.verification.result import Report
    from cryoflux.verification.sections import SectionCheck, Sections
    from cryoflux.verification.witnessing import Demand

_Place: TypeAlias = str | os.PathLike[str]


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
    taken_back: int = 0
    """kept updates that the head does not rest on, since it was moved: they count for joules alone"""


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

    @property
    def all_in(self) -> Energy | None:
        """Attempts and everything beside them; none where a session is missing, so that nobody knows."""
        if self.unrecorded or self.session_open or self.energy is None or self.beside is None:
            return None
        return self.energy + self.beside

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
        if (said := entry.receipt or entry.move) is not None:
            self._lines.take(said)
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

    def entries(self) -> Iterator[Entry]:
        """Every entry with its exact signed bytes, read again: intents and moves of heads too."""
        return islice(each_entry(self.state), self._memory.size)

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
            taken_back=len(kept) - len(stands),
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
        return verify(self.state, **asked)


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


def verify(
    target: _Place,
    *,
    key: _Place | None = None,
    meter_key: _Place | Sequence[_Place] | None = None,
    log_key: _Place | None = None,
    policy: _Place | None = None,
    max_age: str | None = None,
    heads: _Place | None = None,
    trust_memory: bool = False,
    only_new: bool = False,
    recompute: int = 0,
    spot_check: int = 0,
    spot_receipts: int = 1,
    spot_seed: str | None = None,
    retrain: int = 0,
    tasks: Sequence[str] = (),
    parent: _Place | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check a state, or a file of exported receipts, as ``cryoflux verify`` does, and return the report.

    Args:
        target: state directory or file.
        key: public key (PEM) that must have signed the receipts; a state brings its own otherwise.
        meter_key: public key (PEM) of the meter that must have signed every charge, or several of them.
        log_key: public key (PEM) that must have signed the head; the same.
        policy: file that names witnesses; they must have seen the log.
        max_age: how old their word may be: ``1d``.
        heads: folder where heads that were seen are remembered and compared; none to do neither.
        trust_memory: of entries that were verified before, by what ``heads`` says, only compare the bytes.
        only_new: do not even read them.
        recompute: receipts whose losses are evaluated again; needs the training libraries, as the next three.
        spot_check: examples that are evaluated again, drawn at random here.
        spot_receipts: of how many receipts.
        spot_seed: repeats the draw that a report shows, or ``head`` draws by the signed head of the log.
        retrain: kept updates that are trained again.
        tasks: tasks of one's own that may check their receipts: ``module:Class``.
        parent: of a fork: state, log folder or URL of the log that it goes on from.
        progress: called with entries done and entries in all.

    Raises:
        UsageError: there is no such target, or what was asked for cannot be done here.
    """
    from cryoflux.verification import steps, verified

    with _restored(again := asked_again(recompute, spot_check, spot_receipts, retrain, spot_seed)):
        return steps.verify_target(
            Path(target),
            key=load_public_key(Path(key)) if key is not None else None,
            meters=tuple(load_public_key(path) for path in _places(meter_key)),
            log_key=load_public_key(Path(log_key)) if log_key is not None else None,
            again=again,
            demand=demand_of(Path(policy) if policy is not None else None, max_age),
            heads=Path(heads) if heads is not None else None,
            sections=sections_of(tasks),
            progress=progress,
            trust=verified.trust_in(trust_memory=trust_memory, only_new=only_new),
            parent=os.fspath(parent) if parent is not None else None,
        )


def _places(named: _Place | Sequence[_Place] | None) -> list[Path]:
    if named is None:
        return []
    return [Path(named)] if isinstance(named, str | os.PathLike) else [Path(place) for place in named]


@contextmanager
def _restored(again: Again | None) -> Iterator[None]:
    """Whatever training libraries change of the process is undone."""
    with ExitStack() as restored:
        if again is not None:
            from cryoflux.encoder.threads import torch_as_before
            from cryoflux.tasks.lora.libraries import libraries_as_before

            restored.enter_context(torch_as_before())
            restored.enter_context(libraries_as_before())
        yield


def asked_again(
    losses: int, spots: int, spot_receipts: int, adapters: int, spot_seed: str | None = None
) -> Again | None:
    """What is to be computed again, by the training libraries; none where nothing is.

    Args:
        losses: receipts whose losses are evaluated again.
        spots: examples that are evaluated again, drawn at random here.
        spot_receipts: of how many receipts.
        adapters: kept updates that are trained again.
        spot_seed: repeats the draw that a report shows, or ``head`` draws by the signed head of the log.

    Raises:
        UsageError: the training libraries are not installed, or the seed cannot be used.
    """
    if spot_seed is not None and not spots:
        raise UsageError(
            "--spot-seed was given without --spot-check.",
            why="It says which examples are drawn, and none are to be.",
            hint="Say how many: --spot-check 64.",
        )
    if not losses + spots + adapters:
        return None
    from cryoflux.tasks.lora.libraries import require_training

    require_training()
    from cryoflux.tasks.index.again import IndexRecomputer, TextEmbedder
    from cryoflux.tasks.index.section import SECTION as OF_INDEX
    from cryoflux.tasks.lora.again import TorchRecomputer
    from cryoflux.verification.again import Again
    from cryoflux.verification.challenge import own_seed, parse_seed

    return Again(
        lambda max_tokens: TorchRecomputer(max_tokens=max_tokens, threads=1),
        others={OF_INDEX: IndexRecomputer},
        embedder=TextEmbedder,
        losses=losses,
        spots=spots,
        spot_receipts=spot_receipts,
        adapters=adapters,
        seed=parse_seed(spot_seed) if spot_seed is not None else own_seed(),
    )


def sections_of(tasks: Sequence[str]) -> Sections:
    """The checks of our own sections, and of tasks that whoever verifies names; none that a state names.

    Raises:
        UsageError: there is no such task.
    """
    from cryoflux.tasks.index.section import SECTIONS as OF_INDEX
    from cryoflux.tasks.lora.section import SECTIONS

    found: dict[str, SectionCheck] = {**SECTIONS, **OF_INDEX}
    for name in tasks:
        from cryoflux.tasks.registry import find_task

        found |= find_task(name).sections
    return found


def demand_of(policy: Path | None, max_age: str | None) -> Demand | None:
    """What witnesses have to say; none where no policy names any.

    Args:
        policy: file that names them.
        max_age: how old their word may be: ``1d``.

    Raises:
        UsageError: the policy cannot be used, or an age was given without one.
    """
    from cryoflux.verification.witnessing import Demand
    from cryoflux.witness.policy import read_policy

    if policy is None:
        if max_age is not None:
            raise UsageError(
                "--max-age was given without --policy.",
                why="Only witnesses say when they saw a log.",
                hint="Name those whom you trust with --policy FILE.",
            )
        return None
    oldest_s = int(parse_duration(max_age)) if max_age is not None else None
    return Demand(read_policy(policy), int(time.time()), oldest_s)
