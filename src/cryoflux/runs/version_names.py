"""Finding a version by what a person types: ``1f``, ``#3``, ``#r2``, ``head``, ``champion``, ``~1``."""

from __future__ import annotations

__all__ = ["find_version", "task_of"]

import re

from cryoflux.errors import UsageError
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion, default_task

_BACK = re.compile(r"(.+?)~([0-9]{1,6})?")
_NUMBER = re.compile(r"#([0-9]{1,9})")
_ROUND = re.compile(r"#r([0-9]{1,9})")


def task_of(catalogue: Catalogue, task: str | None) -> str:
    """The task that ``head``, ``champion`` and the like are about.

    Raises:
        UsageError: the state has none of that name.
    """
    name = task or default_task(catalogue)
    if name not in catalogue.tasks:
        raise UsageError(
            f"{catalogue.state.path} has no task {name!r}.",
            why=f"It has: {', '.join(catalogue.tasks) or 'none yet'}.",
            hint="Name one of these with --task, or begin one: cryoflux run --budget 2kJ"
            f"{catalogue.state.flag()}.",
        )
    return name


def find_version(catalogue: Catalogue, name: str, task: str | None = None) -> CataloguedVersion:
    """The one version that a name means.

    Args:
        catalogue: of the state.
        name: first digits of a digest, ``#3`` for the attempt and ``#r2`` for the round that made it,
            ``head``, ``champion``, an alias, or any of these followed by ``~`` and how many versions to go
            back.
        task: that ``head`` and ``champion`` are about; the first of ours, or the only one, where it is none.

    Raises:
        UsageError: none has that name, or several do, or the state has no such task.
    """
    if task is not None:
        task_of(catalogue, task)
    back = _BACK.fullmatch(name)
    if back is None:
        return _one(catalogue, name, task)
    found, steps = _one(catalogue, back[1], task), int(back[2] or 1)
    line = catalogue.tasks[found.task].line(found.digest) if found.task in catalogue.tasks else [found]
    if steps >= len(line):
        raise UsageError(
            f"{name!r} goes back behind the first version.",
            why=f"{len(line) - 1} versions lie before {back[1]}.",
            hint=f"Give one that is listed by: {_listing(catalogue)}.",
        )
    return line[-1 - steps]


def _one(catalogue: Catalogue, name: str, task: str | None) -> CataloguedVersion:
    every = catalogue.versions()
    if name in {"head", "champion"}:
        of = task_of(catalogue, task)
        digest = catalogue.tasks[of].head if name == "head" else catalogue.champion(of)
        found = [one for one in every if one.digest == digest and one.task == of]
    elif name in catalogue.aliases:
        found = [one for one in every if one.digest == catalogue.aliases[name]]
    elif number := _NUMBER.fullmatch(name):
        found = [one for one in every if one.attempt == int(number[1])]
    elif number := _ROUND.fullmatch(name):
        found = [one for one in every if one.round_number == int(number[1])]
    else:
        found = [one for one in every if name and one.digest.startswith(name)]
    named = [one for one in found if task is None or one.task == task]
    if len({one.digest for one in named}) == 1:
        return named[0]
    raise _not_one(catalogue, name, len(named), len(every))


def _listing(catalogue: Catalogue) -> str:
    return f"cryoflux models list{catalogue.state.flag()}"


def _not_one(catalogue: Catalogue, name: str, found: int, of: int) -> UsageError:
    if found:
        return UsageError(
            f"{name!r} names {found} versions.",
            why="Exactly one can be meant.",
            hint=f"Give more digits; they are listed by: {_listing(catalogue)}.",
        )
    if (number := _NUMBER.fullmatch(name)) is not None:
        why = _no_version(catalogue, int(number[1]))
    elif _ROUND.fullmatch(name):
        why = f"This log has {catalogue.memory.rounds} rounds, from #r1; one that was kept made a version."
    else:
        why = (
            "A version is called by the first digits of its digest, the attempt or round that made it, head, "
            "champion or an alias."
        )
    hint = f"Give one that is listed by: {_listing(catalogue)}."
    return UsageError(f"{name!r} names none of the {of} versions.", why=why, hint=hint)


def _no_version(catalogue: Catalogue, number: int) -> str:
    """Why an attempt of that number names no version."""
    if number <= catalogue.memory.attempts:
        return "That attempt made none: only an update that was kept is a version."
    its = f"This log has {catalogue.memory.attempts} attempts, numbered from #1"
    if catalogue.parent:
        return (
            f"{its}. What {catalogue.parent} tried before this state was forked from it is counted there; of "
            "its versions the head and the first are here."
        )
    return f"{its}."
