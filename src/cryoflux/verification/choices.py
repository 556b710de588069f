"""The choices of a log in the form that `cryoflux.verification.schedule` makes again.

An intent written before schedules listed their arms names a policy that is not known here and lists none:
nothing can be made again, and nothing is said of it. What it taught counts for those after it.
"""

from __future__ import annotations

__all__ = ["Choices", "check_choices"]

from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Intent, Receipt
from cryoflux.scheduling.lessons import taught
from cryoflux.scheduling.policy import POLICIES, Arm
from cryoflux.verification.history import History, said_by
from cryoflux.verification.result import Finding
from cryoflux.verification.schedule import Rederived, Scheduled


def check_choices(history: History) -> Choices:
    """The choices of a log, made again."""
    receipts: dict[str, Receipt] = {}
    for attempt in history.attempts:
        if attempt.intent is not None:
            receipts.setdefault(attempt.receipt.intent, attempt.receipt)
    choices = Choices()
    for entry, intent in history.intents:
        choices.take(entry, intent, receipts.get(entry.leaf_hash))
    return choices


class Choices:
    """The choices of a log, one attempt after the other."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.again = 0
        """choices that were made again"""
        self.count = 0
        self._rederived = Rederived()

    def take(self, entry: Entry, intent: Intent, receipt: Receipt | None) -> None:
        """Look at the next attempt, and learn from its receipt where it has one."""
        attempt = _scheduled(entry, intent, receipt)
        found = self._rederived.take(attempt)
        known = attempt.policy in POLICIES
        if attempt.arms or known:
            self.findings += found
        self.again += known
        self.count += 1


def _scheduled(entry: Entry, intent: Intent, receipt: Receipt | None) -> Scheduled:
    task, schedule = intent.task, intent.schedule
    return Scheduled(
        subject=said_by(entry),
        policy=schedule.policy,
        reason=schedule.reason,
        task=task.name,
        arm=task.arm,
        reserved_uj=intent.reserved_microjoules,
        arms=tuple(
            Arm(task.name, arm.name, arm.reserve_microjoules, arm.prior_microjoules) for arm in schedule.arms
        ),
        bucket_uj=schedule.bucket_microjoules,
        seed=schedule.seed,
        min_delta_nano=intent.rule.min_delta_nano_nat,
        outcome=None if receipt is None else taught(intent, receipt),
    )
