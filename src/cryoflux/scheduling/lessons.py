"""What an attempt teaches the scheduler, read from its intent and its receipt alone.

The run that goes on and whoever verifies it call the same function, so that both remember the same log.
"""

from __future__ import annotations

__all__ = ["taught"]

from cryoflux.receipts.statement import Intent, Receipt, Screen
from cryoflux.receipts.statement import Outcome as Ending
from cryoflux.scheduling.efficiency import Outcome

_STARVED = "Aborted: the reservation"
_NO_LESSON = ("Aborted: interrupted", "Aborted: the run ended", "Aborted: the bucket")


def taught(intent: Intent, receipt: Receipt) -> Outcome | None:
    """What an attempt says of its arm; none where it says nothing.

    An attempt that was interrupted, whose process died, or that never got its reservation says nothing.
    One that failed, or whose reservation does not pay for its arm, is a failure of the arm. A receipt
    carries no cause that a program could read, so the beginning of its reason decides.

    Args:
        intent: what was announced.
        receipt: how it ended.
    """
    if receipt.outcome is Ending.ABORTED and receipt.reason.startswith(_NO_LESSON):
        return None
    task = intent.task
    return Outcome(
        task=task.name,
        arm=task.arm,
        kept=receipt.outcome is Ending.ACCEPTED,
        screen_delta_nano=_mean_delta(receipt.training.screen if receipt.training else None),
        prior_uj=next((a.prior_microjoules for a in intent.schedule.arms if a.name == task.arm), 0),
        hi_uj=receipt.energy.hi_microjoules,
        starved_uj=receipt.energy.reserved_microjoules if receipt.reason.startswith(_STARVED) else 0,
    )


def _mean_delta(screen: Screen | None) -> int | None:
    if screen is None:
        return None
    return (screen.base_loss_nano_nat_sum - screen.new_loss_nano_nat_sum) // screen.count
