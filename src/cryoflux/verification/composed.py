"""Whether the list of updates that a receipt names is the one that the log gives.

A candidate is composed of what its base is composed of, and of its update. What the base is composed of
follows from the receipts before, so a list that leaves an update out, or names one of another list, is found
without computing anything. Whether the sum is the candidate is step 11.
"""

from __future__ import annotations

__all__ = ["ListsNamed", "due_composition", "list_findings", "merge_of"]

from collections.abc import Iterator

from msgspec import Struct, field

from cryoflux.receipts.composed_by import composed_by
from cryoflux.receipts.statement import Intent, Receipt
from cryoflux.registry.composition import COMPOSE, Composition
from cryoflux.task_state import TaskState
from cryoflux.verification.result import Finding, failed, unknown
from cryoflux.verification.walk import Paired


def merge_of(receipt: Receipt) -> str | None:
    """How a receipt says that it was merged; none where it was before receipts said so."""
    found = receipt.training.section.fields.get("merge") if receipt.training is not None else None
    return found if isinstance(found, str) else None


class ListsNamed(Struct):
    """Which tasks name the lists of their candidates, and so could go back to naming none."""

    told: dict[str, bool] = field(default_factory=dict)
    """task → whether it was said that it went back"""

    def gone_back(self, receipt: Receipt) -> Iterator[str]:
        """What to ask of the next receipt, once a task: why its candidate was rounded in float32 again."""
        task = receipt.task.name
        if merge_of(receipt) is not None:
            self.told.setdefault(task, False)
        elif receipt.evaluation is not None and self.told.get(task) is False:
            self.told[task] = True
            yield "names no list of updates, as its task did before: two machines may round its merge apart"


def list_findings(paired: Paired, known: TaskState | None) -> Iterator[Finding]:
    """What is wrong or open about the list of a receipt.

    Args:
        paired: the receipt.
        known: what the log had come to for its task before it.
    """
    merge = merge_of(paired.receipt)
    if merge is None or known is None:
        return
    if merge != COMPOSE:
        yield unknown(paired.name, f"its way of merging {merge!r} is not known here")
    elif composed_by(paired.statement, *_added_to(paired, known)) is None:
        head, _ = _added_to(paired, known)
        detail = (
            f"its list of updates is not the one of the log, which has {len(head.terms)} since "
            f"{head.genesis[:16]}… and then its own"
        )
        yield failed(paired.name, detail)
    elif (
        paired.chain is None
        and paired.intent is not None
        and not _may_be_added(paired.intent, paired.receipt)
    ):
        yield failed(paired.name, "its update was trained on another version than the one it is added to")


def _may_be_added(intent: Intent, receipt: Receipt) -> bool:
    """Whether an update may be added to what its receipt names.

    Where attempts are open at once, the head may move while one is trained: its update is then merged into
    the head as it is, and judged beside that. Else nothing moves it.
    """
    return intent.slots > 1 or intent.base == receipt.base


def _added_to(paired: Paired, known: TaskState) -> tuple[Composition, str]:
    """What the version that an update is added to is composed of, and its digest."""
    if paired.chain is not None:
        return paired.chain.composed, paired.chain.start.digest
    return known.composition, known.head.digest


def due_composition(paired: Paired) -> Composition | None:
    """What the candidate of a receipt is composed of; none where it does not follow from the log."""
    if paired.composed is None:
        return None
    if paired.chain is not None:
        return composed_by(paired.statement, paired.chain.composed, paired.chain.start.digest)
    return composed_by(paired.statement, paired.composed, paired.receipt.base.digest)
