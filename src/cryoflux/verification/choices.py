"""Whether each arm was chosen as its policy chooses: made again from the log before it.

What an intent says of bucket and cost priors is attested; that the choice follows from it, from earlier
receipts and from the seed is recomputed to the last digit, the reason included. So a signer cannot pull a
favourite arm and call it the policy's choice, nor go on past a plateau in its name.

A policy that is not known here, such as that of an intent from before schedules listed their arms, leaves a
question: step 7 counts those choices and names it. What such an attempt taught counts for those after it.
"""

from __future__ import annotations

__all__ = ["choice_findings", "is_made_again", "says_the_same"]

from collections.abc import Iterator

from cryoflux.decision.reason import Reason
from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Intent
from cryoflux.scheduling.policy import POLICIES, Arm, Choice, Plateau, choose
from cryoflux.sentences import say, say_as_signed
from cryoflux.verification.result import Finding, failed
from cryoflux.verification.topics import Topic


def is_made_again(intent: Intent) -> bool:
    """Whether the policy of an intent is one that can be applied again here."""
    return intent.schedule.policy in POLICIES


def choice_findings(entry: Entry, intent: Intent, memory: LogState) -> Iterator[Finding]:
    """What is wrong about the choice of an arm; nothing of a policy that is not known here.

    Args:
        entry: of the intent.
        intent: the intent.
        memory: the log before it.
    """
    schedule = intent.schedule
    if not is_made_again(intent):
        return
    names = [(arm.task, arm.name) for arm in schedule.arms]
    if len(set(names)) < len(names):
        yield failed(entry.name, "lists an arm twice", Topic.CHOICES)
        return
    for complaint in _complaints(intent, _due(intent, memory), entry.version):
        yield failed(entry.name, complaint, Topic.CHOICES)


def _due(intent: Intent, memory: LogState) -> Choice | Plateau | None:
    schedule = intent.schedule
    least = {arm.task: arm.min_delta for arm in schedule.arms}
    least[intent.task.name] = intent.rule.min_delta
    trained_on = {arm.task: arm.train_count for arm in schedule.arms}
    trained_on[intent.task.name] = intent.data.train_count
    arms = [
        Arm(
            task=arm.task,
            name=arm.name,
            reserve_uj=arm.reserve_microjoules,
            prior_uj=arm.prior_microjoules,
            unit=intent.metric.unit,
            after=arm.after,
        )
        for arm in schedule.arms
    ]
    return choose(
        arms,
        memory.memories(least, trained_on),
        len(memory.lessons),
        bucket_uj=schedule.bucket_microjoules,
        seed=schedule.seed,
        policy=schedule.policy,
    )


def _complaints(intent: Intent, due: Choice | Plateau | None, version: int) -> Iterator[str]:
    task, schedule = intent.task, intent.schedule
    if due is None:
        yield "pulled an arm, but its bucket pays for none"
    elif isinstance(due, Plateau) or (due.arm.task, due.arm.name) != (task.name, task.arm):
        yield f"pulled {task.arm}, but {schedule.policy} gives: {say(due.reason)}"
    elif due.arm.reserve_uj != intent.reserved_microjoules:
        listed = due.arm.reserve_uj
        yield f"reserved {intent.reserved_microjoules} µJ, but its schedule lists {listed} µJ"
    elif not says_the_same(due.reason, schedule.reason, version):
        yield f"its reason is not the one of {schedule.policy}, which is: {say(due.reason)}"


def says_the_same(due: Reason, said: Reason, version: int) -> bool:
    """Whether a signed reason is the one that is due; in the first form it was signed as a sentence."""
    if version == 1:
        return said.numbers.get("sentence") == say_as_signed(due)
    return said == due
