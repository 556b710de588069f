"""Somebody else empties a shared bucket between the sample and the take."""

from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.attempt.watch import Step
from cryoflux.config import load_settings
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.clock import SystemClock
from cryoflux.errors import BudgetError
from cryoflux.receipts.reading import read_entries
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.session import run
from cryoflux.runs.watch import RunObserver
from verifying import verify_target


class Rival(RunObserver):
    """Takes everything as soon as an attempt was announced."""

    def __init__(self, state: Path) -> None:
        self._account = state / "account.db"

    def step(self, step, moment):
        if (step, moment) == (Step.ANNOUNCE, "end"):
            with closing(Bucket(self._account, SystemClock())) as bucket:
                bucket.take(bucket.available_uj(), request_id="rival")


def test_what_was_announced_gets_its_receipt_and_nothing_is_overdrawn(
    tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "s"
    flags = {"model": inputs[1], "train": inputs[3], "reserve": "12J", "state": str(state)}
    sourced = load_settings(flags, environ={}, folder=tmp_path)
    with pytest.raises(BudgetError):
        run(sourced, RunLimits(budget_uj=30_000_000), observers=[Rival(state)])
    (_, closed, session) = read_entries(state)
    receipt = closed.receipt
    assert session.session is not None
    assert receipt is not None
    assert receipt.outcome.value == "aborted"
    assert receipt.energy.microjoules == receipt.energy.hi_microjoules == 0
    assert verify_target(state).ok
