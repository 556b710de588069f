"""What a state was begun with, and beginning one: ``origin.json`` names data set and first version by task.

A task of a state belongs to one data set and one first version for good. A later run that names others is
refused by the task, with the digests of either; one that names none continues with them.
"""

from __future__ import annotations

__all__ = ["begin", "check_folder", "check_origin", "nothing_to_spend", "stored_origins", "too_small"]

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cryoflux.data.prepared import store
from cryoflux.errors import BudgetError, StateError, StateTamperedError, UsageError
from cryoflux.files import MOST_DOCUMENT_BYTES, read_regular, write_atomic
from cryoflux.log_state import LogState
from cryoflux.quantities import MICRO, format_energy
from cryoflux.registry.cuts import tokens_of
from cryoflux.registry.versions import Versions
from cryoflux.runs.judged_holdouts import refuse_judged
from cryoflux.state import FIRST_TASK, OURS, StateFolder
from cryoflux.tasks.interface import Beginning, Origin

_RULES = {"holdout", "audit", "copies"}
"""what a data set's rules are about"""
_SIMILAR = {"rule": str, "least_milli": int, "encoder": str, "dropped": int}


def stored_origins(state: StateFolder) -> dict[str, Origin]:
    """Task → what the state was begun with for it; nothing if the state is new.

    Raises:
        StateTamperedError: the file is damaged.
    """
    if not state.origin.is_file():
        return {}
    try:
        document = json.loads(read_regular(state.origin, MOST_DOCUMENT_BYTES))
        tasks = document.get("tasks")
        # The first form named one data set and one model, those of the first task.
        found = {FIRST_TASK: document} if tasks is None else tasks
        origins = {name: Origin(**said) for name, said in found.items()}
        if not all(_rules_well(origin.rules) for origin in origins.values()):
            raise ValueError("rules of sets that there are not")
        if not all(_said_well(origin) for origin in origins.values()):
            raise ValueError("a cut or a share that is none")
        return origins
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise StateTamperedError(
            f"{state.origin} is damaged.",
            why="It says which data set and model this state belongs to.",
            hint="Restore it from a backup, or start afresh with --state DIR.",
        ) from error


def _rules_well(rules: Mapping[str, Any]) -> bool:
    similar = rules.get("similar")
    known = similar is None or {name: type(value) for name, value in dict(similar).items()} == _SIMILAR
    return known and (not rules or rules.keys() - {"similar"} == _RULES)


def _said_well(origin: Origin) -> bool:
    tokens_of(origin.cut)
    share = origin.longer_ppm
    if type(origin.found) is not list or not all(type(line) is str for line in origin.found):
        return False
    return share is None or (type(share) is int and 0 <= share <= MICRO)


def begin(state: StateFolder, task: str, beginning: Beginning, others: Mapping[str, Origin]) -> Origin:
    """Write data set, version 0 and origin of a task; the origin comes last, so that half is none.

    Args:
        state: where.
        task: the task's name.
        beginning: what it starts from.
        others: what the state was begun with for other tasks.

    Raises:
        UsageError: its holdout has judged what others made.
    """
    refuse_judged(beginning.files, state)
    store(beginning.files, beginning.data_digest, state.data(beginning.data_digest).parent)
    versions = Versions(state.path)
    first = versions.keep(versions.draft(beginning.save))
    versions.point_head(first.digest, task)
    origin = Origin(
        data_name=beginning.data_name,
        data_digest=beginning.data_digest,
        model_name=beginning.model_name,
        model_source=beginning.model_source,
        version=first.digest,
        dropped=dict(beginning.dropped),
        rules=dict(beginning.rules),
        similar=dict(beginning.similar),
        near=beginning.near,
        hiding=beginning.hiding,
        cut=beginning.cut,
        longer_ppm=beginning.longer_ppm,
        found=list(beginning.found),
    )
    beginning.keep(state.cache)
    document = {"tasks": {name: asdict(said) for name, said in {**others, task: origin}.items()}}
    write_atomic(state.origin, json.dumps(document, indent=1, ensure_ascii=False).encode())
    return origin


