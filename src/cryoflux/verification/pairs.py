"""Step 5: every attempt was announced, and what was done is what was announced.

An intent names task, data, recipe, seed, rule and reservation before anything is tried; its receipt has to
keep to all of them. Of the attempts that are open at once there may be as many as the newest intent says,
one unless it says more, and none any more once the session of their run is told: whatever was announced
before those and has no receipt was left out. Wall times are labels, so times in an odd order only leave a
question.
"""

from __future__ import annotations

__all__ = ["PAIRS", "Pairs"]

import time
from collections.abc import Iterator
from typing import ClassVar

from msgspec import field

from cryoflux.energy.interface import SESSION
from cryoflux.log_state import LogState, OpenIntent
from cryoflux.quantities import counted
from cryoflux.receipts.session import Session, sessions_of
from cryoflux.receipts.statement import Cause, Intent, Outcome, Receipt, Training
from cryoflux.verification.result import Check, NumberedStep, failed, unknown
from cryoflux.verification.sections import Sections
from cryoflux.verification.times import Times, begun_before_announced
from cryoflux.verification.topics import Topic
from cryoflux.verification.walk import Fold, Paired, Seen, Tally

PAIRS = NumberedStep(5, "every attempt was announced")


class _Announced(Tally):
    paired: int = 0
    sessions: int = 0
    strange: dict[str, int] = field(default_factory=dict)
    """kind of section that nobody here can check → receipts"""
    times: Times = field(default_factory=Times)


