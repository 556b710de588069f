"""What a state has come to: what was spent, what was gained, how sure that is, what was refused, what next.

One frozen value, which a page, a document and a picture show alike, so that no two of them can differ. It is
derived from the log and what lies beside it, and nothing of it is verified: `Results.checks` says how to.

The **audit set** says how much was gained: no decision ever looked at it, so that its 95 % interval is one
for a single look. Its losses are a cache that runs leave and nobody signs. The **holdout** decided; each kept
update has the interval that decided, and all of them are at once rightly above zero but for the error budget.
"""

from __future__ import annotations

__all__ = [
    "Gained",
    "NotKept",
    "Results",
    "Spent",
    "TaskResults",
    "audit_losses",
    "gained",
    "results_of",
]

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.interval import fixed_interval
from cryoflux.energy.derived import Rates, derived_fields, kilowatt_hours
from cryoflux.errors import CryoFluxError
from cryoflux.evaluation.cache import LossCache
from cryoflux.evaluation.losses import Losses
from cryoflux.evaluation.recall import ClassRecall
from cryoflux.log_view import Log, LogSummary, TaskTotal
from cryoflux.quantities import MICRO, Energy, worst_tier
from cryoflux.queries.advice import Advice, LastSession, advised, checks_of
from cryoflux.queries.progress import CurvePoint, ProgressFold
from cryoflux.queries.read_losses import ReadLosses
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.numbering import AttemptNumbers
from cryoflux.receipts.session import Session
from cryoflux.receipts.statement import Outcome, Receipt, Rule
from cryoflux.registry.cuts import Cut
from cryoflux.runs.inputs import stored_origins
from cryoflux.runs.scores import Scores
from cryoflux.runs.version_facts import known_audit_losses
from cryoflux.sentences import brief
from cryoflux.state import StateFolder
from cryoflux.task_state import TaskState
from cryoflux.tasks.interface import Origin


@dataclass(frozen=True, slots=True)
class Spent:
    """What all of it cost, net of what the machine draws at rest."""

    attempts: Energy | None
    """charged to attempts; none before the first"""
    checking: Energy | None
    """charged to rounds, which check and compose what others offer; none where there was no round"""
    beside: Energy | None
    """charged to sessions beside them: start-up, data, the audit set; none where no session is on the log"""
    all_in: Energy | None
    """all of it; none where something is missing, so that nobody knows"""
    unrecorded: int
    """attempts whose session is not on the log"""
    session_open: bool
    """whether a run goes on, or has died: what it spends beside its attempts is not on the log yet"""
    derived: Mapping[str, Any]
    """CO₂e and cost of what is known, with the factor of each; nothing of what is not set"""
    rounds_open: int = 0
    """rounds without a record: what they spend is not on the log yet"""

    @property
    def known(self) -> Energy | None:
        """All that is on the log: all-in, or at least so much."""
        parts = (self.attempts, self.checking, self.beside)
        return Energy.total(part for part in parts if part is not None)

    @property
    def kwh(self) -> float | None:
        """The same in kilowatt-hours."""
        return kilowatt_hours(self.known.uj) if self.known is not None else None


@dataclass(frozen=True, slots=True)
class Gained:
    """How a task's first version and its head score on one set."""

    sha256: str
    """of the set's file"""
    count: int
    """examples"""
    before: Scores | None = None
    """none where it was not measured, or another holdout took over meanwhile"""
    after: Scores | None = None
    delta_lo_95: float | None = None
    """lower end of the paired 95 % interval of Δ, for one look; none where losses by example are not here"""
    delta_hi_95: float | None = None

    @property
    def delta(self) -> float | None:
        """How much lower the mean loss of the head is, in the unit of the task."""
        return self.before.loss - self.after.loss if self.before and self.after else None


@dataclass(frozen=True, slots=True)
class TaskResults:
    """What a state has come to for one task."""

    name: str
    unit: str
    metric: str
    model_name: str
    """what version 0 was made from; empty where the state does not say"""
    data_name: str
    data_hash: str
    rule: Rule | None
    """by which the newest attempt was judged"""
    cut: Cut
    """how much of a text is read; 0 where the state does not say"""
    first: str
    """digest of the version that the log began with; in a fork the one that it took over"""
    head: str
    total: TaskTotal
    """Σ Δ of the kept updates that the head rests on, η, looks, what was taken back"""
    holdout: Gained
    audit: Gained
    alpha: float | None
    """most probability that the holdout ever keeps what is no improvement; none without such a budget"""
    curve: tuple[CurvePoint, ...]
    recalls: tuple[ClassRecall, ...]
    """by class, the worst first; nothing where classes are about as large as one another"""


