"""What is wrong with a rollback: whether the test that it names was due, and its evidence is what it says.

Which head it was, with how many versions it was compared and which error budget it may name follow from the
log; the evidence follows from the losses of each example, which lie beside it. Nothing of a model is needed.
"""

from __future__ import annotations

__all__ = ["LossesShown", "evidence_findings", "read_before", "rollback_complaints", "rollback_questions"]

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.monitor import MONITOR, cap_of, evidence_milli, needed_milli
from cryoflux.decision.reason import Reason
from cryoflux.receipts.statement import HeadMove, Measurement, MonitorTest, Move
from cryoflux.receipts.sums import evidence_of
from cryoflux.sentences import say
from cryoflux.state import StateFolder
from cryoflux.task_state import TaskState
from cryoflux.task_tallies import PoolParts
from cryoflux.verification.compared import best_of, list_complaints, not_listed, short_version
from cryoflux.verification.pairing import MOST_EXAMPLES, read_losses
from cryoflux.verification.result import Finding, failed, unknown

_MOST_KNOWN = 1024
_ROUNDING = 1
"""thousandths by which libraries of mathematics may round a logarithm differently"""


def rollback_questions(move: HeadMove, known: TaskState | None, freed: Collection[int]) -> Iterator[str]:
    """What stays open about it: a version that was found to be worse was found so by something.

    Args:
        move: what it says.
        known: what the log had come to for its task by then; none where that is not known.
        freed: versions that entries freed by then.
    """
    test = move.test
    if move.move is Move.ROLLBACK and test is None:
        what = "losses, and no test that they passed" if move.evidence else "no evidence"
        yield f"goes back with {what}: whether the head was worse is open"
    elif move.move is Move.PROMOTION and move.evidence:
        yield "shows losses, which nobody asks of what somebody chose: they are not looked at"
    elif test is not None and test.rule != MONITOR:
        yield f"goes back by the test {test.rule!r}, which is not known here"
    elif test is not None and not test.against:
        yield "does not list what each version has shown: whether it goes back to the best one is open"
    elif test is not None and known is not None:
        due = [short_version(made.version.digest) for made in known.before_head()]
        yield from not_listed(test.against, due, freed)


def rollback_complaints(move: HeadMove, known: TaskState | None, *, past: bool) -> Iterator[str]:
    """What is wrong with its test, by the log.

    Args:
        move: what it says.
        known: what the log had come to for its task by then.
        past: whether the log is here from its beginning.
    """
    test = move.test
    if test is None:
        if move.quarantined:
            yield "quarantines training examples without a test that its head was worse"
        return
    if move.move is not Move.ROLLBACK:
        yield f"names a test as if it went back, and is a {move.move.value}"
    if len(move.evidence) != 1:
        yield f"names a test on one set, and shows the losses of {len(move.evidence)}"
    if test.rule != MONITOR:
        return
    if known is not None and past:
        yield from _by_the_log(move, test, known)
    yield from _by_itself(move, test, move.evidence[:1])


def _by_the_log(move: HeadMove, test: MonitorTest, known: TaskState) -> Iterator[str]:
    if test.head_number != known.heads:
        yield f"says that it leaves head {test.head_number} of its task; by the log it is {known.heads}"
    if test.compared != (due := len(known.before_head())):
        yield f"says that it compared {test.compared} versions; by the log there were {due}"
    yield from _quarantined(move, known)
    if move.result not in {made.version for made in known.before_head()}:
        yield "goes back to a version that the test does not compare with"
    if known.monitor_alpha_ppm is not None and test.alpha_ppm > known.monitor_alpha_ppm:
        yield (
            f"allows itself {test.alpha_ppm} ppm of error, where {known.monitor_alpha_ppm} were promised: "
            "an error budget may be tightened, never widened"
        )
    yield from list_complaints(test.against, [short_version(m.version.digest) for m in known.before_head()])
    for one in move.evidence:
        if one.metric != known.metric:
            yield "shows losses by another metric than its task has"
        yield from read_before(one.sha256, known)


def read_before(examples: str, known: TaskState) -> Iterator[str]:
    """Whether a monitor is a set that its task reads for something else.

    Args:
        examples: SHA-256 of its file.
        known: what the log had come to for the task.
    """
    data = known.data, known.latest
    if examples in {*known.holdouts, *(one.train for one in data), *(one.audit for one in data)}:
        yield "holds its head against examples that are no monitor: what training or decisions have read"


