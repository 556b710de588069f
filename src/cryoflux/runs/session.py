"""One run: opens the state, grants the budget, and has it spent.

The order of opening is the order of trust: inputs are checked before anything is written; the state
is locked; the meter starts; the log is checked; witnesses, where they are required, have seen it; what a
dead run left open is closed; only then are joules granted and spent.
"""

from __future__ import annotations

__all__ = ["run"]

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.attempt.context import Bench, Rule
from cryoflux.config import Settings, Sourced
from cryoflux.data.prepared import open_prepared
from cryoflux.decision.rules import Thresholds
from cryoflux.encoder.layout import read_layout
from cryoflux.energy.embedded import EmbeddedAgent
from cryoflux.energy.interface import JouleAgent
from cryoflux.errors import StateError, UsageError
from cryoflux.evaluation.cache import LossCache
from cryoflux.files import lock_exclusively
from cryoflux.quantities import MICRO, NANO, Tier, parse_energy
from cryoflux.receipts.entry import Entry, intent_of
from cryoflux.receipts.log import ReceiptLog
from cryoflux.registry.versions import Versions
from cryoflux.runs.inputs import Inputs, Origin, check_origin, ready_inputs, stored_origin, too_small
from cryoflux.runs.recovery import drawn_before, head_of, holdout_use, past_outcomes, recover, signed_losses
from cryoflux.runs.spending import Limits, RunObserver, Summary, spend
from cryoflux.tasks.lora.base_model import check_tokens
from cryoflux.tasks.lora.libraries import quieten
from cryoflux.tasks.lora.recipe import Method, chosen_recipes
from cryoflux.tasks.pool import make_pool
from cryoflux.witness.policy import Policy, read_policy

if TYPE_CHECKING:
    from cryoflux.witness.witnessing import Witnessing

TASK = "lora_delta"


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
    chosen_recipes(settings, known=True)  # a slip of the pen is refused before anything is written
    policy = read_policy(Path(settings.witness.trust)) if settings.witness.trust else None
    quieten()
    inputs = ready_inputs(
        sourced, state, progress=lambda d, n: observer.preparing("reading the library's docstrings", d, n)
    )
    with ExitStack() as opened:
        # A daemon is asked before the state is touched: where it is down, nothing has been written.
        daemon = opened.enter_context(_daemon(settings)) if settings.agent.agent else None
        opened.enter_context(lock_exclusively(state / "lock", holder="cryoflux run"))
        agent = daemon or opened.enter_context(_embedded(settings, state, observer))
        origin = _origin(state, inputs)
        log = opened.enter_context(closing(ReceiptLog.open(state)))
        entries = list(log.entries())
        check_origin(state, origin, entries)
        witnessing = opened.enter_context(_witnesses(settings, state, policy, observer))
        bench = _bench(settings, state, agent, log, entries, origin, observer, stop, now)
        bench.witnessing = witnessing
        for receipt in recover(bench, entries):
            observer.recovered(receipt)
        _warm_up(bench)
        spendable = 0 if stop() else _grant(settings, agent, limits)
        observer.opened(bench, origin, agent.sample(), spendable)
        summary = spend(bench, limits, observer, began, spendable)
        if witnessing:
            observer.preparing("showing the last head to the witnesses", 0, 1)
            if found := witnessing.finish():
                observer.witnessed(found)
        return summary


def _origin(state: Path, inputs: Inputs | None) -> Origin:
    # Asked again under the lock: another run may have begun the state meanwhile.
    if known := stored_origin(state):
        return known
    if inputs is None:
        raise StateError(
            f"{state} was emptied while it was being opened.",
            why="There is nothing to continue.",
            hint="Run the same command again.",
        )
    return inputs.begin(state)


def _check_budget(settings: Settings, state: Path, limits: Limits) -> None:
    reserve_uj = parse_energy(settings.attempt.reserve)
    if limits.budget_uj is None and stored_origin(state) is None and settings.energy.credit == "grant":
        raise UsageError(
            "No budget was given.",
            why="CryoFlux spends the joules that it is granted, and no others.",
            hint="Grant some: cryoflux run --budget 2kJ.",
        )
    if limits.budget_uj is not None and limits.budget_uj < reserve_uj and stored_origin(state) is None:
        raise too_small(limits.budget_uj, reserve_uj)


@contextmanager
def _daemon(settings: Settings) -> Iterator[JouleAgent]:
    from cryoflux.agent.client import AgentClient

    chosen = settings.agent
    with closing(AgentClient(chosen.agent, token=chosen.token, timeout=chosen.timeout)) as agent:
        agent.sample()
        yield agent


@contextmanager
def _embedded(settings: Settings, state: Path, observer: RunObserver) -> Iterator[JouleAgent]:
    def progress(done: int, total: int) -> None:
        observer.preparing("learning the idle baseline", done, total)

    with closing(EmbeddedAgent(settings, state, progress=progress)) as agent:
        yield agent