@dataclass(frozen=True, slots=True)
class NotKept:
    """Attempts that ended without an update, for one reason."""

    outcome: str
    screened: bool
    """whether screens refused them, so that the holdout never judged them"""
    code: str
    """the reason as a word that programs compare: ``evidence.undecided``"""
    count: int
    energy: Energy
    """that they were charged"""
    newest: int
    """number of the newest of them"""
    said: str
    """why that one was not kept, in a few words"""


@dataclass(frozen=True, slots=True)
class Results:
    """What a state has come to."""

    state: Path
    attempts: tuple[Attempt, ...]
    """finished ones, oldest first"""
    summary: LogSummary
    spent: Spent
    tasks: tuple[TaskResults, ...]
    not_kept: tuple[NotKept, ...]
    """why updates were refused and attempts ended, the most frequent reason first"""
    sessions: int
    """runs that ended, or that a later one has closed"""
    began_at: str
    """when the first of them began, by the wall clock, which is only a label; empty without one"""
    wall_s: float | None
    """how long all of them took, by the same clock; none without one, or where the clock went back"""
    last_session: LastSession | None
    entries: int
    """of the log"""
    last_entry: str
    """leaf hash of its last entry"""
    parent: str
    """name of the log that it goes on from; empty where it is no fork"""
    signers: tuple[str, ...]
    """ids of the keys that signed entries, in order of their first; whose they are, this does not know"""
    software: Mapping[str, str]
    """versions of what computed the newest attempt"""
    next: tuple[Advice, ...]
    checks: tuple[str, ...]
    """what to type to check all this without trusting it"""

    @property
    def tiers(self) -> dict[str, int]:
        """How the joules of attempts came about → how many attempts."""
        return dict(Counter(attempt.tier.value for attempt in self.attempts))

    @property
    def kept(self) -> tuple[Attempt, ...]:
        """The attempts whose update was kept."""
        return tuple(attempt for attempt in self.attempts if attempt.kept)


class _Facts:
    """What results need of the entries, in one pass."""

    def __init__(self) -> None:
        self.numbers, self.progress, self.read = AttemptNumbers(), ProgressFold(), ReadLosses()
        self.sessions: list[Session] = []
        self.signers: dict[str, None] = {}
        self.rules: dict[str, Rule] = {}
        self.software: Mapping[str, str] = {}
        self.parent = ""
        self.not_kept: dict[tuple[str, bool, str], list[tuple[int, Receipt]]] = {}

    def take(self, entry: Entry) -> None:
        number = self.numbers.take(entry)
        self.progress.take(entry, number)
        self.read.take(entry)
        self.signers.setdefault(entry.signed.keyid)
        if entry.session is not None:
            self.sessions.append(entry.session)
        if entry.fork is not None:
            self.parent = entry.fork.parent.checkpoint.partition("\n")[0]
        if (receipt := entry.receipt) is None:
            return
        self.software = receipt.software
        if receipt.decision is not None:
            self.rules[receipt.task.name] = receipt.decision.rule
        if receipt.outcome is not Outcome.ACCEPTED:
            screened = receipt.outcome is Outcome.REJECTED and receipt.evaluation is None
            key = (receipt.outcome.word, screened, receipt.reason.code)
            self.not_kept.setdefault(key, []).append((number or 0, receipt))


def results_of(log: Log, rates: Rates) -> Results:
    """What the log of a state has come to.

    Args:
        log: the log.
        rates: what a kilowatt-hour emits and costs, as it is set.
    """
    facts, summary = _Facts(), log.summary()
    for entry in log.entries():
        facts.take(entry)
    origins: dict[str, Origin] = {}
    with suppress(CryoFluxError):  # a log can be read without the file that a run would need
        origins = stored_origins(StateFolder(log.state))
    tasks = tuple(
        _task(log, facts, total, log.memory.tasks[total.name], origins.get(total.name))
        for total in summary.tasks
    )
    spent = _spent(summary, rates)
    last = LastSession.of(facts.sessions[-1]) if facts.sessions else None
    not_kept = _not_kept(facts)
    return Results(
        state=log.state,
        attempts=tuple(log),
        summary=summary,
        spent=spent,
        tasks=tasks,
        not_kept=not_kept,
        sessions=len(facts.sessions),
        began_at=facts.sessions[0].began_at if facts.sessions else "",
        wall_s=_wall_s(facts.sessions),
        last_session=last,
        entries=log.memory.size,
        last_entry=log.memory.last,
        parent=facts.parent,
        signers=tuple(facts.signers),
        software=facts.software,
        next=advised(log.state, summary, last, tasks, worst_tier(a.tier for a in log) if len(log) else None),
        checks=checks_of(log.state, any(attempt.delta is not None for attempt in log)),
    )


