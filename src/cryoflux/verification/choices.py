"""The choices of a log in the form that `cryoflux.verification.schedule` makes again.

An intent written before schedules listed their arms names a policy that is not known here and lists none:
nothing can be made again, and nothing is said of it. What it taught counts for those after it.
"""

from __future__ import annotations

__all__ = ["check_choices"]

from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Intent, Receipt
from cryoflux.scheduling.lessons import taught
from cryoflux.scheduling.policy import POLICIES, Arm
from cryoflux.verification.history import History, said_by
from cryoflux.verification.result import Finding
from cryoflux.verification.schedule import Scheduled, rederive


def check_choices(history: History) -> tuple[list[Finding], int]:
    """What is wrong with the choices, and how many of them were made again."""
    receipts: dict[str, Receipt] = {}
    for attempt in history.attempts:
        if attempt.intent is not None:
            receipts.setdefault(attempt.receipt.intent, attempt.receipt)
    attempts = [_scheduled(e, intent, receipts.get(e.leaf_hash)) for e, intent in history.intents]
    older = {a.subject for a in attempts if not a.arms and a.policy not in POLICIES}
    findings = [finding for finding in rederive(attempts) if finding.subject not in older]
    return findings, sum(a.policy in POLICIES for a in attempts)


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
