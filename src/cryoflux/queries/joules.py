"""Where the joules of a log went, and what is known of how they were measured.

Folded from the charges that stand in the log: of attempts, by outcome and by phase, of rounds, and of
sessions beside them; what the machine would have drawn at rest meanwhile, and what others drew, from the
meter's own signed statements. Where workers' meters charged a part, the machine is the coordinator's, and
what others drew on theirs is not told. Nothing here is verified; `cryoflux verify` does that.
"""

from __future__ import annotations

__all__ = ["JoulesFold", "JoulesOfLog", "SessionRow", "SourceRow"]

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryoflux.energy.account.settlement import OldSettlementStatement, parse_settlement
from cryoflux.energy.baseline import Baseline, load_baseline
from cryoflux.errors import CryoFluxError, StateTamperedError
from cryoflux.quantities import NANO, Energy, Tier, worst_tier
from cryoflux.receipts.charged import EnergyFigure, MeteredPart
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.receipts.session import Session, SessionEnd
from cryoflux.receipts.statement import Receipt
from cryoflux.state import StateFolder


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source of energy figures that charges of the log rest on."""

    name: str
    charges: int
    """that name it"""
    first_uj: int | None
    """what its counter showed at the beginning of the newest window that says it"""
    last_uj: int | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """What one run cost."""

    began: str
    ended: str
    why: SessionEnd
    """it ended"""
    attempts: int
    first_attempt: int
    budget_uj: int
    """0 where nothing was granted"""
    beside: Energy
    """what it was charged beside its attempts"""
    window_s: float | None
    """by the meter's clock; none where the meter does not say it"""


@dataclass(frozen=True, slots=True)
class JoulesOfLog:
    """What a log says about its joules."""

    attempts: Energy | None
    """charged to all attempts; none before the first"""
    rounds: Energy | None
    """charged to rounds; none before the first"""
    beside: Energy | None
    """charged to sessions beside them; none before the first has ended"""
    workers: Energy | None
    """of all these, what the meters of workers charged; none where there were none"""
    outcomes: tuple[tuple[str, Energy], ...]
    """of the attempts, by outcome"""
    phases: tuple[tuple[str, Energy], ...]
    """of those attempts whose receipts tell phases"""
    phased: int
    """how many those are"""
    others: Energy | None
    """net energy of the machine in the windows of the sessions, less what was charged here"""
    idle_uj: int | None
    """what the machine draws at rest over those windows, by the baseline as it is now; none where unknown"""
    window_s: float
    """length of those windows together"""
    sources: tuple[SourceRow, ...]
    flags: tuple[tuple[str, int], ...]
    """what went wrong or is unknown → of how many charges"""
    charges: int
    tiers: tuple[tuple[Tier, int], ...]
    baselines: int
    """different baselines that charges rest on"""
    meters: int
    """keys that meters signed with"""
    unsigned: int
    """charges without a statement of the meter"""
    sessions: tuple[SessionRow, ...]
    """newest first"""
    baseline: Baseline | None
    """as it is stored now; none where it cannot be read"""
    baseline_problem: str
    """why not"""
    baseline_in_use: bool
    """whether the newest charge rests on the one that is stored"""

    @property
    def tier(self) -> Tier:
        """The least trustworthy tier that went into them."""
        return worst_tier(tier for tier, _ in self.tiers)

    @property
    def told(self) -> Energy | None:
        """All of these, as far as the log has it: less than all-in while a run goes on."""
        parts = (self.attempts, self.rounds, self.beside)
        return Energy.total(part for part in parts if part is not None)


