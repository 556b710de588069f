"""One run: opens the state, grants the budget, and has it spent.

The order of opening is the order of trust: inputs are checked before anything is written (in a folder that is
there: but its lock and activity); the state is locked; the meter starts; the log is checked; witnesses, where
they are required, have seen it; what a dead run left open is closed; only then are joules granted and spent.
What it spends beside its attempts is charged to its session (`open_session`), from its start on.
"""

from __future__ import annotations

__all__ = ["run"]

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.attempt.context import Context, Opened
from cryoflux.config import Settings, Sourced
from cryoflux.data.columns import Wishes
from cryoflux.data.growing import drop_others
from cryoflux.data.prepared import PreparedData, open_prepared
from cryoflux.energy.interface import JouleAgent
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.energy.started import Started
from cryoflux.errors import CryoFluxError, StateError
from cryoflux.evaluation.cache import LossCache
from cryoflux.files import lock_exclusively
from cryoflux.log_state import LogState
from cryoflux.quantities import Tier
from cryoflux.receipts.log import ReceiptLog
from cryoflux.registry.versions import Versions
from cryoflux.runs.activity import ActivityObserver
from cryoflux.runs.checks import CheckedStart, check_start, daemon_of
from cryoflux.runs.fleet_check import check_fleet
from cryoflux.runs.inputs import (
    begin,
    check_origin,
    stored_origins,
)
from cryoflux.runs.lent import left_behind
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.meanwhile import Meanwhile
from cryoflux.runs.monitoring import Monitoring
from cryoflux.runs.open_session import OpenSession, end_failed
from cryoflux.runs.opening import opening_of
from cryoflux.runs.own_seed import with_own_seed
from cryoflux.runs.recovery import read_log, recover
from cryoflux.runs.spending import spend
from cryoflux.runs.summary import Summary
from cryoflux.runs.terms import grant_of, rule_of, terms_of
from cryoflux.runs.watch import Observers, RunObserver
from cryoflux.runs.watching import Watching, first_session, keep_watching, patience_of
from cryoflux.state import StateFolder
from cryoflux.task_tallies import EVERYTHING
from cryoflux.tasks.interface import Beginning, Origin, Task, Workplace
from cryoflux.witness.policy import Policy

if TYPE_CHECKING:
    from cryoflux.runs.adopting import Adopting  # it would bring numpy
    from cryoflux.witness.witnessing import Witnessing


def run(
    sourced: Sourced,
    limits: RunLimits,
    *,
    observers: Sequence[RunObserver] = (),
    stop: Callable[[], bool] = lambda: False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    started: Started | None = None,
    watching: Watching | None = None,
) -> Summary:
    """Spend the budget.

    Args:
        sourced: the settings and where each came from.
        limits: when to end.
        observers: are told everything, in frozen values; must not raise.
        stop: asked between training steps and batches whether to end now.
        now: wall time, UTC; a label.
        started: when what the run is charged for began; with this call where it is none.
        watching: what is watched, where the run goes on until it is stopped.

    Raises:
        CryoFluxError: the run cannot start or cannot go on; what happened until then is recorded.
    """
    started, began = started or Started.now(), time.monotonic()
    settings, state = sourced.settings, StateFolder(Path(sourced.settings.run.state))
    observer = Observers([activity := ActivityObserver(state, limits.seconds), *observers])
    checked = check_start(sourced, state, budget_uj=limits.budget_uj, carry=limits.carry)
    check_fleet(settings, checked.tasks, watches=watching is not None)
    with ExitStack() as opened:
        patience = patience_of(watching, stop, observer) if watching is not None else None
        beginnings, daemon = _inputs(checked, settings, state, activity, observer, opened, patience)
        agent = opened.enter_context(_meter(settings, state, observer, activity, daemon))
        origins = _origins(state, tasks := checked.tasks, beginnings)
        log = opened.enter_context(closing(ReceiptLog.open(state.path)))
        memory, named = read_log(log)
        settings = with_own_seed(sourced, memory, log.origin)
        check_origin(state, origins, memory)
        witnessing = opened.enter_context(_witnesses(settings, state, checked.policy, observer))
        opened.enter_context(_threads(settings, agent, tasks, observer))
        versions = Versions(state.path)
        open_task = partial(_open, settings, state, versions, memory, observer, origins)
        at_work = {task.name: open_task(task) for task in tasks}
        losses, terms, asked = LossCache(state.cache / "losses"), terms_of(settings, tasks), Meanwhile(stop)
        context = Context(
            state, agent, log, memory, versions, losses, at_work, terms, observer, asked, now, witnessing
        )
        _recover(context, named, settings, observer)
        waits = watching if daemon is not None or settings.energy.credit == "net" else None
        opens = partial(_first, context, limits, started, observer)
        session = first_session(context, opens, observer, waits)
        monitoring = _monitoring(context, settings, observer, partial(_reopen, at_work, open_task))
        rounds = _rounds(context, settings, limits)
        alone = partial(spend, context, limits, observer, began, session, monitoring, adopting=rounds)
        spending = partial(_with_workers, context, settings, session, asked, observer, alone)
        if watching is not None:
            again = partial(_again, context, observer)
            keeping = partial(keep_watching, context, at_work, limits, observer, watching, adopting=rounds)
            spending = partial(keeping, session=session, again=again, reopen=open_task, monitoring=monitoring)
        return activity.ended(_spend(context, spending, observer, session, origins))


