"""Finding a task by its name: ours, one that an installed package offers, or one that is named in full.

A package offers a task by an entry point in the group ``cryoflux.tasks``. Nothing is imported before its name
is asked for, and never because a state names it: whoever runs or verifies says so.
"""

from __future__ import annotations

__all__ = ["CAUSAL", "INDEX", "LORA", "find_task", "find_trainer", "task_names"]

import importlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import msgspec

from cryoflux.errors import CryoFluxError, UsageError
from cryoflux.signing.fields import TaskName
from cryoflux.tasks.guarded import guarded
from cryoflux.tasks.interface import Task

if TYPE_CHECKING:
    from cryoflux.tasks.elsewhere import Trainer

GROUP = "cryoflux.tasks"
LORA = "lora_delta"
INDEX = "index_refresh"
CAUSAL = "causal-lm"
_OURS = {
    LORA: "cryoflux.tasks.lora.task:LoraTask",
    INDEX: "cryoflux.tasks.index.task:IndexTask",
    CAUSAL: "cryoflux.tasks.causal.task:CausalTask",
}


def task_names() -> list[str]:
    """The names of the tasks that are installed here."""
    return sorted({*_OURS, *(found.name for found in entry_points(group=GROUP))})


def find_task(name: str) -> type[Task]:
    """The task of a name: installed, or ``module:Class``.

    Raises:
        UsageError: there is none, or what is there is no task.
    """
    offered = {found.name: found.value for found in entry_points(group=GROUP)}
    place = _OURS.get(name) or offered.get(name) or name
    module, separator, attribute = place.partition(":")
    if not separator:
        raise UsageError(
            f"There is no task {name!r}.",
            why=f"Installed here: {', '.join(task_names())}.",
            hint="Name one of them, or a class of your own: --task my_module:MyTask.",
        )
    found = _imported(name, module, attribute)
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise UsageError(
            f"{place} is no task.",
            why="A task is a class that derives from cryoflux.Task.",
            hint="See docs/how-to/add-a-task.md.",
        )
    try:
        msgspec.convert(getattr(found, "name", None), TaskName)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{place} has no name that a receipt can hold.",
            why="A name begins with a letter from a to z; letters, digits, _ and - follow, 64 in all.",
            hint=f"Give the class one: name = {attribute.lower()!r}.",
        ) from error
    return found if place.startswith("cryoflux.") else guarded(found)


def find_trainer(name: str) -> type[Trainer] | None:
    """What trains a task in a process that judges nothing; none where nothing does.

    Args:
        name: of the task.

    Raises:
        UsageError: there is no such task, or what it names cannot be imported.
    """
    module, _, attribute = find_task(name).trained_by.partition(":")
    found: type[Trainer] | None = _imported(name, module, attribute) if module else None
    return found


def _imported(name: str, module: str, attribute: str) -> Any:
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"The task {name!r} cannot be imported: {error}.",
            why="Its module has to be importable here.",
            hint="Check the name, and PYTHONPATH where the module is not installed.",
        ) from error
    except CryoFluxError:
        raise
    except Exception as error:  # whatever a module does when it is imported
        raise UsageError(
            f"The task {name!r} cannot be imported: {type(error).__name__}: {error}.",
            why="Its module ends with an error when it is imported.",
            hint=f"Mend it; what Python says of it: python -c 'import {module}'",
        ) from error
