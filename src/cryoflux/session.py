"""One run: opens the state, spends the budget on attempts, and says what it came to.

The order of opening is the order of trust: inputs are checked before anything is written; the state
is locked; the meter starts; the log is checked; what a dead run left open is closed; only then are
joules granted and spent.
"""

from __future__ import annotations

__all__ = ["Limits", "RunObserver", "Summary", "run"]

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from cryoflux.bench import Bench, Observer, Rule
from cryoflux.config import Settings, Sourced
from cryoflux.data.prepared import open_prepared
from cryoflux.decision.rules import Thresholds
from cryoflux.energy.embedded import EmbeddedAgent
from cryoflux.energy.interface import JouleAgent, Sample
from cryoflux.errors import BudgetError, UsageError
from cryoflux.evaluation.cache import LossCache
from cryoflux.files import lock_exclusively
from cryoflux.inputs import Origin, ready_inputs, stored_origin
from cryoflux.libraries import quieten
from cryoflux.orchestrator import run_attempt
from cryoflux.quantities import MICRO, NANO, Energy, format_energy, parse_energy
from cryoflux.receipts.entry import intent_of
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Outcome, Receipt
from cryoflux.recording import AttemptRecord
from cryoflux.recovery import head_of, past_outcomes, recover
from cryoflux.registry.versions import Versions
from cryoflux.reporting import Scores, audit_scores, holdout_scores
from cryoflux.scheduling.policy import Arm
from cryoflux.training.recipe import Recipe

TASK = "lora_delta"
Ended = Literal["budget", "attempts", "time", "interrupted"]
_MOST_EXHAUSTED = 2
"""attempts in a row that may fail for want of joules before the run says that it cannot work"""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends."""

    budget_uj: int | None = None
    """granted on top of what the account holds, µJ"""
    seconds: float | None = None
    attempts: int | None = None


class RunObserver(Observer, Protocol):
    """Watches a whole run."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """Something that takes a while before the first attempt, or after the last."""

    def opened(self, bench: Bench, origin: Origin, sample: Sample, spendable_uj: int) -> None:
        """The state is open and the budget granted."""

    def recovered(self, receipt: Receipt) -> None:
        """An attempt of a dead run got its receipt."""

    def finished(self, record: AttemptRecord) -> None:
        """An attempt has its receipt."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to."""

    attempts: int
    kept: int
    rejected: int
    aborted: int
    spent: Energy | None
    """charged to this run's attempts"""
    overhead: Energy | None
    """this process's energy outside its attempts; none where nobody can tell"""
    spendable_uj: int
    """what the run could spend, µJ"""
    remaining_uj: int
    total_delta: float
    """Σ Δ of what was kept, nats"""
    holdout: tuple[Scores | None, Scores | None]
    """before and after"""
    audit: tuple[Scores | None, Scores | None]
    state: Path
    head: str
    """digest of the head model"""
    ended: Ended