def _rounds(context: Context, settings: Settings, limits: RunLimits) -> Sequence[Adopting]:
    """What makes rounds; nothing in a state that is no node's."""
    if not context.memory.nodes:
        return ()
    from cryoflux.runs.node_offers import adopting_of

    return adopting_of(context, settings, only_rounds=limits.only_rounds)


def _inputs(
    checked: CheckedStart,
    settings: Settings,
    state: StateFolder,
    activity: ActivityObserver,
    observer: RunObserver,
    opened: ExitStack,
    patience: Callable[[], bool] | None,
) -> tuple[dict[str, Beginning], JouleAgent | None]:
    """What new tasks start from, and the daemon that answers; from then on the state is this run's alone."""

    def enter() -> None:
        opened.enter_context(lock_exclusively(state.lock, holder="cryoflux run"))
        opened.enter_context(activity)

    if was_there := state.path.is_dir():  # who looks at it sees from here on what happens
        enter()
    beginnings = _beginnings(checked.tasks, checked.origins, observer)
    # A daemon is asked before the folder of a new state is made.
    daemon = opened.enter_context(daemon_of(settings, patience)) if settings.agent.agent else None
    if not was_there:
        enter()
    return beginnings, daemon


def _monitoring(
    context: Context, settings: Settings, observer: RunObserver, reopen: Callable[[Opened], None]
) -> Monitoring:
    wishes = Wishes.of(settings.data)
    return Monitoring(context, settings.monitor, observer.preparing, reopen, observer.unmonitored, wishes)


def _reopen(
    at_work: dict[str, Opened], open_task: Callable[[Task, PreparedData], Opened], one: Opened
) -> None:
    """Open a task again, because it draws from other training examples."""
    at_work[one.task.name] = open_task(one.task, one.data)


def _first(context: Context, limits: RunLimits, started: Started, observer: RunObserver) -> OpenSession:
    return _session(context, grant_of(context.terms.reserve_uj, context.agent, limits), started, observer)


def _again(context: Context, observer: RunObserver) -> OpenSession:
    """Another session of a run that goes on: it may spend all that the account holds."""
    return _session(context, context.agent.bucket_uj(), Started.now(), observer)


def _session(context: Context, budget_uj: int, started: Started, observer: RunObserver) -> OpenSession:
    session = OpenSession(context, budget_uj, started)
    observer.funded(session.reservation, session.budget_uj)
    return session


def _recover(context: Context, named: set[str], settings: Settings, observer: RunObserver) -> None:
    left = left_behind(context.state, context.agent, settings, context.log.origin)
    for receipt in recover(context, named, left):
        observer.recovered(receipt)


def _spend(
    context: Context,
    spending: Callable[[], Summary],
    observer: RunObserver,
    session: OpenSession | None,
    origins: Mapping[str, Origin],
) -> Summary:
    """Load what no attempt shall be charged for, and spend; however it ends, the log says what it cost."""
    try:
        for one in context.tasks.values():
            one.task.warm_up(one.part)
        observer.opened(opening_of(context, origins, session))
        summary = spending()
    except CryoFluxError:
        end_failed(context, session)
        raise
    _show_last_head(context.witnessing, observer)
    return summary


def _with_workers(
    context: Context,
    settings: Settings,
    session: OpenSession | None,
    asked: Meanwhile,
    observer: RunObserver,
    spending: Callable[..., Summary],
) -> Summary:
    """Spend with the workers that the settings ask for, if they ask for any."""
    if not settings.fleet.workers or session is None:
        return spending()
    from cryoflux.runs.crewing import crewed

    with crewed(context, settings, session, asked, observer) as attempts:
        return spending(attempts=attempts)


def _show_last_head(witnessing: Witnessing | None, observer: RunObserver) -> None:
    if witnessing:
        observer.preparing("showing the last head to the witnesses", 0, 1)
        if found := witnessing.finish():
            observer.witnessed(found)