@contextmanager
def _witnesses(
    settings: Settings, state: Path, policy: Policy | None, observer: RunObserver
) -> Iterator[Witnessing | None]:
    if policy is None:
        yield None
        return
    from cryoflux.witness.witnessing import open_witnessing

    chosen = settings.witness
    opened = open_witnessing(state, policy, chosen.witnessing, timeout_s=chosen.witness_timeout)
    with closing(opened) as witnessing:
        if chosen.witnessing == "required":
            # What a run that died had accepted takes effect only now.
            observer.preparing("asking the witnesses of the log", 0, 1)
            observer.witnessed(witnessing.require())
        yield witnessing


def _bench(
    settings: Settings,
    state: Path,
    agent: JouleAgent,
    log: ReceiptLog,
    entries: list[Entry],
    origin: Origin,
    observer: RunObserver,
    stop: Callable[[], bool],
    now: Callable[[], datetime],
) -> Bench:
    observer.preparing("loading the training libraries", 0, 1)
    from cryoflux.tasks.lora.head import Loaded

    _set_threads(settings, agent)
    versions = Versions(state)
    data = open_prepared(state / "data" / origin.data_digest, origin.data_name)
    head = versions.open(head_of(entries) or origin.version)
    check_tokens(json.loads((head.folder / "config.json").read_bytes()), settings.model.max_tokens)
    recipes = chosen_recipes(settings, known=read_layout(head.folder) is not None)
    pool = make_pool(len(data.train), _pool_seed(settings, entries))
    if not pool.screen:  # too few examples to set any aside
        recipes = {name: replace(recipe, screen_size=0) for name, recipe in recipes.items()}
    observer.preparing("tokenising the examples", 0, 1)
    loaded = Loaded(
        head,
        data,
        recipes,
        cache=state / "cache",
        cache_bytes=settings.attempt.cache_mb * 1_000_000,
        device=_device(settings),
        pool=pool,
    )
    return Bench(
        state=state,
        agent=agent,
        log=log,
        versions=versions,
        losses=LossCache(state / "cache" / "losses"),
        data=data,
        loaded=loaded,
        recipes=recipes,
        task=TASK,
        reserve_uj=parse_energy(settings.attempt.reserve),
        policy=settings.attempt.policy,
        rule=_rule(settings, entries),
        holdout_use=holdout_use(entries, data),
        seed=settings.run.seed,
        meter="daemon" if settings.agent.agent else "embedded",
        observer=observer,
        stop=stop,
        now=now,
        signed_losses=signed_losses(entries),
        outcomes=past_outcomes(entries),
        attempts=sum(intent_of(entry) is not None for entry in entries),
        drawn=drawn_before(entries),
    )


def _pool_seed(settings: Settings, entries: list[Entry]) -> int:
    # What was set aside for screening stays set aside, whatever seed a later run is given.
    first = next((intent for entry in entries if (intent := intent_of(entry))), None)
    return first.schedule.seed if first else settings.run.seed


def _warm_up(bench: Bench) -> None:
    """What a process does once, so that no attempt is charged for it."""
    for part in ("train", bench.holdout_use.part):
        bench.loaded.examples(part)
    from cryoflux.tasks.lora import lean

    lean.warm_up()
    slow = [recipe for recipe in bench.recipes.values() if recipe.method is Method.PEFT]
    if slow:
        from cryoflux.tasks.lora.with_peft import warm_up

        warm_up(bench.head.folder, slow[0], bench.loaded.device)


def _set_threads(settings: Settings, agent: JouleAgent) -> None:
    import torch

    from cryoflux.encoder.threads import frugal_threads

    def own_uj() -> int | None:
        # a power curve is a guess at just what is asked here: what one more busy core costs
        own = agent.sample().own
        return own.uj if own and own.tier is not Tier.MODELLED else None

    torch.set_num_threads(settings.model.threads or frugal_threads(own_uj))


def _rule(settings: Settings, entries: list[Entry]) -> Rule:
    decision = settings.decision
    # An error budget is promised for the life of a holdout: it may be tightened, never widened.
    promised = [i.rule.alpha_ppm for entry in entries if (i := intent_of(entry)) and i.rule.alpha_ppm]
    alpha_ppm = min([max(1, round(decision.error_budget * MICRO)), *promised])
    thresholds = Thresholds(
        min_delta=round(decision.min_delta * NANO),
        min_accuracy_gain_ppm=round(decision.min_accuracy_gain * MICRO),
        z_milli=round(decision.z * 1000),
    )
    return Rule(decision.rule, thresholds, alpha_ppm)


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
        raise too_small(limits.budget_uj, reserve_uj, held_uj)
    agent.grant(limits.budget_uj, request_id=f"run-{secrets.token_hex(8)}", note="cryoflux run --budget")
    return spendable_uj