@dataclass(slots=True)
class JoulesFold:
    """The joules of a log, entry after entry."""

    size: int = 0
    """entries that were taken"""
    _outcomes: dict[str, Energy] = field(default_factory=dict)
    _phases: dict[str, Energy] = field(default_factory=dict)
    _phased: int = 0
    _rounds: Energy | None = None
    _beside: Energy | None = None
    _unended: Energy | None = None
    """charged to attempts and rounds since a session ended last, on the machine of the coordinator"""
    _workers: Energy | None = None
    _others: Energy | None = None
    _window_ns: int = 0
    _sources: Counter[str] = field(default_factory=Counter)
    _counters: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    _flags: Counter[str] = field(default_factory=Counter)
    _tiers: Counter[Tier] = field(default_factory=Counter)
    _baselines: dict[str, None] = field(default_factory=dict)
    _newest_baseline: str = ""
    _meters: set[str] = field(default_factory=set)
    _unsigned: int = 0
    _sessions: list[SessionRow] = field(default_factory=list)

    def take(self, entries: Iterable[Entry]) -> None:
        """Go on by some entries."""
        for entry in entries:
            self.size = entry.index + 1
            if (receipt := entry.receipt) is not None:
                self._attempt(receipt)
            elif (session := entry.session) is not None:
                self._session(session)
            elif (record := entry.round) is not None:
                self._round(record)

    def _attempt(self, receipt: Receipt) -> None:
        charged, word = receipt.energy.energy, receipt.outcome.word
        self._outcomes[word] = _more(self._outcomes.get(word), charged)
        self._unended = _more(self._unended, _here(receipt.energy))
        if receipt.energy.phases:
            self._phased += 1
        for said in receipt.energy.phases:
            ends = (said.microjoules, said.lo_microjoules, said.hi_microjoules)
            part = Energy(*ends, receipt.energy.tier)
            self._phases[said.name] = _more(self._phases.get(said.name), part)
        if not receipt.energy.unmetered:
            self._charge(receipt.energy)

    def _round(self, record: RoundResult) -> None:
        charged = record.energy.energy
        self._rounds, self._unended = _more(self._rounds, charged), _more(self._unended, _here(record.energy))
        if not record.energy.unmetered:
            self._charge(record.energy)

    def _session(self, session: Session) -> None:
        beside = session.energy.energy
        self._beside = _more(self._beside, beside)
        told = self._charge(session.energy)
        if told is not None:
            self._window_ns += told.window_nanoseconds
            ours = _more(self._unended, _here(session.energy))
            self._others = _more(self._others, _machine_net(told).beside(ours))
        self._unended = None
        self._sessions.append(
            SessionRow(
                began=session.began_at,
                ended=session.ended_at,
                why=session.ended,
                attempts=session.attempts,
                first_attempt=session.first_attempt,
                budget_uj=session.budget_microjoules,
                beside=beside,
                window_s=told.window_nanoseconds / NANO if told is not None else None,
            )
        )

    def _charge(self, figure: EnergyFigure) -> OldSettlementStatement | None:
        """Go on by each part of a charge; what the coordinator's meter says of its own."""
        self._newest_baseline = figure.baseline
        told, *_ = [self._part(part) for part in figure.by_meter]
        return told

    def _part(self, part: MeteredPart) -> OldSettlementStatement | None:
        of = f"{part.worker}/" if part.worker else ""
        self._tiers[part.tier] += 1
        self._flags.update(set(part.flags))
        self._sources.update(f"{of}{name}" for name in set(part.sources))
        self._baselines[part.baseline] = None
        if part.worker:
            self._workers = _more(self._workers, part.energy)
        told = _told(part)
        if told is None:
            self._unsigned += 1
            return None
        self._meters.add(told.meter_key)
        for counter in told.counters:
            self._counters[f"{of}{counter.source}"] = (counter.first_microjoules, counter.last_microjoules)
        return told

    def joules(self, state: Path) -> JoulesOfLog:
        """What they come to; the baseline is read as it is stored now."""
        stored, problem = _baseline(state)
        window_s = self._window_ns / NANO
        rest_uw = sum(idle.idle_uw for idle in stored.idles) if stored is not None else None
        return JoulesOfLog(
            attempts=Energy.total(self._outcomes.values()),
            rounds=self._rounds,
            beside=self._beside,
            workers=self._workers,
            outcomes=tuple(self._outcomes.items()),
            phases=tuple(self._phases.items()),
            phased=self._phased,
            others=self._others,
            idle_uj=round(rest_uw * window_s) if rest_uw is not None and window_s else None,
            window_s=window_s,
            sources=tuple(self._rows()),
            flags=tuple(self._flags.most_common()),
            charges=self._tiers.total(),
            tiers=tuple(self._tiers.most_common()),
            baselines=len(self._baselines),
            meters=len(self._meters),
            unsigned=self._unsigned,
            sessions=tuple(reversed(self._sessions)),
            baseline=stored,
            baseline_problem=problem,
            baseline_in_use=stored is not None and stored.digest == self._newest_baseline,
        )

    def _rows(self) -> Iterable[SourceRow]:
        for name, count in sorted(self._sources.items()):
            yield SourceRow(name, count, *self._counters.get(name, (None, None)))


def _more(before: Energy | None, part: Energy) -> Energy:
    return part if before is None else before + part


def _here(figure: EnergyFigure) -> Energy:
    """What of a charge was spent on the coordinator's machine, by its own process or by a worker there."""
    own, *others = figure.by_meter
    here = (part.energy for part in others if own.boot and part.boot == own.boot)
    return sum(here, own.energy)


def _told(part: MeteredPart) -> OldSettlementStatement | None:
    """What the meter says of a charge; none where it has no statement, or none that can be read."""
    try:
        return parse_settlement(part.settlement).statement if part.settlement else None
    except CryoFluxError:
        return None


def _machine_net(told: OldSettlementStatement) -> Energy:
    """Net energy of the whole machine in the window of a charge; that of a session holds its attempts."""
    net = told.machine_net
    return Energy(net.microjoules, net.lo_microjoules, net.hi_microjoules, told.tier)


def _baseline(state: Path) -> tuple[Baseline | None, str]:
    try:
        found = load_baseline(StateFolder(state).baseline)
    except StateTamperedError as error:
        return None, error.what
    if not found.idles:
        return None, "No idle baseline lies in this state; a daemon keeps its own."
    return found, ""
