"""Two attempts that are announced before either has a verdict: both would claim the same look."""

from __future__ import annotations

from pathlib import Path

from cryoflux.verification.result import Status
from cryoflux.verification.steps import verify_target
from synthetic_state import open_state


def test_attempts_that_overlap_are_found_though_each_bar_is_that_of_the_log(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    first = made.announce()
    second = made.announce()
    assert second.statement.predicate.rule.looks == 0
    made.conclude_attempt(first, -0.0005)
    made.conclude_attempt(second, -0.0006)
    checks = [c for c in verify_target(made.finish()).checks if (c.number, c.status) == (5, Status.FAIL)]
    assert {(c.number, c.subject) for c in checks} == {
        (5, "entry 2 (receipt a0001)"),
        (5, "entry 3 (receipt a0002)"),
    }
    assert all("attempts must not overlap" in check.detail for check in checks)
