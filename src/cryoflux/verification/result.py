"""The numbered checks of a verification, each with its status and its kind of knowledge.

- *proven*: follows from bytes, hashes, signatures and integer arithmetic;
- *recomputed*: was computed again here, from model, adapter and holdout;
- *attested*: somebody says so. Joules are; no receipt can prove them;
- *searched*: was looked for here, in a way that is named. That nothing was found proves nothing.

``unknown`` is neither good nor bad: it could not be checked here. It never counts as passed. ``nothing``
says that there was nothing to check, such as no evaluation in the log. That is no pass either.
"""

from __future__ import annotations

__all__ = [
    "Check",
    "Finding",
    "Findings",
    "Knowledge",
    "Named",
    "NumberedStep",
    "Report",
    "Status",
    "conclude",
    "failed",
    "unknown",
]

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct

from cryoflux.quantities import counted
from cryoflux.verification.topics import CLAIMED, PROVABLE, Topic, topic_of_step

_MOST_LINES = 20
_MOST_NAMED = 5
"""things that are wrong, named in one line"""
_MOST_CHARACTERS = 500
"""of a detail; what is cut off says so"""
_OF_ITS_OWN = {"the", "it", "its", "only", "how", "all", "no", "a", "an"}
"""first words of a detail that is a sentence of its own, and does not go on from its subject"""
_MOST_IN_SHORT = 120
"""characters of a question within a verdict"""
_DIGEST = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOTHING = "nothing"
    """there was nothing to check"""


class Knowledge(StrEnum):
    """What kind of knowledge a check gives."""

    PROVEN = "proven"
    RECOMPUTED = "recomputed"
    ATTESTED = "attested"
    SEARCHED = "searched"


@dataclass(frozen=True, slots=True)
class NumberedStep:
    """One numbered step of the verification."""

    number: int
    name: str
    knowledge: Knowledge = Knowledge.PROVEN


class Finding(Struct, frozen=True):
    """Something that is bad, or that could not be checked."""

    status: Status
    subject: str
    """the thing: ``entry 3``, ``capsules/…/adapter_model.safetensors``"""
    detail: str
    topic: Topic | None = None
    """what it is about; none where that is what its step is about"""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    number: int
    name: str
    status: Status
    detail: str
    knowledge: Knowledge
    subject: str = ""
    """names the thing that is bad or unknown; empty where all is well"""
    topics: tuple[Topic, ...] = ()
    """what it is about; more than one only where all is well"""

    def to_json(self) -> dict[str, Any]:
        """The check as a JSON object."""
        return {
            "number": self.number,
            "name": self.name,
            "status": self.status.value,
            "knowledge": self.knowledge.value,
            "subject": self.subject,
            "detail": self.detail,
            "topics": [topic.value for topic in self.topics],
        }


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """All checks of one target."""

    target: str
    checks: tuple[Check, ...]
    entries: int
    """entries that were read"""
    receipts: int
    """of those, receipts; the others are intents"""
    evaluated: int
    """of the receipts, those that carry an evaluation"""
    recomputed: int
    """of those, the ones whose losses were evaluated again and are equal"""
    signer: str
    """key id that the signatures were checked against; empty where there was none"""
    pinned: bool
    """whether the one who verifies named that key, or the target brought its own"""
    remembered: int = 0
    """of the entries, those that were verified here before and not again"""
    levels: tuple[dict[str, Any], ...] = ()
    """of the receipts of which something was computed again: how far, and in which words (`levels`)"""

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(check.status is not Status.FAIL for check in self.checks)

    @property
    def proven(self) -> tuple[Topic, ...]:
        """What was checked of all receipts and holds; a topic with an open question is not among them."""
        held = {topic for check in self.checks if check.status is Status.OK for topic in check.topics}
        not_held = {
            topic
            for check in self.checks
            if check.status in {Status.FAIL, Status.UNKNOWN}
            for topic in check.topics
        }
        return tuple(topic for topic in PROVABLE if topic in held - not_held)

    @property
    def open(self) -> tuple[Topic, ...]:
        """What is open: the topics of all questions, and the signer where nobody named the key."""
        found = {topic for check in self.checks if check.status is Status.UNKNOWN for topic in check.topics}
        if not self.pinned:
            found.add(Topic.SIGNER)
        return tuple(topic for topic in Topic if topic in found)

    @property
    def complete(self) -> bool:
        """Whether there was a receipt, nothing failed and nothing is open: what ``--strict`` asks for."""
        return self.ok and self.receipts > 0 and not self.open

    @property
    def exceptions(self) -> tuple[str, ...]:
        """What a verdict has to leave out, in words: each topic once, with the first question about it."""
        said = []
        for topic in CLAIMED:
            asked = [c for c in self.checks if c.status is Status.UNKNOWN and topic in c.topics]
            if asked:
                more = f", and {len(asked) - 1} more" if len(asked) > 1 else ""
                said.append(f"{topic.words} ({_in_short(asked[0])}{more})")
        return tuple(said)

    def __str__(self) -> str:
        counts = Counter(check.status for check in self.checks)
        bad = dict.fromkeys(
            check.subject or check.name for check in self.checks if check.status is Status.FAIL
        )
        verdict = f"not verified: {', '.join(list(bad)[:_MOST_NAMED])}" if bad else "verified"
        if not bad and (left_out := self.exceptions):
            verdict = f"verified, except: {'; '.join(left_out)}"
        again = f", {self.recomputed} of them recomputed" if self.recomputed else ""
        still = f"; {counts[Status.UNKNOWN]} open" if counts[Status.UNKNOWN] else ""
        key = "" if self.pinned else "; the key is not pinned"
        checks = f"{counted(len(self.checks), 'check')}{still}{key}"
        return f"{self.target}: {verdict} ({counted(self.receipts, 'receipt')}{again}; {checks})"

    def __repr__(self) -> str:
        return f"<Report {self}>"

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "target": self.target,
            "ok": self.ok,
            "entries": self.entries,
            "remembered": self.remembered,
            "receipts": self.receipts,
            "evaluated": self.evaluated,
            "recomputed": self.recomputed,
            "signer": self.signer,
            "pinned": self.pinned,
            "proven": [topic.value for topic in self.proven],
            "open": [topic.value for topic in self.open],
            "exceptions": list(self.exceptions),
            "complete": self.complete,
            "levels": list(self.levels),
            "checks": [check.to_json() for check in self.checks],
        }


