"""Whether workers can do what a run asks for: before anything is written, or planned."""

from __future__ import annotations

__all__ = ["check_fleet"]

from collections.abc import Sequence
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
    """
    if not settings.fleet.workers:
        if settings.fleet.fleet != LOCAL:
            raise UsageError(
                f"No worker is asked for at {settings.fleet.fleet}.",
                why="A run without workers trains in its own process.",
                hint="Say how many: --workers 2; or leave --fleet out.",
            )
        return
    if settings.agent.agent:
        raise UsageError(
            "A fleet is paid from the account of its state, and not by a daemon.",
            why="Joules are lent out of it to the workers, each of which has a meter of its own.",
            hint="Leave --agent out; --worker-agent names the daemon that meters workers.",
        )
    if watches:
        raise UsageError(
            "A run with workers does not watch a folder.",
            why="Examples that join would have to reach workers that are at work.",
            hint="Leave --watch out, or leave --workers out.",
        )
    if settings.fleet.fleet != LOCAL:
        from cryoflux.fleet.cluster import LocalCluster

        LocalCluster.open_door(StateFolder(Path(settings.run.state)), settings.fleet.fleet)
    for task in tasks:
        if not task.trained_by:
            raise UsageError(
                f"Attempts of the task {task.name} are not trained by workers.",
                why="It is trained in the process that judges it.",
                hint="Leave --workers out, or name --task lora_delta.",
            )
