"""What is wrong with a rollback: whether the test that it names was due, and its evidence is what it says.

Which head it was, with how many versions it was compared and which error budget it may name follow from the
log; the evidence follows from the losses of each example, which lie beside it. Nothing of a model is needed.
"""

from __future__ import annotations

__all__ = ["evidence_findings", "rollback_complaints", "rollback_questions"]

from collections.abc import Iterator
from pathlib import Path

from cryoflux.decision.monitor import MONITOR, cap_of, evidence_milli, needed_milli
from cryoflux.receipts.statement import HeadMove, Measurement, MonitorTest, Move
from cryoflux.receipts.sums import evidence_of
from cryoflux.state import StateFolder
from cryoflux.task_state import TaskState
from cryoflux.task_tallies import PoolParts
from cryoflux.verification.pairing import MOST_EXAMPLES, Pairing, read_losses
from cryoflux.verification.result import Finding, failed, unknown

_ROUNDING = 1
"""thousandths by which libraries of mathematics may round a logarithm differently"""


def rollback_questions(move: HeadMove) -> Iterator[str]:
    """What stays open about it: a version that was found to be worse was found so by something."""
    if move.move is Move.ROLLBACK and move.test is None:
        what = "losses, and no test that they passed" if move.evidence else "no evidence"
        yield f"goes back with {what}: whether the head was worse is open"
    elif move.test is not None and move.test.rule != MONITOR:
        yield f"goes back by the test {move.test.rule!r}, which is not known here"


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
    yield from _by_itself(test, move.evidence[:1])


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


def _quarantined(move: HeadMove, known: TaskState) -> Iterator[str]:
    parts = PoolParts(known.counts, tuple(move.quarantined))
    if move.quarantined and parts.quarantined != known.since(move.result.digest):
        yield "quarantines training examples that are not those which only the head had learned from"
    elif move.reason.numbers.get("quarantined", parts.examples_quarantined) != parts.examples_quarantined:
        yield f"quarantines {parts.examples_quarantined} training examples, unlike its sentence"


def _by_itself(test: MonitorTest, measured: list[Measurement]) -> Iterator[str]:
    if not test.alpha_ppm:
        yield "names an error budget of nothing"
        return
    due = needed_milli(test.alpha_ppm, test.head_number, test.compared)
    if test.needed_milli != due:
        yield f"says that it needed {test.needed_milli}; by its error budget it needed {due}"
    if test.evidence_milli < due:
        yield f"goes back on evidence of {test.evidence_milli}, where {due} are needed"
    for one in measured:
        if test.cap_nano != cap_of(one.metric.unit):
            yield f"cuts differences off at {test.cap_nano} billionths, not at {cap_of(one.metric.unit)}"


def evidence_findings(state: Path, move: HeadMove) -> Iterator[Finding]:
    """What is wrong with the losses that a rollback names, as they lie here."""
    test = move.test
    if test is None or test.rule != MONITOR or not move.evidence:
        return
    said = move.evidence[0]
    where = f"evidence/{said.per_example}.bin"
    if said.count > MOST_EXAMPLES:
        yield unknown(where, f"is of more than {MOST_EXAMPLES} examples, which are not read here")
        return
    try:
        losses = read_losses(StateFolder(state).losses(said.per_example), said.per_example, said.count)
    except ValueError as error:
        yield failed(where, f"{error} (a rollback of {move.task})")
        return
    for complaint in _complaints(losses, said, move, test):
        yield failed(where, complaint)


def _complaints(losses: Pairing, said: Measurement, move: HeadMove, test: MonitorTest) -> Iterator[str]:
    if losses.evidence(hits=said.hits is not None) != evidence_of(said):
        yield "its losses do not add up to the sums that the rollback signs"
    found = evidence_milli(losses.base, losses.new, test.cap_nano)
    if abs(found - test.evidence_milli) > _ROUNDING:
        yield f"its losses are evidence of {found}, not of {test.evidence_milli} as the rollback says"
    numbers, worse = move.reason.numbers, sum(losses.base) - sum(losses.new)
    if numbers.get("worse", worse) != worse or numbers.get("count", said.count) != said.count:
        yield "its losses are not those of the sentence that the rollback signs"
