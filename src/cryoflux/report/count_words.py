"""How many attempts and rounds a run made, and what these cost, in words."""

from __future__ import annotations

__all__ = ["count_lines"]

from cryoflux.report.attempt_words import energy_text
from cryoflux.runs.summary import Summary


def count_lines(summary: Summary) -> list[str]:
    """Attempts, and rounds where there were any; rounds alone where nothing else was asked for.

    Args:
        summary: of the run.
    """
    spent = energy_text(summary.spent) if summary.spent else "0 J"
    rounds = f"rounds   {len(summary.rounds)}: {summary.rounds_kept} kept"
    if summary.only_rounds:
        return [f"{rounds}; {spent}"]
    counts = f"{summary.kept} kept, {summary.rejected} rejected, {summary.aborted} aborted"
    more = {"carried": summary.carried, "undecided": summary.undecided}
    counts += "".join(f", {count} {word}" for word, count in more.items() if count)
    attempts = f"attempts {summary.attempts}: {counts}"
    if not summary.rounds:
        return [f"{attempts}; {spent}"]
    return [attempts, f"{rounds}; with the attempts {spent}"]
