"""A log from before screens, error budgets and schedules: its bytes verify as on the day they were signed."""

from __future__ import annotations

from pathlib import Path

from cryoflux.signing.keys import load_public_key
from cryoflux.verification.result import Status
from verifying import verify_target

VECTORS = Path(__file__).parents[2] / "vectors"


def test_real_bytes_of_an_older_log_verify_with_their_key() -> None:
    key = load_public_key(VECTORS / "log-evidence-v1.pub")
    report = verify_target(VECTORS / "log-evidence-v1.jsonl", key=key)
    passed = {check.number for check in report.checks if check.status is Status.OK}
    assert {1, 2, 3, 5, 6, 7, 8, 10} <= passed
    assert report.ok
    assert (report.receipts, report.evaluated) == (4, 4)
