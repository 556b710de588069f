"""An account that lends joules to other meters hides none: each that one of them charged has a receipt."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from test_account import of_energy

from cryoflux.energy.interface import lent_request
from cryoflux.quantities import Energy, Tier
from synthetic_parts import RESERVED_UJ
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

ATTEMPT = "a0001_0"
"""id of the first attempt of every synthetic log"""
CHARGED = Energy(30_000_000, 25_000_000, 40_000_000, Tier.COUNTER, ("wrap",))


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    return open_state(tmp_path / "state")


def lend(made: SyntheticState, request: str, worker: str = "w1") -> str:
    return made.account.lend(RESERVED_UJ, request_id=lent_request(request, worker), log=made.log.origin).id


def test_what_is_lent_and_open_or_came_back_whole_is_no_charge(made: SyntheticState) -> None:
    made.attempt(0.05)
    made.account.release(lend(made, ATTEMPT))
    made.announce(task="lora_1790000000_2")
    lend(made, "lora_1790000000_2")
    made.finish()
    assert verify_target(made.path).ok
    assert not of_energy(made.path)


def test_what_another_meter_charged_and_no_receipt_tells_is_found(made: SyntheticState) -> None:
    made.attempt(0.05)
    made.account.repay(lend(made, ATTEMPT), CHARGED)
    (found,) = of_energy(made.finish())
    assert found.subject == "account.db"
    assert f"charged {ATTEMPT}/lent/w1, which has no part of a receipt" in found.detail


def test_what_a_session_charged_that_is_not_told_yet_is_a_question(made: SyntheticState) -> None:
    """A run may have died between its last charge and its entry."""
    made.attempt(0.05)
    made.account.repay(lend(made, "session/1_0"), CHARGED)
    checks = verify_target(made.finish()).checks
    assert any("session/1_0/lent/w1, which is not in the log yet" in check.detail for check in checks)
    assert not of_energy(made.path)


def test_what_was_repaid_is_not_made_cheaper_by_an_edit(made: SyntheticState) -> None:
    made.attempt(0.05)
    lent = lend(made, ATTEMPT)
    made.account.repay(lent, CHARGED)
    made.finish()
    cheaper = "UPDATE reservations SET charge = replace(charge, ':30000000', ':26000000') WHERE id = ?"
    with closing(sqlite3.connect(made.path / "account.db")) as connection:
        assert connection.execute(cheaper, (lent,)).rowcount == 1
        connection.commit()
    assert any("is not what a settle looks like" in found.detail for found in of_energy(made.path))