def _quarantined(move: HeadMove, known: TaskState) -> Iterator[str]:
    parts = PoolParts(known.counts, tuple(move.quarantined))
    if move.quarantined and parts.quarantined != known.since(move.result.digest):
        yield "quarantines training examples that are not those which only the head had learned from"
    elif move.reason.numbers.get("quarantined", parts.examples_quarantined) != parts.examples_quarantined:
        yield f"quarantines {parts.examples_quarantined} training examples, unlike its sentence"


def _by_itself(move: HeadMove, test: MonitorTest, measured: list[Measurement]) -> Iterator[str]:
    if not test.alpha_ppm:
        yield "names an error budget of nothing"
        return
    due = needed_milli(test.alpha_ppm, test.head_number, test.compared)
    if test.needed_milli != due:
        yield f"says that it needed {test.needed_milli}; by its error budget it needed {due}"
    if test.evidence_milli < due:
        yield f"goes back on evidence of {test.evidence_milli}, where {due} are needed"
    yield from _not_the_best(move, test)
    for one in measured:
        if test.cap_nano != cap_of(one.metric.unit):
            yield f"cuts differences off at {test.cap_nano} billionths, not at {cap_of(one.metric.unit)}"
        if move.reason != (reason := _reason(move, test, one)):
            yield f"gives another reason than its test, which is: {say(reason)}"


def _not_the_best(move: HeadMove, test: MonitorTest) -> Iterator[str]:
    if not test.against:
        return
    best = best_of(test.against, test.needed_milli)
    if best is None or best.version != move.result.digest:
        yield "goes back to another version than the best one that it lists"
    elif best.evidence_milli != test.evidence_milli:
        yield "names other evidence than it lists of the version that it goes back to"


def _reason(move: HeadMove, test: MonitorTest, said: Measurement) -> Reason:
    worse = said.base_loss_sum - said.new_loss_sum
    numbers: dict[str, int | str] = {
        "count": said.count,
        "worse": worse,
        "unit": said.metric.unit,
        "alpha_ppm": test.alpha_ppm,
    }
    if "quarantined" in move.reason.numbers:  # `_quarantined` says whether it is so
        numbers["quarantined"] = move.reason.numbers["quarantined"]
    return Reason(code="monitor-worse", numbers=numbers)


class LossesShown(NamedTuple):
    """What the losses of a rollback show."""

    evidence: Evidence
    milli: int
    """natural logarithm of the evidence against the head, thousandths"""
    worse: int
    """by how much the head does worse in all, billionths of the unit"""


def evidence_findings(
    state: Path, move: HeadMove, known: dict[tuple[str, int, bool], LossesShown | str]
) -> Iterator[Finding]:
    """What is wrong with the losses that a rollback names, as they lie here.

    Args:
        state: where they lie.
        move: what the entry says.
        known: what files of losses were found to show, or why they cannot be read; is added to. Many entries
            may name one large file.
    """
    test = move.test
    if test is None or test.rule != MONITOR or not move.evidence:
        return
    said = move.evidence[0]
    where = f"evidence/{said.per_example}.bin"
    if said.count > MOST_EXAMPLES:
        yield unknown(where, f"is of more than {MOST_EXAMPLES} examples, which are not read here")
        return
    if test.cap_nano != cap_of(said.metric.unit):
        return  # step 8 names it
    asked = (said.per_example, said.count, said.hits is not None)
    if asked not in known:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[asked] = _shown(state, said, test.cap_nano)
    if isinstance(found := known[asked], str):
        yield failed(where, f"{found} (a rollback of {move.task})")
        return
    for complaint in _complaints(found, said, move, test):
        yield failed(where, complaint)


def _shown(state: Path, said: Measurement, cap_nano: int) -> LossesShown | str:
    try:
        losses = read_losses(StateFolder(state).losses(said.per_example), said.per_example, said.count)
    except ValueError as error:
        return str(error)
    milli = evidence_milli(losses.base, losses.new, cap_nano)
    return LossesShown(losses.evidence(hits=said.hits is not None), milli, sum(losses.base) - sum(losses.new))


def _complaints(found: LossesShown, said: Measurement, move: HeadMove, test: MonitorTest) -> Iterator[str]:
    if found.evidence != evidence_of(said):
        yield "its losses do not add up to the sums that the rollback signs"
    if abs(found.milli - test.evidence_milli) > _ROUNDING:
        yield f"its losses are evidence of {found.milli}, not of {test.evidence_milli} as the rollback says"
    if move.reason.numbers.get("worse", found.worse) != found.worse:
        yield "its losses are not those of the sentence that the rollback signs"