def _beginnings(
    tasks: Sequence[Task], origins: Mapping[str, Origin], observer: RunObserver
) -> dict[str, Beginning]:
    """What the tasks that are new to the state start from; the others confirm what it was begun with."""
    found = {}
    for task in tasks:
        if (origin := origins.get(task.name)) is None:
            found[task.name] = task.beginning(observer.preparing)
        else:
            task.confirm(origin)
    return found


def _origins(
    state: StateFolder, tasks: Sequence[Task], beginnings: Mapping[str, Beginning]
) -> dict[str, Origin]:
    # Asked again under the lock: another run may have begun the state meanwhile.
    origins = stored_origins(state)
    for task in tasks:
        if (begun := origins.get(task.name)) is not None:
            if task.name in beginnings:
                task.confirm(begun)
            continue
        if task.name not in beginnings:
            raise StateError(
                f"{state.path} was emptied while it was being opened.",
                why="There is nothing to continue.",
                hint="Run the same command again.",
            )
        origins[task.name] = begin(state, task.name, beginnings[task.name], origins)
    return origins


@contextmanager
def _meter(
    settings: Settings,
    state: StateFolder,
    observer: RunObserver,
    activity: ActivityObserver,
    daemon: JouleAgent | None,
) -> Iterator[JouleAgent]:
    """The daemon, or a meter in this process; what it shows is noted for who watches."""
    progress = partial(observer.preparing, "learning the idle baseline")
    with ExitStack() as opened:
        agent = daemon or opened.enter_context(closing(LocalAgent(settings, state.path, progress=progress)))
        opened.enter_context(activity.metering(settings, agent))
        yield agent


@contextmanager
def _witnesses(
    settings: Settings, state: StateFolder, policy: Policy | None, observer: RunObserver
) -> Iterator[Witnessing | None]:
    if policy is None:
        yield None
        return
    from cryoflux.witness.witnessing import open_witnessing

    chosen = settings.witness
    opened = open_witnessing(state.path, policy, chosen.witnessing, timeout_s=chosen.witness_timeout)
    with closing(opened) as witnessing:
        if chosen.witnessing == "required":
            # What a run that died had accepted takes effect only now.
            observer.preparing("asking the witnesses of the log", 0, 1)
            observer.witnessed(witnessing.require())
        yield witnessing


def _open(
    settings: Settings,
    state: StateFolder,
    versions: Versions,
    memory: LogState,
    observer: RunObserver,
    origins: Mapping[str, Origin],
    task: Task,
    data: PreparedData | None = None,
) -> Opened:
    known, origin = memory.tasks.get(task.name), origins[task.name]
    if data is None:
        digest = known.latest.digest if known is not None else origin.data_digest
        data = open_prepared(state.data(digest), origin.data_name, origin.rules)
        kept = {other.latest.digest for other in memory.tasks.values()}
        drop_others(
            data.folder, kept | {o.data_digest for name, o in origins.items() if name not in memory.tasks}
        )
    head = versions.open(known.head.digest if known is not None else origin.version)
    # What was set aside for screening stays set aside, whatever seed a later run is given.
    pool_seed = known.pool_seed if known is not None else settings.run.seed
    observer.preparing("tokenising the examples", 0, 1)
    composed = known.composition if known is not None else None
    count = data.count("train")
    pool = known.pool_with(count) if known is not None else EVERYTHING
    pool_of = partial(_pool_of, memory, task.name)
    task.open(Workplace(state, versions, data, pool_seed, composed, pool, pool_of), head)
    promised = known.alpha_ppm if known is not None else None
    rule = task.judged_by(rule_of(settings, promised))
    return Opened(task, data, rule, partial(memory.tasks.get, task.name), task.reserve_uj(settings))


def _pool_of(memory: LogState, task: str, arm: str) -> int:
    known = memory.tasks.get(task)
    return known.pool_of(arm) if known is not None else 0


@contextmanager
def _threads(
    settings: Settings, agent: JouleAgent, tasks: Sequence[Task], observer: RunObserver
) -> Iterator[None]:
    if not any("torch" in task.libraries for task in tasks):
        yield
        return
    observer.preparing("loading the training libraries", 0, 1)
    import torch

    from cryoflux.encoder.threads import frugal_threads, torch_as_before

    def own_uj() -> int | None:
        # a power curve is a guess at just what is asked here: what one more busy core costs
        own = agent.sample().own
        return own.uj if own and own.tier is not Tier.MODELLED else None

    with torch_as_before():
        torch.set_num_threads(settings.model.threads or frugal_threads(own_uj))
        yield
