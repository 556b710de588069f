"""The numbered checks of a verification, each with its status and its kind of knowledge.

- *proven*: follows from bytes, hashes, signatures and integer arithmetic;
- *recomputed*: was computed again here, from model, adapter and holdout;
- *attested*: somebody says so. Joules are; no receipt can prove them;
- *searched*: was looked for here, in a way that is named. That nothing was found proves nothing.

``unknown`` is neither good nor bad: it could not be checked here. It never counts as passed.
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

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct

_MOST_LINES = 20
_MOST_NAMED = 5
"""things that are wrong, named in one line"""
_MOST_CHARACTERS = 500


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


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

    def to_json(self) -> dict[str, Any]:
        """The check as a JSON object."""
        return {
            "number": self.number,
            "name": self.name,
            "status": self.status.value,
            "knowledge": self.knowledge.value,
            "subject": self.subject,
            "detail": self.detail,
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

    def __str__(self) -> str:
        counts = Counter(check.status for check in self.checks)
        bad = dict.fromkeys(
            check.subject or check.name for check in self.checks if check.status is Status.FAIL
        )
        verdict = f"not verified: {', '.join(list(bad)[:_MOST_NAMED])}" if bad else "verified"
        again = f", {self.recomputed} of them recomputed" if self.recomputed else ""
        still = f"; {counts[Status.UNKNOWN]} open" if counts[Status.UNKNOWN] else ""
        return f"{self.target}: {verdict} ({self.receipts} receipts{again}; {len(self.checks)} checks{still})"

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
            "levels": list(self.levels),
            "checks": [check.to_json() for check in self.checks],
        }


def failed(subject: str, detail: str) -> Finding:
    """A finding that makes the verdict negative."""
    return Finding(Status.FAIL, subject, detail)


def unknown(subject: str, detail: str) -> Finding:
    """A finding that leaves a question open."""
    return Finding(Status.UNKNOWN, subject, detail)


def _printable(text: str) -> str:
    # Details quote what a stranger wrote; it must not steer the terminal that shows them.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:_MOST_CHARACTERS]


class Named(Protocol):
    """What a finding is about."""

    @property
    def name(self) -> str:
        """How the finding names it."""


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
        if len(kept) < _MOST_LINES:
            kept.append(finding)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Take note of several."""
        for finding in findings:
            self.add(finding)

    def fail(self, about: Named, complaints: Iterable[str]) -> None:
        """Take note of what is wrong with something."""
        for complaint in complaints:  # hardly ever one, so nothing is named before
            self.add(failed(about.name, complaint))

    def ask(self, about: Named, questions: Iterable[str]) -> None:
        """Take note of what stays open about something."""
        for question in questions:
            self.add(unknown(about.name, question))

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

    def conclude(self, step: NumberedStep, summary: str) -> list[Check]:
        """The lines of one step: what is bad first, then what is open; ``summary`` where nothing is bad.

        Args:
            step: number, name and kind of knowledge of the lines.
            summary: what was checked and holds; empty where nothing could be checked.
        """
        number, name, knowledge = step.number, step.name, step.knowledge
        lines = [*self._bad, *self._open][:_MOST_LINES]
        checks = [
            Check(number, name, f.status, _printable(f.detail), knowledge, _printable(f.subject))
            for f in lines
        ]
        if (more := sum(self._counts) - len(lines)) > 0:
            status = Status.FAIL if self._counts[True] > _MOST_LINES else Status.UNKNOWN
            checks.append(Check(number, name, status, f"and {more} more like these", knowledge))
        if not self._bad and summary:
            checks.insert(0, Check(number, name, Status.OK, _printable(summary), knowledge))
        return checks


def conclude(step: NumberedStep, findings: Iterable[Finding], summary: str) -> list[Check]:
    """The lines of one step, as `Findings.conclude` makes them."""
    return Findings(findings).conclude(step, summary)