class Pairs(Fold):
    """Step 5: each receipt ends one earlier intent, and says the same as it did.

    Args:
        sections: what checks the sections of tasks.
        now_s: Unix seconds by the clock of whoever verifies; none to look at the clock.
    """

    step: ClassVar = PAIRS
    tally: _Announced

    def __init__(self, sections: Sections, now_s: float | None = None) -> None:
        super().__init__()
        self._sections, self._now_s = sections, now_s if now_s is not None else time.time()
        self.tally = _Announced()

    def take(self, seen: Seen, memory: LogState) -> None:
        """Look at the next entry."""
        if seen.entry is None:
            return
        self.findings.ask(seen, self.tally.times.take(seen.entry), Topic.TIMES)
        for opened in memory.lapsing(seen.entry):
            self.findings.add(failed(_name(opened), _LEFT_OUT))
        if (intent := seen.entry.intent) is not None:
            self.findings.fail(seen, _misnamed(intent, seen.entry.version))
        elif seen.paired is not None:
            self._take_receipt(seen.paired)
        elif (session := seen.entry.session) is not None:
            self.tally.sessions += 1
            self.findings.fail(seen, _session(session, memory))

    def _take_receipt(self, paired: Paired) -> None:
        if paired.opened is None:
            detail = "names no intent before it that is still open"
            self.findings.add(failed(paired.name, detail))
            return
        self.tally.paired += 1
        self.findings.fail(paired, _differences(paired, paired.opened.intent))
        began = begun_before_announced(paired.opened.intent, paired.receipt)
        self.findings.ask(paired, began, Topic.TIMES)
        training = paired.receipt.training
        if training is None:
            return
        self.findings.fail(paired, _training(training, paired.receipt, paired.opened.intent))
        section = training.section
        if (check := self._sections.get(section.kind)) is not None:
            complaints = check.complaints(section, paired.receipt, paired.opened.intent)
            self.findings.fail(paired, complaints)
        elif section.kind in self.tally.strange or len(self.tally.strange) < _MOST_KINDS:
            self.tally.strange[section.kind] = self.tally.strange.get(section.kind, 0) + 1

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step."""
        for opened in memory.open.values():
            if opened.intent.slots > 1 or opened.index == memory.size - 1:
                detail = "is in progress or crashed; the next run will abort it"
                self.findings.add(unknown(_name(opened), detail, Topic.IN_PROGRESS))
            else:
                self.findings.add(failed(_name(opened), _LEFT_OUT))
        for kind, count in self.tally.strange.items():
            detail = f"{count} receipts have it, and nothing here can check it: name its task with --task"
            self.findings.add(unknown(f"section {kind}", detail, Topic.SECTIONS))
        if backwards := self.tally.times.went_back():
            self.findings.add(unknown("times", backwards, Topic.TIMES))
        if ahead := self.tally.times.ahead(self._now_s):
            self.findings.add(unknown("times", ahead, Topic.TIMES))
        sessions = f", in {sessions_of(self.tally.sessions)}" if self.tally.sessions else ""
        nothing = "" if self.tally.paired or self.tally.sessions else "there is no receipt to look at"
        summary = f"{counted(self.tally.paired, 'receipt')}, each with its intent{sessions}"
        return self.findings.conclude(PAIRS, summary, nothing=nothing)


_MOST_KINDS = 64
_LEFT_OUT = "was announced and has no receipt: its result was left out"


def _name(opened: OpenIntent) -> str:
    return f"entry {opened.index} (intent {opened.intent.task.id})"


def _misnamed(intent: Intent, version: int) -> Iterator[str]:
    # Of two attempts with one name, both could show the meter's statement of one reservation.
    if version > 1 and not intent.task.id.endswith(f"_{intent.sequence}"):
        yield "its id does not end in its place in the log"


def _session(session: Session, memory: LogState) -> Iterator[str]:
    """What is wrong with the attempts that a session says are its own: no other session has them."""
    if not session.id.startswith(SESSION) or not session.id.endswith(f"_{session.opened_at}"):
        yield "its id does not end in its place in the log"
    if not memory.session_end <= session.opened_at <= memory.size:
        yield f"says that it began at entry {session.opened_at}, which is not behind the session before it"
    last = session.first_attempt + session.attempts - 1
    if session.first_attempt <= memory.accounted or last != memory.attempts:
        said = f"says that its attempts are #{session.first_attempt} to #{last}"
        since = f"#{memory.accounted + 1} to #{memory.attempts}"
        yield f"{said}, but those since the session before it are {since}"


def _differences(paired: Paired, intent: Intent) -> Iterator[str]:
    receipt, version = paired.receipt, paired.entry.version
    if version == 1 and receipt.sequence != intent.sequence + 1:
        yield "does not come right after its intent: attempts must not overlap"
    evaluation, decision = receipt.evaluation, receipt.decision
    same = {
        "task": receipt.task == intent.task,
        "holdout": receipt.holdout == intent.data.holdout,
        "reservation": receipt.energy.reserved_microjoules == intent.reserved_microjoules,
        "rule": decision is None or decision.rule == intent.rule,
        "metric": evaluation is None or evaluation.metric == intent.metric,
    }
    if version == 1:
        same["base model"] = receipt.base == intent.base
    for what, equal in same.items():
        if not equal:
            yield f"has another {what} than its intent announced"
    if (receipt.cause is Cause.NONE) != (receipt.outcome is not Outcome.ABORTED):
        yield f"is {receipt.outcome.value}, with the cause {receipt.cause.value or 'none'}"


def _training(training: Training, receipt: Receipt, intent: Intent) -> Iterator[str]:
    if training.fresh_count > training.slice_count:
        yield f"says {training.fresh_count} fresh examples of {training.slice_count} in all"
    if training.slice_count > intent.data.train_count:
        yield f"says {training.slice_count} training examples of {intent.data.train_count} that there are"
    if intent.chain is not None and bool(intent.chain.working) != bool(training.before):
        # Told by the pair alone: a claim has no log before its range, and asks whose joules paid for it.
        goes_on = "goes on from a working update" if intent.chain.working else "begins a chain"
        yield f"says that its chain had made {training.before} steps before it, though it {goes_on}"
    if intent.rule.screen and training.screen is None and receipt.outcome is not Outcome.ABORTED:
        yield "has no screen, though its rule asks for one"