def run(
    sourced: Sourced,
    limits: Limits,
    observer: RunObserver,
    stop: Callable[[], bool],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Summary:
    """Spend the budget.

    Args:
        sourced: the settings and where each came from.
        limits: when to end.
        observer: is told everything; must not raise.
        stop: asked between training steps and batches whether to end now.
        now: wall time, UTC; a label.

    Raises:
        CryoFluxError: the run cannot start or cannot go on; what happened until then is recorded.
    """
    settings = sourced.settings
    state = Path(settings.run.state)
    began = time.monotonic()
    _check_budget(settings, state, limits)
    quieten()
    inputs = ready_inputs(
        sourced, state, progress=lambda d, n: observer.preparing("reading the library's docstrings", d, n)
    )
    with lock_exclusively(state / "lock", holder="cryoflux run"):
        origin = stored_origin(state) or (inputs.begin(state) if inputs else None)
        if origin is None:
            raise AssertionError("a state is new or it is not")
        with _open_agent(settings, state, observer) as agent, closing(ReceiptLog.open(state)) as log:
            bench = _bench(settings, state, agent, log, origin, observer, stop, now)
            for receipt in recover(bench):
                observer.recovered(receipt)
            spendable = _grant(settings, agent, limits)
            observer.opened(bench, origin, agent.sample(), spendable)
            return _spend(bench, limits, observer, began, spendable)


def _check_budget(settings: Settings, state: Path, limits: Limits) -> None:
    reserve_uj = parse_energy(settings.attempt.reserve)
    if limits.budget_uj is None and stored_origin(state) is None and settings.energy.credit == "grant":
        raise UsageError(
            "No budget was given.",
            why="CryoFlux spends the joules that it is granted, and no others.",
            hint="Grant some: cryoflux run --budget 2kJ.",
        )
    if limits.budget_uj is not None and limits.budget_uj < reserve_uj and stored_origin(state) is None:
        raise UsageError(
            f"A budget of {format_energy(limits.budget_uj)} is smaller than one attempt.",
            why=f"An attempt reserves {format_energy(reserve_uj)} before it starts.",
            hint="Raise --budget, or lower --reserve.",
        )


@contextmanager
def _open_agent(settings: Settings, state: Path, observer: RunObserver) -> Iterator[JouleAgent]:
    agent: JouleAgent
    if settings.agent.agent:
        from cryoflux.agent.client import AgentClient

        agent = AgentClient(settings.agent.agent, token=settings.agent.token, timeout=settings.agent.timeout)
    else:
        agent = EmbeddedAgent(
            settings, state, progress=lambda d, n: observer.preparing("learning the idle baseline", d, n)
        )
    with closing(agent):
        yield agent


def _bench(
    settings: Settings,
    state: Path,
    agent: JouleAgent,
    log: ReceiptLog,
    origin: Origin,
    observer: RunObserver,
    stop: Callable[[], bool],
    now: Callable[[], datetime],
) -> Bench:
    import torch

    torch.set_num_threads(settings.model.threads)
    versions = Versions(state)
    entries = list(log.entries())
    data = open_prepared(state / "data" / origin.data_digest, origin.data_name)
    recipe = _recipe(settings)
    return Bench(
        state=state,
        agent=agent,
        log=log,
        versions=versions,
        losses=LossCache(state / "cache" / "losses"),
        data=data,
        head=versions.open(head_of(entries) or origin.version),
        arms=[Arm(TASK, recipe.name, parse_energy(settings.attempt.reserve))],
        recipes={recipe.name: recipe},
        rule=_rule(settings),
        seed=settings.run.seed,
        device=_device(settings),
        meter="daemon" if settings.agent.agent else "embedded",
        observer=observer,
        stop=stop,
        now=now,
        outcomes=past_outcomes(entries),
        attempts=sum(intent_of(entry) is not None for entry in entries),
    )


def _recipe(settings: Settings) -> Recipe:
    attempt = settings.attempt
    return Recipe(
        name="whitepaper",
        rank=attempt.rank,
        alpha=attempt.alpha,
        dropout=attempt.dropout,
        learning_rate=attempt.learning_rate,
        batch_size=attempt.batch_size,
        max_steps=attempt.max_steps,
        slice_size=attempt.slice_size,
        max_tokens=settings.model.max_tokens,
    )


def _rule(settings: Settings) -> Rule:
    decision = settings.decision
    thresholds = Thresholds(
        min_delta=round(decision.min_delta * NANO),
        min_accuracy_gain_ppm=round(decision.min_accuracy_gain * MICRO),
        z_milli=round(decision.z * 1000),
    )
    return Rule(decision.rule, thresholds)


def _device(settings: Settings) -> str:
    import torch

    available = torch.cuda.is_available()
    if settings.model.device == "cuda" and not available:
        raise UsageError(
            "No CUDA device can be used here.",
            why="--device cuda asks for one.",
            hint="Leave --device out, or see what is missing with `cryoflux doctor`.",
        )
    return "cpu" if settings.model.device == "cpu" or not available else "cuda"


def _grant(settings: Settings, agent: JouleAgent, limits: Limits) -> int:
    """Grant the budget and return what this run may spend, µJ."""
    held_uj, reserve_uj = agent.bucket_uj(), parse_energy(settings.attempt.reserve)
    # A shared bucket, or one that is credited as energy is metered, also holds what others count on.
    only_ours = not settings.agent.agent and settings.energy.credit == "grant"
    if limits.budget_uj is None:
        return held_uj
    spendable_uj = held_uj + limits.budget_uj if only_ours else limits.budget_uj
    if spendable_uj < reserve_uj:
        held, needed = format_energy(held_uj), format_energy(reserve_uj)
        raise UsageError(
            f"A budget of {format_energy(limits.budget_uj)} is smaller than one attempt.",
            why=f"The bucket holds {held} besides; an attempt reserves {needed}.",
            hint="Raise --budget, or lower --reserve.",
        )
    agent.grant(limits.budget_uj, request_id=f"run-{secrets.token_hex(8)}", note="cryoflux run --budget")
    return spendable_uj


def _spend(bench: Bench, limits: Limits, observer: RunObserver, began: float, spendable_uj: int) -> Summary:
    first, before = bench.head, len(bench.outcomes)
    records: list[AttemptRecord] = []
    spent: Energy | None = None
    while (ended := _ended(bench, limits, records, began, spendable_uj, spent)) is None:
        record = run_attempt(bench)
        records.append(record)
        charged = _charged(record.receipt)
        spent = spent + charged if spent else charged
        observer.finished(record)
        if all(map(_ran_dry, records[-_MOST_EXHAUSTED:])) and len(records) >= _MOST_EXHAUSTED:
            raise _too_little(bench, records)
    if ended == "budget" and not records:
        raise _too_little(bench, records)
    audit = audit_scores(bench, first, bench.head, observer.preparing, quick=ended == "interrupted")
    outcomes = [record.receipt.outcome for record in records]
    return Summary(
        attempts=len(records),
        kept=outcomes.count(Outcome.ACCEPTED),
        rejected=outcomes.count(Outcome.REJECTED),
        aborted=outcomes.count(Outcome.ABORTED),
        spent=spent,
        overhead=_overhead(bench, spent),
        spendable_uj=spendable_uj,
        remaining_uj=bench.agent.bucket_uj(),
        total_delta=sum(outcome.kept_delta for outcome in bench.outcomes[before:]),
        holdout=holdout_scores(bench, first, bench.head),
        audit=audit,
        state=bench.state,
        head=bench.head.digest,
        ended=ended,
    )


def _ended(
    bench: Bench,
    limits: Limits,
    records: list[AttemptRecord],
    began: float,
    spendable_uj: int,
    spent: Energy | None,
) -> Ended | None:
    if bench.stop():
        return "interrupted"
    if limits.attempts is not None and len(records) >= limits.attempts:
        return "attempts"
    if limits.seconds is not None and time.monotonic() - began >= limits.seconds:
        return "time"
    left_uj = spendable_uj - (spent.uj if spent else 0)
    return None if _affordable(bench, left_uj) else "budget"


def _affordable(bench: Bench, left_uj: int) -> bool:
    return min(left_uj, bench.agent.bucket_uj()) >= min(arm.reserve_uj for arm in bench.arms)


def _charged(receipt: Receipt) -> Energy:
    figure = receipt.energy
    return Energy(
        figure.microjoules, figure.lo_microjoules, figure.hi_microjoules, figure.tier, tuple(figure.flags)
    )


def _ran_dry(record: AttemptRecord) -> bool:
    return record.stopped == "exhausted"


def _overhead(bench: Bench, spent: Energy | None) -> Energy | None:
    own = bench.agent.sample().own
    if own is None:
        return None
    uj = max(0, own.uj - (spent.uj if spent else 0))
    lo = max(0, own.lo_uj - (spent.lo_uj if spent else 0))
    hi = max(0, own.hi_uj - (spent.hi_uj if spent else 0))
    return Energy(uj, min(lo, uj), max(hi, uj), own.tier, own.flags)


def _enough(bench: Bench) -> int:
    # base and candidate evaluated once each, and as much again for training
    return max(1, round(4 * bench.costs.evaluation_uj / MICRO))


def _too_little(bench: Bench, records: list[AttemptRecord]) -> BudgetError:
    reserve = format_energy(min(arm.reserve_uj for arm in bench.arms))
    if records:
        return BudgetError(
            f"{len(records)} attempts ended because {reserve} do not pay for evaluation and training both.",
            why="What they used is charged and recorded; nothing was kept.",
            hint=f"Raise the reservation, for example --reserve {_enough(bench)}J, or lower --max-tokens.",
        )
    return BudgetError(
        f"The bucket holds {format_energy(bench.agent.bucket_uj())}; one attempt reserves {reserve}.",
        why="Nothing was tried and nothing was spent.",
        hint="Grant more: cryoflux run --budget 2kJ.",
    )
