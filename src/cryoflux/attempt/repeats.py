"""What is asked of a task of somebody's own after it has given losses: to give them again.

Some examples, drawn so that no task can know which, are scored once more by a scorer that reads the version
from the disk anew. Every loss has to be the same integer, in whichever company it is asked for; and the bytes
that were judged have to be those that were announced. Else the attempt ends as failed, and is charged.
"""

from __future__ import annotations

__all__ = ["require_repeats", "require_same_bytes"]

import hashlib
from collections.abc import Callable, Sequence
from random import SystemRandom

from cryoflux.attempt.watch import AttemptStopped
from cryoflux.data.prepared import PreparedData
from cryoflux.digests import file_digest
from cryoflux.evaluation.scoring import LossesAndHits
from cryoflux.quantities import NANO
from cryoflux.receipts.statement import Cause


def require_repeats(
    again: Callable[[list[int]], LossesAndHits],
    indices: Sequence[int],
    found: LossesAndHits,
    *,
    most: int,
    unit: str,
) -> None:
    """Score some examples again.

    Args:
        again: scores examples, with a scorer of its own.
        indices: the examples that were scored.
        found: what each of them has got.
        most: how many to score again.
        unit: of the losses.

    Raises:
        AttemptStopped: one has another loss, or is right where it was wrong.
    """
    # What a task could foretell, it could prepare for; so this is not drawn from the seed of the run.
    places = SystemRandom().sample(range(len(indices)), min(most, len(indices)))
    losses, right = again([indices[place] for place in places])
    for place, loss, hit in zip(places, losses, right, strict=True):
        first, was_right = found[0][place], found[1][place]
        if loss != first:
            told = f"{first / NANO:.9f} {unit} at first and {loss / NANO:.9f} {unit} when it was read again."
            raise AttemptStopped(
                Cause.FAILED, "failed", what=f"Example {indices[place]} of the holdout lost {told}"
            )
        if hit is not was_right:
            what = f"Example {indices[place]} of the holdout was right once and wrong once."
            raise AttemptStopped(Cause.FAILED, "failed", what=what)


def require_same_bytes(data: PreparedData, part: str) -> None:
    """Make sure that a set is what it was, in memory and on the disk.

    Raises:
        AttemptStopped: it is not.
    """
    held = hashlib.sha256()
    for line in data.sets[part]:
        held.update(line + b"\n")
    try:
        lies = file_digest(data.folder / f"{part}.jsonl")
    except OSError:
        lies = ""
    if held.hexdigest() != data.file_digests[part] or lies != data.file_digests[part]:
        what = f"The bytes of {part} are not those that were announced: the task has changed them."
        raise AttemptStopped(Cause.FAILED, "failed", what=what)
