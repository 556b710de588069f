"""Whether what another process says of its training keeps to its order, and may stand in a receipt.

It is held to the checks that whoever verifies the log will make, before anybody looks at the holdout for it.
What training really was, is another question: that is answered by training again.
"""

from __future__ import annotations

__all__ = ["misfits", "taken_over", "training_of"]

from collections.abc import Iterator
from pathlib import Path

import msgspec

from cryoflux.attempt.context import Opened
from cryoflux.attempt.watch import AttemptStopped
from cryoflux.decision.evidence import Evidence
from cryoflux.decision.reason import Reason
from cryoflux.quantities import Tier
from cryoflux.receipts.charged import EnergyFigure
from cryoflux.receipts.statement import Cause, Intent, Outcome, Receipt, Screen, Training
from cryoflux.receipts.sums import sums_of
from cryoflux.tasks.interface import Update, WorkOrder
from cryoflux.tasks.pacing import TrainingFailedError
from cryoflux.tasks.pool import slice_digest
from cryoflux.verification.arithmetic import impossible_sums

_NOTHING = EnergyFigure(
    microjoules=0,
    lo_microjoules=0,
    hi_microjoules=0,
    reserved_microjoules=0,
    tier=Tier.MODELLED,
    sources=[],
    baseline="",
    curve="",
    flags=[],
    assurance="self-reported",
    cpu_microseconds=0,
)
"""what an attempt cost is none of a section's business"""


def training_of(update: Update, before: int) -> Training:
    """What a receipt says of training.

    Args:
        update: that was trained.
        before: steps that earlier attempts of its chain had made.
    """
    return Training(
        slice_sha256=slice_digest(update.drawn),
        slice_count=len(update.drawn),
        stopped_by=update.stopped_by,
        section=update.section,
        fresh_count=update.fresh,
        steps=update.steps,
        saved_microjoules=update.saved_uj,
        screen=_screen(update.screening),
        threads=update.threads,
        device=update.device,
        working=update.working,
        before=before,
    )


def _screen(screening: Evidence | None) -> Screen | None:
    return Screen(count=screening.count, **sums_of(screening)) if screening is not None else None


def taken_over(opened: Opened, intent: Intent, order: WorkOrder, capsule: Path, update: Update) -> Update:
    """An update of another process as if it had been trained here, once it keeps to its order.

    Args:
        opened: the task.
        intent: that announced the attempt.
        order: that it was trained by; where it is of no chain, with the head as it is now.
        capsule: the folder of its files.
        update: as the other process says it.

    Raises:
        AttemptStopped: it does not.
    """
    if (elsewhere := opened.task.elsewhere()) is None:
        raise ValueError(f"what the task {order.task} trains is not taken over from other processes")
    try:
        found = elsewhere.received(order, capsule, update)
    except TrainingFailedError as error:
        raise AttemptStopped(Cause.FAILED, "failed", what=error.what) from error
    for words in misfits(opened, intent, order, found):
        raise AttemptStopped(Cause.FAILED, "failed", what=f"What was trained elsewhere is refused: {words}.")
    return found


def misfits(opened: Opened, intent: Intent, order: WorkOrder, update: Update) -> Iterator[str]:
    """What in an update does not keep to its order.

    Args:
        opened: the task.
        intent: that announced the attempt.
        order: that it was trained by.
        update: as the other process says it.
    """
    training = training_of(update, order.before)
    try:
        msgspec.json.decode(msgspec.json.encode(training), type=Training)
    except (msgspec.MsgspecError, ValueError) as error:
        yield f"its training cannot be written down: {error}"
        return
    yield from _undrawn(opened, order, update)
    if update.screening is not None:
        yield from (f"its screen {words}" for words in impossible_sums(update.screening, "screen"))
    if (check := opened.task.sections.get(update.section.kind)) is None:
        yield f"its section is of the kind {update.section.kind!r}, which {opened.task.name} has not"
        return
    if {*update.files} != {*check.files}:
        yield f"it has the files {', '.join(update.files)}"
    receipt = Receipt(
        sequence=0,
        prev="",
        intent="",
        task=intent.task,
        outcome=Outcome.REJECTED,
        reason=Reason(code="failed"),
        base=intent.base,
        result=intent.base,
        holdout=intent.data.holdout,
        training=training,
        evaluation=None,
        decision=None,
        energy=_NOTHING,
        software={},
        started_at="",
        finished_at="",
    )
    yield from check.complaints(update.section, receipt, intent)


def _undrawn(opened: Opened, order: WorkOrder, update: Update) -> Iterator[str]:
    """What cannot be of the examples that it says it learned from."""
    count = order.pool.count if order.pool.counts else opened.data.count("train")
    if len({*update.drawn}) != len(update.drawn) or any(not 0 <= i < count for i in update.drawn):
        yield f"it says that it drew examples that are not among the {count}, or one twice"
    elif not 0 <= update.fresh <= len(update.drawn):
        yield f"it says {update.fresh} fresh examples of {len(update.drawn)}"
