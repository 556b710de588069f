"""What refuses a run before it writes anything: the same checks for a run and for its plan.

What needs the lock of the state comes later, in a run alone: whether another run is at work, whether the log
is what was signed and its keys are there, whether its witnesses answer.
"""

from __future__ import annotations

__all__ = ["CheckedStart", "check_start", "daemon_of", "least_reserve_uj", "task_list"]

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryoflux.config import Settings, Sourced
from cryoflux.data.columns import Wishes
from cryoflux.data.formats import read_arrived
from cryoflux.energy.interface import JouleAgent
from cryoflux.errors import UsageError
from cryoflux.runs.inputs import check_folder, stored_origins, too_small
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Origin, Task
from cryoflux.tasks.registry import find_task
from cryoflux.witness.policy import Policy, read_policy


@dataclass(frozen=True, slots=True)
class CheckedStart:
    """What a run begins with, as far as the settings and the state say it."""

    tasks: list[Task]
    origins: Mapping[str, Origin]
    """task → what the state was begun with; empty where it is new"""
    policy: Policy | None
    """that names the log's witnesses"""


def check_start(
    sourced: Sourced, state: StateFolder, *, budget_uj: int | None, carry: bool, plans: bool = False
) -> CheckedStart:
    """Make sure that a run may begin; nothing is written.

    Args:
        sourced: the settings and where each came from.
        state: that the run is to work in.
        budget_uj: what it is to be granted, µJ; none for what its account holds.
        carry: whether what earlier runs left over may be spent on top of it.
        plans: whether it is only planned: a plan helps to choose a budget, and may be without one.

    Raises:
        CryoFluxError: it may not.
    """
    settings = sourced.settings
    tasks = [kind.from_settings(sourced) for kind in _kinds(settings)]
    origins = stored_origins(state)
    _check_budget(settings, tasks, budget_uj, carry=carry, needed=not origins and not plans)
    if settings.monitor.monitor:
        # later it may be written to; to begin with it is there
        read_arrived(Path(settings.monitor.monitor), Wishes.of(settings.data))
    policy = read_policy(Path(settings.witness.trust)) if settings.witness.trust else None
    if not origins:
        check_folder(state)
    return CheckedStart(tasks, origins, policy)


@contextmanager
def daemon_of(settings: Settings, patience: Callable[[], bool] | None = None) -> Iterator[JouleAgent]:
    """The daemon that the settings name; that it answers is known.

    Args:
        settings: which one it is.
        patience: asked where it does not answer any more, whether to try again; without, it is not.

    Raises:
        CryoFluxError: it does not, or not to us.
    """
    from cryoflux.agent.client import AgentClient

    chosen = settings.agent
    with closing(AgentClient(chosen.agent, token=chosen.token, timeout=chosen.timeout)) as agent:
        agent.sample()
        agent.patience = patience or agent.patience
        yield agent


def task_list(settings: Settings) -> list[str]:
    """The names of the tasks of a run, each once.

    Raises:
        UsageError: there is none.
    """
    names = list(dict.fromkeys(name.strip() for name in settings.run.task.split(",") if name.strip()))
    if not names:
        raise UsageError("No task is named.", hint="Leave --task out for lora_delta.")
    return names


def _kinds(settings: Settings) -> list[type[Task]]:
    kinds: dict[str, type[Task]] = {}
    for kind in map(find_task, task_list(settings)):
        if kinds.setdefault(kind.name, kind) is not kind:
            raise UsageError(
                f"{kinds[kind.name].__qualname__} and {kind.__qualname__} are both called {kind.name!r}.",
                why="By its name a task finds its head, its data and its receipts.",
                hint="Leave one of them out, or give it another name.",
            )
    return list(kinds.values())


def least_reserve_uj(settings: Settings, tasks: Iterable[Task]) -> int:
    """What the cheapest attempt of a run reserves, µJ."""
    return min(task.reserve_uj(settings) for task in tasks)


def _check_budget(
    settings: Settings, tasks: Sequence[Task], budget_uj: int | None, *, carry: bool, needed: bool
) -> None:
    reserve_uj, credit = least_reserve_uj(settings, tasks), settings.energy.credit
    # What a daemon holds nobody knows but the daemon.
    if budget_uj is None and needed and credit == "grant" and not settings.agent.agent:
        raise UsageError(
            "No budget was given.",
            why="CryoFlux spends the joules that it is granted, and no others.",
            hint="Grant some: cryoflux run --budget 2kJ.",
        )
    if budget_uj is None:
        return
    # A shared bucket, or one that is credited as energy is metered, also holds what others count on.
    if carry and (settings.agent.agent or credit != "grant"):
        raise UsageError(
            "--carry is for the account of a state that spends only what it was granted.",
            why="This one holds joules that others count on, too.",
            hint="Leave it out, and grant what the run may spend: --budget 2kJ.",
        )
    if budget_uj <= reserve_uj and not carry:
        raise too_small(budget_uj, reserve_uj)
