"""Beginning a state without an attempt: data set and first version, as a run would, and nothing is trained.

So a node can say who it is, and enter what judges others' work, before it has made anything.
"""

from __future__ import annotations

__all__ = ["FirstVersion", "first_version"]

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryoflux.config import Sourced
from cryoflux.data.prepared import PreparedData, prepared_of
from cryoflux.errors import UsageError
from cryoflux.runs.checks import check_start
from cryoflux.runs.inputs import begin, stored_origins
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Beginning, Task


@dataclass(frozen=True, slots=True)
class FirstVersion:
    """A task, and what it begins with."""

    task: Task
    beginning: Beginning | None
    """none where the state was begun with it"""

    def data(self, state: StateFolder) -> PreparedData | None:
        """The data set that a new state is going to have; none where the state was begun with one.

        Args:
            state: it.
        """
        begins = self.beginning
        if begins is None:
            return None
        return prepared_of(begins.files, state.data(begins.data_digest), begins.data_name, begins.rules)

    def write(self, state: StateFolder) -> None:
        """Begin the state, if it was not begun meanwhile.

        Args:
            state: it, locked.

        Raises:
            StateError: it was begun meanwhile, with something else.
            StorageError: the disk is full, read-only, or refuses.
        """
        origins = stored_origins(state)
        if (known := origins.get(self.task.name)) is not None:
            self.task.confirm(known)
        elif self.beginning is not None:
            begin(state, self.task.name, self.beginning, origins)


def first_version(sourced: Sourced, name: str, progress: Callable[[str, int, int], None]) -> FirstVersion:
    """What a task of a state begins with, checked; nothing is written.

    Args:
        sourced: the settings, whose task it is, and where each came from.
        name: what the command that is to be typed again is called.
        progress: called with what takes a while, how much of it is done, and of how much.

    Raises:
        UsageError: the state is new, and nobody said which examples it begins with.
        DataError, ModelError, StateError: as a run would refuse them.
    """
    state = StateFolder(Path(sourced.settings.run.state))
    checked = check_start(sourced, state, budget_uj=None, carry=False, plans=True)
    task = checked.tasks[0]
    if (origin := checked.origins.get(task.name)) is not None:
        task.confirm(origin)
        return FirstVersion(task, None)
    if sourced.origins.get("data.train", "default") == "default":
        raise UsageError(
            f"{state.path} is no state yet.",
            why="A node offers and adopts over the version that its state begins with.",
            hint=f"Name the examples that it trains on: {name} --train FILE{state.flag()}.",
        )
    return FirstVersion(task, task.beginning(progress))