def check_folder(state: StateFolder) -> None:
    """Refuse to begin a state among files that are not ours, or where the origin of one was lost.

    Raises:
        StateError: the folder is a file, holds something else, or has judged what others made.
        StateTamperedError: a log is there, and no origin.
    """
    folder = state.path
    if folder.exists() and not folder.is_dir():
        raise StateError(
            f"{folder} is a file, not a folder.",
            why="A state is a folder of several files.",
            hint="Choose another name with --state DIR.",
        )
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if "judged" in names and "data" not in names:
        raise StateError(
            f"{folder} has judged what others made; a run begins in a state of its own.",
            why="A look that was spent there on a holdout would be counted by no run.",
            hint="Choose another name with --state DIR.",
        )
    if state.receipts.name in names:
        raise StateTamperedError(
            f"{state.origin} is missing, but {state.receipts} is there.",
            why="Without it a run could go on with other data than the receipts name.",
            hint="Restore it from a backup, or start afresh with --state DIR.",
        )
    strange = {name for name in names if name.partition("-")[0] not in OURS and not name.startswith(".")}
    if strange:
        raise StateError(
            f"{folder} holds other files, such as {min(strange)}.",
            why="A state keeps to itself, so that it can be copied, checked and thrown away as one.",
            hint="Give it an empty or a new folder with --state DIR.",
        )


def check_origin(state: StateFolder, origins: Mapping[str, Origin], memory: LogState) -> None:
    """Make sure that the log began each task with the data set and version that the origin names.

    Where a node has said its genesis and no attempt was made, that is held to it: else the first one would
    spoil the log.

    Raises:
        StateTamperedError: it did not.
    """
    begun: dict[str, str] = {
        task: node.node.genesis.digest
        for task, node in memory.nodes.items()
        if node.node is not None and task not in memory.tasks and task in origins
    }
    if any(origins[task].version != genesis for task, genesis in begun.items()):
        raise StateTamperedError(
            f"{state.origin} names another model than the genesis that its node has named.",
            why="The first attempt begins with that, and a log in which it does not fails its verification.",
            hint="Restore it from a backup, or start afresh with --state DIR.",
        )
    for task, known in memory.tasks.items():
        said = (known.data.digest, known.first.digest)
        origin = origins.get(task)
        if origin is None or said != (origin.data_digest, origin.version):
            raise StateTamperedError(
                f"{state.origin} names another data set or model than the first entry of the log.",
                why="Δ measured on one cannot be added to Δ measured on another.",
                hint="Restore it from a backup, or start afresh with --state DIR.",
            )


def too_small(budget_uj: int, reserve_uj: int, held_uj: int = 0, left_uj: int = 0) -> UsageError:
    """The error about a budget that does not pay for one attempt and for starting up.

    Args:
        budget_uj: what was to be granted, µJ.
        reserve_uj: what an attempt reserves, µJ.
        held_uj: what may be spent on top of it, µJ; below zero where an earlier run overdrew.
        left_uj: what the account holds besides, which nobody said may be spent, µJ.
    """
    held = ""
    if held_uj:
        more = "more, left over" if held_uj > 0 else "less, which an earlier run overdrew"
        held = f" There are {format_energy(abs(held_uj))} {more}."
    return UsageError(
        f"A budget of {format_energy(budget_uj)} is smaller than what a run of one attempt costs.",
        why=f"An attempt reserves {format_energy(reserve_uj)} before it starts, and starting up is paid from "
        f"the same budget.{held}",
        hint="Raise --budget, or lower --reserve"
        + (
            f", or spend the {format_energy(left_uj)} that are left over, too: --carry."
            if left_uj > 0
            else "."
        ),
    )


def nothing_to_spend(held_uj: int, reserve_uj: int) -> BudgetError:
    """The error of a run that was granted nothing, and whose account holds too little for an attempt."""
    reserve = format_energy(reserve_uj)
    return BudgetError(
        f"The bucket holds {format_energy(held_uj)}; one attempt reserves {reserve}.",
        why="Starting up is paid from the same joules. Nothing was tried and nothing was spent.",
        hint="Grant more: cryoflux run --budget 2kJ.",
    )
