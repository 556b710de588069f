"""What a run says of its attempts and rounds, and what it advises where there was none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cryoflux.report.count_words import count_lines
from cryoflux.report.words import summary_lines
from cryoflux.runs.summary import Summary

NOTHING = Summary(
    attempts=0,
    kept=0,
    rejected=0,
    undecided=0,
    carried=0,
    aborted=0,
    spent=None,
    overhead=None,
    spendable_uj=0,
    remaining_uj=0,
    tasks=(),
    state=Path("my state"),
    ended="plateau",
    saved_uj=0,
    reason="Nothing that others offer waits for a round.",
    audit_cpu_seconds=0.0,
)


def test_attempts_are_counted_where_they_were_asked_for() -> None:
    assert count_lines(NOTHING) == ["attempts 0: 0 kept, 0 rejected, 0 aborted; 0 J"]
    assert count_lines(replace(NOTHING, attempts=2, kept=1, carried=1)) == [
        "attempts 2: 1 kept, 0 rejected, 0 aborted, 1 carried; 0 J"
    ]


def test_who_asked_for_rounds_is_told_to_pull_and_nothing_of_recipes() -> None:
    lines = summary_lines(replace(NOTHING, only_rounds=True))
    assert lines[1] == "rounds   0: 0 kept; 0 J"
    advice = " ".join(lines).replace("\u00a0", " ")
    assert "cryoflux node pull --state 'my state'" in advice
    assert "unspent" not in advice
    assert "unspent" in " ".join(summary_lines(NOTHING))
