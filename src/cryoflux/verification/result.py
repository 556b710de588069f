"""What a verification says: numbered checks, each with its status and with what kind of knowledge it is.

- *proven*: follows from bytes, hashes, signatures and integer arithmetic;
- *recomputed*: was computed again here, from model, adapter and holdout;
- *attested*: somebody says so. Joules are; no receipt can prove them.

``unknown`` is neither good nor bad: it could not be checked here. It never counts as passed.
"""

from __future__ import annotations

__all__ = ["Check", "Claim", "Finding", "Report", "Status", "Step", "conclude", "failed", "unknown"]

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_MOST_LINES = 20
_MOST_CHARACTERS = 500


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Claim(StrEnum):
    """What kind of knowledge a check gives."""

    PROVEN = "proven"
    RECOMPUTED = "recomputed"
    ATTESTED = "attested"


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step of the verification."""

    number: int
    name: str
    claim: Claim = Claim.PROVEN


@dataclass(frozen=True, slots=True)
class Finding:
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
    claim: Claim
    subject: str = ""
    """names the thing that is bad or unknown; empty where all is well"""

    def to_json(self) -> dict[str, Any]:
        """The check as a JSON object."""
        return {
            "number": self.number,
            "name": self.name,
            "status": self.status.value,
            "claim": self.claim.value,
            "subject": self.subject,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
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
    levels: tuple[dict[str, Any], ...] = ()
    """of the receipts of which something was computed again: how far, and in which words (`levels`)"""

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(check.status is not Status.FAIL for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "target": self.target,
            "ok": self.ok,
            "entries": self.entries,
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


def conclude(step: Step, findings: Sequence[Finding], summary: str) -> list[Check]:
    """The lines of one step: what is bad first, then what is open; ``summary`` where nothing is bad.

    Args:
        step: number, name and claim of the lines.
        findings: what is bad or unknown.
        summary: what was checked and holds; empty where nothing could be checked.
    """
    bad = [f for f in findings if f.status is Status.FAIL]
    open_ = [f for f in findings if f.status is not Status.FAIL]
    lines = [*bad, *open_]
    checks = [
        Check(step.number, step.name, f.status, _printable(f.detail), step.claim, _printable(f.subject))
        for f in lines[:_MOST_LINES]
    ]
    if len(lines) > _MOST_LINES:
        more = f"and {len(lines) - _MOST_LINES} more like these"
        checks.append(Check(step.number, step.name, lines[_MOST_LINES].status, more, step.claim))
    if not bad and summary:
        checks.insert(0, Check(step.number, step.name, Status.OK, _printable(summary), step.claim))
    return checks
