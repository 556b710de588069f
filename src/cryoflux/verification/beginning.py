"""What the first version of a task knew: whether gains over it are more than the shares of its classes.

A model that is worse than to say of every text how often its class is gains by learning just that. So the
losses that a log signs of its first version are held to those of that constant, made of the training set as
it lies here. One that finds every class equally likely is what heads were before they began with the shares:
no question, but it is said how much of a gain such a head leaves to the shares alone.
"""

from __future__ import annotations

__all__ = ["FirstReading", "beginnings"]

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from cryoflux.data.frequencies import constant_loss, log_frequencies
from cryoflux.decision.sequential import reading_order
from cryoflux.quantities import NANO
from cryoflux.verification.read_sets import TRAIN, ReadSets
from cryoflux.verification.result import Check, Finding, NumberedStep, conclude, unknown
from cryoflux.verification.topics import Topic

_BEGUN = NumberedStep(9, "what the first version knew")
_NOTED = 0.001
"""nats that are worth a word: a hundredth of what a holdout can tell"""
_EQUAL = 1e-5
"""nats between two roundings of one number"""


class FirstReading(Struct, frozen=True):
    """The first evaluation of a task's first version."""

    name: str
    """of the receipt"""
    holdout: str
    """SHA-256 of the file"""
    count: int
    """examples of it"""
    read: int
    """of them, those that were read"""
    loss_sum: int
    """nano-nats"""


def beginnings(read_sets: Sequence[ReadSets]) -> list[Check]:
    """The lines about the first versions of tasks whose examples have classes and are here; else none."""
    said: list[str] = []
    findings = [
        finding
        for sets in read_sets
        for task, begun in sets.begun.items()
        for finding in _compared(sets, task, begun, said)
    ]
    return conclude(_BEGUN, findings, "; ".join(said))


def _compared(sets: ReadSets, task: str, begun: FirstReading, said: list[str]) -> Iterator[Finding]:
    train = [line.label for line in sets.lines.get(TRAIN, ())]
    file = next((file for file, digest in sets.digests.items() if digest == begun.holdout), "")
    judged = [line.label for line in sets.lines.get(file, ())]
    if not train or not all(train) or not all(judged) or not 0 < begun.read <= begun.count == len(judged):
        return  # not here, of no classes, or not what was signed, which is said elsewhere
    logs = log_frequencies(train)
    order = reading_order(len(judged), begun.holdout)[: begun.read]
    worth = constant_loss(logs, (judged[index] for index in order))
    found = begun.loss_sum / begun.read / NANO
    if found - worth <= _NOTED:
        said.append(f"the first version of {task} is no worse than to know how frequent each class is")
    elif abs(found - math.log(len(logs))) < _EQUAL:
        said.append(
            f"the first version of {task} finds all classes equally likely: {found - worth:.3f} nats of what "
            "is gained on it are worth no more than to know how frequent each class is"
        )
    else:
        detail = (
            f"the first version of {task} is {found - worth:.3f} nats worse than to know how frequent each "
            f"class is: so much of what is gained on it need not be learned from texts"
        )
        yield unknown(begun.name, detail, Topic.HOLDOUT)