def audit_losses(log: Log, task: TaskResults, version: str) -> Losses | None:
    """Losses of a version on the audit set of its task, in its order; none where they are not known here."""
    cache, data = LossCache(StateFolder(log.state).cache / "losses"), log.memory.tasks[task.name].data
    return known_audit_losses(cache, task.cut, data, version)


def _spent(summary: LogSummary, rates: Rates) -> Spent:
    known = summary.known
    return Spent(
        attempts=summary.energy,
        checking=summary.checking,
        beside=summary.beside,
        all_in=summary.all_in,
        unrecorded=summary.unrecorded,
        session_open=summary.session_open,
        derived=derived_fields(known, rates) if known is not None else {},
        rounds_open=summary.rounds_open,
    )


def _wall_s(sessions: Sequence[Session]) -> float | None:
    try:
        ends = [[datetime.fromisoformat(at) for at in (one.began_at, one.ended_at)] for one in sessions]
        took = [(ended - began).total_seconds() for began, ended in ends]
    except (TypeError, ValueError):  # a label that is no time
        return None
    return sum(took) if took and min(took) >= 0 else None


def _not_kept(facts: _Facts) -> tuple[NotKept, ...]:
    found = [
        NotKept(
            outcome=outcome,
            screened=screened,
            code=code,
            count=len(some),
            energy=_sum_of(receipt for _, receipt in some),
            newest=some[-1][0],
            said=brief(some[-1][1].reason).removeprefix("screen: "),
        )
        for (outcome, screened, code), some in facts.not_kept.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.count))


def _sum_of(receipts: Iterable[Receipt]) -> Energy:
    total = Energy.total(receipt.energy.energy for receipt in receipts)
    assert total is not None  # noqa: S101 - a reason is only there with a receipt
    return total


def _task(log: Log, facts: _Facts, total: TaskTotal, known: TaskState, origin: Origin | None) -> TaskResults:
    state, name = StateFolder(log.state), total.name
    return TaskResults(
        name=name,
        unit=total.unit,
        metric=known.metric.name,
        model_name=origin.model_name if origin is not None else "",
        data_name=known.data.name,
        data_hash=known.data.digest,
        rule=facts.rules.get(name),
        cut=origin.cut if origin is not None else 0,
        first=known.start.digest,
        head=total.head,
        total=total,
        holdout=_holdout(state, facts, name, known),
        audit=_audit(state, facts, name, known, origin),
        alpha=known.alpha_ppm / MICRO if known.alpha_ppm else None,
        curve=tuple(facts.progress.curves.get(name, ())),
        recalls=facts.read.recalls(state, name, total.head),
    )


def _holdout(state: StateFolder, facts: _Facts, task: str, known: TaskState) -> Gained:
    versions = (known.start.digest, known.head.digest)
    before, after = facts.progress.of_head(task, known)
    losses = (facts.read.of(state, task, known.holdout, version) for version in versions)
    return Gained(known.holdout, known.tally(known.holdout).count, before, after, *_ends(*losses))


def _audit(state: StateFolder, facts: _Facts, task: str, known: TaskState, origin: Origin | None) -> Gained:
    data = known.data
    if origin is None:
        return Gained(data.audit, data.audit_count)
    cache, versions = LossCache(state.cache / "losses"), (known.start.digest, known.head.digest)
    before, after = (known_audit_losses(cache, origin.cut, data, version) for version in versions)
    hits = any(point.accuracy is not None for point in facts.progress.curves.get(task, ()))
    return gained(Gained(data.audit, data.audit_count), before, after, hits=hits)


def gained(on: Gained, before: Losses | None, after: Losses | None, *, hits: bool) -> Gained:
    """What two versions score on a set, by their losses.

    Args:
        on: the set.
        before: losses of the one; none where they are not known.
        after: of the other.
        hits: whether an example can be right or wrong.
    """
    low, high = _ends(before, after)
    scores = (
        Scores(losses.mean, losses.accuracy if hits else None) if losses is not None else None
        for losses in (before, after)
    )
    first, second = scores
    return Gained(on.sha256, on.count, first, second, low, high)


def _ends(before: Losses | None, after: Losses | None) -> tuple[float | None, float | None]:
    """The paired 95 % interval of Δ; none where one of both is not known, or they are of other examples."""
    if before is None or after is None or len(before.nano_nats) != len(after.nano_nats):
        return None, None
    return fixed_interval(pair_losses(before.nano_nats, after.nano_nats))
