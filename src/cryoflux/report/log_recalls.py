"""Recall class by class of the heads of a log, from the losses and examples that lie in its state."""

from __future__ import annotations

__all__ = ["recalls_of"]

from typing import NamedTuple

from cryoflux.data.prepared import load_examples
from cryoflux.errors import CryoFluxError
from cryoflux.evaluation.recall import ClassRecall, recalls
from cryoflux.log_view import Log
from cryoflux.receipts.statement import Data, Receipt
from cryoflux.state import StateFolder
from cryoflux.verification.datasets import holdout_path
from cryoflux.verification.pairing import MOST_EXAMPLES, read_losses


class _Where(NamedTuple):
    """Where the hits of a version lie."""

    file: str
    """digest of the per-example losses"""
    examples: int
    new: bool
    """whether it is the candidate there, or the base"""


def recalls_of(log: Log) -> dict[str, tuple[ClassRecall, ...]]:
    """Task → recall of its first version and of its head on the holdout that was read last.

    A task is missing where that is not known here, or where its classes are about as large as one another.
    """
    firsts: dict[str, str] = {}
    data: dict[str, Data] = {}
    read: dict[tuple[str, str, str], _Where] = {}
    for entry in log.entries():
        if (intent := entry.intent) is not None:
            firsts.setdefault(intent.task.name, intent.base.digest)
            data[intent.task.name] = intent.data
        elif entry.receipt is not None:
            _note(read, entry.receipt)
    found = {}
    for total in log.summary().tasks:
        if total.name not in data:
            continue
        holdout = data[total.name].holdout.sha256
        first, head = (read.get((total.name, holdout, v)) for v in (firsts[total.name], total.head))
        if head is not None and (of_classes := _recalls(log, data[total.name], first, head)):
            found[total.name] = of_classes
    return found


def _note(read: dict[tuple[str, str, str], _Where], receipt: Receipt) -> None:
    said, holdout = receipt.evaluation, receipt.holdout
    if said is None or said.hits is None or said.read != holdout.count or said.read > MOST_EXAMPLES:
        return
    for version, new in ((receipt.base, False), (said.candidate, True)):
        key = (receipt.task.name, holdout.sha256, version.digest)
        read.setdefault(key, _Where(said.per_example, said.read, new))


def _recalls(log: Log, data: Data, first: _Where | None, head: _Where) -> tuple[ClassRecall, ...]:
    try:
        if (path := holdout_path(log.state, data)) is None:
            return ()
        classes = [example.label for example in load_examples(path)]
        before = _hits(log, first) if first is not None else None
        return recalls(classes, before, _hits(log, head))
    except (CryoFluxError, OSError, ValueError, LookupError, TypeError):
        return ()  # nothing of it is verified here, and `verify` says what is wrong


def _hits(log: Log, where: _Where) -> list[bool]:
    losses = read_losses(StateFolder(log.state).losses(where.file), where.file, where.examples)
    return losses.new_correct if where.new else losses.base_correct