def failed(subject: str, detail: str, topic: Topic | None = None) -> Finding:
    """A finding that makes the verdict negative; ``topic`` where it is not about what its step is about."""
    return Finding(Status.FAIL, subject, detail, topic)


def unknown(subject: str, detail: str, topic: Topic | None = None) -> Finding:
    """A finding that leaves a question open; ``topic`` as in `failed`."""
    return Finding(Status.UNKNOWN, subject, detail, topic)


def _in_short(check: Check) -> str:
    """A question, up to where it explains itself."""
    detail = check.detail.partition(": ")[0].partition("; ")[0]
    between = ": " if detail.partition(" ")[0] in _OF_ITS_OWN else " "
    said = f"{check.subject}{between}{detail}" if check.subject else detail
    said = _DIGEST.sub(r"\1…", said)  # whose other digits would leave no room for the question
    # Between two words, where there is a blank not far before the end.
    cut = max(said.rfind(" ", _MOST_IN_SHORT * 2 // 3, _MOST_IN_SHORT), 0) or _MOST_IN_SHORT - 1
    return said if len(said) <= _MOST_IN_SHORT else f"{said[:cut]}…"


def _printable(text: str) -> str:
    # Details quote what a stranger wrote; it must not steer the terminal that shows them.
    shown = text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown)


class Named(Protocol):
    """What a finding is about."""

    @property
    def name(self) -> str:
        """How the finding names it."""


def _line(step: NumberedStep, found: Finding) -> Check:
    topics = (found.topic or topic_of_step(step.number),)
    detail, subject = _printable(found.detail), _printable(found.subject)
    return Check(step.number, step.name, found.status, detail, step.knowledge, subject, topics)


class Findings:
    """What one step has found so far: all of it counted, the first of each kind kept."""

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self._bad: list[Finding] = []
        self._open: list[Finding] = []
        self._counts = [0, 0]
        self.extend(findings)

    def add(self, finding: Finding) -> None:
        """Take note of one more."""
        bad = finding.status is Status.FAIL
        self._counts[bad] += 1
        kept = self._bad if bad else self._open
        # Many of one kind must not hide that something else is open too.
        if len(kept) < _MOST_LINES or all(one.topic != finding.topic for one in kept):
            kept.append(finding)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Take note of several."""
        for finding in findings:
            self.add(finding)

    def fail(self, about: Named, complaints: Iterable[str]) -> None:
        """Take note of what is wrong with something."""
        for complaint in complaints:  # hardly ever one, so nothing is named before
            self.add(failed(about.name, complaint))

    def ask(self, about: Named, questions: Iterable[str], topic: Topic | None = None) -> None:
        """Take note of what stays open about something."""
        for question in questions:
            self.add(unknown(about.name, question, topic))

    @property
    def failed(self) -> bool:
        """Whether something is bad."""
        return bool(self._bad)

    def open(self) -> tuple[list[Finding], int]:
        """Those that leave a question open, as far as they are kept, and how many they are."""
        return list(self._open), self._counts[False]

    def reopen(self, kept: list[Finding], count: int) -> None:
        """Go on from questions that were open before."""
        self._open, self._counts[False] = kept, count

    def _shown(self) -> list[Finding]:
        """The first ones, and the first one of each topic."""
        found = [*self._bad, *self._open]
        shown = found[:_MOST_LINES]
        known = {one.topic for one in shown}
        for one in found[_MOST_LINES:]:
            if one.topic not in known:
                known.add(one.topic)
                shown.append(one)
        return shown

    def conclude(
        self, step: NumberedStep, summary: str, *, nothing: str = "", topics: Sequence[Topic] = ()
    ) -> list[Check]:
        """The lines of one step: what is bad first, then what is open; ``summary`` where nothing is bad.

        Args:
            step: number, name and kind of knowledge of the lines.
            summary: what was checked and holds; empty where nothing could be checked.
            nothing: why there was nothing to check; empty where there was something.
            topics: what the summary is about; by default what the step is about.
        """
        lines = self._shown()
        checks = [_line(step, found) for found in lines]
        if (more := sum(self._counts) - len(lines)) > 0:
            status = Status.FAIL if self._counts[True] > _MOST_LINES else Status.UNKNOWN
            last = Finding(status, "", f"and {more} more like these", lines[-1].topic)
            checks.append(_line(step, last))
        if not self._bad and (said := nothing or summary):
            status = Status.NOTHING if nothing else Status.OK
            held = tuple(topics) or (topic_of_step(step.number),)
            first = Check(step.number, step.name, status, _printable(said), step.knowledge, topics=held)
            checks.insert(0, first)
        return checks


def conclude(
    step: NumberedStep, findings: Iterable[Finding], summary: str, *, nothing: str = ""
) -> list[Check]:
    """The lines of one step, as `Findings.conclude` makes them."""
    return Findings(findings).conclude(step, summary, nothing=nothing)
