"""Per-example losses of the versions of a log, from the files that its receipts signed, and what they show.

Nothing is verified here: a file that is gone, or is not the one that was signed, is as good as none, and
`verify` says what is wrong.
"""

from __future__ import annotations

__all__ = ["ReadLosses", "recalls_of"]

from typing import NamedTuple

from cryoflux.data.prepared import load_examples
from cryoflux.errors import CryoFluxError
from cryoflux.evaluation.losses import Losses
from cryoflux.evaluation.recall import ClassRecall, recalls
from cryoflux.log_view import Log
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Data, Receipt
from cryoflux.state import StateFolder
from cryoflux.verification.datasets import holdout_path
from cryoflux.verification.pairing import MOST_EXAMPLES, read_losses


class _Where(NamedTuple):
    """Where the losses of a version lie."""

    file: str
    """digest of the per-example losses"""
    examples: int
    new: bool
    """whether it is the candidate there, or the base"""
    hits: bool
    """whether an example can be right or wrong"""


class ReadLosses:
    """Where the losses of each version on each whole holdout lie, entry after entry."""

    def __init__(self) -> None:
        self.firsts: dict[str, str] = {}
        """task → digest of the version that its first attempt was to improve"""
        self.data: dict[str, Data] = {}
        """task → its data set as the latest intent names it"""
        self._places: dict[tuple[str, str, str], _Where] = {}

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        if (intent := entry.intent) is not None:
            self.firsts.setdefault(intent.task.name, intent.base.digest)
            self.data[intent.task.name] = intent.data
        elif entry.receipt is not None:
            self._note(entry.receipt)

    def _note(self, receipt: Receipt) -> None:
        said, holdout = receipt.evaluation, receipt.holdout
        if said is None or said.read != holdout.count or said.read > MOST_EXAMPLES:
            return
        for version, new in ((receipt.base, False), (said.candidate, True)):
            key = (receipt.task.name, holdout.sha256, version.digest)
            self._places.setdefault(key, _Where(said.per_example, said.read, new, said.hits is not None))

    def of(self, state: StateFolder, task: str, holdout: str, version: str) -> Losses | None:
        """Losses of a version on a holdout, in its order; none where they are not known here.

        Where no example can be right or wrong, nothing says that any is.
        """
        if (where := self._places.get((task, holdout, version))) is None:
            return None
        try:
            found = read_losses(state.losses(where.file), where.file, where.examples)
        except (OSError, ValueError):
            return None
        losses = found.new if where.new else found.base
        correct = found.new_correct if where.new else found.base_correct
        return Losses(tuple(losses), tuple(correct) if where.hits else ())

    def recalls(self, state: StateFolder, task: str, head: str) -> tuple[ClassRecall, ...]:
        """Recall by class of a task's first version and of its head, on the holdout that was read last.

        Nothing where that is not known here, or where classes are about as large as one another.
        """
        if (data := self.data.get(task)) is None:
            return ()
        after = self.of(state, task, data.holdout.sha256, head)
        if after is None or not after.correct:
            return ()
        before = self.of(state, task, data.holdout.sha256, self.firsts[task])
        try:
            if (path := holdout_path(state.path, data)) is None:
                return ()
            classes = [example.label for example in load_examples(path)]
            return recalls(classes, before.correct if before is not None else None, after.correct)
        except (CryoFluxError, OSError, ValueError, LookupError, TypeError):
            return ()


def recalls_of(log: Log) -> dict[str, tuple[ClassRecall, ...]]:
    """Task → recall of its first version and of its head; tasks of which none is known are missing."""
    read = ReadLosses()
    for entry in log.entries():
        read.take(entry)
    state = StateFolder(log.state)
    found = {total.name: read.recalls(state, total.name, total.head) for total in log.summary().tasks}
    return {task: of_classes for task, of_classes in found.items() if of_classes}
