"""How many attempts and rounds a run made, in words."""

from __future__ import annotations

__all__ = ["count_lines"]

from cryoflux.report.attempt_words import energy_text
from cryoflux.report.round_words import rounds_kept
from cryoflux.runs.summary import Summary


def count_lines(summary: Summary) -> list[str]:
    """How many attempts and rounds were made, and what they cost."""
    spent = energy_text(summary.spent) if summary.spent else "0 J"
    kept = rounds_kept(summary.rounds)
    rounds = f"rounds   {len(summary.rounds)}: {kept} kept"
    if summary.only_rounds:
        return [f"{rounds}; {spent}"]
    counts = f"{summary.kept} kept, {summary.rejected} rejected, {summary.aborted} aborted"
    more = {"carried": summary.carried, "undecided": summary.undecided}
    counts += "".join(f", {count} {word}" for word, count in more.items() if count)
    attempts = f"attempts {summary.attempts}: {counts}"
    if not summary.rounds:
        return [f"{attempts}; {spent}"]
    return [attempts, f"{rounds}; with the attempts {spent}"]
