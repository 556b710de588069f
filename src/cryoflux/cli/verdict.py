"""What ``cryoflux verify`` prints: a line for each check, and one that says what all of them show."""

from __future__ import annotations

__all__ = ["exit_code", "print_check", "print_report"]

from typing import TYPE_CHECKING

from cryoflux.cli.console import stdout
from cryoflux.errors import ExitCode
from cryoflux.report.layout import unbroken
from cryoflux.report.verdict_words import MARKS, verdict

if TYPE_CHECKING:
    from cryoflux.verification.result import Check, Report

_FOLDED = {1, 2, 3, 4, 5, 6, 7, 8, 10}
"""steps that go on from what is remembered, where that is asked for"""
_ALWAYS = {9, 10}
_ON_REQUEST = {
    11: "--recompute N",
    12: "--policy FILE",
    14: "--spot-check N",
    15: "--retrain N",
}
"""steps that are gone through only if an option asks for it"""


def exit_code(report: Report, *, strict: bool) -> ExitCode | None:
    """What a program gets to see; none where all is well.

    Args:
        report: what was found.
        strict: whether a question that stays open is as bad as a failure.
    """
    good = report.complete if strict else report.ok
    return None if good else ExitCode.NEGATIVE_VERDICT


def print_check(check: Check, *, before: str = "") -> None:
    """One line; ``before`` says how much of it goes by memory."""
    mark, where = MARKS[check.status.value], f"{check.subject}: " if check.subject else ""
    by_memory = f", {before}" if before and check.status.value == "ok" and check.number in _FOLDED else ""
    known = f"({check.knowledge.value}{by_memory})"
    stdout.print(f"{mark} {check.number:>2}  {check.name} {known}: {where}{check.detail}", indent=6)


def print_report(report: Report, *, strict: bool = False) -> None:
    """Every check, and the verdict."""
    before = f"{report.remembered} of {report.entries} entries by memory" if report.remembered else ""
    for check in report.checks:
        print_check(check, before=before)
    asked = {check.number for check in report.checks}
    if not asked.isdisjoint(_ALWAYS) and (unasked := [n for n in _ON_REQUEST if n not in asked]):
        options = ", ".join(unbroken(f"{number} {_ON_REQUEST[number]}") for number in unasked)
        stdout.print(f"–     not asked for: {options}", indent=6)
    stdout.print(verdict(report, strict=strict))
