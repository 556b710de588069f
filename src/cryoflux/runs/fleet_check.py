"""Whether workers can do what a run asks for: before anything is written, or planned."""

from __future__ import annotations

__all__ = ["check_fleet"]

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from cryoflux.config import Settings
from cryoflux.errors import UsageError
from cryoflux.fleet.words import LOCAL
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Task


def check_fleet(settings: Settings, tasks: Sequence[Task], *, watches: bool = False) -> None:
    """Make sure that workers can do what is asked for.

    Args:
        settings: of the run.
        tasks: that it improves.
        watches: whether it goes on until it is stopped.

    Raises:
        UsageError: they cannot.
        AgentError: the JouleAgent that is to meter those of this machine does not answer.
    """
    if not settings.fleet.workers:
        _refuse_without_workers(settings)
        return
    if settings.agent.agent:
        raise UsageError(
            "A fleet is paid from the account of its state, and not by a daemon.",
            why="Joules are lent out of it to the workers, and their meters charge those.",
            hint="Leave --agent out; --worker-agent names the daemon that meters workers.",
        )
    if watches:
        raise UsageError(
            "A run with workers does not watch a folder.",
            why="Examples that join would have to reach workers that are at work.",
            hint="Leave --watch out, or leave --workers out.",
        )
    for task in tasks:
        if not task.trained_by:
            raise UsageError(
                f"Attempts of the task {task.name} are not trained by workers.",
                why="It is trained in the process that judges it.",
                hint="Leave --workers out, or name --task lora_delta.",
            )
    _reach(settings)


def _refuse_without_workers(settings: Settings) -> None:
    fleet = settings.fleet
    if fleet.fleet != LOCAL:
        raise UsageError(
            f"No worker is asked for at {fleet.fleet}.",
            why="A run without workers trains in its own process.",
            hint="Say how many: --workers 2; or leave --fleet out.",
        )
    if fleet.worker_agent:
        raise UsageError(
            "No worker is asked for that the JouleAgent could meter.",
            why="A run without workers trains in its own process, and --worker-agent meters workers.",
            hint="Say how many: --workers 2; or leave --worker-agent out (and worker_agent in cryoflux.toml, "
            "and CRYOFLUX_WORKER_AGENT).",
        )


def _reach(settings: Settings) -> None:
    """Make sure that what is spoken to is there: a cluster, or the JouleAgent of this machine."""
    fleet = settings.fleet
    if fleet.fleet != LOCAL:
        from cryoflux.fleet.cluster import LocalCluster

        LocalCluster.open_door(StateFolder(Path(settings.run.state)), fleet.fleet)
    elif fleet.worker_agent:
        from cryoflux.agent.client import AgentClient

        chosen = settings.agent
        with closing(AgentClient(fleet.worker_agent, chosen.token, chosen.timeout, attempts=1)) as agent:
            agent.sample()
