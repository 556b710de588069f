"""Somebody else empties a shared bucket between the sample and the take."""

from pathlib import Path

import pytest

from cryoflux.attempt.context import Step
from cryoflux.cli.run_view import JsonView
from cryoflux.config import load_settings
from cryoflux.errors import BudgetError
from cryoflux.receipts.entry import receipt_of
from cryoflux.receipts.reading import read_entries
from cryoflux.runs.session import run
from cryoflux.runs.spending import Limits
from cryoflux.verification.steps import verify_target


class Rival(JsonView):
    """Takes everything as soon as an attempt was announced."""

    def opened(self, bench, origin, sample, spendable_uj):
        self.agent = bench.agent

    def step(self, step, moment):
        if (step, moment) == (Step.ANNOUNCE, "end"):
            self.agent.take(self.agent.bucket_uj(), request_id="rival")


def test_what_was_announced_gets_its_receipt_and_nothing_is_overdrawn(
    tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "s"
    flags = {"model": inputs[1], "train": inputs[3], "reserve": "12J", "state": str(state)}
    sourced = load_settings(flags, environ={}, folder=tmp_path)
    with pytest.raises(BudgetError):
        run(sourced, Limits(budget_uj=20_000_000), Rival(lambda: None), lambda: False)
    (_, last) = read_entries(state)
    receipt = receipt_of(last)
    assert receipt is not None
    assert receipt.outcome.value == "aborted"
    assert receipt.energy.microjoules == receipt.energy.hi_microjoules == 0
    assert verify_target(state).ok
